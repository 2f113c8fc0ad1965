"""The page of two runs over the same samples: original, model A and model B in a row, and what differs between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from camaudit.errors import DataError
from camaudit.report import judgement, making, plots, tables, templates, words
from camaudit.report.album import Album, legend, main_region
from camaudit.report.page import save
from camaudit.statistics import group_table
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from markupsafe import Markup
    from numpy.typing import NDArray

    from camaudit.report.album import Shot
    from camaudit.types import AuditedRun, Finding

DIFFERING, AGREEING = 6, 2


class Shared(NamedTuple):
    """What two runs have in common: the samples, and the first method and target of the one that the other has too."""

    samples: tuple[str, ...]
    method: str
    target: str


class Trio(NamedTuple):
    """One sample under both models; `moved` is the share of the evidence that lies elsewhere."""

    a: Shot
    b: Shot
    moved: str


class Difference(NamedTuple):
    """A metric on a region, under both models and their paired difference."""

    region: str
    role: str
    a: str
    b: str
    row: judgement.Row


class DifferenceTable(NamedTuple):
    """The regions under one metric; the class is the label of the samples, empty for all."""

    metric: str
    target_class: str
    rows: tuple[Difference, ...]
    axis: Markup


class AccuracyRow(NamedTuple):
    """A cell of label and group under both models."""

    label: str
    value: str
    a: str
    b: str
    plot: Markup | None
    n: int
    worst: str


class Changes(NamedTuple):
    """Issues and tips that only one of the runs has, or both."""

    only_a: tuple[judgement.Card, ...]
    only_b: tuple[judgement.Card, ...]
    both: tuple[tuple[judgement.Card, judgement.Card], ...]


def render_comparison(
    a: AuditedRun,
    b: AuditedRun,
    effects: pd.DataFrame,
    *,
    differing: int = DIFFERING,
    agreeing: int = AGREEING,
) -> str:
    """Two runs beside each other as one self-contained HTML page.

    Args:
        a: a run that is done.
        b: another one over the same samples.
        effects: means of the paired differences a minus b, in the columns of `AuditedRun.effects`, with the class being
            the sample's label, as `camaudit.statistics.compare_effects` makes them.
        differing: at most this many samples are shown whose maps differ most.
        agreeing: at most this many are shown whose maps differ least.
    """
    shared = _shared(a, b)
    album = Album()
    differences = _difference_tables(a, b, effects, shared)
    moved = distances(a, b, shared)
    most, least = choose(a, moved, differing, agreeing)
    return templates.render(
        "comparison.html",
        a=a,
        b=b,
        names=_names(a, b),
        shared=len(shared.samples),
        region=main_region(a),
        most=_trios(a, b, album, shared, {sample: moved[sample] for sample in most}),
        least=_trios(a, b, album, shared, {sample: moved[sample] for sample in least}),
        legend=legend(a.manifest.roles),
        differences=differences,
        headline=_headline(differences, main_region(a)),
        accuracies=[_accuracies(a, b, group) for group in a.manifest.groups or ("",)],
        overall=_overall(a, b),
        changes=_changes(a, b),
        statuses=judgement.STATUSES,
        accuracy_axis=plots.axis_labels(plots.percent_axis("rate")),
        facts=making.paired_facts(a, b),
        methods=[making.compared(shared.method, shared.target), *making.statistics(a)],
        limits=making.limits(a),
        album=album,
    )


def write_comparison(
    a: AuditedRun,
    b: AuditedRun,
    effects: pd.DataFrame,
    path: Path | str,
    *,
    differing: int = DIFFERING,
    agreeing: int = AGREEING,
) -> Path:
    """Writes `render_comparison`'s page; the file is there whole or not there."""
    return save(render_comparison(a, b, effects, differing=differing, agreeing=agreeing), path)


def distances(a: AuditedRun, b: AuditedRun, shared: Shared) -> dict[str, float]:
    """For each sample the share of the evidence that would have to move to turn the one map into the other.

    It is half the sum of absolute differences of the two maps, each divided by its sum, on the coarser grid; samples
    with a map of no mass are left out.
    """
    grid = min(a.manifest.grid, b.manifest.grid, key=lambda shape: shape[0] * shape[1])
    found = {}
    for sample in shared.samples:
        first, second = (
            _normalised(run.attribution(sample, shared.method, shared.target).values, grid) for run in (a, b)
        )
        if first is not None and second is not None:
            found[sample] = float(np.abs(first - second).sum() / 2)
    return found


