"""One map of the maps of several layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def fused(maps: Sequence[Tensor], how: Literal["mean", "max"]) -> Tensor:
    """The mean or the maximum of several layers' maps.

    Layers differ in scale, so each map is divided by its maximum first; a map of zeros stays one. Coarser maps are brought
    to the finest grid, bilinearly.

    Args:
        maps: each (batch, targets, h, w), non-negative.
        how: ``mean`` or ``max``.

    Returns:
        (batch, targets, h, w) of the finest grid, between 0 and 1.
    """
    finest = max((found.shape[-2:] for found in maps), key=lambda size: size[0] * size[1])
    scaled = []
    for found in maps:
        peak = found.amax((-2, -1), keepdim=True)
        share = torch.where(peak > 0, found / peak, 0)
        scaled.append(
            torch.nn.functional.interpolate(share, size=finest, mode="bilinear", align_corners=False)
        )
    stacked = torch.stack(scaled)
    return stacked.mean(0) if how == "mean" else stacked.amax(0)
