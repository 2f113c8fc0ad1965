"""CAM401 to CAM404: who is classified worse, and whether the data let one expect it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.findings.association import association_finding
from camaudit.findings.building import finding
from camaudit.findings.codes import ASSOCIATION, CONFLICTING, REVERSAL, WORST_GROUP
from camaudit.findings.conflicting import conflicting_findings
from camaudit.findings.gaps import worst_findings
from camaudit.findings.reversal import reversal_finding
from camaudit.statistics.harms import (
    Association,
    judged,
    pmi,
)

if TYPE_CHECKING:
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding


def harms_findings(evidence: Evidence, policy: Policy) -> list[Finding]:
    """Who pays, one column of groups after the other."""
    why = _nothing(evidence)
    if why:
        advice = "Name group columns in data.columns.groups, and label the images."
        return [
            finding(code, "not_applicable", f"{what} was not examined: {why}.", advice)
            for code, what in (
                (WORST_GROUP, "Whether a group is classified worse"),
                (CONFLICTING, "Whether bias-conflicting images fare worse"),
                (REVERSAL, "Whether a comparison of groups turns round within labels"),
                (ASSOCIATION, "Whether groups go with the label"),
            )
        ]
    associations = _associations(evidence)
    return [
        *worst_findings(evidence, policy),
        *conflicting_findings(evidence, policy, associations),
        *(reversal_finding(evidence, group, policy) for group in evidence.groups),
        *(association_finding(evidence, group, associations[group], policy) for group in evidence.groups),
    ]


def _nothing(evidence: Evidence) -> str:
    if not evidence.groups:
        return "the data have no group column"
    if "label" not in evidence.samples or "correct" not in evidence.samples:
        return "the run has no labels"
    if judged(evidence.samples).empty:
        return "no image has a label that a prediction could be right about"
    return ""


def _associations(evidence: Evidence) -> dict[str, tuple[Association, str]]:
    """By group column how closely it goes with the label, and in which data: the training set's, where it is known."""
    found = {}
    for group in evidence.groups:
        column = f"group_{group}"
        training = evidence.training
        if training is not None and column in training:
            found[group] = (pmi(training, "label", column, seed=evidence.seed), "training")
        else:
            found[group] = (pmi(judged(evidence.samples), "label", column, seed=evidence.seed), "audited")
    return found
