"""Pairs of samples of two groups that are alike in everything that was measured: weaker than an edit, better than means."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camaudit.statistics.stratified import LEAST, NOTHING, Difference, mean_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIPER = 0.2
"""Standard deviations of the linear propensity within which two samples may be a pair (Austin 2011)."""


class Paired(NamedTuple):
    """Second group minus first over matched pairs.

    Attributes:
        difference: within labels, each label as `camaudit.statistics.stratified.class_differences` weighs it.
        by: what the pairs have in common beside the label, in words.
    """

    difference: Difference
    by: str


def paired_differences(
    values: NDArray[np.float64],
    second: NDArray[np.bool_],
    compared: NDArray[np.bool_],
    labels: NDArray[np.object_],
    *,
    covariates: NDArray[np.float64],
    subjects: NDArray[np.object_] | None,
    of: str,
    seed: int,
) -> Paired:
    """Difference of two groups over pairs of the same label: of one subject where subjects are in both, else alike in looks.

    Args:
        values: (n,) margin of the class `of`.
        second: (n,) whether a sample is of the second group.
        compared: (n,) which samples are of either.
        labels: (n,) class of each sample.
        covariates: (n, looks); a column with NaN or without variation is left out.
        subjects: (n,) or None.
        of: the class whose own images weigh a half.
        seed: of the permutations of the pairs.
    """
    pairs, by = _by_subject(second, compared, labels, subjects), "subject"
    if len(pairs) < LEAST:
        pairs, by = _by_looks(second, compared, labels, covariates), "much the same look"
    if not len(pairs):
        return Paired(NOTHING, by)
    order = pairs.ravel()
    sizes = pd.Series(labels[pairs[:, 0]]).value_counts()
    whole = float(sizes.drop(of, errors="ignore").sum())
    weights = {str(label): 0.5 * n / whole for label, n in sizes.items() if label != of} | {of: 0.5}
    found = mean_difference(
        values[order],
        second[order],
        labels[order],
        # the pair is the unit, within which the groups are exchangeable
        np.repeat(np.arange(len(pairs)), 2).astype(object),
        weights=weights,
        seed=seed,
    )
    both = of in found.strata and len(found.strata) > 1
    return Paired(found if both else NOTHING, by)


def _by_subject(
    second: NDArray[np.bool_],
    compared: NDArray[np.bool_],
    labels: NDArray[np.object_],
    subjects: NDArray[np.object_] | None,
) -> NDArray[np.int64]:
    """One pair for every label x subject that has both, (pairs, 2): the first sample of each group."""
    if subjects is None:
        return np.empty((0, 2), dtype=np.int64)
    table = pd.DataFrame(
        {"label": labels, "subject": subjects, "second": second, "at": np.arange(len(labels))}
    )
    first = table[compared].dropna().groupby(["label", "subject", "second"], sort=True)["at"].first()
    wide = first.reset_index().pivot_table(index=["label", "subject"], columns="second", values="at")
    if wide.shape[1] < 2:
        return np.empty((0, 2), dtype=np.int64)
    return wide.dropna().to_numpy(dtype=np.int64)


def _by_looks(
    second: NDArray[np.bool_],
    compared: NDArray[np.bool_],
    labels: NDArray[np.object_],
    covariates: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Nearest neighbours in propensity within each label, without replacement, within the caliper, (pairs, 2)."""
    usable = np.isfinite(covariates[compared]).all(0) & (np.ptp(covariates[compared], axis=0) > 0)
    found = []
    for label in sorted(set(labels[compared])):
        inside = np.flatnonzero(compared & (labels == label))
        sides = second[inside]
        if min(sides.sum(), (~sides).sum()) < LEAST:
            continue
        score = _propensity(covariates[np.ix_(inside, usable)], sides)
        found += [(inside[one], inside[other]) for one, other in _nearest(score, sides)]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _propensity(covariates: NDArray[np.float64], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The linear propensity of the second group, in its standard deviations, (n,); 0 where nothing tells."""
    from sklearn.linear_model import LogisticRegression

    spread = covariates.std(0)
    scaled = (covariates - covariates.mean(0))[:, spread > 0] / spread[spread > 0]
    if not scaled.shape[1]:
        return np.zeros(len(second))
    linear = LogisticRegression(max_iter=1000).fit(scaled, second).decision_function(scaled)
    deviation = float(linear.std())
    return np.asarray((linear - linear.mean()) / deviation if deviation > 0 else linear * 0, dtype=np.float64)


def _nearest(score: NDArray[np.float64], second: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Greedy pairs (first, second), those of the second group that are hardest to match first."""
    free = np.flatnonzero(~second)
    free = free[np.argsort(score[free], kind="stable")]
    available = score[free]
    pairs = []
    for one in sorted(np.flatnonzero(second), key=lambda at: -abs(score[at])):
        if not free.size:
            break
        place = int(np.searchsorted(available, score[one]))
        near = [at for at in (place - 1, place) if 0 <= at < free.size]
        best = min(near, key=lambda at: abs(available[at] - score[one]))
        if abs(available[best] - score[one]) <= CALIPER:
            pairs.append((int(free[best]), int(one)))
            free, available = np.delete(free, best), np.delete(available, best)
    return pairs
