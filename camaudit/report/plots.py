"""Interval plots as inline SVG, coloured by classes of the page's style sheet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from camaudit.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH, MARGIN = 240, 14


class Axis(NamedTuple):
    """A scale that several plots share, so that they can be compared down the page.

    Attributes:
        metric: what is drawn; decides how the ticks are written.
        low: left end, in the metric's own unit.
        high: right end.
        ticks: where the labels stand.
    """

    metric: str
    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Where a value lies, clipped to the axis."""
        inside = min(max(value, self.low), self.high)
        return MARGIN + (WIDTH - 2 * MARGIN) * (inside - self.low) / (self.high - self.low)


class Point(NamedTuple):
    """One interval of a plot; ``mark`` is a class of the style sheet."""

    estimate: float
    low: float
    high: float
    mark: str = ""


def axis(metric: str, values: Iterable[float]) -> Axis:
    """An axis around zero and the finite ones of the values, with three to five round ticks."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if high - low <= 0:
        low, high = -0.1, 0.1
    step = _round_step((high - low) / 3)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(index * step for index in range(first, last + 1))
    return Axis(metric, ticks[0], ticks[-1], ticks)


def percent_axis(metric: str) -> Axis:
    """The whole way from 0 to 100 %."""
    return Axis(metric, 0.0, 1.0, (0.0, 0.5, 1.0))


def interval_plot(
    scale: Axis,
    points: Iterable[Point],
    title: str,
    *,
    chance: float | None = None,
    band: tuple[float, float] | None = None,
) -> Markup:
    """Intervals below one another over one axis, with the zero line and, where there are any, chance level and band.

    Args:
        scale: the axis.
        points: one row each; one that is not finite leaves its row empty.
        title: what a screen reader says.
        chance: where the chance level is marked.
        band: ends of a stretch that is shaded, such as what counts as nothing.
    """
    rows = list(points)
    height = 8 + 16 * len(rows)
    parts = [
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>",
    ]
    if band is not None and all(map(math.isfinite, band)):
        left, right = map(scale.x, band)
        parts.append(
            f'<rect class="band" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{height}"/>'
        )
    for tick in scale.ticks:
        kind = "zero" if abs(tick) < 1e-12 else "tick"
        parts.append(_line(kind, scale.x(tick), 0, scale.x(tick), height))
    if chance is not None and math.isfinite(chance):
        parts.append(_line("chance", scale.x(chance), 3, scale.x(chance), height - 3))
    for index, point in enumerate(rows):
        parts += _interval(scale, point, 12 + 16 * index)
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - every text in it is escaped above


def axis_labels(scale: Axis) -> Markup:
    """The ticks' labels, to stand below or above plots over the axis; for the eye only."""
    said = words.metric(scale.metric)
    values = [tick * said.scale for tick in scale.ticks]
    decimals = next(places for places in range(10) if all(abs(v - round(v, places)) < 1e-9 for v in values))
    labels = "".join(
        f'<text x="{scale.x(tick):.1f}" y="10">{escape(words.number(value, decimals, signed=said.signed))}</text>'
        for tick, value in zip(scale.ticks, values, strict=True)
    )
    return Markup(  # noqa: S704 - the labels are escaped
        f'<svg class="axis" aria-hidden="true" viewBox="0 0 {WIDTH} 13" width="{WIDTH}" height="13">{labels}</svg>'
    )


def bar(value: float, title: str, *, chance: float | None = None, mark: str = "") -> Markup:
    """A share between 0 and 1 as a thin bar, with a tick at the share that chance would give."""
    share = value if math.isfinite(value) else 0.0
    parts = [
        '<svg class="bar" role="img" viewBox="0 0 120 10" width="120" height="10" preserveAspectRatio="none">',
        f"<title>{escape(title)}</title>",
        '<rect class="ground" x="0" y="2" width="120" height="6" rx="1"/>',
        f'<rect class="fill {escape(mark)}" x="0" y="2" width="{120 * min(max(share, 0), 1):.1f}" height="6" rx="1"/>',
    ]
    if chance is not None and math.isfinite(chance):
        parts.append(_line("chance", 120 * chance, 0, 120 * chance, 10))
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - every text in it is escaped above


def _interval(scale: Axis, point: Point, y: float) -> list[str]:
    if not math.isfinite(point.estimate):
        return []
    parts = []
    if math.isfinite(point.low) and math.isfinite(point.high):
        parts.append(_line(f"whisker {point.mark}", scale.x(point.low), y, scale.x(point.high), y))
    parts.append(f'<circle class="dot {point.mark}" cx="{scale.x(point.estimate):.1f}" cy="{y}" r="4"/>')
    return parts


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}"/>'


def _round_step(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))
