"""What is compared between groups of samples: the margins of the classes, and who can be compared at all."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.stratified import Difference, class_differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Status


@dataclass(frozen=True)
class Outcomes:
    """The labelled samples of an audit and how strongly each speaks for each class.

    Attributes:
        samples: those with a label and a prediction that is right or wrong.
        labels: (n,) class of each.
        margins: by class (n,) score minus the best other score, in its standard deviations over these samples.
        subjects: (n,) or None where samples share none.
        units: by class one standard deviation of its margin, in units of the score.
    """

    samples: pd.DataFrame
    labels: NDArray[np.object_]
    margins: Mapping[str, NDArray[np.float64]]
    subjects: NDArray[np.object_] | None
    units: Mapping[str, float]

    @property
    def own(self) -> NDArray[np.float64]:
        """The margin of each sample's own label, (n,)."""
        found = np.full(len(self.labels), np.nan)
        for name, values in self.margins.items():
            mine = self.labels == name
            found[mine] = values[mine]
        return found


def outcomes(evidence: Evidence) -> Outcomes | str:
    """What can be compared, or why nothing can."""
    samples, classes = evidence.samples, list(evidence.classes)
    if "label" not in samples or "correct" not in samples:
        return "the run has no labels"
    known = samples[samples["label"].notna() & samples["correct"].notna()].reset_index(drop=True)
    if known.empty:
        return "no image has a label that a prediction could be right about"
    labels = known["label"].astype(str).to_numpy(dtype=object)
    if not set(labels) <= set(classes):
        return "images have several labels, or labels that are no classes of the model"
    scores = known[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    if not np.isfinite(scores).all():
        return "some scores are not numbers"
    raw = {name: _margin(scores, index) for index, name in enumerate(classes)}
    units = {name: float(values.std()) for name, values in raw.items()}
    if not all(unit > 0 for unit in units.values()):
        return "the model gives every image the same scores"
    subjects = None
    if "subject" in known and known["subject"].notna().any():
        column = known["subject"].astype(object)
        subjects = column.where(column.notna(), None).to_numpy(dtype=object)
    margins = {name: values / units[name] for name, values in raw.items()}
    return Outcomes(known, labels, margins, subjects, units)


def _margin(scores: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    margin: NDArray[np.float64] = scores[:, index] - np.delete(scores, index, axis=1).max(axis=1)
    return margin


@dataclass(frozen=True)
class Contrast:
    """How much more one side of a comparison speaks for a class, whatever the label.

    Attributes:
        name: of what is compared.
        target_class: the class that `found` is about; empty where no class could be compared.
        found: second side minus first, in SD of the margin.
        q: after Benjamini-Hochberg over all comparisons and classes.
        second: (n,) which samples are on the second side; the others, where `compared`, on the first.
        compared: (n,) which samples are on either side.
    """

    name: str
    target_class: str
    found: Difference
    q: float
    second: NDArray[np.bool_]
    compared: NDArray[np.bool_]

    def reverse(self, other: str) -> Contrast:
        """The same said of the other of two classes."""
        found = self.found
        strata = {label: -apart for label, apart in found.strata.items()}
        turned = Difference(-found.estimate, -found.high, -found.low, found.p, found.n, strata)
        return replace(self, target_class=other, found=turned)

    def with_q(self, q: float) -> Contrast:
        """The same with an adjusted p."""
        return replace(self, q=q)


def contrasts(
    outcome: Outcomes,
    sides: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    *,
    seeds: Sequence[int],
) -> dict[str, Contrast]:
    """The strongest contrast of each comparison: that whose interval keeps farthest from zero.

    Args:
        outcome: the samples.
        sides: by name (n,) which samples are on the second side, and (n,) which are compared at all.
        seeds: one for each comparison.
    """
    tried: list[tuple[str, str, Difference]] = []
    for (name, (second, compared)), seed in zip(sides.items(), seeds, strict=True):
        found = class_differences(
            {of: values[compared] for of, values in outcome.margins.items()},
            second[compared],
            outcome.labels[compared],
            None if outcome.subjects is None else outcome.subjects[compared],
            seed=seed,
        )
        tried += [(name, of, difference) for of, difference in found.items()]
    q = benjamini_hochberg([difference.p for _, _, difference in tried])
    best: dict[str, Contrast] = {}
    for (name, of, difference), adjusted in zip(tried, q, strict=True):
        one = Contrast(name, of if difference.n else "", difference, float(adjusted), *sides[name])
        if name not in best or _farther(difference, best[name].found):
            best[name] = one
    return {name: towards(one, list(outcome.margins)) for name, one in best.items()}


def _farther(one: Difference, other: Difference) -> bool:
    if not one.n or not other.n:
        return one.n > 0
    reach = [
        (max(found.low, -found.high), abs(found.estimate)) for found in (one, other)
    ]  # of two that hold zero the larger
    return reach[0] > reach[1]


def towards(one: Contrast, classes: Sequence[str]) -> Contrast:
    """The same contrast, of two classes said of the one that the second side speaks for."""
    if len(classes) != 2 or not one.target_class or one.found.estimate >= 0:
        return one
    return one.reverse(classes[1] if one.target_class == classes[0] else classes[0])


def answer(one: Contrast, policy: Policy) -> Status:
    """Whether a contrast is an issue, a tip (there, but small), absent, or undecided."""
    found = one.found
    if math.isnan(found.low) or math.isnan(found.p):
        return "insufficient"
    clear = max(found.low, -found.high) > 0 and one.q <= policy.level
    if clear and max(found.low, -found.high) > policy.least_look:
        return "issue"
    if max(abs(found.low), abs(found.high)) >= policy.most_look:
        return "insufficient"
    return "tip" if clear else "passed"


def speaking(outcome: Outcomes, one: Contrast) -> tuple[list[str], list[str]]:
    """Images of the side that speaks for the class by how far they do, beyond their label; the strongest, the weakest."""
    side = one.compared & (one.second if one.found.estimate > 0 else ~one.second)
    margin = pd.Series(outcome.margins[one.target_class])
    beyond = (margin - margin.groupby(outcome.labels).transform("mean"))[side]
    order = beyond.sort_values(ascending=False, kind="stable").index
    names = outcome.samples["sample"].astype(str)
    half = len(order) // 2
    return [names[i] for i in order[: len(order) - half]], [names[i] for i in order[::-1][:half]]
