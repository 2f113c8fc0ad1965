"""Whether the pixels of a region rank above the others: measures that know the order of a map's values and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

RANKING_METRICS = ("rank_accuracy", "topk_intersection", "auroc", "average_precision")

TOP = 0.02
"""Share of the image's pixels that the top-k intersection looks at: 1,000 of 224 x 224."""


def ranking(pixels: Tensor, belongs: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """The ranking measures of maps at the size of the image.

    Of pixels with equal values each counts in part: as the mean over all orders that they could be in.

    - ``rank_accuracy``: share of the region among as many of the highest pixels as the region has (Arras et al. 2022).
    - ``topk_intersection``: share of the region among the highest 2 % of the image's pixels (Theiner et al. 2021).
    - ``auroc``, ``average_precision``: of the pixels as scores of the region, pixel by pixel.

    Args:
        pixels: (batch, targets, height, width).
        belongs: whether a pixel is the region's, (batch, regions, height, width).
        valid: true where a pixel is image and not padding, (batch, height, width).

    Returns:
        Each as (batch, targets, regions) float64; NaN of a region without pixels, AUROC also of one that has all of them.
    """
    order = _order(pixels.flatten(2), valid.flatten(1))
    sizes = valid.flatten(1).sum(1)[:, None]
    top = (TOP * sizes).round().clamp(min=1)
    kept: dict[str, list[Tensor]] = {name: [] for name in RANKING_METRICS}
    for region in (belongs & valid[:, None]).flatten(2).unbind(1):
        inside = region.sum(1)[:, None]
        mine = region[:, None].expand(order.place.shape).gather(2, order.place)
        # whole numbers below 2^24 are exact in float32
        hits = mine.cumsum(2, dtype=torch.float32).gather(2, order.last)
        within = {
            "rank_accuracy": _among(order, hits, inside) / inside,
            "topk_intersection": _among(order, hits, top) / top,
            "auroc": _area(order, mine, sizes, inside),
            "average_precision": (hits / (order.last + 1) * mine).sum(2, dtype=torch.float64) / inside,
        }
        for name, values in within.items():
            kept[name].append(torch.where(inside > 0, values, torch.nan))
    none = order.place.new_zeros((*order.place.shape[:2], 0), dtype=torch.float64)
    return {name: torch.stack(of, dim=2) if of else none for name, of in kept.items()}


@dataclass(frozen=True)
class _Order:
    """Pixels from the highest down; equal ones are one group. Each (batch, targets, pixels).

    Attributes:
        place: of each rank, which pixel it is.
        first: of each rank, the rank its group begins with; the highest pixel has rank 0.
        last: of each rank, the rank its group ends with.
    """

    place: Tensor
    first: Tensor
    last: Tensor


def _order(values: Tensor, valid: Tensor) -> _Order:
    """The order of values (batch, targets, pixels); padding comes last."""
    values, place = values.masked_fill(~valid[:, None], -torch.inf).sort(dim=2, descending=True)
    rank = torch.arange(values.shape[2], device=values.device).expand(values.shape)
    edge = torch.ones_like(values[..., :1], dtype=torch.bool)
    changes = values[..., 1:] != values[..., :-1]
    first = torch.where(torch.cat([edge, changes], 2), rank, 0).cummax(2).values
    ends = torch.where(torch.cat([changes, edge], 2), rank, values.shape[2])
    return _Order(place, first, ends.flip(2).cummin(2).values.flip(2))


def _among(order: _Order, hits: Tensor, count: Tensor) -> Tensor:
    """How many of the region's pixels are among the `count` highest, (batch, targets) float64.

    Args:
        order: of the pixels.
        hits: of each rank, how many of the region's pixels there are down to the end of its group.
        count: (batch, 1).
    """
    at = (count.long() - 1).clamp(min=0)[..., None].expand(*hits.shape[:2], 1)
    first, last = order.first.gather(2, at), order.last.gather(2, at)
    before = torch.where(first > 0, hits.gather(2, (first - 1).clamp(min=0)), 0)
    share = (hits.gather(2, last) - before).double() / (last - first + 1)
    return (before + share * (at + 1 - first)).squeeze(2)


def _area(order: _Order, mine: Tensor, sizes: Tensor, inside: Tensor) -> Tensor:
    """The area under the ROC curve by the sum of the region's mean ranks (Mann and Whitney 1947), (batch, targets)."""
    ranks = ((order.first + order.last).float() / 2 * mine).sum(2, dtype=torch.float64)
    outside = sizes - inside
    above = (
        (sizes - 1) * inside - ranks - inside * (inside - 1) / 2
    )  # pairs in which the region's pixel is the higher
    return torch.where(outside > 0, above / (inside * outside), torch.nan)
