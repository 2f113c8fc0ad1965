"""A region as a boolean array in the frame of its image, as it is shown.

A mask file has the size of the shown image, after the image's own EXIF orientation; an orientation that the mask's file has
turns the mask. Coordinates of annotation files that belong to the stored pixels (`camaudit.types.InFile`) are drawn there
and turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from camaudit.data.images import UNREADABLE, Stored, check_size, stored_frame
from camaudit.data.shapes import (
    TURNS,
    draw_box,
    draw_keypoints,
    draw_polygon,
    draw_run_lengths,
    scaled,
)
from camaudit.data.stored import open_stored
from camaudit.errors import DataError
from camaudit.types import (
    Box,
    ColourMaskFile,
    Combined,
    InFile,
    Instances,
    Keypoints,
    MaskFile,
    Polygon,
    Relative,
    RunLengths,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from camaudit.types import Region, Shape


class MaskSizeError(DataError):
    """A mask has another size than its image."""


def region_mask(region: Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The region's pixels.

    Args:
        region: with any shape.
        size: (height, width) of the image as it is shown.

    Returns:
        A boolean array of that size.

    Raises:
        DataError: a mask has another size than its image, or its file cannot be read.
    """
    return region_masks([region], size)[region.name]


def region_masks(
    regions: Sequence[Region], size: tuple[int, int], *, image: str = "its image"
) -> Mapping[str, NDArray[np.bool_]]:
    """The pixels of several regions by name; a file that several of them share is read once.

    Args:
        regions: with distinct names.
        size: (height, width) of the image as it is shown.
        image: what an error message calls the image.

    Raises:
        DataError: as `region_mask`.
    """
    files = _Files()
    return {
        region.name: _Drawing(size, image, f"the mask of region {region.name!r}", files).draw(region.shape)
        for region in regions
    }


class _Files:
    """What was read from disk for one image."""

    def __init__(self) -> None:
        self._indices: dict[Path, NDArray[np.integer]] = {}
        self._stored: dict[Path, Stored] = {}

    def indices(self, shape: MaskFile | ColourMaskFile) -> NDArray[np.integer]:
        """The pixel values of a mask's file, (height, width)."""
        if shape.path not in self._indices:
            self._indices[shape.path] = _read(shape.path, colours=isinstance(shape, ColourMaskFile))
        return self._indices[shape.path]

    def stored(self, image: Path) -> Stored:
        """The frame of the pixels as an image's file stores them."""
        if image not in self._stored:
            self._stored[image] = stored_frame(image)
        return self._stored[image]


class _Drawing:
    """Draws shapes of one region into one frame."""

    def __init__(self, size: tuple[int, int], image: str, what: str, files: _Files) -> None:
        self._size, self._image, self._what, self._files = size, image, what, files

    def draw(self, shape: Shape) -> NDArray[np.bool_]:  # noqa: PLR0911, C901 - a case a shape
        match shape:
            case MaskFile() | ColourMaskFile():
                indices = self._files.indices(shape)
                self._check(indices.shape, str(shape.path))
                return _chosen(indices, shape.values)
            case RunLengths(height, width):
                self._check((height, width), self._what)
                return draw_run_lengths(shape)
            case Polygon():
                return draw_polygon(shape, self._size)
            case Box():
                return draw_box(shape, self._size)
            case Keypoints():
                return draw_keypoints(shape, self._size)
            case Relative(inner):
                return (
                    self._resized(inner)
                    if isinstance(inner, (MaskFile, ColourMaskFile))
                    else self.draw(scaled(inner, self._size))
                )
            case Instances(parts) | Combined("or", parts):
                return self._united(parts)
            case Combined("not", (part,)):
                return ~self.draw(part)
            case Combined(_, parts):
                return np.asarray(np.logical_and.reduce([self.draw(part) for part in parts]))
            case InFile():
                return self._turned(shape)
            case _:
                mask: NDArray[np.bool_] = np.asarray(shape, dtype=bool)
                self._check(mask.shape, self._what)
                return mask

    def _resized(self, file: MaskFile | ColourMaskFile) -> NDArray[np.bool_]:
        indices = self._files.indices(file)
        (height, width), (rows, columns) = self._size, indices.shape
        if abs(height * columns - width * rows) > max(height, width):  # by more than one pixel of the mask
            msg = (
                f"{file.path} is {columns}x{rows} but {self._image} is {width}x{height} (width x height). "
                "A mask of another size must have the proportions of its image."
            )
            raise DataError(msg)
        row, column = (
            ((np.arange(side) + 0.5) * of / side).astype(np.int64)
            for side, of in ((height, rows), (width, columns))
        )
        return _chosen(indices[row[:, None], column], file.values)

    def _united(self, parts: Sequence[Shape]) -> NDArray[np.bool_]:
        mask = np.zeros(self._size, dtype=bool)
        for part in parts:
            mask |= self.draw(part)
        return mask

    def _turned(self, shape: InFile) -> NDArray[np.bool_]:
        stored = self._files.stored(shape.image)
        if shape.size is not None and shape.size not in {stored.size, self._size}:
            msg = (
                f"The annotations of {shape.image} are for an image of {shape.size[1]}x{shape.size[0]}, but it is "
                f"{stored.size[1]}x{stored.size[0]} (width x height). Use the image that was annotated."
            )
            raise DataError(msg)
        if shape.size == self._size != stored.size:
            return self.draw(shape.shape)
        inner = _Drawing(stored.size, self._image, self._what, self._files).draw(shape.shape)
        turn = TURNS.get(stored.orientation)
        return np.ascontiguousarray(turn(inner)) if turn else inner

    def _check(self, shape: tuple[int, ...], what: str) -> None:
        if shape != self._size:
            got = "x".join(str(side) for side in reversed(shape))
            msg = (
                f"{what} is {got} but {self._image} is {self._size[1]}x{self._size[0]} (width x height). "
                "A mask must have the size of its image."
            )
            raise MaskSizeError(msg)


def _chosen(indices: NDArray[np.integer], values: tuple[int, ...] | None) -> NDArray[np.bool_]:
    if values is None:
        return np.asarray(indices != 0)
    return np.asarray(indices == values[0] if len(values) == 1 else np.isin(indices, values))


def _read(path: Path, *, colours: bool) -> NDArray[np.integer]:
    try:
        with open_stored(path) as image:
            check_size(image)
            image.load()
            bands = len(image.getbands())
            ImageOps.exif_transpose(image, in_place=True)
            if colours:
                pixels = np.asarray(image.convert("RGB").convert("RGBA"))  # four bytes are one number
                return np.asarray(pixels.view("<u4")[..., 0] & 0xFFFFFF)
            indices = np.asarray(image)
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct the mask's path in the table."
        raise DataError(msg) from None
    except UNREADABLE as error:
        msg = f"{path} cannot be read as a mask: {error}. Replace the file."
        raise DataError(msg) from None
    if bands > 1:
        msg = f"{path} has {bands} channels ({image.mode}). A mask has one: save it as a grey or palette PNG."
        raise DataError(msg)
    return indices if indices.dtype != np.bool_ else indices.astype(np.uint8)
