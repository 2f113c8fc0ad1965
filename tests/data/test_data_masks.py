"""Masks, polygons and boxes as pixels of their image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from camaudit.data import region_mask
from camaudit.data.masks import region_masks
from camaudit.errors import DataError
from camaudit.types import Box, MaskFile, Polygon, Region

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INDICES = np.array([[0, 1, 2, 3], [3, 3, 0, 255]], dtype=np.uint8)


def _mask(shape: NDArray[np.bool_] | MaskFile | Polygon | Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    return region_mask(Region("hair", "attribute", shape), size)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_an_indexed_mask_is_read_by_its_values(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.png"
    if mode == "P":
        image = Image.fromarray(INDICES)
        image.putpalette([value % 256 for value in range(768)])
        image.save(path)
    else:
        Image.fromarray(INDICES.astype(np.uint16 if mode == "I;16" else np.uint8)).save(path)
    for values in ((3,), (1, 255), (7,), (0,)):
        found = _mask(MaskFile(path, values), (2, 4))
        assert found.dtype == bool
        assert np.array_equal(found, np.isin(INDICES, values))
    assert np.array_equal(_mask(MaskFile(path), (2, 4)), INDICES > 0)


def test_a_mask_of_one_bit(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(INDICES > 2).save(path)
    assert np.array_equal(_mask(MaskFile(path), (2, 4)), INDICES > 2)
    assert np.array_equal(_mask(MaskFile(path, (1,)), (2, 4)), INDICES > 2)


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "0117.png"
    Image.fromarray(INDICES).save(path)
    regions = [Region("hair", "attribute", MaskFile(path))]
    with pytest.raises(DataError, match=r"0117\.png is 4x2 but images/0117\.jpg is 2x4 \(width x height\)"):
        region_masks(regions, (4, 2), image="images/0117.jpg")
    with pytest.raises(DataError, match=r"the mask of region 'hair' is 3x2 but its image is 2x2"):
        _mask(np.ones((2, 3), dtype=bool), (2, 2))


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), (b"", "cannot be read as a mask")])
def test_a_mask_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "mask.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"mask\.png {words}"):
        _mask(MaskFile(path), (2, 4))


def test_a_truncated_and_a_coloured_mask_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(DataError, match=r"cannot be read as a mask: .*truncated"):
        _mask(MaskFile(path), (40, 40))
    Image.new("RGB", (4, 2)).save(path)
    with pytest.raises(DataError, match=r"has 3 channels \(RGB\)\. A mask has one"):
        _mask(MaskFile(path), (2, 4))


def test_a_file_that_regions_share_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(INDICES).save(path)
    opened: list[object] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda given: opened.append(given) or original(given))
    found = region_masks([Region(str(v), "context", MaskFile(path, (v,))) for v in (1, 2, 3)], (2, 4))
    assert len(opened) == 1
    assert [int(found[name].sum()) for name in ("1", "2", "3")] == [1, 1, 3]


# ------------------------------------------------------------------ boxes and polygons

NUMBER = st.floats(-5, 25, allow_nan=False).map(lambda value: round(value, 2))
LENGTH = st.floats(0, 20).map(lambda value: round(value, 2))


@settings(max_examples=80, deadline=None)
@given(left=NUMBER, top=NUMBER, width=LENGTH, height=LENGTH)
def test_a_box_is_its_own_polygon_and_covers_pixel_centres(
    left: float, top: float, width: float, height: float
) -> None:
    box = _mask(Box(left, top, width, height), (16, 20))
    right, bottom = left + width, top + height
    ring = ((left, top), (right, top), (right, bottom), (left, bottom))
    assert np.array_equal(_mask(Polygon((ring,)), (16, 20)), box)
    assert np.array_equal(_mask(Polygon((ring[::-1],)), (16, 20)), box)
    for i in range(16):
        for j in range(20):
            assert box[i, j] == (left <= j + 0.5 < right and top <= i + 0.5 < bottom)


@pytest.mark.parametrize("at", [0.0, 0.5, 1.5, 2.5, 3.5, 3.3])
def test_a_box_of_one_pixel_is_one_pixel_wherever_it_lies(at: float) -> None:
    assert _mask(Box(at, at, 1, 1), (8, 8)).sum() == 1


def test_the_area_of_a_polygon_is_its_own() -> None:
    points = [
        (50 + 37.3 * math.cos(a / 20 * math.tau), 40 + 31.1 * math.sin(a / 20 * math.tau)) for a in range(20)
    ]
    area = abs(
        sum(
            x * next_y - next_x * y
            for (x, y), (next_x, next_y) in zip(points, points[1:] + points[:1], strict=True)
        )
    )
    found = _mask(Polygon((tuple(points),)), (90, 100))
    assert found.sum() == pytest.approx(area / 2, rel=0.01)


def test_neighbours_do_not_overlap_and_leave_no_gap() -> None:
    corners = ((0.0, 0.0), (30.0, 0.0), (30.0, 20.0), (0.0, 20.0))
    middle = (13.7, 8.2)
    parts = [
        _mask(Polygon(((corners[i], corners[(i + 1) % 4], middle),)), (20, 30)).astype(int) for i in range(4)
    ]
    assert (sum(parts) == 1).all()


def test_rings_are_united_and_degenerate_ones_enclose_nothing() -> None:
    square, other = ((1, 1), (4, 1), (4, 4), (1, 4)), ((3, 3), (6, 3), (6, 6), (3, 6))
    assert _mask(Polygon((square, other)), (8, 8)).sum() == 9 + 9 - 1
    for ring in ((), ((1, 1),), ((1, 1), (5, 5)), ((1, 1), (5, 5), (3, 3))):
        assert not _mask(Polygon((ring,)), (8, 8)).any()
    assert not _mask(Box(50, 50, 5, 5), (8, 8)).any()
    assert _mask(Box(-50, -50, 500, 500), (8, 8)).all()
