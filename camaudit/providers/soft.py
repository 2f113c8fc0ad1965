"""From the probabilities of pixels to a region and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from camaudit.providers.registry import Found

if TYPE_CHECKING:
    from numpy.typing import NDArray


def found_in(probability: NDArray[np.floating], chosen: NDArray[np.bool_], size: tuple[int, int]) -> Found:
    """A region of an image of that (height, width).

    Args:
        probability: that a pixel belongs to it, (h, w).
        chosen: whether it does, (h, w).
        size: of the image.
    """
    if not chosen.any():
        return Found(np.zeros(size, dtype=bool))
    inside = np.clip(probability[chosen].astype(np.float64), 1e-12, 1 - 1e-12)
    entropy = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    mask = Image.fromarray(chosen).resize(size[::-1], Image.Resampling.NEAREST)
    return Found(np.asarray(mask, dtype=bool), float(inside.mean()), float(entropy.mean()))