def choose(
    run: AuditedRun, moved: dict[str, float], differing: int, agreeing: int
) -> tuple[list[str], list[str]]:
    """The samples that differ most, one cell of label and group after the other, and those that differ least."""
    about = run.samples[run.samples["sample"].isin(moved)].copy()
    about["moved"] = about["sample"].map(moved)
    cells = [f"group_{name}" for name in run.manifest.groups]
    about["label"] = about["label"].fillna("")
    keys = ["label", *cells]
    falling = about.sort_values("moved", ascending=False, kind="stable")
    rank = falling.groupby(keys, dropna=False, sort=False).cumcount()
    taken = falling.assign(rank=rank).sort_values(["rank", *keys], kind="stable")["sample"]
    most = [str(sample) for sample in taken[:differing]]
    rising = about[~about["sample"].isin(most)].sort_values("moved", kind="stable")["sample"]
    return most, [str(sample) for sample in rising[:agreeing]]


def _shared(a: AuditedRun, b: AuditedRun) -> Shared:
    others = set(b.samples["sample"])
    samples = tuple(str(sample) for sample in a.samples["sample"] if sample in others)
    methods = [method for method in a.manifest.methods if method in b.manifest.methods]
    targets = [target for target in a.manifest.targets if target in b.manifest.targets]
    if not samples:
        raise DataError(
            f"The runs {a.manifest.name} and {b.manifest.name} have no sample in common.\n"
            "Compare runs that audited the same data set, with the same sample ids."
        )
    if not (methods and targets):
        raise DataError(
            f"The runs {a.manifest.name} and {b.manifest.name} have no "
            f"{'attribution method' if not methods else 'output target'} in common.\n"
            "Audit both with at least one that is the same."
        )
    return Shared(samples, methods[0], targets[0])


def _names(a: AuditedRun, b: AuditedRun) -> tuple[str, str]:
    """The runs' names, told apart where they are the same."""
    first, second = a.manifest.name, b.manifest.name
    return (f"{first} (A)", f"{second} (B)") if first == second else (first, second)


def _normalised(values: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float64] | None:
    fitted = np.asarray(values, dtype=np.float32)
    if fitted.shape != grid:
        fitted = np.asarray(Image.fromarray(fitted).resize((grid[1], grid[0]), Image.Resampling.BOX))
    total = float(fitted.sum())
    return np.asarray(fitted / total, dtype=np.float64) if total > 0 else None


def _trios(
    a: AuditedRun, b: AuditedRun, album: Album, shared: Shared, moved: Mapping[str, float]
) -> list[Trio]:
    region = main_region(a)

    def shot(run: AuditedRun, sample: str) -> Shot:
        return album.shot(run, sample, region, method=shared.method, target=shared.target)

    return [Trio(shot(a, sample), shot(b, sample), words.share(share)) for sample, share in moved.items()]


def _difference_tables(
    a: AuditedRun, b: AuditedRun, effects: pd.DataFrame, shared: Shared
) -> list[DifferenceTable]:
    """Excess, shift and response per region: all samples first, then label by label, each metric on one axis."""
    whole = effects[(effects["group"] == "") & (effects["target"] == shared.target)]
    made = []
    for metric in ("excess", "shift", "response"):
        mine = whole[whole["metric"] == metric]
        if mine.empty:
            continue
        method = shared.method if metric == "excess" else str(mine["method"].iloc[0])
        mine = mine[mine["method"] == method]
        ends = mine[["estimate", "low", "high"]].to_numpy(dtype=float).ravel().tolist()
        scale = plots.axis(metric, ends)
        for name in ["", *tables.shown_classes(a)]:
            found = mine[mine["target_class"] == name]
            rows = []
            for row in found.itertuples():
                means = _means(a, b, (metric, method, shared.target, str(row.region)), name)
                effect = judgement.row("", tables.effect_of(row), scale)
                first, second = (words.amount(metric, value) for value in means)
                rows.append(Difference(str(row.region), str(row.role), first, second, effect))
            order = {role: index for index, role in enumerate(tables.ROLES)}
            rows.sort(key=lambda row: (order.get(row.role, 3), -row.region.count("+")))
            if rows:
                made.append(DifferenceTable(metric, name, tuple(rows), plots.axis_labels(scale)))
    return made


