"""What images look like as a whole, on photographs and on patterns whose answer is known."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

import camaudit.demo
from camaudit.data.images import decode
from camaudit.measure.appearance import (
    LOOKS,
    appearance,
    blockiness,
    effective_share,
    jpeg_quality,
    looks,
    sharpness,
)
from camaudit.measure.recast import RECASTS, recast

SCENES = sorted((Path(camaudit.demo.__file__).parent / "assets" / "scenes").glob("*.jpg"))[10:]


def photographs() -> list[Image.Image]:
    """Ten photographs at 256 pixels; the others served to choose the measures."""
    return [Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC) for path in SCENES]


def saved(image: Image.Image, quality: int) -> Image.Image:
    """The pixels of an image that was saved as a JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return photographs()


@pytest.mark.parametrize("radius", [1.5, 2, 3])
@pytest.mark.parametrize("quality", [None, 60])
def test_sharpness_tells_a_blur_from_what_a_photograph_shows(
    pictures: list[Image.Image], radius: float, quality: int | None
) -> None:
    def measured(image: Image.Image) -> float:
        return appearance(image if quality is None else saved(image, quality))["sharpness"]

    sharp = [measured(picture) for picture in pictures]
    blurred = [measured(picture.filter(ImageFilter.GaussianBlur(radius))) for picture in pictures]
    assert max(blurred) < min(sharp)


@pytest.mark.parametrize("again", [False, True])
def test_compression_is_seen_in_the_pixels_after_they_are_saved_again(
    pictures: list[Image.Image], again: bool
) -> None:
    def measured(image: Image.Image) -> float:
        return appearance(saved(image, 95) if again else image)["compression"]

    assert min(measured(saved(picture, 20)) for picture in pictures) > max(map(measured, pictures))


def test_a_cropped_grid_is_found_where_it_lies(pictures: list[Image.Image]) -> None:
    whole = np.asarray(saved(pictures[0], 15).convert("L"), dtype=np.float32)
    assert blockiness(whole[3:, 5:]) == pytest.approx(blockiness(whole), rel=0.15)


def test_an_enlarged_image_has_half_the_resolution_it_seems_to_have(pictures: list[Image.Image]) -> None:
    for picture in pictures:
        small = picture.resize((128, 128), Image.Resampling.LANCZOS).resize(
            (256, 256), Image.Resampling.BICUBIC
        )
        apart = appearance(picture)["resolution"] - appearance(small)["resolution"]
        assert 0.4 < apart < 1.4


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
def test_the_quality_is_that_of_the_table_in_the_file(
    tmp_path: Path, quality: int, pictures: list[Image.Image]
) -> None:
    pictures[0].save(tmp_path / "a.jpg", quality=quality)
    found = looks(decode(tmp_path / "a.jpg"))
    assert found["quality"] == pytest.approx(quality, abs=5 if quality == 10 else 1)
    pictures[0].save(tmp_path / "a.png")
    assert math.isnan(looks(decode(tmp_path / "a.png"))["quality"])


def test_light_and_colour_are_those_of_the_pixels() -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, :32] = (200, 100, 50)
    found = appearance(Image.fromarray(pixels))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert found["brightness"] == pytest.approx(luma / 2 / 255)
    assert found["contrast"] == pytest.approx(luma / 2 / 255)
    assert found["warmth"] == pytest.approx(math.log2(101 / 26))
    assert found["tint"] == pytest.approx(math.log2(51 / math.sqrt(101 * 26)))
    assert found["saturation"] == pytest.approx(150 / 200)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_plain_and_tiny_images_give_numbers_or_nothing(width: int, height: int, grey: int) -> None:
    found = appearance(Image.new("RGB", (width, height), (grey, grey, grey)))
    assert set(found) == set(LOOKS)
    assert not any(math.isinf(value) for value in found.values())
    assert found["warmth"] == found["tint"] == found["saturation"] == 0
    tiny = min(width, height) < 32
    assert math.isnan(found["sharpness"]) == math.isnan(found["compression"]) == tiny
    assert math.isnan(found["resolution"])  # a plain image has no detail to lose


def test_what_was_decoded_smaller_says_nothing_of_the_file() -> None:
    picture = photographs()[0]
    found = appearance(picture, size=(2048, 2048))
    assert math.isnan(found["compression"])
    assert math.isnan(found["resolution"])
    assert found["brightness"] == appearance(picture)["brightness"]


def test_short_measures_by_hand() -> None:
    steps = np.tile(np.repeat([0.0, 100.0], 8), (64, 4)).astype(np.float32)
    assert blockiness(steps) == pytest.approx((100 / (100 * 7 / 63 + 0.5)) / 2, rel=0.02)  # none between rows
    flat = np.zeros((64, 64), dtype=np.float32)
    assert sharpness(flat) == 0
    assert blockiness(flat) == 0
    wave = np.tile(np.sin(np.arange(256) * math.pi / 4) * 100, (256, 1)).astype(np.float32)
    assert effective_share(wave) == pytest.approx(
        0.25, abs=0.05
    )  # an eighth of the pixels, of a limit of a half
    assert jpeg_quality([1] * 64) == pytest.approx(99, abs=1)


@pytest.mark.parametrize("look", RECASTS)
def test_a_change_of_a_look_changes_that_look(look: str, pictures: list[Image.Image]) -> None:
    for picture in pictures:
        pixels = np.asarray(picture)
        before = appearance(picture)[look]
        for sign, changed in recast(pixels, look):
            assert changed.shape == pixels.shape
            assert changed.dtype == np.uint8
            assert sign * (appearance(Image.fromarray(changed))[look] - before) > 0
