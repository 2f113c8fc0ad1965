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
from camaudit.findings.evidence import over_fills
from camaudit.measure import FILLS
from camaudit.statistics.exchanges import EXCHANGE
from camaudit.types import Effect

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from benchmarks.planted.sets import Pairs
    from benchmarks.planted.truth import Truth
    from camaudit import Finding, Preprocessing, Run
    from camaudit.data import Dataset

TARGET: Final = "predicted"
BATCH: Final = 32
INVISIBLE: Final = frozenset({"CAM301", "CAM302"})
"""Findings that say: not visible to a heatmap."""
TRANSPLANTED: Final = "CAM105"
FLAGGED: Final = 10


def audit(
    model: nn.Module,
    recipe: Preprocessing,
    data: Dataset,
    found: Pairs,
    truth: Truth,
    *,
    out: Path,
    trust: bool,
    keep: bool = False,
) -> dict[str, Any]:
    """Audit a model as a user would, and hold what was said against the truth; the run is deleted unless it is kept."""
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    loaded = camaudit.load_model(model, classes=list(CLASSES[found.task]), preprocessing=recipe)
    run = camaudit.audit(data, loaded, out=out, device="cpu", targets=[TARGET], trust=trust, batch_size=BATCH)
    seconds = time.perf_counter() - started
    record = {
        "verdict": {"status": run.verdict.status, "headline": run.verdict.headline, "text": run.verdict.text},
        "findings": [_finding(finding, run, found, truth) for finding in run.findings],
        "cells": cells(run, found, truth),
        "estimate": estimate(run, found),
        "flagged": flagged(run, found, truth),
        "peers": peers.decisions(run, found),
        "seconds": {**run.manifest.seconds, "all": seconds},
    }
    if not keep:
        shutil.rmtree(out)
    return record


def _finding(finding: Finding, run: Run, found: Pairs, truth: Truth) -> dict[str, Any]:
    effects = {
        rung: [
            effect.name,
            *(_plain(value) for value in (effect.estimate, effect.low, effect.high)),
            effect.n,
        ]
        for rung, effect in finding.evidence.items()
    }
    if "used" in effects and effects["used"][0] == EXCHANGE and finding.target_class:
        # a finding tells of the kind that raises the score; here the sign is the shortcut's
        effects |= {"used": exchanged(run, found, finding.target_class)}
        effects = {rung: effect for rung, effect in effects.items() if effect is not None}
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
    if "used" in finding.evidence and finding.evidence["used"].name == EXCHANGE:
        return truth.exchanged(target)
    # of a swap something is always there: what an image without it would score, no twin can say
    return {} if truth.swap else truth.cell(target, shown)


def _plain(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)


def cells(run: Run, found: Pairs, truth: Truth) -> list[dict[str, Any]]:
    """The shift of every class under the edits, hull of the fills, and what the twins say of it; nothing of a swap."""
    if found.shortcut.region is None or found.shortcut.swap:
        return []
    table = run.effects
    rows = table[
        (table["region"] == found.shortcut.region)
        & (table["target"] == TARGET)
        & (table["metric"] == "shift")
        & table["method"].isin(list(FILLS))
        & (table["group"] == "")
    ]
    made = []
    for name, of in rows.groupby("target_class"):
        effect = over_fills(
            [
                Effect(
                    "shift",
                    *(float(row[column]) for column in ("estimate", "low", "high", "p", "q")),
                    int(row["n"]),
                )
                for row in of.to_dict("records")
            ]
        )
        assert effect is not None
        target = CLASSES[found.task].index(name) if name else None
        numbers = {of: _plain(getattr(effect, of)) for of in ("estimate", "low", "high")}
        made.append({"class": name, **numbers, "n": effect.n, "twins": _plain(truth.cell(target)["shift"])})
    return made


def estimate(run: Run, found: Pairs) -> dict[str, float | None]:
    """What the edits alone say of the shortcut's effect towards its class, in SD, as `Truth.effect` asks it.

    ``shift`` is the mean over the fills and the images of the shift towards the second class; ``plain`` the same without
    controls; ``exchange`` the mean over the predicted classes of what donors with the shortcut do against those without.
    """
    region, table = found.shortcut.region, run.measurements
    table = table[(table["region"] == region) & (table["target"] == TARGET)]
    towards = np.where(table["target_class"] == CLASSES[found.task][1], 1.0, -1.0)
    values, metric = table["value"] * towards, table["metric"]
    of = {"shift": values[metric == "shift"], "plain": values[metric == "shift_region"]}
    # an edit of a swap takes away what no twin lacks
    known = {name for name, one in of.items() if one.notna().any() and not found.shortcut.swap}
    answers = {name: _plain(float(one.mean())) if name in known else None for name, one in of.items()}
    rows = [(name, exchanged(run, found, name)) for name in CLASSES[found.task]]
    signed = [
        (effect[1] if name == CLASSES[found.task][1] else -effect[1], effect[4])
        for name, effect in rows
        if effect is not None and effect[1] is not None
    ]
    weight = sum(n for _, n in signed)
    answers["exchange"] = sum(value * n for value, n in signed) / weight if weight else None
    return answers


def exchanged(run: Run, found: Pairs, target_class: str) -> list[Any] | None:
    """Name, estimate, low, high and n of what donors with the shortcut do to a class against those without it."""
    table = run.effects
    rows = table[
        (table["metric"] == "exchange")
        & (table["target"] == TARGET)
        & (table["target_class"] == target_class)
        & (table["group"] == found.shortcut.column)
        & (table["value"] == found.shortcut.values[1])
    ]
    if rows.empty:
        return None
    first = rows.iloc[0]
    return ["exchange", *(_plain(first[name]) for name in ("estimate", "low", "high")), int(first["n"])]


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
