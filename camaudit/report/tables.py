"""Regions and groups in figures: an interval beside every estimate, the chance level beside every share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from camaudit.report import plots, words
from camaudit.statistics import MINIMUM, association, group_table
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from markupsafe import Markup

    from camaudit.types import AuditedRun

CLASSES = 8
"""Tables are shown for all classes together and for at most this many single ones."""
ROLES = ("object", "attribute", "context")


class RegionRow(NamedTuple):
    """What lies on a region, in one class."""

    region: str
    role: str
    mass: str
    interval: str
    area: str
    lift: str
    plot: Markup | None
    pointing: str
    centre: str
    n: int
    reason: str


class RegionTable(NamedTuple):
    """The regions of one class; the title is empty for all classes together."""

    target_class: str
    rows: tuple[RegionRow, ...]
    axis: Markup


class GroupRow(NamedTuple):
    """The accuracy of one cell of label and group."""

    label: str
    value: str
    n: int
    accuracy: str
    interval: str
    plot: Markup | None
    worst: bool
    reason: str


class GroupTable(NamedTuple):
    """The accuracies of one group column; `group` is empty where there are only labels."""

    group: str
    association: str
    rows: tuple[GroupRow, ...]
    axis: Markup


class Lookup:
    """Effects of one method and target over all samples, by metric, region and class.

    Args:
        effects: the run's effects.
        method: id of a method or an edit.
        target: id of the output target.
    """

    def __init__(self, effects: pd.DataFrame, method: str, target: str) -> None:
        chosen = effects[
            (effects["method"] == method) & (effects["target"] == target) & (effects["group"] == "")
        ]
        self._rows = {
            (str(row.metric), str(row.region), str(row.target_class)): effect_of(row)
            for row in chosen.itertuples()
        }

    def __call__(self, metric: str, region: str, target_class: str) -> Effect:
        """The effect; one without estimate where the table has none."""
        nan = math.nan
        return self._rows.get((metric, region, target_class), Effect(metric, nan, nan, nan, nan, nan, 0))

    def values(self, metric: str) -> list[float]:
        """Estimates and ends of every effect of a metric, to make an axis of."""
        mine = (effect for key, effect in self._rows.items() if key[0] == metric)
        return [value for effect in mine for value in (effect.estimate, effect.low, effect.high)]


def effect_of(row: object) -> Effect:
    """A row of an effects table, as `itertuples` gives it, as a value."""
    estimate, low, high, p, q = (float(getattr(row, key)) for key in ("estimate", "low", "high", "p", "q"))
    return Effect(str(row.metric), estimate, low, high, p, q, int(row.n))  # type: ignore[attr-defined]


def shown_classes(run: AuditedRun) -> list[str]:
    """The classes a table is shown for: those with an issue or a tip first, then in the head's order."""
    flagged = [f.target_class for f in run.findings if f.status in {"issue", "tip"} and f.target_class]
    chosen = list(dict.fromkeys([*flagged, *run.manifest.classes]))[:CLASSES]
    return [name for name in run.manifest.classes if name in chosen]


def edits(run: AuditedRun) -> list[str]:
    """The edits that were made, by id: the methods that shift something."""
    return sorted(run.measurements.loc[run.measurements["metric"] == "shift", "method"].unique())


def region_tables(run: AuditedRun) -> list[RegionTable]:
    """Mass beside area, lift and pointing of every region, over all classes and in each."""
    manifest = run.manifest
    method, target = manifest.methods[0], manifest.targets[0]
    found = Lookup(run.effects, method, target)
    scale = plots.axis("mass", [*found.values("mass"), *found.values("area")])
    local = run.measurements[(run.measurements["method"] == method) & (run.measurements["target"] == target)]
    regions = [name for name in ordered_regions(run) if (local["region"] == name).any()]
    tables = []
    for name in ["", *shown_classes(run)]:
        inside = local if name == "" else local[local["target_class"] == name]
        rows = [
            _region_row(run, inside, found, region=region, target_class=name, scale=scale)
            for region in regions
        ]
        if rows:
            tables.append(RegionTable(name, tuple(rows), plots.axis_labels(scale)))
    return tables


