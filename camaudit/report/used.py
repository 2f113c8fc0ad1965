"""Whether the score follows an edit, fill by fill: the intervals below one another, and what they span together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from camaudit.findings import Policy
from camaudit.findings.evidence import over_fills
from camaudit.report import plots, tables, words
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from camaudit.types import AuditedRun

LEAST = Policy().least_shift
EXCHANGED = ("CAM104", "CAM105")
"""Codes of findings that rest on images put together anew."""


class Line(NamedTuple):
    """One fill's effect in words, to stand beside its row of the plot."""

    fill: str
    estimate: str
    interval: str


class UsedRow(NamedTuple):
    """One region in one class: a line a fill, and the hull of them all last where there are several."""

    region: str
    role: str
    plot: Markup | None
    lines: tuple[Line, ...]
    flips: str
    flips_control: str
    accuracy: str
    accuracy_interval: str
    n: int
    reason: str


class UsedTable(NamedTuple):
    """The edited regions of one class; the class is empty for all together."""

    target_class: str
    rows: tuple[UsedRow, ...]
    axis: Markup


def fills(run: AuditedRun) -> list[str]:
    """The fills that regions were edited with, in the order of the measurements."""
    rows = run.measurements
    return [str(fill) for fill in rows.loc[rows["metric"] == "shift_control", "method"].unique()]


def used_tables(run: AuditedRun) -> list[UsedTable]:
    """The shift of every edited region under every fill, over all classes and in each."""
    target = run.manifest.targets[0]
    found = {fill: tables.Lookup(run.effects, fill, target) for fill in fills(run)}
    if not found:
        return []
    scale = plots.axis("shift", [value for effects in found.values() for value in effects.values("shift")])
    made = []
    for name in ["", *tables.shown_classes(run)]:
        rows = [
            _row(run, region, found, name, scale)
            for region in tables.ordered_regions(run)
            if any(
                effects("shift", region, "").n or effects("shift", region, name).n
                for effects in found.values()
            )
        ]
        if rows:
            made.append(UsedTable(name, tuple(rows), plots.axis_labels(scale)))
    return made


def hull(effects: Sequence[Effect]) -> Effect:
    """What several fills come to together, as the findings have it; of fills that nothing was measured with nothing."""
    known = [effect for effect in effects if effect.n]
    return over_fills(known) or Effect("shift", math.nan, math.nan, math.nan, math.nan, math.nan, 0)


def _row(
    run: AuditedRun, region: str, found: dict[str, tables.Lookup], target_class: str, scale: plots.Axis
) -> UsedRow:
    role = run.manifest.roles[region]

    def of(metric: str) -> list[Effect]:
        return [effects(metric, region, target_class) for effects in found.values()]

    shifts = of("shift")
    together = hull(shifts)
    lines = [_line(fill, effect) for fill, effect in zip(found, shifts, strict=True)]
    points = [plots.Point(effect.estimate, effect.low, effect.high, "single") for effect in shifts]
    if len(lines) > 1:
        lines.append(_line("together", together))
        points.append(plots.Point(together.estimate, together.low, together.high, role))
    else:
        points = [points[0]._replace(mark=role)]
    spoken = "; ".join(
        f"{line.fill} {line.estimate}{f', {line.interval}' if line.interval else ''}" for line in lines
    )
    defined = math.isfinite(together.estimate)
    change = hull(of("accuracy"))
    # the accuracy that the edit takes: said as the change that the reader sees
    turned = Effect(
        "accuracy_change", -change.estimate, -change.high, -change.low, change.p, change.q, change.n
    )
    return UsedRow(
        region=region,
        role=role,
        plot=plots.interval_plot(scale, points, spoken, band=(-LEAST, LEAST)) if defined else None,
        lines=tuple(lines) if defined else (),
        flips=words.share(hull(of("flip")).estimate),
        flips_control=words.share(hull(of("flip_control")).estimate),
        accuracy=words.estimate(turned),
        accuracy_interval=words.interval(turned),
        n=together.n,
        reason=words.undefined(together),
    )


def _line(fill: str, effect: Effect) -> Line:
    return Line(fill, words.estimate(effect), words.interval(effect))
