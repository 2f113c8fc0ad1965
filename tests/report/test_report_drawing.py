from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.report import drawing

if TYPE_CHECKING:
    from camaudit.types import Role

ROLES: dict[str, Role] = {
    "a": "object",
    "b": "attribute",
    "c": "attribute",
    "b+c": "attribute",
    "d": "context",
}


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.asarray(x**2 + y**2 <= radius**2)


def shoelace(ring: list[drawing.Point]) -> float:
    x, y = np.asarray(ring).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def test_levels_are_the_map_over_its_maximum() -> None:
    values = np.asarray([[0.0, 0.5], [0.25, 1.0]], dtype=np.float32) * 1e-6
    assert drawing.levels(values, (2, 2)).tolist() == [[0, 128], [64, 255]]
    fine = drawing.levels(values, (20, 10))
    assert fine.shape == (10, 20)
    assert fine.max() == 255


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_map_without_mass_leaves_the_picture_as_it_is(value: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    mixed = drawing.overlay(picture, np.full((4, 6), value, dtype=np.float32))
    assert np.array_equal(np.asarray(mixed), picture)


def test_overlay_changes_the_picture_where_the_evidence_is() -> None:
    picture = np.full((40, 40, 3), 200, dtype=np.uint8)
    values = np.zeros((4, 4), dtype=np.float32)
    values[0, 0] = 5
    changed = np.abs(np.asarray(drawing.overlay(picture, values)).astype(int) - 200).sum(2)
    assert changed[:5, :5].min() > 50
    assert changed[20:, 20:].max() == 0


def test_heat_keeps_its_opacity_in_a_file() -> None:
    buffer = io.BytesIO()
    values = np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7)
    drawing.heat(values, (70, 70)).save(buffer, "PNG", optimize=True)
    alpha = np.asarray(Image.open(buffer).convert("RGBA"))[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[-1, -1] == round(255 * drawing.OPACITY)
    assert (np.diff(alpha[:, 35].astype(int)) >= 0).all()


def test_a_ring_encloses_what_the_mask_covers() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:9, 4:25] = True
    assert drawing.rings(mask) == [[(4, 3), (25, 3), (25, 9), (4, 9)]]
    round_one = disc(101, 40)
    (ring,) = drawing.rings(round_one)
    assert len(ring) < 100
    assert shoelace(ring) == pytest.approx(round_one.sum(), rel=0.02)


def test_holes_and_parts_have_their_own_rings() -> None:
    mask = disc(61, 25) & ~disc(61, 10)
    areas = sorted(shoelace(ring) for ring in drawing.rings(mask))
    assert len(areas) == 2
    assert areas[0] < 0 < areas[1]
    assert sum(areas) == pytest.approx(mask.sum(), rel=0.03)


def test_pixels_that_touch_at_a_corner_stay_apart() -> None:
    rings = drawing.rings(np.asarray([[True, False], [False, True]]))
    assert sorted(map(len, rings)) == [4, 4]


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (300, 200)])
def test_the_whole_image_and_nothing(shape: tuple[int, int]) -> None:
    assert drawing.outline_path(np.zeros(shape, dtype=bool)) == ""
    path = drawing.outline_path(np.ones(shape, dtype=bool))
    assert path == f"M0 0L{shape[1]} 0L{shape[1]} {shape[0]}L0 {shape[0]}Z"


def test_a_small_region_survives_on_a_large_picture() -> None:
    mask = np.zeros((2000, 2000), dtype=bool)
    mask[1000:1003, 1000:1003] = True
    numbers = [float(n) for n in re.findall(r"[\d.]+", drawing.outline_path(mask))]
    assert np.mean(numbers) == pytest.approx(1001, abs=16)


def test_unions_have_no_colour_and_no_outline() -> None:
    assert list(drawing.outline_colours(ROLES)) == ["a", "b", "c", "d"]
    assert drawing.in_drawing_order(ROLES, ROLES) == ["d", "b", "c", "a"]
    assert not drawing.is_union("x+y", {"x+y": "object"})
