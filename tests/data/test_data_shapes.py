"""Shapes as pixels: literal second implementations, COCO's own tools, EXIF turns, and expressions of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from camaudit.data import open_image, region_mask
from camaudit.data.derive import derived_regions, parse_expression
from camaudit.data.shapes import _even_odd_area, area, draw_polygon, run_lengths
from camaudit.errors import ConfigError, DataError
from camaudit.types import (
    Box,
    ColourMaskFile,
    Combined,
    InFile,
    Instances,
    Keypoints,
    MaskFile,
    Polygon,
    Region,
    Relative,
    RunLengths,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from camaudit.types import Shape

SIZE = (16, 20)
LEFT, RIGHT = Box(0, 0, 12, 16), Box(8, 0, 12, 16)


def _mask(shape: Shape, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    return region_mask(Region("hair", "attribute", shape), size)


def _literal_polygon(ring: list[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Even-odd filling by one pass over rows and edges, as it was before it was made fast."""
    rows, columns = (np.arange(side) + 0.5 for side in size)
    inside = np.zeros(size, dtype=bool)
    if len(ring) < 3:  # to and fro along a line, which rounding may part by a pixel
        return inside
    for (x, y), (next_x, next_y) in zip(ring, (*ring[1:], *ring[:1]), strict=True):
        crossed = np.flatnonzero((y <= rows) != (next_y <= rows))
        at = x + (rows[crossed] - y) * ((next_x - x) / (next_y - y or 1))
        inside[crossed] ^= columns >= at[:, None]
    return inside


COORDINATE = st.one_of(
    st.floats(-9, 29, allow_nan=False).map(lambda value: round(value, 2)),
    st.integers(-4, 24).map(lambda n: n / 2),
)


@settings(max_examples=300, deadline=None)
@given(ring=st.lists(st.tuples(COORDINATE, COORDINATE), max_size=9))
@example(ring=[(23.78, 12.0), (10.5, 6.5)])
def test_a_polygon_is_filled_as_the_slow_way_fills_it(ring: list[tuple[float, float]]) -> None:
    """Self-intersecting ones, and those that reach beyond the image, included."""
    assert np.array_equal(_mask(Polygon((tuple(ring),))), _literal_polygon(ring, SIZE))


def test_a_polygon_of_very_many_points_takes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    angles = np.linspace(0, 40 * np.pi, 3001)
    ring = [(10 + 8 * float(np.cos(a)), 8 + 7 * float(np.sin(a))) for a in angles]
    whole = _mask(Polygon((tuple(ring),)))
    monkeypatch.setattr("camaudit.data.shapes._AT_ONCE", 160)
    assert np.array_equal(_mask(Polygon((tuple(ring),))), whole)
    assert np.array_equal(whole, _literal_polygon(ring, SIZE))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
@settings(max_examples=100, deadline=None)
@given(
    ring=st.lists(
        st.tuples(st.floats(0, 60), st.floats(0, 50)).map(lambda p: (round(p[0], 1), round(p[1], 1))),
        min_size=3,
        max_size=7,
    )
)
def test_a_polygon_is_cocos_but_for_its_edge(ring: list[tuple[float, float]]) -> None:
    """COCO's tools round the outline to a fifth of a pixel: pixels may differ where the outline passes."""
    coded = coco_mask.frPyObjects([[number for point in ring for number in point]], 50, 60)
    theirs = coco_mask.decode(coded)[..., 0].astype(bool)
    ours = _mask(Polygon((tuple(ring),)), (50, 60))
    rows, columns = np.nonzero(ours != theirs)
    points = np.array(ring)
    ends = np.roll(points, -1, axis=0)
    for y, x in zip(rows + 0.5, columns + 0.5, strict=True):
        along = ends - points
        lengths = np.maximum((along**2).sum(1), 1e-12)
        at = np.clip((((x, y) - points) * along).sum(1) / lengths, 0, 1)[:, None]
        assert np.sqrt((((x, y) - points - at * along) ** 2).sum(1)).min() < 1.0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=100, deadline=None)
