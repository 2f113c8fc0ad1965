"""Maps and masks at the size of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, with the pixels' borders aligned, so that a map covers just what the image covers.

    Args:
        maps: (batch, n, h, w).
        size: (height, width) of the image.

    Returns:
        (batch, n, height, width).
    """
    return torch.nn.functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
