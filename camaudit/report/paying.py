"""Who pays: how far groups and their intersections lie apart, and the accuracy of every intersection."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from camaudit.report import plots, tables, words
from camaudit.statistics.harms import BETWEEN, cell_table, group_gaps
from camaudit.types import Effect

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from camaudit.types import AuditedRun

HARMS = ("CAM401", "CAM402", "CAM403", "CAM404")
"""Codes of findings about groups."""
SHOWN = 16
"""Gaps, and cells of intersections, beyond this many are only counted."""


class Gap(NamedTuple):
    """Between the worst and the best value of a group column, in one label or over all."""

    label: str
    group: str
    worst: str
    worst_accuracy: str
    best: str
    best_accuracy: str
    plot: Markup | None
    estimate: str
    interval: str
    ratio: str
    ratio_interval: str
    n: int
    q: str
    reason: str


class Gaps(NamedTuple):
    """The largest gaps first; `unshown` more are there."""

    rows: tuple[Gap, ...]
    axis: Markup
    unshown: int


class Crossings(NamedTuple):
    """The accuracies of the intersections of two group columns, the worst first."""

    group: str
    rows: tuple[tables.GroupRow, ...]
    axis: Markup
    unshown: int


def gaps(run: AuditedRun) -> Gaps | None:
    """How far the values of every group column, and of every two of them, lie apart; None where nothing can be said."""
    if not run.manifest.groups:
        return None
    table = group_gaps(run.samples, run.manifest.groups, seed=run.manifest.seed)
    table = table[table["gap"].notna() & table["label"].isin(["", *tables.shown_classes(run)])]
    if table.empty:
        return None
    table = table.sort_values("gap", ascending=False, kind="stable")
    scale = plots.axis("accuracy_gap", [*table["gap"], *table["gap_low"], *table["gap_high"]])
    rows = tuple(_gap(row, scale) for _, row in table.head(SHOWN).iterrows())
    return Gaps(rows, plots.axis_labels(scale), len(table) - len(rows))


def intersections(run: AuditedRun) -> list[Crossings]:
    """Accuracy per label and intersection, of every two group columns."""
    if len(run.manifest.groups) < 2:
        return []
    table = cell_table(run.samples, run.manifest.groups)
    table = table[table["group"].str.contains(BETWEEN, regex=False) & table["accuracy"].notna()]
    table = table[table["label"].isin(["", *tables.shown_classes(run)])]
    scale = plots.percent_axis("rate")
    made = []
    for group, rows in table.groupby("group", sort=False):
        ordered = rows.sort_values("accuracy", kind="stable")
        shown = [tables.group_row(row, scale) for row in ordered.head(SHOWN).assign(worst=False).itertuples()]
        made.append(Crossings(str(group), tuple(shown), plots.axis_labels(scale), len(rows) - len(shown)))
    return made


def _gap(row: pd.Series, scale: plots.Axis) -> Gap:
    effect = Effect(
        "accuracy_gap", row["gap"], row["gap_low"], row["gap_high"], row["p"], row["q"], int(row["n"])
    )
    ends = (words.number(row["ratio_low"], 2), words.number(row["ratio_high"], 2))
    known = math.isfinite(row["ratio_low"]) and math.isfinite(row["ratio_high"])
    said = f"gap {words.estimate(effect)}, 95{words.NARROW}% interval {words.interval(effect) or 'not known'}"
    return Gap(
        label=str(row["label"]),
        group=str(row["group"]),
        worst=str(row["worst"]),
        worst_accuracy=words.rate(row["worst_accuracy"]),
        best=str(row["best"]),
        best_accuracy=words.rate(row["best_accuracy"]),
        plot=plots.interval_plot(scale, [plots.Point(effect.estimate, effect.low, effect.high)], said),
        estimate=words.estimate(effect),
        interval=words.interval(effect),
        ratio=words.number(row["ratio"], 2),
        ratio_interval=" to ".join(ends) if known else "",
        n=effect.n,
        q=words.adjusted(effect.q),
        reason=words.undefined(effect),
    )
