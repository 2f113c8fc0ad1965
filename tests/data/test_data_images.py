"""Every image file is decoded as it is meant to be seen, or refused with its name."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from camaudit.data import Frame, batches, open_image
from camaudit.data.images import decode, image_size
from camaudit.errors import DataError
from camaudit.types import Preprocessing, Sample

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


# ------------------------------------------------------------------ several frames, very large ones, other colours


@pytest.mark.parametrize(
    ("suffix", "several"), [("gif", True), ("webp", True), ("png", True), ("tif", True), ("jpg", False)]
)
def test_of_several_frames_the_first_is_taken_and_it_is_known(
    tmp_path: Path, suffix: str, several: bool
) -> None:
    first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    path = tmp_path / f"a.{suffix}"
    first.save(path, **({"save_all": True, "append_images": [second]} if several else {}))  # type: ignore[arg-type]
    found = decode(path)
    assert found.animated == several
    assert np.asarray(found.image)[0, 0, 0] > 200
    assert found.size == (6, 8)


def test_a_batch_counts_its_animations(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (8, 6)).save(tmp_path / "b.png")
    samples = [Sample(name, tmp_path / name, None) for name in ("a.gif", "b.png")]
    recipe = Preprocessing(None, None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    (batch,) = batches(samples, recipe, {}, 2)
    assert len(batch.samples) == 2
    assert [(notice.kind, notice.where) for notice in batch.notices] == [
        ("animated", str(tmp_path / "a.gif"))
    ]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    rows, columns = np.mgrid[:600, :800]
    picture = np.stack([rows % 256, columns % 256, (rows + columns) // 6 % 256], axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(
        Image.fromarray(picture).resize((80, 60)).resize((800, 600)),
        tmp_path / "a.jpg",
        exif=exif,
        quality=95,
    )
    recipe = Preprocessing(64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    whole = decode(path, lambda size: Frame.of(size, recipe).resized)
    monkeypatch.setattr("camaudit.data.images.LARGE", 1000)
    small = decode(path, lambda size: Frame.of(size, recipe).resized)
    assert whole.size == small.size == ((600, 800) if orientation == 1 else (800, 600))
    assert whole.image.size == whole.size[::-1]
    assert min(small.image.size) == 150  # a quarter: an eighth would have less than twice 64
    frame = Frame.of(small.size, recipe)
    difference = np.abs(frame.image(whole.image).astype(int) - frame.image(small.image))
    assert difference.mean() < 1
    assert decode(path).image.size == whole.image.size  # nothing is known of what is needed


def test_the_limit_is_named_with_the_number_of_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _saved(Image.fromarray(GREY), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 47)
    # a run goes on after Pillow's warning, which is an error in these tests
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(DataError, match="48 pixels, where 47 are the most"),
    ):
        open_image(path)


def test_transparency_is_dropped_and_not_composited(tmp_path: Path) -> None:
    pixels = np.dstack([COLOUR, np.zeros((6, 8), np.uint8)])
    path = _saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_image(path)), COLOUR)


def test_a_photograph_in_cmyk_is_no_negative(tmp_path: Path) -> None:
    path = _saved(Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK"), tmp_path / "a.jpg")
    assert np.abs(np.asarray(open_image(path)).astype(int) - (200, 40, 40)).max() < 12


def test_sixteen_bits_a_colour(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), COLOUR[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(open_image(path)), COLOUR)