@given(bits=st.lists(st.booleans(), min_size=35, max_size=35))
def test_run_lengths_are_cocos(bits: list[bool]) -> None:
    mask = np.array(bits).reshape(5, 7)
    coded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    text = coded["counts"].decode()
    assert np.array_equal(_mask(RunLengths(5, 7, text), (5, 7)), mask)
    assert sum(run_lengths(text)[1::2]) == coco_mask.area(coded)


def test_long_runs_are_cocos() -> None:
    mask = np.zeros((3000, 2000), dtype=np.uint8)
    mask[5:2900, 100:1900:7] = 1
    text = coco_mask.encode(np.asfortranarray(mask))["counts"].decode()
    assert np.array_equal(_mask(RunLengths(3000, 2000, text), mask.shape), mask.astype(bool))


@pytest.mark.parametrize("counts", ["é", "Q", "o" * 40, "0", "11", " "])
def test_run_lengths_that_are_none_are_refused(counts: str) -> None:
    with pytest.raises(DataError, match="The run lengths of a mask"):
        _mask(RunLengths(5, 7, counts), (5, 7))
    with pytest.raises(DataError, match="is 7x5 but its image is 20x16"):
        _mask(RunLengths(5, 7, counts))


@pytest.mark.parametrize("radius", [0.4, 1, 3.7, 40])
def test_a_keypoint_is_a_disc(radius: float) -> None:
    points = ((4.0, 5.0), (19.7, -2.0))
    found = _mask(Keypoints(points, radius))
    for i in range(SIZE[0]):
        for j in range(SIZE[1]):
            assert found[i, j] == any((j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2 <= radius**2 for x, y in points)


def test_shares_of_the_image_are_its_pixels() -> None:
    assert np.array_equal(_mask(Relative(Box(0.1, 0.25, 0.5, 0.5))), _mask(Box(2, 4, 10, 8)))
    ring, half = ((2.0, 4.0), (12.0, 4.0), (8.0, 15.0)), ((0.1, 0.25), (0.6, 0.25), (0.4, 15 / 16))
    assert np.array_equal(_mask(Relative(Polygon((half,)))), _mask(Polygon((ring,))))
    assert np.array_equal(_mask(Relative(Keypoints(((0.5, 0.5),), 0.25))), _mask(Keypoints(((10, 8),), 4)))


def test_unions_and_what_is_made_of_them() -> None:
    left, right = _mask(LEFT), _mask(RIGHT)
    assert np.array_equal(_mask(Instances((LEFT, RIGHT))), left | right)
    assert not _mask(Instances()).any()
    assert np.array_equal(_mask(Combined("and", (LEFT, RIGHT))), left & right)
    assert np.array_equal(_mask(Combined("and", (LEFT, Combined("not", (RIGHT,))))), left & ~right)
    assert [
        Region("x", "object", shape).instances for shape in (Instances((LEFT, RIGHT)), Instances(), LEFT)
    ] == [2, 0, None]


def test_a_mask_of_colours(tmp_path: Path) -> None:
    colours = np.zeros((2, 2, 3), dtype=np.uint8)
    colours[0, 1], colours[1] = (1, 2, 3), (255, 0, 0)
    Image.fromarray(colours).save(tmp_path / "mask.png")
    for values, expected in (((1 + 2 * 256 + 3 * 65536,), [[0, 1], [0, 0]]), ((255, 0), [[1, 0], [1, 1]])):
        assert np.array_equal(
            _mask(ColourMaskFile(tmp_path / "mask.png", values), (2, 2)), np.array(expected, bool)
        )


# ------------------------------------------------------------------ EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_lies_in_the_frame_of_the_shown_image(tmp_path: Path, orientation: int) -> None:
    """A mask file is the shown image's; one that has an orientation itself is turned by it; coordinates are turned too."""
    stored = np.zeros((30, 40), dtype=np.uint8)
    stored[3:9, 5:25] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "image.png", exif=exif)
    shown = np.asarray(open_image(tmp_path / "image.png"))[..., 0] > 0
    size = (shown.shape[0], shown.shape[1])
    Image.fromarray(shown.astype(np.uint8)).save(tmp_path / "plain.png")
    for shape in (
        MaskFile(tmp_path / "plain.png"),
        MaskFile(tmp_path / "image.png"),
        InFile(Box(5, 3, 20, 6), tmp_path / "image.png"),
        InFile(Instances((Box(5, 3, 20, 6),)), tmp_path / "image.png", (30, 40)),
    ):
        assert np.array_equal(_mask(shape, size), shown)


