"""Rates such as accuracies, and how far the rates of several groups lie apart.

The largest difference among several groups is biased upward, and so is its bootstrap. Here every pair of groups has an interval
such that all of them hold at once in 95 of 100 cases; the largest difference then lies between the largest of the lower
and the largest of the upper ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import studentized_range

from camaudit.statistics.intervals import Interval
from camaudit.statistics.units import units, units_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

Z = 1.959963984540054
PERMUTATIONS = 1999


class Rate(NamedTuple):
    """A rate, and how many independent units it is worth.

    Attributes:
        share: hits of all values, 0 to 1.
        n: number of values.
        effective: number of independent values that would know it as well; `n` where every value is a unit.
    """

    share: float
    n: int
    effective: float


class Gap(NamedTuple):
    """How far the rates of several groups lie apart.

    Attributes:
        worst: the group of the lowest rate.
        best: that of the highest.
        difference: highest minus lowest, with its interval.
        ratio: lowest over highest, with its interval.
        p: of the permutation test that no group differs from another.
    """

    worst: str
    best: str
    difference: Interval
    ratio: Interval
    p: float


def rate(hits: NDArray[np.bool_], subjects: NDArray[np.object_] | None = None) -> Rate:
    """The share of hits.

    The effective number is that of a sample of single values with the variance that the subjects' means show (the
    design effect of Kish 1965, at least 1); where no subject differs from another it is their number.

    Args:
        hits: (n,).
        subjects: (n,) identifiers; None: every value stands for itself.
    """
    data = units(hits, subjects)
    several, n = data.sums.size, data.n
    if several == n or several < 2:
        return Rate(data.mean, n, float(several))
    share = data.mean
    spread = several / (several - 1) * float(((data.sums - share * data.counts) ** 2).sum()) / n**2
    simple = share * (1 - share) / n
    if simple <= 0 or spread <= 0:
        return Rate(share, n, float(several))
    return Rate(share, n, n / max(1.0, spread / simple))


def wilson(of: Rate, z: float = Z) -> tuple[float, float]:
    """Ends of Wilson's interval of a rate (1927), with its effective number; NaN where there is none."""
    share, n = of.share, of.effective
    if n <= 0:
        return math.nan, math.nan
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if share == 0 else max(0.0, middle - reach)
    return low, 1.0 if share == 1 else min(1.0, middle + reach)


def difference(first: Rate, second: Rate, z: float = Z) -> tuple[float, float]:
    """Ends of the interval of first minus second (Newcombe 1998, method 10)."""
    (low1, high1), (low2, high2) = wilson(first, z), wilson(second, z)
    apart = first.share - second.share
    low = apart - math.hypot(first.share - low1, high2 - second.share)
    high = apart + math.hypot(high1 - first.share, second.share - low2)
    return max(-1.0, low), min(1.0, high)


def ratio(first: Rate, second: Rate, z: float = Z) -> tuple[float, float]:
    """Ends of the interval of first over second (Donner and Zou 2012, eq. 6); the upper one may be infinite."""
    (low1, high1), (low2, high2) = wilson(first, z), wilson(second, z)
    p1, p2 = first.share, second.share
    product = p1 * p2
    # neither root is of a negative number, and the lower end is written so that nothing small is divided by
    down = math.sqrt(max(0.0, product**2 - low1 * high2 * (2 * p1 - low1) * (2 * p2 - high2)))
    up = math.sqrt(max(0.0, product**2 - high1 * low2 * (2 * p1 - high1) * (2 * p2 - low2)))
    low = low1 * (2 * p1 - low1) / (product + down) if product + down > 0 else 0.0
    return low, (product + up) / (low2 * (2 * p2 - low2)) if low2 > 0 else math.inf


def widest(rates: Mapping[str, Rate]) -> tuple[str, str, Interval, Interval]:
    """Worst and best group, their difference and their ratio; at least two groups.

    The critical value is that of Tukey's studentised range, so that the intervals of all pairs hold at once.
    """
    names = sorted(rates)
    worst = min(names, key=lambda name: rates[name].share)
    best = max(reversed(names), key=lambda name: rates[name].share)  # another group where all are alike
    z = float(studentized_range.ppf(0.95, len(names), np.inf)) / math.sqrt(2) if len(names) > 2 else Z
    pairs = [(rates[one], rates[other]) for one in names for other in names if one != other]
    apart = [difference(one, other, z) for one, other in pairs]
    over = [ratio(one, other, z) for one, other in pairs]
    n = sum(of.n for of in rates.values())
    gap = Interval(
        rates[best].share - rates[worst].share,
        max(0.0, *(low for low, _ in apart)),
        max(high for _, high in apart),
        n,
    )
    share = rates[worst].share / rates[best].share if rates[best].share > 0 else math.nan
    relative = Interval(share, min(low for low, _ in over), min(1.0, *(high for _, high in over)), n)
    return worst, best, gap, relative


