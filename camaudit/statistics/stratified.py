"""The difference of two groups within strata, such as labels, so that the groups' mix of labels says nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from camaudit.statistics.moments import Moments, limits
from camaudit.statistics.rates import PERMUTATIONS, Z, difference, rate, shuffles
from camaudit.statistics.units import subject_codes, units_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LEAST = 10  # values that a stratum needs on each side, as anywhere else where something is said of a cell
_PERMUTED = 10_000_000  # values permuted at most, within which the number of permutations is lowered


class Difference(NamedTuple):
    """Mean of the second group minus that of the first, within strata.

    Attributes:
        estimate: weighted over strata.
        low: lower end of the 95 % interval.
        high: upper end.
        p: of a permutation within strata.
        n: values in the strata that count.
        strata: by name the difference in each stratum that counts.
    """

    estimate: float
    low: float
    high: float
    p: float
    n: int
    strata: Mapping[str, float]


NOTHING = Difference(math.nan, math.nan, math.nan, math.nan, 0, {})


def mean_difference(
    values: NDArray[np.float64],
    second: NDArray[np.bool_],
    strata: NDArray[np.object_],
    subjects: NDArray[np.object_] | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Difference:
    """Difference of two means within strata, as Welch's of each.

    The interval is that of `camaudit.statistics.moments.limits` with the degrees of freedom of Welch (1947) and
    Satterthwaite and the skewness of the influences on the difference; where subjects are given, variance and skewness are
    those of the sums of their influences, and subjects count in place of values. p is a permutation's within
    strata of the same studentised difference (Janssen 1997), which keeps its size where the groups' spreads differ.

    Args:
        values: (n,); NaN are left out.
        second: (n,) whether a value is of the second group.
        strata: (n,) names; a stratum with fewer than `LEAST` values or subjects on a side does not count.
        subjects: (n,) identifiers; None: every value stands for itself.
        weights: of the strata, scaled to the sum of those that count; None: n1·n2/(n1 + n2), which is the most precise.
        seed: of the permutations.
        permutations: their number; fewer where there are more than 5,000 values.
    """
    usable = _usable(values, second, strata, subjects)
    if usable is None:
        return NOTHING
    kept = _sorted(usable, values, second, strata, subjects)
    values, second, strata = values[kept], second[kept], strata[kept]
    names, blocks = np.unique(strata.astype(str), return_inverse=True)
    subjects = None if subjects is None else subjects[kept]
    shares = _weights(second, blocks, names, weights)
    if not shares.sum() > 0:
        return NOTHING
    cells = 2 * blocks + second
    counts = np.bincount(cells, minlength=2 * len(names)).astype(np.float64)
    means = np.bincount(cells, weights=values, minlength=2 * len(names)) / counts
    apart = means[1::2] - means[::2]
    estimate = float(shares @ apart)
    influence = np.where(second, 1.0, -1.0) * shares[blocks] * (values - means[cells]) / counts[cells]
    error, freedom, askew = _error(influence, cells, subjects)
    by_name = {str(name): float(of) for name, of in zip(names, apart, strict=True)}
    if not error > 0:
        return Difference(
            estimate, estimate, estimate, 1.0 if estimate == 0 else math.nan, len(values), by_name
        )
    found = [np.array([of]) for of in (len(values), len(values), freedom + 1, estimate, error, askew)]
    low, high = (float(end[0]) for end in limits(Moments(*found)))
    rows = int(np.clip(_PERMUTED // len(values), 199, permutations)) if permutations > 199 else permutations
    p = _permutation(values, second, blocks, subjects, shares, seed=seed, count=rows)
    return Difference(estimate, low, high, p, len(values), by_name)


def rate_difference(
    hits: NDArray[np.bool_],
    second: NDArray[np.bool_],
    strata: NDArray[np.object_],
    subjects: NDArray[np.object_] | None = None,
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Difference:
    """Difference of two rates within strata: the Mantel-Haenszel risk difference.

    The interval is that of Newcombe in each stratum, combined by the method of variance estimates recovery (Zou and
    Donner 2008), so that it holds where all or none are hits; p is a permutation's within strata.

    Args:
        hits: (n,).
        second: as `mean_difference`.
        strata: as `mean_difference`.
        subjects: as `mean_difference`.
        seed: of the permutations.
        permutations: their number.
    """
    numbers = hits.astype(np.float64)
    usable = _usable(numbers, second, strata, subjects)
    if usable is None:
        return NOTHING
    kept = _sorted(usable, numbers, second, strata, subjects)
    numbers, hits, second, strata = numbers[kept], hits[kept], second[kept], strata[kept]
    subjects = None if subjects is None else subjects[kept]
    names, blocks = np.unique(strata.astype(str), return_inverse=True)
    shares = _weights(second, blocks, names, None)
    estimate = down = up = 0.0
    by_name = {}
    for index, (name, share) in enumerate(zip(names, shares, strict=True)):
        sides = [(blocks == index) & (second == side) for side in (True, False)]
        one, other = (rate(hits[of], None if subjects is None else subjects[of]) for of in sides)
        low, high = difference(one, other, Z)
        apart = one.share - other.share
        by_name[str(name)] = apart
        estimate += share * apart
        down += (share * (apart - low)) ** 2
        up += (share * (high - apart)) ** 2
    rows = int(np.clip(_PERMUTED // len(hits), 199, permutations)) if permutations > 199 else permutations
    p = _permutation(numbers, second, blocks, subjects, shares, seed=seed, count=rows)
    return Difference(estimate, estimate - math.sqrt(down), estimate + math.sqrt(up), p, len(hits), by_name)


def _usable(
    values: NDArray[np.float64],
    second: NDArray[np.bool_],
    strata: NDArray[np.object_],
    subjects: NDArray[np.object_] | None,
) -> NDArray[np.bool_] | None:
    """Which values count; None where none do."""
    known = np.isfinite(values) & ~pd.isna(strata)
    names, blocks = np.unique(strata[known].astype(str), return_inverse=True)
    cells = 2 * blocks + second[known]
    if subjects is not None:
        cells = np.unique(np.column_stack([cells, subject_codes(subjects[known])]), axis=0)[:, 0]
    first, other = np.bincount(cells, minlength=2 * names.size).reshape(-1, 2).T
    enough = np.minimum(first, other) >= LEAST
    kept = known.copy()
    kept[known] = enough[blocks]
    return kept if kept.any() else None


def _sorted(
    kept: NDArray[np.bool_],
    values: NDArray[np.float64],
    second: NDArray[np.bool_],
    strata: NDArray[np.object_],
    subjects: NDArray[np.object_] | None,
) -> NDArray[np.int64]:
    """The places of the values that count, in an order that does not depend on that of the rows."""
    keys = [values, second, strata.astype(str)]
    if subjects is not None:
        keys.append(subjects.astype(str))
    order = np.lexsort(keys)
    return np.asarray(order[kept[order]], dtype=np.int64)


def _weights(
    second: NDArray[np.bool_],
    blocks: NDArray[np.int64],
    names: NDArray[np.str_],
    weights: Mapping[str, float] | None,
) -> NDArray[np.float64]:
    """The share of every stratum, (strata,), summing to one."""
    if weights is None:
        more = np.bincount(blocks, weights=second)
        every = np.bincount(blocks)
        raw = more * (every - more) / every
    else:
        raw = np.array([weights.get(str(name), 0.0) for name in names])
    total = raw.sum()
    return np.asarray(raw / total if total > 0 else raw, dtype=np.float64)


def _error(
    influence: NDArray[np.float64], cells: NDArray[np.int64], subjects: NDArray[np.object_] | None
) -> tuple[float, float, float]:
    """Standard error of a sum of influences, its degrees of freedom by Satterthwaite, and how far it is askew."""
    own = np.arange(influence.size) if subjects is None else subject_codes(subjects)
    table = pd.DataFrame({"cell": cells, "own": own, "influence": influence})
    inside = table.groupby(["cell", "own"])["influence"].sum()
    several = inside.groupby("cell").size().to_numpy(dtype=np.float64)
    parts = (inside**2).groupby("cell").sum().to_numpy() * several / (several - 1)
    whole = float(parts.sum())
    # a subject in several cells ties them together: its influences add up before they are squared
    across = table.groupby("own")["influence"].sum()
    together = float((across**2).sum()) / max(float((inside**2).sum()), 1e-300)
    freedom = whole**2 / float((parts**2 / (several - 1)).sum()) if whole > 0 else math.nan
    largest = float(np.abs(across).max())
    scaled = np.sort(across.to_numpy() / largest) if largest > 0 else np.zeros(1)
    askew = float((scaled**3).sum()) / max(float((scaled**2).sum()), 1.0) ** 1.5
    return math.sqrt(whole * together), freedom, askew


def _permutation(
    values: NDArray[np.float64],
    second: NDArray[np.bool_],
    blocks: NDArray[np.int64],
    subjects: NDArray[np.object_] | None,
    shares: NDArray[np.float64],
    *,
    seed: int,
    count: int,
) -> float:
    """The p-value of the studentised difference over permutations within blocks."""
    centred = values - (np.bincount(blocks, weights=values) / np.bincount(blocks))[blocks]
    counts = np.ones(values.size)
    if subjects is not None:
        unit = units_within(blocks, subjects)
        first = pd.Series(np.arange(unit.size)).groupby(unit).first().to_numpy()
        if bool((second == second[first][unit]).all()):  # permuted as a whole, so it counts as a whole
            centred = np.bincount(unit, weights=centred).astype(np.float64)
            counts = np.bincount(unit).astype(np.float64)
            second, blocks, subjects = second[first], blocks[first], None
    order = np.argsort(blocks, kind="stable")
    centred, counts, second, blocks = centred[order], counts[order], second[order], blocks[order]
    subjects = None if subjects is None else subjects[order]
    starts = np.flatnonzero(np.r_[True, np.diff(blocks) > 0])
    observed = float(_studentised(centred, counts, second[None, :], starts, shares)[0]) * (1 - 1e-9)
    reached = sum(
        int((_studentised(centred, counts, codes == 1, starts, shares) >= observed).sum())
        for codes in shuffles(second.astype(np.int64), blocks, subjects, seed=seed, count=count)
    )
    return (reached + 1) / (count + 1)


def _studentised(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    second: NDArray[np.bool_],
    starts: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The size of the difference in standard errors, (rows,); `second` is (rows, units), sorted by stratum.

    A mean is the sum of its units' sums over that of their counts, and its error that of a ratio.
    """
    inside = second.astype(np.float64)
    sizes, of_sums, squares, products, of_counts, counts_squared = (
        (np.add.reduceat(inside * of, starts, axis=1), np.add.reduceat(of, starts))
        for of in (np.ones(sums.size), sums, sums**2, sums * counts, counts, counts**2)
    )
    means, spread = [], 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        for side in (True, False):
            k, s, q, x, n, c = (
                one if side else whole - one
                for one, whole in (sizes, of_sums, squares, products, of_counts, counts_squared)
            )
            mean = s / n
            means.append(mean)
            spread = spread + (q - 2 * mean * x + mean**2 * c).clip(min=0) * k / (k - 1) / n**2
        apart = np.abs((means[0] - means[1]) @ shares)
        found: NDArray[np.float64] = apart / np.sqrt(spread @ shares**2)
    # no spread on either side: as far apart as can be, or not at all
    return np.where(np.isnan(found), np.where(apart > 0, np.inf, 0.0), found)


