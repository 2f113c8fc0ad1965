"""Bring regions to the map's grid, so that no map has to be brought to the image.

For a linear upsampling U of the map, ⟨region, U·map⟩ = ⟨Uᵀ·region, map⟩: the region sums on the grid are exactly those on
the image, and the map is never enlarged.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional


def to_grid(regions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Adjoint of bilinear upsampling (pixel centres aligned as in OpenCV and torch with ``align_corners=False``).

    Args:
        regions: weights on the image, (..., height, width).
        grid: (h, w) of the maps.

    Returns:
        (..., h, w), in pixels of the image; sums over the grid equal sums over the image.
    """
    rows = upsampling(grid[0], regions.shape[-2]).to(regions)
    columns = upsampling(grid[1], regions.shape[-1]).to(regions)
    return rows.T @ regions @ columns


@lru_cache(maxsize=16)
def upsampling(cells: int, pixels: int) -> Tensor:
    """One axis of bilinear upsampling as a matrix, (pixels, cells), float64."""
    identity = torch.eye(cells, dtype=torch.float64)[:, None, :]
    return functional.interpolate(identity, size=pixels, mode="linear", align_corners=False)[
        :, 0, :
    ].T.contiguous()
