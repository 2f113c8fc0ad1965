"""One audit, through the product's own door, and what is kept of it."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import camaudit
from benchmarks.planted import peers
from benchmarks.planted.composing import CLASSES
from benchmarks.planted.truth import BIASED

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.planted.sets import Pairs
    from benchmarks.planted.truth import Truth
    from camaudit import Finding, Preprocessing, Run
    from camaudit.data import Dataset
    from torch import nn

TARGET: Final = "predicted"
EXCHANGED: Final = "CAM104"
TRANSPLANTED: Final = "CAM105"
INVISIBLE: Final = frozenset({"CAM301", "CAM302"})
"""Findings that say: not visible to a heatmap."""
FLAGGED: Final = 10


def audit(
    model: nn.Module, recipe: Preprocessing, data: Dataset, found: Pairs, truth: Truth, out: Path
) -> dict[str, Any]:
    """Audit a model as a user would, and hold what was said against the truth; the run is deleted."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    loaded = camaudit.load_model(model, classes=list(CLASSES[found.task]), preprocessing=recipe)
    run = camaudit.audit(data, loaded, out=out, device="cpu", targets=[TARGET])
    seconds = time.perf_counter() - started
    record = {
        "verdict": {"status": run.verdict.status, "headline": run.verdict.headline},
        "findings": [_finding(finding, found, truth) for finding in run.findings],
        "estimate": estimate(run, found),
        "flagged": flagged(run, found, truth),
        "peers": peers.decisions(run, found),
        "seconds": {**run.manifest.seconds, "all": seconds},
    }
    shutil.rmtree(out)
    return record


def _finding(finding: Finding, found: Pairs, truth: Truth) -> dict[str, Any]:
    effects = {
        rung: [effect.name, *(_plain(value) for value in (effect.estimate, effect.low, effect.high)), effect.n]
        for rung, effect in finding.evidence.items()
    }
    kept: dict[str, Any] = {
        "code": finding.code,
        "status": finding.status,
        "rung": finding.rung,
        "severity": finding.severity,
        "role": finding.role,
        "region": finding.region,
        "class": finding.target_class,
        "group": dict(finding.group),
        "answers": dict(finding.answers),
        "effects": effects,
    }
    if finding.role == "attribute" and found.shortcut.region:
        kept["truth"] = {name: _plain(value) for name, value in _cell(finding, found, truth).items()}
    return kept


def _cell(finding: Finding, found: Pairs, truth: Truth) -> dict[str, float]:
    """The twins' answer to the question of a finding's cell."""
    classes, shortcut = CLASSES[found.task], found.shortcut
    target = None if finding.target_class is None else classes.index(finding.target_class)
    value = finding.group.get(shortcut.column or "")
    shown = None if value is None else shortcut.values.index(value)
    if finding.code == TRANSPLANTED:
        return truth.added(target)
    if finding.code == EXCHANGED:
        return truth.exchanged(target)
    return truth.cell(target, shown)


def _plain(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)


def estimate(run: Run, found: Pairs) -> dict[str, float | None]:
    """What the edits alone say of the shortcut's effect towards its class, in SD, as `Truth.effect` asks it.

    The mean over the fills and the images of the shift towards the second class; ``plain`` is the same without controls.
    """
    region = found.shortcut.region
    table = run.measurements
    table = table[(table["region"] == region) & (table["target"] == TARGET) & (table["method"] != "transplant")]
    towards = np.where(table["target_class"] == CLASSES[found.task][1], 1.0, -1.0)
    if found.shortcut.swap:  # an edit takes half of a swap, and of the first class's images it takes the other half
        shown = np.array([found.shown[int(sample)] for sample in table["sample"]], dtype=int)
        towards = 2 * towards * np.where(shown == 1, 1.0, -1.0)
    values = table["value"] * towards
    metric = table["metric"]
    found_of = {"shift": values[metric == "shift"], "plain": values[metric == "shift_region"]}
    answers = {name: _plain(float(of.mean())) if of.notna().any() else None for name, of in found_of.items()}
    exchanges = getattr(run, "exchanges", None)
    answers["exchange"] = None if exchanges is None else _exchange(exchanges, found)
    return answers


def _exchange(exchanges: Any, found: Pairs) -> float | None:
    """Mean margin towards the second class on backgrounds with the shortcut, minus that on backgrounds without it."""
    if exchanges.empty or not found.shortcut.column:
        return None
    table = exchanges[exchanges["target"] == TARGET]
    towards = np.where(table["target_class"] == CLASSES[found.task][1], 1.0, -1.0)
    shown = np.array([found.shown[int(donor)] for donor in table["donor"]], dtype=int)
    values = table["value"].to_numpy(float) * towards
    if not (shown == 1).any() or not (shown == 0).any():
        return None
    return _plain(float(np.nanmean(values[shown == 1]) - np.nanmean(values[shown == 0])))


def flagged(run: Run, found: Pairs, truth: Truth) -> dict[str, float | None]:
    """Of the first samples that issues of an attribute show, the share that the shortcut moves by more than `BIASED`.

    ``base`` is that share among all audited images that show it.
    """
    count = len(run.samples)
    moved = np.abs(truth.planted - truth.without)[:count] / truth.unit > BIASED
    can = np.ones(count, bool) if truth.swap else found.shown[:count] == 1
    order = [
        int(sample)
        for finding in run.findings
        if finding.status == "issue" and finding.role == "attribute"
        for sample in finding.samples
    ]
    first = list(dict.fromkeys(order))[:FLAGGED]
    return {
        "precision": float(moved[first].mean()) if first else None,
        "n": len(first),
        "base": float(moved[can].mean()) if can.any() else None,
    }
