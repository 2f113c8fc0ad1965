"""What follows from the measurements of all samples: tables to tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings import Evidence, conclude, decide
from camaudit.measure import LOCALISATION_METRICS, measured_regions
from camaudit.runs.intervening import ACCURACIES, EDITS, FLIPS, SHIFTS
from camaudit.statistics import effects
from camaudit.statistics.exchanges import exchange_effects
from camaudit.statistics.transplants import transplant_effects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from camaudit.config.model import Task
    from camaudit.types import Finding, OutputTarget, RunManifest, Verdict

# a lift or a ratio of a single sample may be infinite, and its mean would be of those where it is not
AVERAGED = (
    *(name for name in LOCALISATION_METRICS if name not in {"lift", "outside_inside"}),
    *SHIFTS,
    *FLIPS,
    *ACCURACIES,
)
POINTING_OF_CLASSES = "pointing_classes"
"""The pointing game as its authors average it: per class, then over the classes (Zhang et al. 2018)."""


def in_deviations(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    classes: Sequence[str],
    targets: Sequence[OutputTarget],
    *,
    task: Task = "multiclass",
) -> pd.DataFrame:
    """The measurements with shifts in standard deviations of what they are shifts of.

    That is the contrast of a contrast's two classes; else the margin of the target's class, its score minus the best
    other score. The standard deviation is taken over all audited samples. What does not vary has none: its shifts
    become NaN.

    Args:
        measurements: shifts in units of the score.
        samples: with ``score_CLASS`` columns.
        classes: class names.
        targets: the output targets.
        task: what the scores mean.
    """
    shifted = measurements["metric"].isin(SHIFTS)
    rows = measurements.loc[shifted]
    changed = measurements["value"].copy()
    changed[shifted] = rows["value"] / deviations(rows, samples, classes, targets, task=task)
    return measurements.assign(value=changed)


def deviations(
    rows: pd.DataFrame,
    samples: pd.DataFrame,
    classes: Sequence[str],
    targets: Sequence[OutputTarget],
    *,
    task: Task = "multiclass",
) -> pd.Series:
    """The standard deviation of what each row is a shift of, see `in_deviations`; NaN where there is none."""
    scores = samples[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    deviation = {name: float(np.std(_margin(scores, i, task))) for i, name in enumerate(classes)}
    unit = rows["target_class"].map(deviation).astype(np.float64)
    for target in targets:
        if target.kind == "contrast":
            first, second = (scores[:, list(classes).index(name)] for name in target.classes)
            unit = unit.mask(rows["target"] == target.id, float(np.std(first - second)))
    return unit.where(unit > 0)


def estimate(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    groups: Sequence[str],
    *,
    exchanges: pd.DataFrame | None = None,
    transplants: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The effects table: means of every cell, the lift of the means, and what donors do."""
    table = effects(measurements, samples, groups=groups, metrics=list(AVERAGED))
    found = [table, _of_classes(table), _lift(table)]
    if exchanges is not None and len(exchanges):
        found.append(exchange_effects(exchanges, samples, groups))
    if transplants is not None and len(transplants):
        found.append(transplant_effects(transplants, samples, groups))
    return pd.concat(found, ignore_index=True)


def judge(
    manifest: RunManifest,
    table: pd.DataFrame,
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    trust: pd.DataFrame | None = None,
    training: pd.DataFrame | None = None,
    recasts: pd.DataFrame | None = None,
    exchanges: pd.DataFrame | None = None,
    transplants: pd.DataFrame | None = None,
) -> tuple[list[Finding], Verdict]:
    """The findings and the verdict; the first target of the run decides, and the first method that is not found to fail.

    Args:
        manifest: what the run is.
        table: its effects.
        measurements: of its samples.
        samples: of the run.
        trust: what the maps were found to be worth; None where nobody asked.
        training: labels and groups of the training set; None where no table was named.
        recasts: what the looks of whole images do to the scores when they are changed; None where nobody asked.
        exchanges: what images score with other samples' backgrounds or attributes; None where nobody asked.
        transplants: what attributes do in images that lack them; None where nobody asked.
    """
    single = {name: role for name, role in manifest.roles.items() if "+" not in name}
    evidence = Evidence(
        effects=table,
        measurements=measurements,
        samples=samples,
        roles=manifest.roles,
        parts=measured_regions(single)[0],
        classes=manifest.classes,
        groups=manifest.groups,
        method=manifest.methods[0],
        fills=tuple(fill for fill in EDITS if bool((measurements["method"] == fill).any())),
        target=manifest.targets[0],
        methods=manifest.methods,
        trust=trust,
        seed=manifest.seed,
        training=training,
        recasts=recasts,
        exchanges=exchanges,
        transplants=transplants,
    )
    findings = decide(evidence)
    return findings, conclude(findings)


def _margin(scores: NDArray[np.float64], index: int, task: Task) -> NDArray[np.float64]:
    """As `camaudit.measure.margins`, of one class."""
    if task in {"multilabel", "regression"}:
        return scores[:, index]
    others = np.delete(scores, index, axis=1)
    margin: NDArray[np.float64] = scores[:, index] - others.max(axis=1)
    return margin


def _of_classes(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over classes of each class's pointing game, with an interval where every class has one.

    The classes are independent, so their distances to the ends add up as squares (Zou and Donner 2008). A class with too few
    samples for a mean leaves none of all.
    """
    keys = ["method", "target", "region", "role", "group", "value"]
    rows = table[(table["metric"] == "pointing") & (table["target_class"] != "") & (table["n"] > 0)]
    rows = rows.assign(
        below=(rows["estimate"] - rows["low"]) ** 2, above=(rows["high"] - rows["estimate"]) ** 2
    )
    cells = rows.groupby(keys, sort=False, as_index=False)
    found = cells.agg(
        estimate=("estimate", lambda means: means.mean(skipna=False)),
        below=("below", lambda squares: squares.sum(skipna=False) ** 0.5 / len(squares)),
        above=("above", lambda squares: squares.sum(skipna=False) ** 0.5 / len(squares)),
        n=("n", "sum"),
    )
    ends = {"low": found["estimate"] - found["below"], "high": found["estimate"] + found["above"]}
    named = found.assign(metric=POINTING_OF_CLASSES, target_class="", p=np.nan, q=np.nan, **ends)
    return named[list(table.columns)]


def _lift(table: pd.DataFrame) -> pd.DataFrame:
    """log2(mean mass / mean area) of every cell, with the ends of the mass's interval over the same area.

    The mean of the samples' lifts would be minus infinity as soon as one map has nothing in the region.
    """
    keys = ["method", "target", "target_class", "region", "role", "group", "value"]
    mass = table[table["metric"] == "mass"]
    area = table[table["metric"] == "area"].set_index(keys)["estimate"].rename("share")
    joined = mass.join(area, on=keys)
    with np.errstate(divide="ignore"):
        lift = {name: np.log2(joined[name] / joined["share"]) for name in ("estimate", "low", "high")}
    return joined.assign(metric="lift", p=np.nan, q=np.nan, **lift).drop(columns="share")
