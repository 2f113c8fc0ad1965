"""Attribution maps as pictures in the frame of the original image, on one fixed scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FAINTEST = 0.05
"""Of the map's maximum: what is less is not drawn, so that the image is seen where there is next to no evidence."""
LONGER_SIDE = 512
"""Of the written picture. A map is smooth: more pixels than this show nothing more."""


def place_map(
    values: NDArray[np.float32], box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Draws a map where the model looked, on an image it saw only a part of.

    Args:
        values: (h, w) on the layer's grid, non-negative.
        box: what the grid covers, in pixels of the image: left, top, right, bottom; it may reach beyond the image.
        size: (height, width) of the image.

    Returns:
        The image's proportions with at most `LONGER_SIDE` pixels; 255 is the map's own maximum, 0 is evidence
        fainter than `FAINTEST` and everything outside the box. A map without mass, or with values that are not numbers, is 0 everywhere.
    """
    height, width = (max(1, round(side * min(1.0, LONGER_SIDE / max(size)))) for side in size)
    peak = float(values.max(initial=0.0))
    if not np.isfinite(values).all() or peak <= 0:
        return np.zeros((height, width), dtype=np.uint8)
    left, top, right, bottom = box
    rows, columns = values.shape
    across, down = columns / (right - left), rows / (bottom - top)
    # from a pixel of the picture to one of the grid; Pillow takes centres, and paints nothing outside the grid
    affine = (size[1] / width * across, 0.0, -left * across, 0.0, size[0] / height * down, -top * down)
    grid = Image.fromarray(np.asarray(values / peak, dtype=np.float32))
    drawn = grid.transform(
        (width, height), Image.Transform.AFFINE, affine, resample=Image.Resampling.BILINEAR
    )
    shares = np.asarray(drawn).clip(0, 1)
    return np.asarray(np.rint(np.where(shares < FAINTEST, 0, shares) * 255), dtype=np.uint8)


def write_png(picture: NDArray[np.uint8], path: Path) -> None:
    """Writes a single-channel picture."""
    Image.fromarray(picture).save(path, optimize=False, compress_level=4)
