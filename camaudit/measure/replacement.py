"""Another sample's attribute in the place of a sample's own: does its kind matter?

Where every image has an attribute (hair, a face), an image without it is like none that the model has learnt from, and what an
edit takes away depends on how large the attribute is, which its kinds differ in. So the own one is painted over and another
sample's is put there, of the same kind or of another. What any replacement does is the same for all kinds, and cancels out.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from camaudit.measure.fills import inpainted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from camaudit.measure.donors import Donors
    from camaudit.types import Sample

_EVERYWHERE = 0.9  # of the donors: the decision itself looks at all samples
_LARGEST = 0.5  # of the image: more than that is what an object stands before (`camaudit.measure.exchange`)
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
        annotated = self._donors.annotated[:, self._column]
        areas = self._areas[annotated]
        everywhere = bool(areas.size) and float((areas > 0).mean()) >= _EVERYWHERE
        return everywhere and float(np.median(areas)) <= _LARGEST and len(self._donors.of_stratum) > 1

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
        if mine is None or own.mean() > _LARGEST:
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

    def replaced(self, frame: NDArray[np.uint8], own: NDArray[np.float32], place: int) -> NDArray[np.uint8]:
        """An image with a donor's attribute, scaled and moved so that its box fits that of the one that was there.

        Args:
            frame: the image with its own attribute painted over, see `without`; (height, width, 3) uint8.
            own: how much of each pixel the own one took, (height, width).
            place: of the donor.
        """
        import cv2

        theirs, mine = self._boxes[place], _box(own)
        if theirs is None or mine is None:
            return frame
        scale = _scale(theirs, mine)
        move = [to - scale * of for of, to in zip(_centre(theirs), _centre(mine), strict=True)]
        matrix = np.array([[scale, 0, move[1]], [0, scale, move[0]]], dtype=np.float64)
        size = (frame.shape[1], frame.shape[0])
        share = self._donors.coverage[place, self._column].astype(np.float32) / 255
        shown = cv2.warpAffine(
            self._donors.frames[place], matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        covered = cv2.warpAffine(share, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
        mixed = frame * (1 - covered) + shown * covered
        return np.rint(mixed).astype(np.uint8)


def without(
    frame: NDArray[np.uint8], own: NDArray[np.float32], valid: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """An image with its attribute painted over with what is around it.

    Args:
        frame: (height, width, 3) uint8.
        own: how much of each pixel the attribute takes, (height, width).
        valid: true on the image, false on padding.
    """
    return inpainted(frame, own, valid)


_Box = tuple[int, int, int, int]
"""Top, bottom, left and right of what is covered by more than a half; bottom and right are the last ones within."""


def _box(covered: NDArray[np.float32]) -> _Box | None:
    rows, columns = np.nonzero(covered > 0.5)
    if not rows.size:
        return None
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def _scale(of: _Box, to: _Box) -> float:
    """How many times as large the second box is as the first, by the root of their areas."""
    sizes = [(bottom - top + 1) * (right - left + 1) for top, bottom, left, right in (of, to)]
    return float((sizes[1] / sizes[0]) ** 0.5)


def _centre(box: _Box) -> tuple[float, float]:
    top, bottom, left, right = box
    return (top + bottom) / 2, (left + right) / 2
