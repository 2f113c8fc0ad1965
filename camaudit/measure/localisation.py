"""How much of a map's evidence lies in a region, beside what chance would put there."""

from __future__ import annotations

import torch
from torch import Tensor

from camaudit.explain.upsampling import upsample
from camaudit.measure.grid import to_grid
from camaudit.measure.overlap import OVERLAP_METRICS, overlap
from camaudit.measure.ranking import RANKING_METRICS, ranking

LOCALISATION_METRICS = (
    *("area", "mass", "lift", "excess", "outside_inside", "pointing", "pointing_centre"),
    *RANKING_METRICS,
    *OVERLAP_METRICS,
)

POINTING_TOLERANCE = 15.0
"""Pixels of the model's input by which the pointing game may miss (Zhang et al. 2018)."""


def localisation(maps: Tensor, coverage: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Localisation of raw maps in regions.

    - ``area``: a, the region's share of the image without padding; what chance would give the mass beside it.
    - ``mass``: E, the share of the bilinearly upsampled map inside the region: relevance mass accuracy (Arras et al.
      2022), energy-based pointing game (Wang et al. 2020), attribution localisation (Kohlbrenner et al. 2020).
    - ``excess``: E - a.
    - ``lift``: log2(E / a); minus infinity where no mass lies in the region.
    - ``outside_inside``: mean of the map outside of the region / mean inside (Lapuschkin et al. 2016); infinity where no mass
      lies in the region, NaN where the region is the whole image.
    - ``pointing``: 1 where a pixel of the region lies within 15 px of the map's maximum, else 0 (Zhang et al. 2018);
      of several equal maxima the first in reading order counts.
    - ``pointing_centre``: the same for the centre of the image, the baseline of the pointing game.
    - what `camaudit.measure.ranking.ranking` and `camaudit.measure.overlap.overlap` say of the upsampled map. There a pixel is
      the region's where it lies in it more than half; of a region thinner than a pixel, half as much as any does.

    Args:
        maps: non-negative, (batch, targets, h, w).
        coverage: share of each pixel that each region takes, (batch, regions, height, width); NaN where a region was
            not annotated.
        valid: true where a pixel is image and not padding, (batch, height, width).

    Returns:
        Each metric as (batch, targets, regions); NaN for a region that is empty or not annotated, and, but for the
        centre, for a map without mass: means of mass and area are then over the same samples.
    """
    image = valid.to(coverage.dtype)
    inside = coverage * image[:, None]
    area = inside.sum((-2, -1)) / image.sum((-2, -1))[:, None]
    area = torch.where(area > 0, area, torch.nan)

    grid = (maps.shape[-2], maps.shape[-1])
    exact = maps.to(torch.float64)
    weights = to_grid(torch.nan_to_num(inside), grid).to(torch.float64)
    whole = to_grid(image, grid).to(torch.float64)
    total = torch.einsum("bthw,bhw->bt", exact, whole)
    mass = (
        torch.einsum("bthw,brhw->btr", exact, weights) / torch.where(total > 0, total, torch.nan)[..., None]
    )
    share = area[:, None, :].to(torch.float64).expand_as(mass)
    mass = torch.where(share.isnan(), torch.nan, mass)

    size = (coverage.shape[-2], coverage.shape[-1])
    belongs = inside > 0.5 * inside.amax((-2, -1), keepdim=True)
    hit = _hits(_maxima(maps, size), belongs)
    centre = torch.tensor([(size[0] - 1) / 2, (size[1] - 1) / 2], device=maps.device)
    missed = (total <= 0)[..., None] | mass.isnan()
    # rounded after, so that pixels that are equal but for the rounding of their making are equal
    pixels = upsample(exact, size).to(torch.float32)
    at_size = ranking(pixels, belongs, valid) | overlap(pixels, belongs, valid)
    return {
        "area": torch.where(mass.isnan(), torch.nan, share),
        "mass": mass,
        "lift": torch.log2(mass / share),
        "excess": mass - share,
        "outside_inside": torch.where(share < 1, (1 - mass) / (1 - share) / (mass / share), torch.nan),
        "pointing": torch.where(missed, torch.nan, hit),
        "pointing_centre": torch.where(
            share.isnan(), torch.nan, _hits(centre.expand(*maps.shape[:2], 2), belongs)
        ),
        **{name: torch.where(missed, torch.nan, values) for name, values in at_size.items()},
    }


def _maxima(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(batch, targets, 2): row and column, in pixels, of the upsampled map's maximum.

    Bilinear interpolation nowhere exceeds its nodes, so the maximum is at the centre of the largest cell.
    """
    height, width = maps.shape[-2:]
    cell = maps.flatten(2).argmax(-1)
    row = (cell // width + 0.5) * size[0] / height - 0.5
    column = (cell % width + 0.5) * size[1] / width - 0.5
    return torch.stack([row, column], dim=-1)


def _hits(points: Tensor, belongs: Tensor) -> Tensor:
    """(batch, targets, regions): 1 where a pixel of the region lies within the tolerance."""
    height, width = belongs.shape[-2:]
    rows = torch.arange(height, device=belongs.device)
    columns = torch.arange(width, device=belongs.device)
    squared = (rows - points[..., :1]).square()[..., :, None] + (columns - points[..., 1:]).square()[
        ..., None, :
    ]
    near = (squared <= POINTING_TOLERANCE**2).to(torch.float32)
    found = torch.einsum("bthw,brhw->btr", near, belongs.to(torch.float32))
    return (found > 0).to(torch.float64)
