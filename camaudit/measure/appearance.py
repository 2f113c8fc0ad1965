"""What an image looks like as a whole: properties that have no place in it, so that no map can show them.

Light and colour are measured at `WORKING` pixels on the shorter side, about what models see; traces of compression and of
enlargement at the stored pixels, which resizing would take away.

==============  ==================================================================================  ===================
look            what it is                                                                          unit
==============  ==================================================================================  ===================
``sharpness``   gradient energy of the luma at one pixel against that at four, halved               octaves
``brightness``  mean luma                                                                           0 to 1
``contrast``    standard deviation of the luma                                                      0 to 0.5
``warmth``      red against blue, of the channels' means                                            octaves
``tint``        green against magenta, of the channels' means                                       octaves
``saturation``  difference of the largest and the smallest channel, over the largest, of the means  0 to 1
``compression`` blockiness: what steps every eight pixels exceed those beside them by          of a mean step
``quality``     JPEG quality by the quantisation table; NaN where the file has none                 1 to 100
``resolution``  pixels of the shorter side that carry detail                                        octaves (log2)
==============  ==================================================================================  ===================

A photograph has about as much gradient energy at four pixels as at one (Field 1987), whatever it shows; a blur takes that
at one pixel away. So the ratio tells a blur from a plain subject, where the energy alone does not.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.data.images import Decoded

LOOKS = (
    *("sharpness", "brightness", "contrast", "warmth", "tint", "saturation"),
    *("compression", "quality", "resolution"),
)
WORKING = 256
_WINDOW = 256  # side in pixels of the part that traces of the file are looked for in
_NOISE = 0.1  # squared steps of 255; keeps the ratio of two empty images at one
_DETAIL = 0.95  # share of the gradient energy below the frequency that counts as the end of the band
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# mean of the luminance table that the Independent JPEG Group's library has at quality 50 (ITU T.81, table K.1)
_MEAN_AT_50 = 57.625


def appearance(
    image: Image.Image,
    size: tuple[int, int] | None = None,
    tables: Mapping[int, Sequence[int]] | None = None,
) -> dict[str, float]:
    """The looks of one image.

    Args:
        image: RGB.
        size: (height, width) of the stored image, where `image` was decoded smaller than it is; compression and
            resolution cannot be told from such a one and are NaN.
        tables: quantisation tables of the file, by number, 64 entries each; none where it is no JPEG.

    Returns:
        One number for every name in `LOOKS`; NaN where it is not defined, such as for an image of fewer than 32 pixels
        a side, which says nothing about a blur.
    """
    height, width = image.height, image.width
    working = np.asarray(_working(image))
    luma = working.astype(np.float32) @ _LUMA
    planes = [np.ascontiguousarray(working[:, :, channel]) for channel in range(3)]
    red, green, blue = (float(plane.mean()) for plane in planes)
    largest = float(np.maximum(np.maximum(planes[0], planes[1]), planes[2]).mean())
    smallest = float(np.minimum(np.minimum(planes[0], planes[1]), planes[2]).mean())
    whole = size is None or size == (height, width)
    stored = np.asarray(_window(image), dtype=np.float32) @ _LUMA if whole else None
    return {
        "sharpness": sharpness(luma),
        "brightness": float(luma.mean()) / 255,
        "contrast": float(luma.std()) / 255,
        "warmth": math.log2((red + 1) / (blue + 1)),
        "tint": math.log2((green + 1) / math.sqrt((red + 1) * (blue + 1))),
        "saturation": (largest - smallest) / largest if largest > 0 else 0.0,
        "compression": math.nan if stored is None else blockiness(stored),
        "quality": jpeg_quality(tables[min(tables)]) if tables else math.nan,
        "resolution": math.nan if stored is None else _resolution(stored, min(height, width)),
    }


def looks(decoded: Decoded) -> dict[str, float]:
    """`appearance` of an image that was read from a file."""
    return appearance(decoded.image, decoded.size, decoded.tables)


def sharpness(luma: NDArray[np.float32]) -> float:
    """Gradient energy at one pixel against that at four, in octaves of amplitude; NaN below 32 pixels a side.

    About 0 in a sharp photograph; a Gaussian blur of 1.5 px takes more than one octave.

    Args:
        luma: (height, width), 0 to 255.
    """
    if min(luma.shape) < 32:
        return math.nan
    height, width = (side // 4 * 4 for side in luma.shape)
    coarse = luma[:height, :width].reshape(height // 4, 4, width // 4, 4).mean((1, 3))
    return 0.5 * math.log2((_energy(luma) + _NOISE) / (_energy(coarse) + _NOISE))


def blockiness(luma: NDArray[np.float32]) -> float:
    """How far steps every eight pixels exceed the steps beside them, over the mean step; NaN below 32 pixels a side.

    Of the eight places a grid can lie at, the one that stands out most is taken against the next, in rows and columns each:
    the edges of a picture have no such period, and an enlarged image, whose period is shorter, has several such places.

    Args:
        luma: (height, width), 0 to 255, as stored: not resized.
    """
    if min(luma.shape) < 32:
        return math.nan
    found = 0.0
    for along in (luma, luma.T):
        steps = np.abs(np.diff(along, axis=1))
        beyond = (steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2).mean(0)
        phases = beyond[: beyond.size // 8 * 8].reshape(-1, 8).mean(0)
        second, first = np.sort(phases)[-2:]
        found += float(first - second) / (float(steps.mean()) + 0.5)
    return found / 2


def jpeg_quality(table: Sequence[int]) -> float:
    """The quality at which the Independent JPEG Group's library writes such a luminance table, by its mean; 1 to 100.

    Args:
        table: 64 entries.
    """
    scale = 100 * sum(table) / len(table) / _MEAN_AT_50
    quality = 5000 / scale if scale > 100 else 100 - scale / 2
    return min(100.0, max(1.0, quality))


def effective_share(luma: NDArray[np.float32]) -> float:
    """The share of the frequencies up to the sampling limit that carry detail, 0 to 1; NaN below 32 pixels a side.

    Below it lie 95 % of the gradient energy. An image that was enlarged twice has about half of what it had.

    Args:
        luma: (height, width), 0 to 255, as stored: not resized.
    """
    if min(luma.shape) < 32:
        return math.nan
    window, square, band = _bands(*luma.shape)
    spectrum = np.asarray(fft.rfft2((luma - luma.mean()) * window))
    power = spectrum.real**2 + spectrum.imag**2
    energy = np.bincount(band, (power * square).ravel(), minlength=64)
    total = energy.sum()
    if not total > _NOISE:
        return math.nan
    return float((np.searchsorted(np.cumsum(energy), _DETAIL * total) + 1) / 64)


@lru_cache(maxsize=8)
def _bands(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Of a window: its taper, the squared frequency of every place of its half spectrum, and that place's band of 64."""
    taper = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    radius = 2 * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    band = np.minimum((radius * 64).astype(np.int64), 63).ravel()
    return taper, (radius**2).astype(np.float32), band


def _resolution(stored: NDArray[np.float32], side: int) -> float:
    share = effective_share(stored)
    return math.log2(side * share) if share > 0 else math.nan


def _energy(luma: NDArray[np.float32]) -> float:
    across, down = np.diff(luma, axis=1), np.diff(luma, axis=0)
    return float((across * across).mean() + (down * down).mean())


def _working(image: Image.Image) -> Image.Image:
    """The image with `WORKING` pixels on its shorter side, or as it is where it has fewer."""
    shorter = min(image.size)
    if shorter <= WORKING:
        return image
    width, height = (max(1, round(side * WORKING / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _window(image: Image.Image) -> Image.Image:
    """The middle of the image, at the stored pixels."""
    left, top = max(0, (image.width - _WINDOW) // 2), max(0, (image.height - _WINDOW) // 2)
    return image.crop((left, top, min(image.width, left + _WINDOW), min(image.height, top + _WINDOW)))
