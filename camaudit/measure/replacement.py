"""Another sample's attribute in the place of a sample's own: does its kind matter?

Where every image has an attribute (hair, a face), an image without it is like none that the model has learnt from, and what an
edit takes away depends on how large the attribute is, which its kinds differ in. So the own one is painted over and another
sample's is put there, of the same kind or of another, behind the object. What any replacement does cancels out between kinds.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from camaudit.measure.fills import inpainted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from camaudit.measure.donors import Donors
    from camaudit.types import Sample

_EVERYWHERE = 0.9  # of the donors
_LARGEST = 0.5  # of the image, for the box: what fills more is what an object stands before (`camaudit.measure.exchange`)
_SMALLEST = 0.002
_MOST_SCALED = 3.0  # times as large or small: beyond that a donor's pixels are no picture of it


class Replacements:
    """The donors' own attributes, where (nearly) every donor has one.

    Args:
        donors: the pool.
        column: of the attribute among its regions.
    """

    def __init__(self, donors: Donors, column: int) -> None:
        self._donors = donors
        self._column = column

    @cached_property
    def possible(self) -> bool:
        """Whether (nearly) every donor has the attribute, as a part of its image, and kinds can be told apart."""
        annotated = np.flatnonzero(self._donors.annotated[:, self._column])
        boxes = [box for i in annotated if (box := self._boxes[i]) is not None]
        if not boxes or len(boxes) < _EVERYWHERE * len(annotated):
            return False
        frame = self._donors.frames[0].shape
        middle = float(np.median([_size(box) for box in boxes])) / (frame[0] * frame[1])
        return middle <= _LARGEST and len(self._donors.of_stratum) > 1

    @cached_property
    def _areas(self) -> NDArray[np.float64]:
        """Share of each donor's image that its attribute takes, (donors,)."""
        found: NDArray[np.float64] = self._donors.coverage[:, self._column].mean((1, 2), np.float64) / 255
        return found

    def chosen(self, sample: Sample, own: NDArray[np.float32], count: int) -> list[int]:
        """Places of the donors whose attribute a sample is given, the kinds in turn.

        Args:
            sample: the sample.
            own: how much of each pixel its own attribute takes, (height, width); where it has none, nobody's fits.
            count: how many.
        """
        mine = _box(own)
        if mine is None or _size(mine) > _LARGEST * own.size:
            return []
        fits = np.array(
            [
                box is not None and 1 / _MOST_SCALED <= _scale(box, mine) <= _MOST_SCALED
                for box in self._boxes
            ],
            dtype=bool,
        )
        return self._donors.order(sample, fits & (self._areas >= _SMALLEST))[:count]

    @cached_property
    def _boxes(self) -> list[_Box | None]:
        return [_box(one.astype(np.float32) / 255) for one in self._donors.coverage[:, self._column]]

    def name(self, place: int) -> str:
        """The id of a donor."""
        return self._donors.samples[place].id

    def replaced(
        self,
        frame: NDArray[np.uint8],
        own: NDArray[np.float32],
        free: NDArray[np.float32],
        places: Sequence[int],
    ) -> list[NDArray[np.uint8]]:
        """An image with the attribute of each of some donors, moved to where the own one was and scaled to the size of its box.

        Args:
            frame: the image, (height, width, 3) uint8.
            own: how much of each pixel the own attribute takes, (height, width).
            free: how much of each pixel may change: nothing of the object, which stays in front, and of padding.
            places: of the donors.
        """
        bare = inpainted(frame, own * free, free > 0)
        return [self._put(bare, own, free, place) for place in places]

    def _put(
        self, bare: NDArray[np.uint8], own: NDArray[np.float32], free: NDArray[np.float32], place: int
    ) -> NDArray[np.uint8]:
        import cv2

        theirs, mine = self._boxes[place], _box(own)
        if theirs is None or mine is None:
            return bare
        scale = _scale(theirs, mine)
        down, right = (to - scale * of for of, to in zip(_centre(theirs), _centre(mine), strict=True))
        matrix = np.array([[scale, 0, right], [0, scale, down]], dtype=np.float64)
        size = (bare.shape[1], bare.shape[0])
        share = self._donors.coverage[place, self._column].astype(np.float32) / 255
        shown = cv2.warpAffine(
            self._donors.frames[place], matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        covered = (cv2.warpAffine(share, matrix, size, flags=cv2.INTER_LINEAR) * free)[..., None]
        mixed: NDArray[np.uint8] = np.rint(bare * (1 - covered) + shown * covered).astype(np.uint8)
        return mixed


_Box = tuple[int, int, int, int]
"""Top, bottom, left and right of what is covered by more than a half; bottom and right are the last ones within."""


def _box(covered: NDArray[np.float32]) -> _Box | None:
    rows, columns = np.nonzero(covered > 0.5)
    if not rows.size:
        return None
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def _scale(of: _Box, to: _Box) -> float:
    """How many times as large the second box is as the first, by the root of their areas."""
    return math.sqrt(_size(to) / _size(of))


def _size(box: _Box) -> int:
    top, bottom, left, right = box
    return (bottom - top + 1) * (right - left + 1)


def _centre(box: _Box) -> tuple[float, float]:
    top, bottom, left, right = box
    return (top + bottom) / 2, (left + right) / 2
