"""Who pays: accuracy, confidence and kinds of error per group, and how they follow the label x group association."""

from __future__ import annotations

import hashlib
import math
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camaudit.statistics.effects import MINIMUM, distinct
from camaudit.statistics.groups import association_of
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.rates import gap, rate, wilson
from camaudit.statistics.stratified import NOTHING, Difference, mean_difference, rate_difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from camaudit.types import Effect

BETWEEN = " × "
CELLS = {
    **dict.fromkeys(("label", "group", "value"), "str"),
    "n": "int64",
    **dict.fromkeys(("accuracy", "low", "high", "confidence"), "float64"),
    "mistaken_for": "str",
    "mistaken_share": "float64",
}
GAPS = {
    **dict.fromkeys(("label", "group", "worst", "best"), "str"),
    **dict.fromkeys(("worst_accuracy", "best_accuracy"), "float64"),
    **dict.fromkeys(("gap", "gap_low", "gap_high", "ratio", "ratio_low", "ratio_high", "p", "q"), "float64"),
    **dict.fromkeys(("n", "n_worst", "n_best", "values", "left_out"), "int64"),
}


def crossings(groups: Sequence[str]) -> list[tuple[str, ...]]:
    """Every group column alone, then every two of them."""
    return [*((group,) for group in groups), *combinations(groups, 2)]


def crossed(samples: pd.DataFrame, groups: Sequence[str]) -> NDArray[np.object_]:
    """The value of each sample in one or several group columns, such as ``woman × old``; empty where one is missing."""
    columns = [samples[f"group_{group}"].fillna("").astype(str) for group in groups]
    found = columns[0]
    for column in columns[1:]:
        found = (found + BETWEEN + column).where((found != "") & (column != ""), "")
    return found.to_numpy(dtype=object)


def judged(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples whose prediction is right or wrong."""
    return samples[samples["label"].notna() & samples["correct"].notna()]


def cell_table(samples: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Accuracy, confidence and the commonest mistake per label x value, of every group column and every two of them.

    Rows with an empty label are over all labels, rows with an empty group over all groups. Of a label of two classes
    1 − accuracy is the false negative rate of that class and the false positive rate of the other. A cell of fewer than
    `MINIMUM` samples has only its n.

    Args:
        samples: the run's samples table.
        groups: names of the group columns, without ``group_``.

    Returns:
        Columns `CELLS`: ``confidence`` is the mean; ``mistaken_for`` the class that errors are most often taken for
        and ``mistaken_share`` its share of the cell; ``low`` and ``high`` Wilson's interval of the accuracy.
    """
    known = judged(samples)
    labels = known["label"].to_numpy(dtype=object)
    rows: list[tuple[object, ...]] = []
    columns = [("", np.full(len(known), "", dtype=object))]
    columns += [(BETWEEN.join(names), crossed(known, names)) for names in crossings(groups)]
    for label in ("", *sorted(set(labels))) if len(known) else ():
        in_label = np.full(len(known), fill_value=True) if label == "" else labels == label
        for group, column in columns:
            for value in distinct(column) if group else [""]:
                inside = in_label & (column == value)
                if inside.any():
                    rows.append((label, group, value, *_cell(known[inside])))
    return pd.DataFrame(rows, columns=list(CELLS)).astype(CELLS)


def _cell(table: pd.DataFrame) -> tuple[int, float, float, float, float, str, float]:
    n = len(table)
    if n < MINIMUM:
        return n, math.nan, math.nan, math.nan, math.nan, "", math.nan
    known = rate(table["correct"].to_numpy(dtype=bool), _subjects(table))
    wrong = table.loc[~table["correct"].astype(bool), "predicted"].dropna().astype(str)
    common = wrong.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    name, share = (str(common.index[0]), float(common.iloc[0]) / n) if len(common) else ("", 0.0)
    return n, known.share, *wilson(known), float(table["confidence"].mean()), name, share


def group_gaps(samples: pd.DataFrame, groups: Sequence[str], *, seed: int) -> pd.DataFrame:
    """How far the accuracies of a group column's values lie apart, within each label and over all labels.

    Worst value, largest difference and smallest ratio as Fairlearn names them. Their intervals hold for the largest of
    several differences (see `camaudit.statistics.rates`); p is a permutation's of the groups, within labels; q is
    Benjamini-Hochberg's over the table. Values with fewer than `MINIMUM` samples are left out and counted; where
    fewer than two are left, the row has only its numbers.

    Args:
        samples: the run's samples table.
        groups: names of the group columns, without ``group_``; every two of them are crossed too.
        seed: of the permutations, with a row's own key.

    Returns:
        Columns `GAPS`; ``group`` is a column's name, or two with ``×`` between.
    """
    known = judged(samples)
    rows = [
        (label, group, *_gap(table, column, seed=_seed(label, group, seed)))
        for label, group, table, column in _groupings(known, groups)
    ]
    table = pd.DataFrame(rows, columns=[name for name in GAPS if name != "q"])
    table.insert(list(GAPS).index("q"), "q", benjamini_hochberg(table["p"].astype(float)))
    return table.astype(GAPS)


def _seed(label: str, group: str, seed: int) -> int:
    """A seed that depends on a row's own key, whatever other rows there are."""
    text = "\x1f".join((label, group, str(seed)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _groupings(
    known: pd.DataFrame, groups: Sequence[str]
) -> Iterator[tuple[str, str, pd.DataFrame, NDArray[np.object_]]]:
    labels = known["label"].to_numpy(dtype=object)
    for names in crossings(groups):
        column = crossed(known, names)
        for label in ("", *sorted(set(labels))) if len(set(labels)) > 1 else sorted(set(labels)):
            inside = (column != "") & ((labels == label) if label else True)
            yield label, BETWEEN.join(names), known[inside], column[inside]


def _gap(table: pd.DataFrame, column: NDArray[np.object_], *, seed: int) -> tuple[object, ...]:
    nan = math.nan
    values, counts = np.unique(column.astype(str), return_counts=True)
    several, left_out = int((counts >= MINIMUM).sum()), int((counts < MINIMUM).sum())
    if several < 2:
        return ("", "", *[nan] * 9, len(table), 0, 0, several, left_out)
    kept = np.isin(column.astype(str), values[counts >= MINIMUM])
    table, column = table[kept], column[kept]
    hits = table["correct"].to_numpy(dtype=bool)
    found = gap(hits, column, table["label"].to_numpy(dtype=object), _subjects(table), seed=seed)
    of = {name: hits[column == name] for name in (found.worst, found.best)}
    return (
        found.worst,
        found.best,
        *(float(of[name].mean()) for name in (found.worst, found.best)),
        *found.difference[:3],
        *found.ratio[:3],
        found.p,
        len(table),
        *(len(of[name]) for name in (found.worst, found.best)),
        several,
        left_out,
    )


# ------------------------------------------------------------------ what goes with the label


class Association(NamedTuple):
    """How closely a group column goes with the label.

    Attributes:
        effect: Cramer's V, see `camaudit.statistics.association`.
        counts: (labels, values), of the table it was counted in.
        information: pointwise mutual information of every cell in bits, log2 of what is there over what independence
            would give; −inf where there is nothing.
    """

    effect: Effect
    counts: pd.DataFrame
    information: pd.DataFrame


def pmi(table: pd.DataFrame, label: str, group: str, *, seed: int) -> Association:
    """How closely two columns of a table go together; rows where one is missing are left out."""
    known = table[[label, group]].dropna().astype(str)
    counts = pd.crosstab(known[label], known[group])
    effect = association_of(counts.to_numpy(dtype=np.int64), seed=seed)
    n = counts.to_numpy().sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(n, 1)
    with np.errstate(divide="ignore"):
        bits = np.log2(counts / expected) if counts.size else counts.astype(float)
    return Association(effect, counts, bits)


def alignment(samples: pd.DataFrame, group: str, information: pd.DataFrame) -> NDArray[np.object_]:
    """True where a sample's value is over-represented in its label (bias-aligned), False where it is under-represented.

    None where it is neither, or where label or value does not occur in `information`.
    """
    bits = {
        (str(label), str(value)): float(of)
        for label, row in information.iterrows()
        for value, of in row.items()
    }
    pairs = zip(samples["label"].astype(object), samples[f"group_{group}"].astype(object), strict=True)
    found = [bits.get((str(label), str(value)), 0.0) for label, value in pairs]
    return np.array([None if of == 0 else of > 0 for of in found], dtype=object)


class Aligned(NamedTuple):
    """Bias-aligned against bias-conflicting samples.

    Attributes:
        accuracy: aligned minus conflicting, within labels.
        margin: the same of the margin of the label's class, in its standard deviations.
        aligned: accuracy and number of the aligned samples.
        conflicting: the same of the conflicting ones.
        is_aligned: by sample, see `alignment`.
    """

    accuracy: Difference
    margin: Difference
    aligned: tuple[float, int]
    conflicting: tuple[float, int]
    is_aligned: pd.Series


def aligned_conflicting(
    samples: pd.DataFrame, group: str, information: pd.DataFrame, margin: pd.Series, *, seed: int
) -> Aligned:
    """How much better the model does where the group's value is the usual one of the label.

    Args:
        samples: the run's samples table.
        group: name of the group column, without ``group_``.
        information: pointwise mutual information, of `pmi`.
        margin: by the index of `samples`, the margin of the label's class in its standard deviations.
        seed: of the permutations.
    """
    known = judged(samples)
    sides = pd.Series(alignment(known, group, information), index=known.index, dtype=object)
    by_sample = pd.Series(sides.to_numpy(), index=known["sample"])
    known, sides = known[sides.notna()], sides[sides.notna()].astype(bool)
    hits, labels = known["correct"].to_numpy(dtype=bool), known["label"].to_numpy(dtype=object)
    usual, subjects = sides.to_numpy(dtype=bool), _subjects(known)
    if not len(known):
        return Aligned(NOTHING, NOTHING, (math.nan, 0), (math.nan, 0), by_sample)
    values = margin.loc[known.index].to_numpy(dtype=np.float64)
    sizes = [(_mean(hits[usual == side]), int((usual == side).sum())) for side in (True, False)]
    return Aligned(
        rate_difference(hits, usual, labels, subjects, seed=seed),
        mean_difference(values, usual, labels, subjects, seed=seed + 1),
        sizes[0],
        sizes[1],
        by_sample,
    )


def _mean(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if hits.size else math.nan


# ------------------------------------------------------------------ reversals


class Reversal(NamedTuple):
    """The accuracy of one value of a group against the others, all labels together and within labels.

    Attributes:
        value: of the group.
        pooled: accuracy of the value minus that of the others.
        within: the same within labels (Mantel-Haenszel).
    """

    value: str
    pooled: Difference
    within: Difference

    @property
    def reversed(self) -> bool:
        """Whether both intervals lie away from zero, on different sides."""
        up, down = self.pooled.low > 0, self.pooled.high < 0
        return (up and self.within.high < 0) or (down and self.within.low > 0)


def simpson(samples: pd.DataFrame, group: str, *, seed: int) -> list[Reversal]:
    """Simpson's paradox: is a value better off over all labels and worse off within them, or the other way round?

    One entry for every value with enough samples, of two values only for the first. A reversal needs two intervals away
    from zero at once, so that it is rarer under the null than either.

    Args:
        samples: the run's samples table.
        group: name of the group column, without ``group_``.
        seed: of the permutations.
    """
    known = judged(samples)
    known = known[known[f"group_{group}"].notna()]
    hits, labels = known["correct"].to_numpy(dtype=bool), known["label"].to_numpy(dtype=object)
    column, subjects = known[f"group_{group}"].astype(str).to_numpy(dtype=object), _subjects(known)
    values = distinct(column)
    found = []
    for value in values[:1] if len(values) == 2 else values if len(values) > 2 else []:
        inside = column == value
        together = np.full(len(known), "", dtype=object)
        # of a reversal the intervals decide alone
        pooled = rate_difference(hits, inside, together, subjects, seed=seed, permutations=1)
        within = rate_difference(hits, inside, labels, subjects, seed=seed, permutations=1)
        if pooled.n and within.n:
            found.append(Reversal(value, pooled, within))
    return found


def _subjects(table: pd.DataFrame) -> NDArray[np.object_] | None:
    if "subject" not in table or not table["subject"].notna().any():
        return None
    return table["subject"].astype(object).where(table["subject"].notna(), None).to_numpy(dtype=object)
