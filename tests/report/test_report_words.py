from __future__ import annotations

import math

import pytest

from camaudit.report import plots, words
from camaudit.types import Effect
from tests.report.html_reader import Reader


def effect(name: str, estimate: float, low: float, high: float, q: float = 0.01) -> Effect:
    return Effect(name, estimate, low, high, q, q, 50)


@pytest.mark.parametrize(
    ("given", "said", "ends"),
    [
        (effect("excess", 0.168, 0.10, 0.24), "+17 points", "+10 to +24"),
        (effect("excess", -0.0123, -0.02, -0.004), "−1.2 points", "−2.0 to −0.4"),
        (effect("excess", 0.0101, -0.05, 0.07), "+1 point", "−5 to +7"),
        (effect("shift", 0.241, 0.19, 0.30), "+0.24 SD", "+0.19 to +0.30"),
        (effect("mass", 0.331, 0.2, 0.5), "33\u202f%", "20 to 50"),
        (effect("novel_metric", 0.5, 0.4, 0.6), "+0.50", "+0.40 to +0.60"),
        (effect("shift", math.nan, math.nan, math.nan), "–", ""),
        (effect("shift", -0.0001, -0.1, 0.1), "0 SD", "−0.10 to +0.10"),
    ],
)
def test_effects_are_said(given: Effect, said: str, ends: str) -> None:
    assert words.estimate(given) == said
    assert words.interval(given) == ends


def test_small_things() -> None:
    assert words.share(0.004) == "0.4\u202f%"
    assert words.share(0.0001) == "under 0.1\u202f%"
    assert words.share(0.0) == "0\u202f%"
    assert words.share(math.nan) == "–"
    assert words.lift(1.0) == "×\u202f2.0"
    assert words.adjusted(0.0002) == "q < 0.001"
    assert words.adjusted(math.nan) == ""
    assert words.region("hair+face+coat") == "hair, face and coat"
    assert words.listing([]) == ""
    assert words.plural(1, "image") == "1 image"
    assert words.plural(2000, "image") == "2,000 images"


def test_an_axis_holds_its_values_and_zero() -> None:
    for values in ([0.17, 0.24, 0.1], [-3.0, -1.0], [0.0], [math.nan], [], [1e-7], [0.03, -0.11]):
        axis = plots.axis("shift", values)
        assert axis.low <= min([0.0, *(v for v in values if v == v)])  # noqa: PLR0124 - NaN
        assert axis.high >= max([0.0, *(v for v in values if v == v)])  # noqa: PLR0124 - NaN
        assert any(tick == 0 for tick in axis.ticks)
        assert 2 <= len(axis.ticks) <= 6


def test_tick_labels_are_exact() -> None:
    labels = plots.axis_labels(plots.axis("shift", [-0.4, 0.3]))
    assert [line.strip() for line in Reader(labels).lines if "<" not in line] == [
        "−0.50",
        "−0.25",
        "0",
        "+0.25",
        "+0.50",
    ]


def test_a_plot_draws_the_interval_to_scale() -> None:
    axis = plots.percent_axis("accuracy")
    plot = plots.interval_plot(axis, [plots.Point(0.5, 0.25, 1.0)], "said", chance=0.1)
    by_class = {
        e.attributes["class"].strip(): e.attributes for e in Reader(plot).elements if "class" in e.attributes
    }
    inner = plots.WIDTH - 2 * plots.MARGIN
    assert float(by_class["whisker"]["x1"]) == pytest.approx(plots.MARGIN + inner / 4)
    assert float(by_class["whisker"]["x2"]) == pytest.approx(plots.MARGIN + inner)
    assert float(by_class["dot"]["cx"]) == pytest.approx(plots.MARGIN + inner / 2)
    assert float(by_class["chance"]["x1"]) == pytest.approx(plots.MARGIN + inner / 10, abs=0.1)
    assert float(by_class["zero"]["x1"]) == plots.MARGIN


def test_what_is_not_finite_is_not_drawn() -> None:
    axis = plots.axis("shift", [1.0])
    nan = math.nan
    plot = plots.interval_plot(
        axis, [plots.Point(nan, nan, nan), plots.Point(0.5, nan, nan)], "<said>", chance=nan
    )
    tags = [e.tag for e in Reader(plot).elements]
    assert tags.count("circle") == 1
    assert "whisker" not in plot
    assert "nan" not in plot
    assert "&lt;said&gt;" in plot


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    said = "0.68 SD (0.60 to 0.76) higher, and 18 % more (3 % to 36 %) of 5 SDKs"
    assert words.unbroken(said) == (
        "0.68\u202fSD (0.60 to 0.76) higher, and 18\u202f% more (3\u202f% to 36\u202f%) of 5 SDKs"
    )
