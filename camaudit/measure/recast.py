"""The whole image made to look otherwise: blurred, recoloured, compressed. What has no place cannot be edited away, but changed.

Each look is changed by one fixed dose, about what differs between two cameras or two ways of saving a picture:

==============  ============================================================================
look            changed by
==============  ============================================================================
``sharpness``   a Gaussian blur, sigma 0.7 % of the shorter side (1.6 pixels of 224)
``brightness``  all channels times 1.2 and 0.8
``contrast``    distances from the mean times 1.3 and 0.7
``warmth``      red times 1.15 and blue times 0.85, and the reverse
``tint``        green times 1.1 and red and blue times 0.95, and the reverse
``saturation``  distances from grey times 1.4 and 0.6
``compression`` JPEG of quality 15
``resolution``  reduced to a half of its sides and enlarged again
==============  ============================================================================
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_BLUR = 0.007
_QUALITY = 15
_LUMA = np.array([0.299, 0.587, 0.114])


def recast(pixels: Pixels, look: str) -> list[tuple[int, Pixels]]:
    """An image with less (−1) or more (+1) of a look.

    Args:
        pixels: (height, width, 3).
        look: a key of `RECASTS`.
    """
    return RECASTS[look](pixels)


def _blurred(pixels: Pixels) -> list[tuple[int, Pixels]]:
    sigma = _BLUR * min(pixels.shape[:2])
    return [(-1, np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma))))]


def _times(red: float, green: float, blue: float) -> Callable[[Pixels], list[tuple[int, Pixels]]]:
    gain = np.array([red, green, blue])

    def both(pixels: Pixels) -> list[tuple[int, Pixels]]:
        return [(1, _bytes(pixels * gain)), (-1, _bytes(pixels * (2 - gain)))]

    return both


def _contrasted(pixels: Pixels) -> list[tuple[int, Pixels]]:
    mean = float((pixels @ _LUMA).mean())
    return [(sign, _bytes(mean + (pixels - mean) * (1 + 0.3 * sign))) for sign in (1, -1)]


def _saturated(pixels: Pixels) -> list[tuple[int, Pixels]]:
    grey = (pixels @ _LUMA)[..., None]
    return [(sign, _bytes(grey + (pixels - grey) * (1 + 0.4 * sign))) for sign in (1, -1)]


def _compressed(pixels: Pixels) -> list[tuple[int, Pixels]]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    with Image.open(file) as image:
        return [(1, np.asarray(image.convert("RGB")))]


def _coarse(pixels: Pixels) -> list[tuple[int, Pixels]]:
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BOX)
    return [(-1, np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)))]


def _bytes(values: NDArray[np.floating]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


RECASTS: dict[str, Callable[[Pixels], list[tuple[int, Pixels]]]] = {
    "sharpness": _blurred,
    "brightness": _times(1.2, 1.2, 1.2),
    "contrast": _contrasted,
    "warmth": _times(1.15, 1.0, 0.85),
    "tint": _times(0.95, 1.1, 0.95),
    "saturation": _saturated,
    "compression": _compressed,
    "resolution": _coarse,
}
"""By look what changes it."""
