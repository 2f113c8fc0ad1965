"""Every image file is decoded as it is meant to be seen, or refused with its name."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from camaudit.data import open_image
from camaudit.data.images import image_size
from camaudit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

GREY = np.linspace(0, 255, 48).astype(np.uint8).reshape(6, 8)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def _saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_mode_is_pillows_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    path = _saved(image, tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    found = open_image(path)
    assert found.mode == "RGB"
    assert np.array_equal(np.asarray(found), np.asarray(image.convert("RGB")))
    assert image_size(path) == (6, 8)


def test_sixteen_bits_become_eight_and_not_white(tmp_path: Path) -> None:
    path = _saved(Image.fromarray(GREY.astype(np.uint16) * 257), tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_image(path)), np.repeat(GREY[..., None], 3, axis=2))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: type) -> None:
    path = _saved(Image.fromarray((GREY / 255).astype(dtype)), tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif .*unknown range; save it with 8 bits"):
        open_image(path)


def test_a_palette_with_transparency_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(8)
    path = _saved(image, tmp_path / "a.png", transparency=bytes([0, 0, 128, *[255] * 5]))
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_every_exif_orientation_is_turned(tmp_path: Path, orientation: int, suffix: str) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(Image.fromarray(COLOUR), tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(path) as stored:
        plain = stored.convert("RGB")
    expected = plain.transpose(turns[orientation]) if orientation in turns else plain
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(expected))
    assert image_size(path) == expected.size[::-1]


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
        buffer, "JPEG"
    )
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is not an image that can be read \(0 bytes\)"),
        (b"<html>not found</html>", "is not an image that can be read"),
        (_jpeg()[:-200], "cannot be decoded: .*truncated"),
        (_jpeg()[:40], "a.jpg"),
    ],
)
def test_what_cannot_be_decoded_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for reads in (open_image, image_size):
        with pytest.raises(DataError, match=r"gone\.jpg does not exist\. Correct the path"):
            reads(tmp_path / "gone.jpg")


@pytest.mark.parametrize("limit", [10, 30])
def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    path = _saved(Image.fromarray(COLOUR), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"a\.png is too large to be decoded safely"):
        open_image(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
def test_damage_anywhere_gives_an_image_or_a_data_error(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _saved(Image.fromarray(COLOUR), tmp_path / f"a.{suffix}", exif=exif)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in random.integers(0, min(len(whole), int(random.choice([40, 200, 10**6]))), 3):
            damaged[at] = random.integers(0, 256)
        path.write_bytes(damaged[: random.integers(len(whole) // 2, len(whole) + 1)])
        for reads in (open_image, image_size):
            with contextlib.suppress(DataError):
                assert reads(path)
