"""CAM404: how closely a group goes with the label, and what that lets one expect."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings.building import finding, share
from camaudit.findings.codes import ASSOCIATION
from camaudit.statistics.harms import (
    Association,
    judged,
)

if TYPE_CHECKING:
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding

from camaudit.findings.conflicting import LEAST_ASSOCIATION


def association_finding(
    evidence: Evidence, group: str, known: tuple[Association, str], policy: Policy
) -> Finding:
    """How closely one column goes with the label, what that predicts, and what is seen."""
    association, where = known
    effect = association.effect
    if math.isnan(effect.estimate):
        title = (
            f"Whether {group} goes with the label cannot be said: label or {group} has fewer than two values, or fewer than "
            f"{policy.least_samples} {where} images have both."
        )
        advice = (
            "Name the training set's table in audit.training, or audit images of several labels and groups."
        )
        return finding(ASSOCIATION, "insufficient", title, advice, group={group: ""}, effect=effect)
    size = f"Cramér's V {effect.estimate:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    if effect.p > policy.level or effect.estimate < LEAST_ASSOCIATION:
        title = f"In the {where} images {group} does not go with the label to speak of: {size}."
        advice = (
            "Nothing has to be done."
            if where == "training"
            else "Name the training set's table in audit.training: what a model learns lies there."
        )
        return finding(ASSOCIATION, "passed", title, advice, effect=effect)
    title = f"{_usual(association, group, where)}: {size}. {_predicted(evidence, group, association)}"
    return finding(
        ASSOCIATION,
        "tip",
        title,
        f"Whether the model has picked this up is what CAM402 answers; balance {group} within labels in the training set if it has.",
        group={group: ""},
        effect=effect,
    )


def _usual(association: Association, group: str, where: str) -> str:
    """Which value goes with each label most, for at most three labels."""
    counts, bits = association.counts, association.information
    said = []
    for label in list(bits.index)[:3]:
        value = bits.loc[label].idxmax()
        part = counts.loc[label, value] / counts.loc[label].sum()
        others = counts.drop(index=label)[value].sum() / max(counts.drop(index=label).to_numpy().sum(), 1)
        said.append(f"{share(part)} of {label} have {group}: {value} (elsewhere {share(others)})")
    more = f", and so on for {len(bits.index) - 3} more labels" if len(bits.index) > 3 else ""
    return f"In the {where} images " + ", ".join(said) + more


def _predicted(evidence: Evidence, group: str, association: Association) -> str:
    """What a model that knew the group alone would get right in the audited images, and what the model does."""
    known = judged(evidence.samples)
    known = known[known[f"group_{group}"].notna()]
    guess = association.counts.idxmax(axis=0)
    of = known[f"group_{group}"].astype(str).map(guess)
    if not len(known) or of.isna().any():
        return "The audited images have other values, so nothing follows for them."
    alone = float((of.to_numpy(dtype=object) == known["label"].astype(str).to_numpy(dtype=object)).mean())
    bits = association.information
    rarest = min(
        (
            (str(label), str(value), float(bits.loc[label, value]))
            for label in bits.index
            for value in bits.columns
        ),
        key=lambda cell: cell[2],
    )
    cell = known[(known["label"] == rarest[0]) & (known[f"group_{group}"] == rarest[1])]
    seen = ""
    if len(cell) >= 10:
        right, whole = float(cell["correct"].astype(bool).mean()), float(known["correct"].astype(bool).mean())
        seen = f"; seen: {share(right)} of its {len(cell)} audited images are right, against {share(whole)} of all"
    return (
        f"A model that knew only {group} would be right in {share(alone)} of the audited images, and worst at "
        f"{rarest[0]} with {group}: {rarest[1]}{seen}."
    )
