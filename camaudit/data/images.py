"""Decode one image file, as a photograph is meant to be seen.

Turned as its EXIF orientation says; three channels of eight bits, as Pillow and the usual loaders convert them: grey and
palette images get equal or their palette's colours, CMYK becomes RGB, of 16 bits the upper eight stay, and transparency is
dropped, not composited: a pixel has the colour that is stored for it, whatever its opacity. Of an animation or of several
pages the first is taken.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from camaudit.data.stored import open_stored
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LARGE = 24_000_000
"""Pixels beyond which a JPEG is decoded at a half, a quarter or an eighth of its sides where that is enough."""
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_ORIENTATION = 0x0112


def limit() -> int:
    """Pixels beyond which no image is decoded: Pillow's own limit, about 89 million."""
    return Image.MAX_IMAGE_PIXELS or 89_478_485


def check_size(image: Image.Image) -> None:
    """Refuse an image of more pixels than the limit (Image.DecompressionBombError), before it is decoded."""
    if image.width * image.height > limit():
        msg = f"it has {image.width * image.height:,} pixels, where {limit():,} are the most."
        raise Image.DecompressionBombError(msg)


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes:
        image: RGB, turned; smaller than `size` where a reduced one was asked for.
        size: (height, width) of the image as it is shown.
        animated: whether there are more frames or pages than the one that was taken.
        tables: quantisation tables of a JPEG by number, 64 entries each; empty for other files.
    """

    image: Image.Image
    size: tuple[int, int]
    animated: bool
    tables: Mapping[int, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """(height, width) of the pixels as a file stores them, and the EXIF orientation that turns them."""

    size: tuple[int, int]
    orientation: int


def open_image(path: Path | str) -> Image.Image:
    """The image as RGB, turned as its EXIF orientation says.

    Raises:
        DataError: the file is missing, is no image, is truncated, or is too large to be decoded safely.
    """
    return decode(path).image


def decode(path: Path | str, needed: Callable[[tuple[int, int]], tuple[int, int]] | None = None) -> Decoded:
    """An image with what is known of its file.

    Args:
        path: of the file.
        needed: from the (height, width) of the image to that which it will be resized to. A large JPEG is then decoded at
            a half, a quarter or an eighth of its sides, whichever still has twice the sides that are needed.

    Raises:
        DataError: as `open_image`.
    """
    try:
        with open_stored(path) as image:
            check_size(image)
            turned = image.getexif().get(_ORIENTATION, 1) in {5, 6, 7, 8}
            size = (image.width, image.height) if turned else (image.height, image.width)
            animated = image.format != "MPO" and getattr(image, "is_animated", False)
            if needed is not None and image.format == "JPEG" and image.width * image.height > LARGE:
                height, width = needed(size)
                image.draft(None, (2 * height, 2 * width) if turned else (2 * width, 2 * height))
            image.load()
            tables = dict(getattr(image, "quantization", None) or {})
            # a conversion drops the metadata, so the turn comes first
            ImageOps.exif_transpose(image, in_place=True)
            return Decoded(_as_rgb(image), size, bool(animated), tables)
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct the path in the table, or remove the row."
    except UnidentifiedImageError:
        msg = (
            f"{path} is not an image that can be read ({_bytes(path)}). Replace the file, or remove the row."
        )
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"{path} is too large to be decoded safely: {error} Make it smaller."
    except UNREADABLE as error:
        msg = f"{path} cannot be decoded: {error}. Replace the file, or remove the row."
    raise DataError(msg)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file as it is meant to be seen, without decoding it.

    Raises:
        DataError: as `open_image`, where the file's head already shows it.
    """
    stored = stored_frame(path)
    height, width = stored.size
    return (width, height) if stored.orientation >= 5 else (height, width)


def stored_frame(path: Path) -> Stored:
    """Size and orientation of an image file, without decoding it.

    Raises:
        DataError: as `open_image`, where the file's head already shows it.
    """
    try:
        with open_stored(path) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            return Stored((image.height, image.width), orientation if orientation in range(1, 9) else 1)
    except UNREADABLE:
        return Stored(decode(path).size, 1)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would cut it off at 255, which leaves a white image
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        msg = f"its pixels are 32-bit numbers ({image.mode}) of unknown range; save it with 8 bits a channel"
        raise ValueError(msg)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way
    return image.convert("RGB")


def _bytes(path: Path | str) -> str:
    try:
        return f"{Path(path).stat().st_size} bytes"
    except OSError:
        return "unreadable"
