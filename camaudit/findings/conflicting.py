"""CAM402: bias-conflicting images fare worse than bias-aligned ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings.building import effect_of, enough, finding, points, share, signed
from camaudit.findings.codes import CONFLICTING
from camaudit.findings.outcomes import Outcomes, outcomes
from camaudit.statistics.harms import (
    Aligned,
    Association,
    aligned_conflicting,
)
from camaudit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect, Finding, Said, Status

LEAST_ASSOCIATION = 0.1
"""Cramer's V below which label and group go together so little that no image is called bias-aligned."""


def conflicting_findings(
    evidence: Evidence, policy: Policy, associations: Mapping[str, tuple[Association, str]]
) -> list[Finding]:
    """One finding a group column: bias-conflicting images against bias-aligned ones."""
    outcome = outcomes(evidence)
    tried: list[tuple[str, Aligned, str]] = []
    findings = []
    for group, (association, where) in associations.items():
        why = outcome if isinstance(outcome, str) else _unaligned(group, association, where, policy)
        if why:
            advice = "Name the training set's table in audit.training, where the association lies there."
            findings.append(
                finding(CONFLICTING, "not_applicable", f"No image is bias-aligned by {group}: {why}.", advice)
            )
        elif not isinstance(outcome, str):
            margin = pd.Series(outcome.own, index=outcome.samples.index)
            found = aligned_conflicting(
                outcome.samples, group, association.information, margin, seed=evidence.seed
            )
            tried.append((group, found, where))
    q = benjamini_hochberg([found.accuracy.p for _, found, _ in tried])
    if not isinstance(outcome, str):
        findings += [
            _aligned_finding(
                outcome,
                group,
                found,
                where,
                effect=effect_of("accuracy", found.accuracy, float(adjusted)),
                policy=policy,
            )
            for (group, found, where), adjusted in zip(tried, q, strict=True)
        ]
    return findings


def _unaligned(group: str, association: Association, where: str, policy: Policy) -> str:
    effect = association.effect
    if math.isnan(effect.estimate):
        return f"label and {group} have fewer than two values, or fewer than {policy.least_samples} {where} images have both"
    if effect.p > policy.level or effect.estimate < LEAST_ASSOCIATION:
        return (
            f"in the {where} images it hardly goes with the label (Cramér's V {effect.estimate:.2f}, "
            f"{effect.low:.2f} to {effect.high:.2f})"
        )
    return ""


def _aligned_finding(
    outcome: Outcomes, group: str, found: Aligned, where: str, *, effect: Effect, policy: Policy
) -> Finding:
    margin = effect_of("margin", found.margin)
    status = _aligned_status(effect, policy)
    (usual, n_usual), (unusual, n_unusual) = found.aligned, found.conflicting
    of = f"the usual one of the label in the {where} images"
    if status == "insufficient" and not effect.n:
        title = (
            f"Whether images whose {group} is not {of} fare worse cannot be said: there are {n_unusual} of them, and "
            f"{policy.least_samples} a label are needed."
        )
        advice = (
            f"Add images whose {group} contradicts the label, at least {policy.least_samples} of each label."
        )
        return finding(CONFLICTING, status, title, advice, group={group: ""})
    title = (
        f"Where {group} is {of}, {share(usual)} of {n_usual} images are right, and {share(unusual)} of the {n_unusual} where it is "
        f"not: {signed(100 * effect.estimate)[:-3]} points ({points(effect)}) within labels"
    )
    if margin.n and not math.isnan(margin.low):
        title += f", and {signed(margin.estimate)} SD ({signed(margin.low)} to {signed(margin.high)}) of the margin"
    samples, counter = _aligned_exemplars(outcome, found, policy)
    answers: dict[str, Said] = {"issue": "yes", "tip": "yes", "passed": "no"}
    wanted = enough(effect, policy.least_gap)
    return finding(
        CONFLICTING,
        status,
        f"{title}.",
        _aligned_advice(group, status, wanted),
        rung="harms" if status == "issue" else None,
        severity=abs(effect.estimate) if status == "issue" else 0.0,
        group={group: ""},
        effect=effect,
        evidence={"harms": effect},
        answers={"harms": answers.get(status, "open")},
        samples=samples,
        counter_samples=counter,
    )


def _aligned_status(effect: Effect, policy: Policy) -> Status:
    if math.isnan(effect.low):
        return "insufficient"
    if effect.low > 0 and effect.q <= policy.level:
        return "issue" if effect.estimate >= policy.least_gap else "tip"
    return "passed" if effect.high < 2 * policy.least_gap else "insufficient"


def _aligned_exemplars(outcome: Outcomes, found: Aligned, policy: Policy) -> tuple[list[str], list[str]]:
    """Conflicting images with the lowest margin of their label, and those with the highest."""
    sides = found.is_aligned.reindex(outcome.samples["sample"]).to_numpy(dtype=object)
    against = np.array([side is False for side in sides])
    own = pd.Series(outcome.own, index=outcome.samples["sample"].astype(str))[against].sort_values(
        kind="stable"
    )
    half = len(own) // 2
    names = [str(name) for name in own.index]
    return names[: min(policy.exemplars, len(own) - half)], names[::-1][: min(policy.exemplars, half)]


def _aligned_advice(group: str, status: Status, wanted: int | None) -> str:
    if status == "issue":
        return (
            f"Collect training images whose {group} contradicts the label, or rebalance so that {group} does not tell it; "
            "retraining the last layer on balanced data often suffices."
        )
    if status == "insufficient":
        return f"About {wanted} images of this kind would do." if wanted else "Add bias-conflicting images."
    return "Nothing has to be done."
