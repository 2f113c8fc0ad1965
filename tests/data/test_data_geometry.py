"""Images and masks in the model's frame, against torchvision's own transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from camaudit.data import Frame
from camaudit.types import Preprocessing

Side = int | tuple[int, int]


def _recipe(resize: Side | None, crop: Side | None, interpolation: str = "bilinear") -> Preprocessing:
    return Preprocessing(resize, crop, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), interpolation)  # type: ignore[arg-type]


def _picture(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


SIZE = st.tuples(st.integers(5, 70), st.integers(5, 70))


@settings(max_examples=80, deadline=None)
@given(
    size=SIZE,
    resize=st.one_of(st.integers(5, 60), SIZE),
    crop=st.one_of(st.integers(4, 64), SIZE),
    interpolation=st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
def test_images_are_bit_equal_to_torchvisions(
    size: tuple[int, int], resize: Side, crop: Side, interpolation: str
) -> None:
    image = _picture(*size)
    theirs = Compose(
        [
            Resize(list(resize) if isinstance(resize, tuple) else resize, InterpolationMode(interpolation)),
            CenterCrop(crop),
        ]
    )
    frame = Frame.of(size, _recipe(resize, crop, interpolation))
    assert np.array_equal(frame.image(image), np.asarray(theirs(image)))
    # what is white everywhere shows where torchvision pads with black
    white = np.asarray(theirs(Image.new("RGB", size[::-1], "white")))[..., 0]
    assert np.array_equal(frame.valid(), white > 0)


@pytest.mark.parametrize("size", [(31, 17), (17, 31), (24, 24)])
def test_without_resize_and_crop_the_image_is_its_own_frame(size: tuple[int, int]) -> None:
    frame = Frame.of(size, _recipe(None, None))
    image = _picture(*size)
    mask = np.random.default_rng(1).random(size) > 0.5
    assert np.array_equal(frame.image(image), np.asarray(image))
    assert np.array_equal(frame.coverage(mask), mask.astype(np.float32))
    assert frame.valid().all()
    assert frame.box() == (0, 0, size[1], size[0])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    resize=st.integers(20, 48),
    crop=st.integers(16, 56),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_marker_on_image_and_mask_stays_one_marker(
    size: tuple[int, int], resize: int, crop: int, place: tuple[float, float]
) -> None:
    """A mask goes through the same filter as the image, so a white marker is its own coverage."""
    mask = np.zeros(size, dtype=bool)
    top, left = (int(at * (side - 8)) for at, side in zip(place, size, strict=True))
    mask[top : top + 8, left : left + 8] = True
    image = Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2))
    frame = Frame.of(size, _recipe(resize, crop))
    difference = frame.image(image)[..., 0] / 255 - frame.coverage(mask)
    assert np.abs(difference).max() <= 1.01 / 255


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(24, 90), st.integers(24, 90)),
    resize=st.integers(24, 60),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_coverage_sums_to_the_area(size: tuple[int, int], resize: int, interpolation: str) -> None:
    frame = Frame.of(size, _recipe(resize, None, interpolation))
    rows, columns = np.ogrid[: size[0], : size[1]]
    mask = (rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (min(size) / 3) ** 2
    coverage = frame.coverage(mask)
    assert coverage.dtype == np.float32
    assert coverage.min() >= 0
    assert coverage.max() <= 1
    assert coverage.mean() == pytest.approx(mask.mean(), rel=0.05)
    assert frame.coverage(np.ones(size, bool)).min() == pytest.approx(1)
    assert frame.coverage(np.zeros(size, bool)).max() == 0


def test_padding_is_black_uncovered_and_not_valid() -> None:
    frame = Frame.of((10, 20), _recipe(None, 15))
    assert frame.offset == (-2, 2)
    valid = frame.valid()
    assert np.array_equal(np.flatnonzero(valid.all(1)), np.arange(2, 12))
    image = frame.image(Image.new("RGB", (20, 10), "white"))
    assert (image[valid] == 255).all()
    assert not image[~valid].any()
    assert np.array_equal(frame.coverage(np.ones((10, 20), bool)) > 0, valid)
    assert frame.box() == (2, -2, 17, 13)


@settings(max_examples=50, deadline=None)
@given(
    size=SIZE,
    resize=st.one_of(st.none(), st.integers(5, 60), SIZE),
    crop=st.one_of(st.none(), st.integers(4, 64)),
)
def test_the_box_is_the_inverse_placement(
    size: tuple[int, int], resize: Side | None, crop: int | None
) -> None:
    frame = Frame.of(size, _recipe(resize, crop))
    left, top, right, bottom = frame.box()
    # corners of the box, sent forward, are the corners of the model's input
    for low, high, original, resized, offset, wanted in (
        (top, bottom, size[0], frame.resized[0], frame.offset[0], frame.crop[0]),
        (left, right, size[1], frame.resized[1], frame.offset[1], frame.crop[1]),
    ):
        assert low * resized / original - offset == pytest.approx(0, abs=1e-9)
        assert high * resized / original - offset == pytest.approx(wanted, abs=1e-9)
