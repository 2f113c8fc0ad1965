"""Does the score follow when a region is edited away, more than when as much is edited elsewhere?

The region is filled (`camaudit.measure.fills`), and so are copies of it, moved to places at the same distance from the
centre of the image. What the edit of the region does beyond the copies is what the model used of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from camaudit.config.model import Task

_CELLS = 28  # moves are searched on this many steps a side
_MOST_OVERLAP = 0.5
_MOST_ELSEWHERE = 0.25
_LEAST_INSIDE = 0.9


def controls(region: Tensor, avoid: Tensor, valid: Tensor, count: int) -> Tensor:
    """Copies of a region elsewhere in the image: same shape and area, as far from the centre as the region.

    Moves are ranked by how far they miss this: by the area pushed out of the image, the overlap with the region and with
    what else is annotated, and the difference of the distances to the centre. The best `count` that lie apart are taken.

    Args:
        region: coverage of one sample's region, (height, width).
        avoid: coverage of everything annotated as object or attribute, (height, width).
        valid: true on the image, false on padding, (height, width).
        count: number of copies.

    Returns:
        (found, height, width); found is 0 where the region is empty, or so large that no copy of it is a control
        (less than nine tenths of it in the image, more than half of it on the region itself, or more than a quarter of it
        on what else is annotated: an edit of that would be no control).
    """
    height, width = region.shape
    empty = region.new_zeros((0, height, width))
    if not bool((region > 0.5).any()):
        return empty
    cells = [
        functional.adaptive_avg_pool2d(layer[None].to(region), _CELLS)[0] for layer in (region, avoid, valid)
    ]
    small, others, image = (
        cell / cell.sum().clamp(min=1e-12) if i == 0 else cell for i, cell in enumerate(cells)
    )

    def under_copies(layer: Tensor) -> Tensor:
        """Mean of a layer under the region's copy, for every move by whole cells: (2·28 - 1, 2·28 - 1)."""
        return functional.conv2d(layer[None, None], small[None, None], padding=_CELLS - 1)[0, 0]

    inside = under_copies(image)
    onto_itself = under_copies(cells[0])
    onto_others = under_copies(others)  # what is annotated, the region included
    onto_else = under_copies((cells[1] - cells[0]).clamp(min=0)).flatten()
    steps = torch.arange(-(_CELLS - 1), _CELLS, device=region.device)
    # conv2d slides the copy over the padded layer: index i is a move by i - (cells - 1), whatever the copy's place
    moves = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    axis = torch.arange(_CELLS, device=region.device, dtype=region.dtype) - (_CELLS - 1) / 2
    place = torch.stack([(small.sum(1) * axis).sum(), (small.sum(0) * axis).sum()])
    further = ((place + moves).norm(dim=-1) - place.norm()).abs() / (_CELLS / 2)

    inside, onto_itself, onto_others = inside.flatten(), onto_itself.flatten(), onto_others.flatten()
    cost = 4 * (1 - inside) + 2 * onto_itself + onto_others + further
    usable = (inside >= _LEAST_INSIDE) & (onto_itself <= _MOST_OVERLAP) & (onto_else <= _MOST_ELSEWHERE)
    usable &= moves.abs().amax(1) > 0
    chosen: list[Tensor] = []
    cost = torch.where(usable, cost, torch.inf)
    while len(chosen) < count:
        best = int(cost.argmin())
        if not torch.isfinite(cost[best]):
            break
        chosen.append(moves[best])
        apart = (moves - moves[best]).abs().amax(1) >= 2
        cost = torch.where(apart, cost, torch.inf)
    if len(chosen) < count:
        return empty
    steps_in_pixels = torch.tensor([height / _CELLS, width / _CELLS], device=region.device)
    return (
        torch.stack([_moved(region, (move * steps_in_pixels).round().int().tolist()) for move in chosen])
        * valid
    )


def margins(logits: Tensor, classes: Tensor, task: Task = "multiclass") -> Tensor:
    """Score of a class minus the best other score, (batch,); its own score where classes do not compete.

    Args:
        logits: one score a class, (batch, classes).
        classes: (batch,) the class of each sample.
        task: what the scores mean; of multilabel and regression no score decides about another.
    """
    own = logits.gather(1, classes[:, None]).squeeze(1)
    if task in {"multilabel", "regression"}:
        return own
    others = logits.scatter(1, classes[:, None], -torch.inf)
    return own - others.amax(1)


def _moved(region: Tensor, move: list[int]) -> Tensor:
    """The region moved by (rows, columns) of pixels; what leaves the image is lost."""
    down, right = move
    height, width = region.shape
    moved = torch.zeros_like(region)
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = region[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved
