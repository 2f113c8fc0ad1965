"""Who is classified worse, and how closely the groups go with the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from camaudit.statistics.effects import MINIMUM, distinct
from camaudit.statistics.intervals import Interval, mean_interval, proportion_interval
from camaudit.statistics.units import units
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

COLUMNS = {
    **dict.fromkeys(("label", "group", "value"), "str"),
    "n": "int64",
    **dict.fromkeys(("accuracy", "low", "high"), "float64"),
    "worst": "bool",
}


def group_table(samples: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Accuracy per label x group value, with its 95 % interval.

    The interval is Wilson's; where samples share subjects it is that of `mean_interval` over subjects. For
    fewer than `MINIMUM` subjects Wilson's stands as if every subject were one sample, which is at least as wide.

    Rows with an empty label are over all labels, rows with an empty group and value over all groups. A
    combination that does not occur has n = 0 and NaN. ``worst`` marks, for every group column, the cell of
    label x value with the lowest accuracy among those of at least `MINIMUM` samples: the worst group of the
    group-robustness literature (Sagawa et al. 2020); ties are all marked.

    Args:
        samples: the run's samples table; samples without a label or a prediction are left out.
        groups: names of the group columns, without ``group_``.
    """
    judged = samples[samples["label"].notna() & samples["correct"].notna()]
    labels = judged["label"].to_numpy(dtype=object)
    correct = judged["correct"].to_numpy(dtype=bool)
    subjects = judged["subject"].to_numpy(dtype=object) if "subject" in judged else None

    def row(label: str, group: str, value: str, inside: NDArray[np.bool_]) -> tuple[object, ...]:
        chosen = None if subjects is None else subjects[inside]
        found = _accuracy(correct[inside], chosen)
        return label, group, value, found.n, found.estimate, found.low, found.high, False

    rows = []
    for label in ("", *sorted(set(labels))):
        in_label = np.full(len(judged), fill_value=True) if label == "" else labels == label
        if len(judged):
            rows.append(row(label, "", "", in_label))
        for group in groups:
            column = judged[f"group_{group}"].fillna("").to_numpy(dtype=object)
            rows.extend(
                row(label, group, str(value), in_label & (column == value)) for value in distinct(column)
            )
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    for group in groups:
        cells = table[(table["label"] != "") & (table["group"] == group) & (table["n"] >= MINIMUM)]
        table.loc[cells.index[cells["accuracy"] == cells["accuracy"].min()], "worst"] = True
    return table


def _accuracy(correct: NDArray[np.bool_], subjects: NDArray[np.object_] | None) -> Interval:
    data = units(correct, subjects)
    several = data.sums.size
    if several == correct.size:
        return proportion_interval(int(correct.sum()), correct.size)
    if several >= MINIMUM:
        return mean_interval(correct, subjects, bounds=(0, 1))
    wide = proportion_interval(data.mean * several, several)
    return Interval(data.mean, wide.low, wide.high, data.n)


def association(samples: pd.DataFrame, group: str, *, seed: int = 0, resamples: int = 2000) -> Effect:
    """Cramer's V of label and group, bias-corrected (Bergsma 2013): 0 independent, 1 a fixed mapping.

    The interval is the percentile bootstrap over samples, and holds the estimate; p is that of the chi-squared test without
    continuity correction. All is NaN where label or group has fewer than two values, or for fewer than
    `MINIMUM` samples.

    Args:
        samples: the run's samples table.
        group: name of the group column, without ``group_``.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    known = samples[["label", f"group_{group}"]].dropna()
    counts = pd.crosstab(known["label"], known[f"group_{group}"]).to_numpy(dtype=np.int64)
    return association_of(counts, seed=seed, resamples=resamples)


def association_of(counts: NDArray[np.int64], *, seed: int = 0, resamples: int = 2000) -> Effect:
    """`association` from the contingency table (rows, columns) of two columns."""
    nan = float("nan")
    n = int(counts.sum())
    if n < MINIMUM or min(counts.shape) < 2:
        return Effect("cramers_v", nan, nan, nan, nan, nan, n)
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=resamples)
    low, high = np.quantile(_cramers_v(drawn.reshape(-1, *counts.shape)), [0.025, 0.975])
    p = float(chi2_contingency(counts, correction=False).pvalue)
    estimate = float(_cramers_v(counts[None])[0])
    # in a sparse table a resample goes more closely together than what it is drawn from
    return Effect("cramers_v", estimate, min(float(low), estimate), float(high), p, nan, n)


def _cramers_v(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bias-corrected V of each table (tables, rows, columns); 0 where all is in one row or column."""
    n = counts.sum(axis=(1, 2))
    rows, columns = counts.sum(axis=2), counts.sum(axis=1)
    expected = rows[:, :, None] * columns[:, None, :] / n[:, None, None]
    deviation = np.divide((counts - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0)
    height, width = (rows > 0).sum(axis=1), (columns > 0).sum(axis=1)
    phi = np.maximum(0, deviation.sum(axis=(1, 2)) / n - (height - 1) * (width - 1) / (n - 1))
    corrected = np.minimum(
        height - (height - 1) ** 2 / (n - 1),
        width - (width - 1) ** 2 / (n - 1),
    )
    squared = np.divide(phi, corrected - 1, out=np.zeros(len(phi)), where=corrected > 1)
    return np.asarray(np.sqrt(squared.clip(max=1)), dtype=np.float64)