def gap(
    hits: NDArray[np.bool_],
    groups: NDArray[np.object_],
    strata: NDArray[np.object_] | None = None,
    subjects: NDArray[np.object_] | None = None,
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
) -> Gap:
    """How far the rates of the groups lie apart; at least two groups.

    p is the share of permutations of the groups, within strata, in which some pair lies at least as far apart, in
    units of its standard error. Where subjects are in one group each, whole subjects are permuted; where subjects are in
    several, the groups are permuted within each subject.

    Args:
        hits: (n,).
        groups: (n,) names.
        strata: (n,) within which groups are exchangeable; None: everywhere.
        subjects: (n,) identifiers; None: every value stands for itself.
        seed: of the permutations.
        permutations: their number.
    """
    names = sorted(set(groups))
    rates = {
        name: rate(hits[groups == name], None if subjects is None else subjects[groups == name])
        for name in names
    }
    worst, best, apart, relative = widest(rates)
    codes = np.searchsorted(np.array(names, dtype=object), groups)
    observed = _largest(*_counted(hits, codes[None, :], len(names)))[0] * (1 - 1e-9)  # so that ties count
    blocks = np.zeros(codes.size, np.int64) if strata is None else pd.factorize(strata, sort=True)[0]
    if subjects is None or rate(hits, subjects).n == pd.Series(subjects).nunique(dropna=False):
        reached = _largest(*_drawn(hits, codes, blocks, seed=seed, count=permutations)) >= observed
        return Gap(worst, best, apart, relative, (int(reached.sum()) + 1) / (permutations + 1))
    # so that the order of the rows does not matter
    order = np.lexsort((hits, codes, blocks, subjects.astype(str)))
    hits, codes, blocks, subjects = hits[order], codes[order], blocks[order], subjects[order]
    extreme = sum(
        int((_largest(*_counted(hits, block, len(names))) >= observed).sum())
        for block in shuffles(codes, blocks, subjects, seed=seed, count=permutations)
    )
    return Gap(worst, best, apart, relative, (extreme + 1) / (permutations + 1))


def _counted(
    hits: NDArray[np.bool_], codes: NDArray[np.int64], several: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hits and numbers of every group, (rows, groups) each; `codes` is (rows, n)."""
    inside = [codes == group for group in range(several)]
    sums = np.stack([of @ hits.astype(np.float64) for of in inside], 1)
    return sums, np.stack([of.sum(1) for of in inside], 1).astype(np.float64)


def _drawn(
    hits: NDArray[np.bool_],
    codes: NDArray[np.int64],
    blocks: NDArray[np.int64],
    *,
    seed: int,
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`_counted` of permutations within blocks, which need not be made: the hits of each are hypergeometric."""
    generator = np.random.default_rng(seed)
    several = int(codes.max()) + 1
    sums = np.zeros((count, several))
    for block in range(int(blocks.max()) + 1):
        inside = blocks == block
        sizes = np.bincount(codes[inside], minlength=several)
        sums += generator.multivariate_hypergeometric(sizes, int(hits[inside].sum()), size=count)
    numbers = np.bincount(codes, minlength=several).astype(np.float64)
    return sums, np.broadcast_to(numbers, sums.shape)


def _largest(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest difference of two groups in units of its standard error under the null, (rows,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = sums / counts
        error = np.sqrt(1 / counts[:, :, None] + 1 / counts[:, None, :])
        apart = np.abs(shares[:, :, None] - shares[:, None, :]) / error
    found: NDArray[np.float64] = np.nan_to_num(apart).max((1, 2))
    return found


def shuffles(
    codes: NDArray[np.int64],
    blocks: NDArray[np.int64],
    subjects: NDArray[np.object_] | None,
    *,
    seed: int,
    count: int,
) -> Iterator[NDArray[np.int64]]:
    """Permutations of `codes` within blocks, some rows of (rows, n) at a time, `count` in all.

    Whole subjects are permuted where each has one code in its block, otherwise codes within subjects.

    Args:
        codes: (n,).
        blocks: (n,) 0, 1, ...
        subjects: (n,) or None; a missing subject is a subject of its own.
        seed: of the permutations.
        count: their number.
    """
    generator = np.random.default_rng(seed)
    size = codes.size
    unit = units_within(blocks, subjects)
    first = pd.Series(np.arange(size)).groupby(unit).first().to_numpy()
    if not bool((codes == codes[first][unit]).all()):
        blocks, unit, first = unit, np.arange(size), np.arange(size)
    step = max(1, (1 << 21) // max(1, size))
    for start in range(0, count, step):
        rows = min(step, count - start)
        yield _permuted(codes[first], blocks[first], rows, generator)[:, unit]


def _permuted(
    codes: NDArray[np.int64], blocks: NDArray[np.int64], rows: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Codes permuted within blocks, (rows, units): sorting by block and then by chance is a permutation of each."""
    home = np.argsort(blocks, kind="stable")
    keys = blocks[None, :] + generator.random((rows, codes.size))
    found = np.empty((rows, codes.size), dtype=codes.dtype)
    found[:, home] = codes[np.argsort(keys, axis=1)]
    return found
