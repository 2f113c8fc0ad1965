"""A region as a boolean array in the frame of its image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from camaudit.errors import DataError
from camaudit.types import Box, MaskFile, Polygon

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from camaudit.types import Region


def region_mask(region: Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The region's pixels.

    Args:
        region: mask, mask file, polygon or box.
        size: (height, width) of the image.

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
        size: (height, width) of the image.
        image: what an error message calls the image.

    Raises:
        DataError: as `region_mask`.
    """
    files: dict[Path, NDArray[np.integer]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    for region in regions:
        shape = region.shape
        if isinstance(shape, MaskFile):
            if shape.path not in files:
                files[shape.path] = _read_indices(shape.path, size, image)
            indices = files[shape.path]
            mask = indices != 0 if shape.values is None else np.isin(indices, shape.values)
        elif isinstance(shape, Polygon):
            mask = _draw_polygon(shape, size)
        elif isinstance(shape, Box):
            mask = _draw_box(shape, size)
        else:
            mask = np.asarray(shape, dtype=bool)
            _check_size(mask.shape, size, f"the mask of region {region.name!r}", image)
        masks[region.name] = mask
    return masks


def _read_indices(path: Path, size: tuple[int, int], image_name: str) -> NDArray[np.integer]:
    try:
        with Image.open(path) as image:
            image.load()
            if len(image.getbands()) > 1:
                msg = (
                    f"{path} has {len(image.getbands())} channels ({image.mode}). "
                    "A mask has one: save it as a grey or palette PNG."
                )
                raise DataError(msg)
            indices = np.asarray(image)
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct the mask's path in the table."
        raise DataError(msg) from None
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        msg = f"{path} cannot be read as a mask: {error}. Replace the file."
        raise DataError(msg) from None
    _check_size(indices.shape, size, str(path), image_name)
    return indices if indices.dtype != np.bool_ else indices.astype(np.uint8)


def _check_size(shape: tuple[int, ...], size: tuple[int, int], what: str, image: str) -> None:
    if shape != size:
        got = "x".join(str(side) for side in reversed(shape))
        msg = (
            f"{what} is {got} but {image} is {size[1]}x{size[0]} (width x height). "
            "A mask must have the size of its image."
        )
        raise DataError(msg)


def _draw_polygon(polygon: Polygon, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies in a ring; Pillow would draw the outline too, half a pixel beyond the polygon."""
    rows, columns = (np.arange(side) + 0.5 for side in size)
    mask = np.zeros(size, dtype=bool)
    for ring in polygon.rings:
        inside = np.zeros(size, dtype=bool)
        for (x, y), (next_x, next_y) in zip(ring, (*ring[1:], *ring[:1]), strict=True):
            crossed = np.flatnonzero((y <= rows) != (next_y <= rows))
            at = x + (rows[crossed] - y) * ((next_x - x) / (next_y - y or 1))
            inside[crossed] ^= columns >= at[:, None]
        mask |= inside
    return mask


def _draw_box(box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    rows, columns = (np.arange(side) + 0.5 for side in size)
    inside_rows = (rows >= box.top) & (rows < box.top + box.height)
    inside_columns = (columns >= box.left) & (columns < box.left + box.width)
    return inside_rows[:, None] & inside_columns[None, :]
