"""Decode one image file, as a photograph is meant to be seen."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
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
            return _as_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct the path in the table, or remove the row."
    except UnidentifiedImageError:
        msg = f"{path} is not an image that can be read ({_size(path)}). Replace the file, or remove the row."
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"{path} is too large to be decoded safely: {error} Make it smaller."
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        msg = f"{path} cannot be decoded: {error}. Replace the file, or remove the row."
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
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        height, width = open_image(path).size[::-1]
        return height, width
    return (width, height) if turned else (height, width)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would cut it off at 255, which leaves a white image
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        msg = f"its pixels are 32-bit numbers ({image.mode}) of unknown range; save it with 8 bits a channel"
        raise ValueError(msg)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the direct way
    return image.convert("RGB")


def _size(path: Path | str) -> str:
    try:
        return f"{Path(path).stat().st_size} bytes"
    except OSError:
        return "unreadable"