# ------------------------------------------------------------------ expressions

NAMES = ("bird", "water", "tall grass")
TRUTH = {
    name: np.array(bits) for name, bits in zip(NAMES, np.indices((2, 2, 2)).reshape(3, -1) > 0, strict=True)
}
EXPRESSIONS = st.recursive(
    st.sampled_from(["bird", "water", "'tall grass'", '"bird"']),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"( {text})"),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(text=EXPRESSIONS)
def test_expressions_mean_what_they_mean_in_python(text: str) -> None:
    """Python's own precedence of and, or, not is the oracle, over all eight ways the three regions can be."""
    shape = parse_expression(text, where="x").shape({name: bits[None, :] for name, bits in TRUTH.items()})
    assert shape is not None
    python = text.replace("'tall grass'", "grass").replace('"bird"', "bird")
    expected = [
        eval(python, {"__builtins__": {}}, {"bird": b, "water": w, "grass": g})  # noqa: S307 - our own text
        for b, w, g in zip(*TRUTH.values(), strict=True)
    ]
    assert _mask(shape, (1, 8)).tolist() == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a region's name is missing at character 1"),
        ("bird water", "'and' or 'or' is missing; put names with spaces in quotes at character 6"),
        ("not", "a region's name is missing"),
        ("bird and", "a region's name is missing"),
        ("and bird", "missing before 'and' at character 1"),
        ("(bird", "a parenthesis is not closed"),
        ("bird)", "'and' or 'or' is missing"),
        ("'bird", "a quote is not closed at character 1"),
        ("not " * 60 + "bird", "nested more than 50 deep"),
    ],
)
def test_expressions_that_are_none_are_refused_by_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.derive\.x: ") as caught:
        derived_regions({"x": text}, NAMES)
    assert words in str(caught.value)


def test_names_in_expressions() -> None:
    found = derived_regions({"land": "not water", "dry": "land and not 'tall grass'"}, NAMES)
    assert list(found["dry"].names()) == ["land", "tall grass"]
    assert found["land"].shape({"bird": LEFT}) is None  # nobody looked for water
    assert found["land"].shape({"water": LEFT}) == Combined("not", (LEFT,))
    with pytest.raises(ConfigError, match=r"'wter' is no region; did you mean 'water'\?"):
        derived_regions({"x": "not wter"}, NAMES)
    with pytest.raises(ConfigError, match=r"'zzz' is no region; the regions are bird, water, tall grass\."):
        derived_regions({"x": "zzz"}, NAMES)
    with pytest.raises(ConfigError, match=r"derive\.bird: the data has a region 'bird' already"):
        derived_regions({"bird": "water"}, NAMES)
    assert derived_regions({"x": "'and' or 'not'"}, ["and", "not"])["x"].operator == "or"


@settings(max_examples=100, deadline=None)
@given(ring=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=3))
def test_the_area_of_a_triangle_is_half_its_cross_product(ring: list[tuple[float, float]]) -> None:
    (ax, ay), (bx, by), (cx, cy) = ring
    assert area([ring]) == pytest.approx(abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2, abs=1e-9)


@given(ring=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=3, max_size=7))
@settings(max_examples=60, deadline=None)
def test_the_area_of_a_ring_that_crosses_itself_is_what_is_filled_where_the_formula_says_zero(
    ring: list[tuple[int, int]],
) -> None:
    x, y = np.array(ring, dtype=np.float64).T
    fine = tuple((8.0 * a, 8.0 * b) for a, b in ring)
    filled = draw_polygon(Polygon((fine,)), (480, 480)).sum() / 64
    assert _even_odd_area(x, y) == pytest.approx(float(filled), abs=12)  # half a pixel along the outline


def test_a_bow_tie_encloses_its_two_halves() -> None:
    assert area([[(0, 0), (40, 30), (40, 0), (0, 30)]]) == pytest.approx(600)
    assert area([[(0, 0), (9, 9), (4, 4)]]) == 0
    assert area([[(0, 0), (4, 0), (4, 3), (0, 3)] * 2]) == pytest.approx(
        24
    )  # as the formula has it: twice round