def _headline(found: Sequence[DifferenceTable], region: str | None) -> list[Difference]:
    """The main region's differences over all samples."""
    return [row for table in found if not table.target_class for row in table.rows if row.region == region]


def _means(a: AuditedRun, b: AuditedRun, key: tuple[str, str, str, str], label: str) -> tuple[float, float]:
    """The means of both runs, of a metric, method, target and region, over the samples where both are defined."""

    def values(run: AuditedRun) -> pd.Series[float]:
        table = run.measurements
        chosen = table[
            (table["metric"] == key[0])
            & (table["method"] == key[1])
            & (table["target"] == key[2])
            & (table["region"] == key[3])
        ]
        return chosen.set_index("sample")["value"]

    both = pd.concat([values(a), values(b)], axis=1, join="inner").dropna()
    if label:
        labels = a.samples.set_index("sample")["label"]
        both = both[labels.reindex(both.index) == label]
    return float(both.iloc[:, 0].mean()), float(both.iloc[:, 1].mean())


def _accuracies(a: AuditedRun, b: AuditedRun, group: str) -> tuple[str, list[AccuracyRow]]:
    """Accuracy per label and value of one group, both runs in one plot."""
    groups = [group] if group else []
    keys = ["label", "group", "value"]
    both = group_table(a.samples, groups).merge(
        group_table(b.samples, groups), on=keys, suffixes=("_a", "_b")
    )
    both = both[(both["n_a"] > 0) & (both["n_b"] > 0)]
    worst = both["worst_a"] | both["worst_b"]
    shown = ["", *tables.shown_classes(a)]
    both = both[both["label"].isin(shown) | worst]
    names, scale = _names(a, b), plots.percent_axis("rate")
    order = both["label"].map(lambda label: shown.index(label) if label in shown else len(shown))
    both = both.assign(order=order).sort_values(["order", "value"], kind="stable")
    rows = []
    for row in both.to_dict("records"):
        pair = [
            Effect("rate", row[f"accuracy_{k}"], row[f"low_{k}"], row[f"high_{k}"], math.nan, math.nan, 0)
            for k in "ab"
        ]
        drawn = [
            plots.Point(e.estimate, e.low, e.high, mark)
            for e, mark in zip(pair, ("first", "second"), strict=True)
        ]
        said = "; ".join(
            f"{name} {words.rate(effect.estimate)}" for name, effect in zip(names, pair, strict=True)
        )
        marked = [name for name, k in zip(names, "ab", strict=True) if row[f"worst_{k}"]]
        rows.append(
            AccuracyRow(
                str(row["label"]),
                str(row["value"]),
                words.rate(pair[0].estimate),
                words.rate(pair[1].estimate),
                plots.interval_plot(scale, drawn, f"accuracy: {said}"),
                int(row["n_a"]),
                words.listing(marked) if marked else "",
            )
        )
    return group, rows


def _overall(a: AuditedRun, b: AuditedRun) -> tuple[str, str]:
    accuracies = []
    for run in (a, b):
        table = group_table(run.samples, [])
        whole = table[table["label"] == ""]
        accuracies.append(words.rate(float(whole["accuracy"].iloc[0])) if len(whole) else "")
    return accuracies[0], accuracies[1]


def _changes(a: AuditedRun, b: AuditedRun) -> Changes:
    """Issues and tips by what they are about: code, class, region and group."""
    scales = judgement.scales_of([*a.findings, *b.findings])
    in_a, in_b = _by_subject(a.findings), _by_subject(b.findings)

    def card(run: AuditedRun, finding: Finding) -> judgement.Card:
        return judgement.card(run, finding, scales, None, 0)

    return Changes(
        tuple(card(a, finding) for key, finding in in_a.items() if key not in in_b),
        tuple(card(b, finding) for key, finding in in_b.items() if key not in in_a),
        tuple((card(a, finding), card(b, in_b[key])) for key, finding in in_a.items() if key in in_b),
    )


def _by_subject(findings: Sequence[Finding]) -> dict[tuple[object, ...], Finding]:
    return {
        (f.code, f.target_class, f.region, tuple(sorted(f.group.items()))): f
        for f in sorted(findings, key=lambda f: -f.severity)
        if f.status in {"issue", "tip"}
    }
