"""The model's frame: where an image, and everything drawn on it, lies in the model's input.

An image and its masks pass through the same box and the same filter, so that a pixel of a mask stays on the pixel of
the image it describes. A mask becomes coverage: the share of each input pixel that the region takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from camaudit.types import Preprocessing

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Frame:
    """Where one image lies in the model's input.

    Attributes:
        size: (height, width) of the original image.
        resized: (height, width) after resizing.
        crop: (height, width) of the model's input.
        offset: (top, left) of the crop in the resized image; negative where the crop pads.
        interpolation: the filter's name.
    """

    size: tuple[int, int]
    resized: tuple[int, int]
    crop: tuple[int, int]
    offset: tuple[int, int]
    interpolation: str

    @classmethod
    def of(cls, size: tuple[int, int], preprocessing: Preprocessing) -> Frame:
        """The frame of an image of that (height, width), as torchvision's Resize and CenterCrop place it."""
        resized = _resized(size, preprocessing.resize)
        crop = preprocessing.crop
        wanted = resized if crop is None else (crop, crop) if isinstance(crop, int) else crop
        top, left = (_centre(inner, outer) for inner, outer in zip(wanted, resized, strict=True))
        return cls(size, resized, wanted, (top, left), preprocessing.interpolation)

    def image(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image in the model's input, (height, width, 3), padded with black."""
        moved = image.resize(self.resized[::-1], _FILTERS[self.interpolation])
        return np.asarray(self._cropped(moved), dtype=np.uint8)

    def coverage(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The share of each input pixel that a mask of the original image takes, (height, width) in [0, 1]."""
        if not mask.any():  # many a region is not there
            return np.zeros(self.crop, dtype=np.float32)
        moved = Image.fromarray(mask.astype(np.float32)).resize(
            self.resized[::-1], _FILTERS[self.interpolation]
        )
        # a bicubic filter overshoots at edges
        return np.clip(np.asarray(self._cropped(moved), dtype=np.float32), 0, 1)

    def valid(self) -> NDArray[np.bool_]:
        """Input pixels that show the image and not padding, (height, width)."""
        rows, columns = (
            (np.arange(crop) + offset >= 0) & (np.arange(crop) + offset < resized)
            for crop, offset, resized in zip(self.crop, self.offset, self.resized, strict=True)
        )
        return rows[:, None] & columns[None, :]

    def box(self) -> tuple[float, float, float, float]:
        """The model's input in pixels of the original image: left, top, right, bottom; beyond it where it pads."""
        scale = [side / resized for side, resized in zip(self.size, self.resized, strict=True)]
        top, left = (offset * by for offset, by in zip(self.offset, scale, strict=True))
        height, width = (side * by for side, by in zip(self.crop, scale, strict=True))
        return left, top, left + width, top + height

    def _cropped(self, image: Image.Image) -> Image.Image:
        top, left = self.offset
        return image.crop((left, top, left + self.crop[1], top + self.crop[0]))  # Pillow pads with zeros


def _resized(size: tuple[int, int], resize: int | tuple[int, int] | None) -> tuple[int, int]:
    if resize is None:
        return size
    if isinstance(resize, tuple):
        return resize
    height, width = size
    if height <= width:
        return resize, max(int(resize * width / height), 1)
    return max(int(resize * height / width), 1), resize


def _centre(inner: int, outer: int) -> int:
    # torchvision pads the smaller side by floor, and crops by round half to even
    if inner > outer:
        return -((inner - outer) // 2)
    return round((outer - inner) / 2.0)