def class_means(
    changes: Mapping[str, NDArray[np.float64]],
    labels: NDArray[np.object_],
    subjects: NDArray[np.object_] | None = None,
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> dict[str, Difference]:
    """For every class, how far a change of the images moves its margin, weighed as `class_differences` does.

    The change is paired: each image is compared with itself. Arguments and result as of `class_differences`.

    Args:
        changes: by class (n,) margin after minus before; NaN are left out.
        labels: (n,) class of each image.
        subjects: (n,) or None.
        seed: of the permutations.
        permutations: their number.
    """
    n = len(labels)
    pair = np.arange(n).astype(object) if subjects is None else subjects
    both = {name: np.r_[np.where(np.isfinite(of), 0.0, np.nan), of] for name, of in changes.items()}
    return class_differences(
        both,
        np.repeat([False, True], n),
        np.r_[labels, labels],
        np.r_[pair, pair],
        seed=seed,
        permutations=permutations,
    )


def class_differences(
    margins: Mapping[str, NDArray[np.float64]],
    second: NDArray[np.bool_],
    labels: NDArray[np.object_],
    subjects: NDArray[np.object_] | None = None,
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> dict[str, Difference]:
    """For every class, how much more the second group's scores speak for it, whatever the label.

    The difference of the margin of a class within the class's own images and within those of the other classes, each
    weighing a half. What only lowers confidence lowers the first and raises the second, and cancels out; what speaks for
    the class raises both. Of two classes one is the other's negative, so only the first is answered for.

    Args:
        margins: by class (n,) the margin in its standard deviations.
        second: (n,) whether a sample is of the second group.
        labels: (n,) class of each sample.
        subjects: as `mean_difference`.
        seed: as `mean_difference`.
        permutations: as `mean_difference`.

    Returns:
        By class; `NOTHING` where the class's own images, or all others, have too few on one side.
    """
    sizes = pd.Series(labels).value_counts()
    found = {}
    for name in list(margins)[: 1 if len(margins) == 2 else None]:
        others = {str(label): float(n) for label, n in sizes.items() if label != name}
        whole = sum(others.values())
        weights = {label: 0.5 * n / whole for label, n in others.items()} | {name: 0.5}
        one = mean_difference(
            margins[name], second, labels, subjects, weights=weights, seed=seed, permutations=permutations
        )
        both = name in one.strata and len(one.strata) > 1
        found[name] = one if both else NOTHING
    return found
