from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camaudit.browse.heatmaps import FAINTEST, LONGER_SIDE, place_map
from camaudit.data import Frame
from camaudit.types import Preprocessing

ONES = np.ones((7, 7), dtype=np.float32)


def test_a_map_is_painted_where_the_model_looked_and_nowhere_else() -> None:
    drawn = place_map(ONES, (10.0, 0.0, 50.0, 40.0), (40, 60))
    assert drawn.shape == (40, 60)
    assert drawn.dtype == np.uint8
    assert (drawn[:, 10:50] == 255).all()
    assert (drawn[:, :10] == 0).all()
    assert (drawn[:, 50:] == 0).all()


def test_a_crop_that_pads_shows_only_the_part_on_the_image() -> None:
    values = np.zeros((8, 8), dtype=np.float32)
    values[0] = 1.0  # the top row lies in the padding
    drawn = place_map(values, (0.0, -40.0, 120.0, 80.0), (40, 120))
    assert drawn.shape == (40, 120)
    assert drawn.max() == 0


def test_a_cell_lies_over_its_own_pixels() -> None:
    values = np.zeros((5, 5), dtype=np.float32)
    values[1, 3] = 2.5
    drawn = place_map(values, (0.0, 0.0, 50.0, 50.0), (50, 50))
    row, column = np.unravel_index(int(drawn.argmax()), drawn.shape)
    assert drawn.max() > 225  # the centre of the cell is between pixels
    assert (row // 10, column // 10) == (1, 3)
    centre = np.average(np.indices(drawn.shape).reshape(2, -1), axis=1, weights=drawn.ravel())
    assert centre == pytest.approx([14.5, 34.5], abs=0.05)


def test_a_large_image_gets_a_small_picture_of_its_proportions() -> None:
    drawn = place_map(ONES, (0.0, 0.0, 4000.0, 3000.0), (3000, 4000))
    assert drawn.shape == (LONGER_SIDE * 3 // 4, LONGER_SIDE)
    assert (drawn == 255).all()


def test_faint_evidence_lets_the_image_through() -> None:
    values = np.full((1, 8), FAINTEST / 2, dtype=np.float32)
    values[0, 0] = 1.0
    assert (place_map(values, (0.0, 0.0, 80.0, 10.0), (10, 80))[:, 40:] == 0).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_map_without_mass_is_black(value: float) -> None:
    values = np.full((3, 3), value, dtype=np.float32)
    assert place_map(values, (0.0, 0.0, 9.0, 9.0), (9, 9)).max() == 0


@given(
    size=st.tuples(st.integers(20, 300), st.integers(20, 300)),
    resize=st.sampled_from([None, 64, (70, 50)]),
    crop=st.sampled_from([None, 48, 96, (40, 60)]),
)
def test_what_is_painted_is_what_the_frame_shows(
    size: tuple[int, int], resize: int | tuple[int, int] | None, crop: int | tuple[int, int] | None
) -> None:
    frame = Frame.of(size, Preprocessing(resize, crop, (0.5,) * 3, (0.5,) * 3))
    drawn = place_map(ONES, frame.box(), size)
    left, top, right, bottom = frame.box()
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    inside = ((rows > top) & (rows < bottom))[:, None] & ((columns > left) & (columns < right))
    edge = np.abs(rows - top).min(initial=9) < 1e-6 or np.abs(columns - left).min(initial=9) < 1e-6
    if not edge:
        assert ((drawn > 0) == inside).mean() > 0.99