def group_tables(run: AuditedRun) -> list[GroupTable]:
    """Accuracy per label and group; a table a group column, or one of the labels alone."""
    table = group_table(run.samples, run.manifest.groups)
    if table.empty:
        return []
    labels = {"", *shown_classes(run)}
    worst = set(table.loc[table["worst"], "label"])
    table = table[table["label"].isin(labels | worst) & (table["n"] > 0)]
    scale = plots.percent_axis("rate")
    tables = []
    for group in run.manifest.groups or ("",):
        whole = table[(table["group"] == "") & (table["label"] == "")]
        single = table[(table["group"] == "") & (table["label"] != "")]
        cells = table[(table["group"] == group) & (table["label"] != "")]
        pooled = table[(table["group"] == group) & (table["label"] == "")]
        parts = (whole, single) if group == "" else (whole, pooled, cells)
        rows = [group_row(row, scale) for part in parts for row in part.itertuples()]
        tables.append(GroupTable(group, _association(run, group), tuple(rows), plots.axis_labels(scale)))
    return tables


def _association(run: AuditedRun, group: str) -> str:
    """How closely a group column goes with the labels; empty where it is not known."""
    if not group:
        return ""
    found = association(run.samples, group, seed=run.manifest.seed)
    if not math.isfinite(found.estimate):
        return ""
    ends = f" [{words.number(found.low, 2)} to {words.number(found.high, 2)}]"
    return (
        f"In these data, class and {group} are associated with V = {words.number(found.estimate, 2)}{ends} "
        "(Cramér's V: at 0 one says nothing of the other, at 1 it tells the other)."
    )


def ordered_regions(run: AuditedRun) -> Sequence[str]:
    """Regions by role, unions before their parts."""
    roles = run.manifest.roles
    names = list(roles)
    return sorted(names, key=lambda name: (ROLES.index(roles[name]), -name.count("+"), names.index(name)))


def _region_row(
    run: AuditedRun, inside: pd.DataFrame, found: Lookup, *, region: str, target_class: str, scale: plots.Axis
) -> RegionRow:
    mine = inside[inside["region"] == region]

    def mean(metric: str) -> float:
        known = found(metric, region, target_class).estimate
        if math.isfinite(known):
            return known
        values = mine.loc[mine["metric"] == metric, "value"].dropna()
        return float(values.mean()) if len(values) >= MINIMUM else math.nan

    mass = found("mass", region, target_class)
    if mass.n == 0:
        defined = int(mine.loc[mine["metric"] == "mass", "value"].notna().sum())
        mass = Effect("mass", mean("mass"), mass.low, mass.high, mass.p, mass.q, defined)
    area = mean("area")
    plot = None
    if math.isfinite(mass.estimate):
        spoken = f"{words.share(mass.estimate)} of the evidence, {words.share(area)} by chance"
        role = run.manifest.roles[region]
        point = plots.Point(mass.estimate, mass.low, mass.high, role)
        plot = plots.interval_plot(scale, [point], spoken, chance=area)
    return RegionRow(
        region=region,
        role=run.manifest.roles[region],
        mass=words.estimate(mass, decimals=1),
        interval=words.interval(mass, decimals=1),
        area=words.share(area),
        lift=words.lift(mean("lift")),
        plot=plot,
        pointing=words.share(mean("pointing")),
        centre=words.share(mean("pointing_centre")),
        n=mass.n,
        reason=words.undefined(mass),
    )


def group_row(row: object, scale: plots.Axis) -> GroupRow:
    """A row of a table of accuracies, as `itertuples` gives it."""
    effect = Effect("rate", row.accuracy, row.low, row.high, math.nan, math.nan, int(row.n))  # type: ignore[attr-defined]
    label, value = str(row.label), str(row.value)  # type: ignore[attr-defined]
    worst = bool(row.worst)  # type: ignore[attr-defined]
    plot = None
    if math.isfinite(effect.estimate):
        spoken = (
            f"accuracy {words.rate(effect.estimate)}, 95{words.NARROW}% interval {words.interval(effect)}"
        )
        point = plots.Point(effect.estimate, effect.low, effect.high, "worst" if worst else "")
        plot = plots.interval_plot(scale, [point], spoken)
    return GroupRow(
        label,
        value,
        effect.n,
        words.rate(effect.estimate),
        words.interval(effect, decimals=0),
        plot,
        worst,
        words.undefined(effect),
    )
