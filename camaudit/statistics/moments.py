"""Means of many cells at once, with what is needed to say how sure they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Moments(NamedTuple):
    """What a cell's units come to; every field is an array (cells,).

    Attributes:
        n: int64, number of values.
        units: int64, number of independent units.
        effective: number of units of equal size that would say as much: (sum of counts)² / sum of squared counts (Kish
            1965). The same as `units` where all are of one size.
        mean: over the values, not over the units; NaN where there are none.
        error: standard error of the mean, NaN for fewer than two units, 0 where all units have the same mean.
        skewness: of the units, over the root of their number: what a mean of so many is still askew.
    """

    n: NDArray[np.int64]
    units: NDArray[np.int64]
    effective: NDArray[np.float64]
    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    skewness: NDArray[np.float64]


def moments(
    sums: NDArray[np.float64], counts: NDArray[np.float64], cells: NDArray[np.intp], size: int
) -> Moments:
    """Moments of every cell from its units.

    The mean is a ratio, of the sum of the units' sums and the sum of their counts. Its error is the jackknife's
    (Efron and Stein 1981), which for units of one value each is the usual s / √n; the skewness is that of the
    jackknife's values.

    Args:
        sums: (units,) sum of each unit's values, finite. What a cell comes to depends on the order of its own units,
            to the last bit, and on nothing else: sort them.
        counts: (units,) number of each unit's values, at least 1.
        cells: (units,) the cell each belongs to, 0 to size - 1.
        size: number of cells.
    """

    def total(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(cells, weights=of, minlength=size).astype(np.float64)

    units = np.bincount(cells, minlength=size)
    single = bool((counts == 1).all())  # nothing then to look up for every unit; the same to the last bit
    whole = units.astype(np.float64) if single else total(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total(sums) / whole
        effective = whole if single else whole**2 / total(counts**2)
        # what the mean would lose without the unit, times all counts
        lost = sums - (mean[cells] if single else mean[cells] * counts)
        lost /= (1 - 1 / whole)[cells] if single else 1 - counts / whole[cells]
        lost -= (total(lost) / units)[cells]
        largest = np.zeros(size)
        np.maximum.at(largest, cells, np.abs(lost))
        # rounding alone: no unit differs from the mean
        level = np.zeros(size)
        np.maximum.at(level, cells, np.abs(sums))
        flat = ~(largest > 1e-12 * level)
        lost /= np.where(flat, np.inf, largest)[cells]  # the cube of a small number is 0
        squared = lost * lost
        square = total(squared)
        error = np.where(flat, 0.0, largest * np.sqrt(square * (units - 1) / units) / whole)
        skewness = np.where(flat, 0.0, total(squared * lost) / square**1.5)
    error[units < 2] = np.nan
    return Moments(whole.astype(np.int64), units, effective, mean, error, skewness)


def limits(found: Moments, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the interval of each mean, (cells,) each; NaN for fewer than two units.

    The hull of two intervals: Student's, and Hall's (1992, "On the removal of skewness by transformation") with
    Student's quantiles and the sample's skewness raised by 8/n, because a small sample shows too little of it. Student's
    is right for symmetric data, Hall's where a tail is long; the hull is for those who do not know which they have.
    """
    quantile = np.asarray(stdtrit(_freedom(found), (1 + confidence) / 2), dtype=np.float64)
    askew = _askew(found)
    low = found.mean - found.error * np.maximum(quantile, _untransformed(quantile, askew))
    high = found.mean - found.error * np.minimum(-quantile, _untransformed(-quantile, askew))
    return low, high


def p_values(found: Moments, null: float = 0.0) -> NDArray[np.float64]:
    """Two-sided p-value of each mean against `null`, (cells,): at most 0.05 where `limits` leave it out at 95 %.

    Far below 0.05 the tail of a distribution decides of which a small sample shows nothing. A smaller p is therefore
    raised to 0.05 (p / 0.05)^(1 - 2/√n), which for lognormal data (σ = 1) keeps tests at 0.01 to 0.001, such as a table of
    many cells makes, at their size; and to 2^(1 - n) at least, what flipping every sign could say. NaN for fewer than two
    units.
    """
    off = found.mean - null
    with np.errstate(divide="ignore", invalid="ignore"):
        student = np.where((off == 0) & (found.error == 0), 0.0, off / found.error)
    student = np.clip(student, -1e60, 1e60)  # its cube is a number
    askew = _askew(found)
    hall = student + askew * student**2 / 3 + askew**2 * student**3 / 27 + askew / 6
    freedom = _freedom(found)
    p = np.maximum(2 * stdtr(freedom, -np.abs(student)), 2 * stdtr(freedom, -np.abs(hall)))
    power = np.maximum(1 - 2 / np.sqrt(np.maximum(found.effective, 1.0)), 0.0)
    p = np.where(p < 0.05, 0.05 * (p / 0.05) ** power, p)
    least = np.exp2(1.0 - found.units)
    return np.where(np.isnan(p), np.nan, np.clip(p, least, 1.0))


def _freedom(found: Moments) -> NDArray[np.float64]:
    return np.where(found.effective > 2, found.effective - 1, 1.0)


def _askew(found: Moments) -> NDArray[np.float64]:
    return found.skewness * (1 + 8 / np.maximum(found.effective, 1.0))


def _untransformed(quantile: NDArray[np.float64], askew: NDArray[np.float64]) -> NDArray[np.float64]:
    """Student's ratio whose transform, T + aT²/3 + a²T³/27 + a/6 (Hall 1992, eq. 2.4), is the quantile."""
    some = np.where(np.abs(askew) < 1e-6, 1.0, askew)
    return np.where(
        np.abs(askew) < 1e-6,
        quantile - askew * (quantile**2 / 3 + 1 / 6),
        3 / some * (np.cbrt(1 + some * (quantile - some / 6)) - 1),
    )
