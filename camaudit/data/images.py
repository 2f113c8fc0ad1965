"""Decode one image file, as a photograph is meant to be seen."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from camaudit.errors import DataError


def open_image(path: Path | str) -> Image.Image:
    """The image as RGB, turned as its EXIF orientation says.

    Raises:
        DataError: the file is missing, is no image, is truncated, or is too large to be decoded safely.
    """
    try:
        with Image.open(path) as image:
            image.load()
            # a conversion drops the metadata, so the turn comes first
            return ImageOps.exif_transpose(image).convert("RGB")
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct the path in the table, or remove the row."
    except UnidentifiedImageError:
        msg = f"{path} is not an image that can be read ({_size(path)}). Replace the file, or remove the row."
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"{path} is too large to be decoded safely: {error} Make it smaller."
    except (OSError, SyntaxError, ValueError) as error:
        msg = f"{path} is damaged: {error}. Replace the file, or remove the row."
    raise DataError(msg)


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file as it is meant to be seen, without decoding it.

    Raises:
        DataError: as `open_image`, where the file's head already shows it.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5  # orientations 5 to 8 swap the sides
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        height, width = open_image(path).size[::-1]
        return height, width
    return (width, height) if turned else (height, width)


def _size(path: Path | str) -> str:
    try:
        return f"{Path(path).stat().st_size} bytes"
    except OSError:
        return "unreadable"
