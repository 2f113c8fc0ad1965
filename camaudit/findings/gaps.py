"""CAM401: a group, or an intersection of two, is classified worse than another of the same label."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings.building import enough, finding, listed, share
from camaudit.findings.codes import WORST_GROUP
from camaudit.statistics.harms import (
    BETWEEN,
    cell_table,
    crossed,
    group_gaps,
    judged,
)
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding, Said, Status

FEW = 30
"""Images below which a rate comes with a warning."""


def worst_findings(evidence: Evidence, policy: Policy) -> list[Finding]:
    """The gaps of every group column and of intersections that show more than their columns, label by label."""
    table = group_gaps(evidence.samples, evidence.groups, seed=evidence.seed)
    cells = cell_table(evidence.samples, evidence.groups)
    alone = table[~table["group"].str.contains(BETWEEN, regex=False)]
    findings = []
    for group in evidence.groups:
        mine = alone[(alone["group"] == group)]
        known = mine[mine["values"] >= 2]
        findings += [_gap_finding(evidence, row, cells, policy) for _, row in known.iterrows()]
        missing = [str(label) for label in mine.loc[mine["values"] < 2, "label"] if label]
        if missing:
            findings.append(_too_small(group, missing, policy))
    for group in dict.fromkeys(table["group"]):
        if group in set(evidence.groups):
            continue
        mine = table[(table["group"] == group) & (table["values"] >= 2)]
        beyond = [_beyond(row, alone, policy) for _, row in mine.iterrows()]
        findings += [
            _gap_finding(evidence, row, cells, policy)
            for (_, row), more in zip(mine.iterrows(), beyond, strict=True)
            if more
        ]
    return findings


def _beyond(row: pd.Series, alone: pd.DataFrame, policy: Policy) -> bool:
    """Whether two columns together show a gap that neither shows: it is reported only then."""
    parts = str(row["group"]).split(BETWEEN)
    single = alone.loc[(alone["label"] == row["label"]) & alone["group"].isin(parts), "gap"]
    return _gap_status(row, policy) == "issue" and bool(row["gap_low"] > single.max() + policy.least_gap)


def _gap_status(row: pd.Series, policy: Policy) -> Status:
    if math.isnan(row["gap_low"]):
        return "insufficient"
    if row["gap_low"] > 0 and row["q"] <= policy.level:
        return "issue" if row["gap"] >= policy.least_gap else "tip"
    return "passed" if row["ratio_low"] >= policy.fair_ratio else "insufficient"


def _gap_finding(evidence: Evidence, row: pd.Series, cells: pd.DataFrame, policy: Policy) -> Finding:
    status = _gap_status(row, policy)
    label, group = str(row["label"]), str(row["group"])
    gap, low, high, p, q = (float(row[name]) for name in ("gap", "gap_low", "gap_high", "p", "q"))
    effect = Effect("accuracy_gap", gap, low, high, p, q, int(row["n"]))
    answers: dict[str, Said] = {"issue": "yes", "tip": "yes", "passed": "no"}
    shown, against = _gap_exemplars(evidence, label, group, str(row["worst"]), policy)
    return finding(
        WORST_GROUP,
        status,
        _gap_title(row, cells, status, policy),
        _gap_advice(row, status, effect, policy),
        rung="harms" if status in {"issue", "tip"} else None,
        severity=effect.estimate if status == "issue" else 0.0,
        target_class=label or None,
        group={group: str(row["worst"])},
        effect=effect,
        evidence={"harms": effect},
        answers={"harms": answers.get(status, "open")},
        samples=shown,
        counter_samples=against,
    )


def _gap_title(row: pd.Series, cells: pd.DataFrame, status: Status, policy: Policy) -> str:
    label, group, worst, best = (str(row[name]) for name in ("label", "group", "worst", "best"))
    about = f"In images of {label}" if label else "Over all labels"
    cell = cells[(cells["label"] == label) & (cells["group"] == group) & (cells["value"] == worst)].iloc[0]
    rates = (
        f"{share(row['worst_accuracy'])} of the {row['n_worst']} images with {group}: {worst} are right, and "
        f"{share(row['best_accuracy'])} of the {row['n_best']} with {best}"
    )
    interval = f"{100 * row['gap_low']:.0f} to {100 * row['gap_high']:.0f} points"
    mistake = ""
    if cell["mistaken_for"] and status == "issue":
        mistake = f"; {share(cell['mistaken_share'])} are taken for {cell['mistaken_for']}"
    warned = ""
    if min(row["n_worst"], row["n_best"]) < FEW:
        warned = f" One of these groups has fewer than {FEW} images: read the figures with care."
    if row["left_out"]:
        warned += f" {row['left_out']} value(s) with fewer than {policy.least_samples} images were left out."
    if status == "insufficient":
        return f"{about}, it cannot be said whether groups fare alike: {rates}, which leaves {interval} open.{warned}"
    if status == "passed":
        return f"{about}, no value of {group} is classified much worse: {rates} ({interval} apart).{warned}"
    ratio = f"a ratio of {row['ratio']:.2f}, where {policy.fair_ratio:g} to {1 / policy.fair_ratio:g} counts as alike"
    return f"{about}, {rates}: {interval} apart, {ratio}{mistake}.{warned}"


def _gap_advice(row: pd.Series, status: Status, effect: Effect, policy: Policy) -> str:
    worst, group = row["worst"], row["group"]
    if status == "issue":
        of = f" of {row['label']}" if row["label"] else ""
        return (
            f"Collect more images{of} with {group}: {worst}, weigh them up in training, or retrain the last layer on data in which "
            "all groups are equally frequent; look at the exemplars first."
        )
    if status == "insufficient":
        wanted = enough(effect, policy.least_gap * 1.5)
        return f"About {wanted} images of this kind would do." if wanted else "Add images of every group."
    return "Nothing has to be done."


def _gap_exemplars(
    evidence: Evidence, label: str, group: str, worst: str, policy: Policy
) -> tuple[list[str], list[str]]:
    """Errors of the worst group, the surest first, and what is right in it, the surest first."""
    known = judged(evidence.samples)
    inside = known[
        (crossed(known, group.split(BETWEEN)) == worst) & ((known["label"] == label) if label else True)
    ]
    ordered = inside.sort_values(["confidence", "sample"], ascending=[False, True], kind="stable")
    right = ordered["correct"].astype(bool)
    names = ordered["sample"].astype(str)
    return list(names[~right])[: policy.exemplars], list(names[right])[: policy.exemplars]


def _too_small(group: str, labels: Sequence[str], policy: Policy) -> Finding:
    several = listed(labels) if len(labels) <= 5 else f"{len(labels)} labels"
    title = (
        f"Whether the values of {group} are classified alike within {several} cannot be said: fewer than two of them have "
        f"{policy.least_samples} images there."
    )
    advice = f"At least {policy.least_samples} images of two values are needed in each label, and {FEW} are better."
    return finding(WORST_GROUP, "insufficient", title, advice, group={group: ""})
