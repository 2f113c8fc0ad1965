"""Effects of donors on samples, where every sample meets several donors and every donor many samples.

Values of one sample share the sample, values of one donor share the donor, so neither is a unit by itself: the variance
is that of two-way clusters (Cameron, Gelbach and Miller 2011, eq. 2.11), samples plus donors minus pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse, stats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEAST_DONORS = 5
"""Donors on each side of a contrast; with fewer their own variance is not known."""
LEAST_SAMPLES = 10


class Crossed(NamedTuple):
    """An effect of donors, in the unit of the values.

    Attributes:
        estimate: the effect.
        low: lower end of its interval; NaN where there are too few samples or donors.
        high: upper end.
        p: two-sided p-value against zero.
        samples: number of samples (or subjects) that it rests on.
        donors: number of donors.
    """

    estimate: float
    low: float
    high: float
    p: float
    samples: int
    donors: int


def crossed_contrast(
    values: ArrayLike, samples: ArrayLike, donors: ArrayLike, inside: ArrayLike, *, confidence: float = 0.95
) -> Crossed:
    """How much higher the values of a sample are with donors of one kind than with the others.

    The least squares estimate with a level for every sample; a sample that met donors of one kind only says nothing.
    The interval is Student's, with the two-way clustered variance; its degrees of freedom are those of the donors of
    both kinds (Welch-Satterthwaite), or of the samples where these are fewer.

    Args:
        values: (n,) one a pair of sample and donor; NaN is left out.
        samples: (n,) what the value is of, or its subject.
        donors: (n,) whom it was measured with, or its subject.
        inside: (n,) whether the donor is of the one kind.
        confidence: such as 0.95.
    """
    numbers, kind = np.asarray(values, dtype=np.float64), np.asarray(inside, dtype=bool)
    defined = np.isfinite(numbers)
    numbers, kind = numbers[defined], kind[defined]
    row, column = (
        np.unique(np.asarray(of)[defined], return_inverse=True)[1].astype(np.intp) for of in (samples, donors)
    )
    if not numbers.size:
        return _unknown(0, 0)
    design = kind - _mean_by(row, kind.astype(np.float64))[row]
    both = np.abs(design) > 1e-12
    numbers, kind, design = numbers[both], kind[both], design[both]
    row, column = (np.unique(of[both], return_inverse=True)[1].astype(np.intp) for of in (row, column))
    sides = (len(np.unique(column[kind])), len(np.unique(column[~kind])))
    count = int(row.max()) + 1 if row.size else 0
    if not row.size or min(sides) == 0:
        return _unknown(count, sum(sides))
    centred = numbers - _mean_by(row, numbers)[row]
    total = float((design**2).sum())
    estimate = float((design * centred).sum()) / total
    if min(sides) < LEAST_DONORS or count < LEAST_SAMPLES:
        return _unknown(count, sum(sides))._replace(estimate=estimate)
    residual = numbers - _levels(row, column, numbers)[row]
    residual -= np.where(kind, residual[kind].mean(), residual[~kind].mean())
    scores = design * residual / total
    by_sample = np.bincount(row, scores).astype(np.float64)
    by_donor = np.bincount(column, scores).astype(np.float64)
    of_donors, freedom = _two_sides(by_donor, _kinds(column, kind), sides)
    of_samples = float((by_sample**2).sum()) * count / (count - 1)
    variance = max(of_samples + of_donors - float((scores**2).sum()), of_samples, of_donors)
    known = _unknown(count, sum(sides))._replace(estimate=estimate)
    return _student(known, variance, min(freedom, count - 1), confidence)


def crossed_mean(
    values: ArrayLike, samples: ArrayLike, donors: ArrayLike, *, confidence: float = 0.95
) -> Crossed:
    """The mean over samples of each sample's mean over its donors.

    The interval is Student's, with the two-way clustered variance; the degrees of freedom are those of samples and donors
    by their share of it (Welch-Satterthwaite).

    Args:
        values: (n,) one a pair of sample and donor; NaN is left out.
        samples: (n,) what the value is of, or its subject.
        donors: (n,) whom it was measured with, or its subject.
        confidence: such as 0.95.
    """
    numbers, row, column = _pairs(values, samples, donors)
    if not numbers.size:
        return _unknown(0, 0)
    count, many = int(row.max()) + 1, int(column.max()) + 1
    estimate = float(_mean_by(row, numbers).mean())
    known = _unknown(count, many)._replace(estimate=estimate)
    if count < LEAST_SAMPLES or many < LEAST_DONORS:
        return known
    scores = (numbers - estimate) / (np.bincount(row)[row] * count)
    parts = [
        float((np.bincount(of, scores) ** 2).sum()) * n / (n - 1) for of, n in ((row, count), (column, many))
    ]
    variance = max(sum(parts) - float((scores**2).sum()), *parts)
    spread = parts[0] ** 2 / (count - 1) + parts[1] ** 2 / (many - 1)
    return _student(known, variance, sum(parts) ** 2 / spread if spread > 0 else count - 1, confidence)


def crossed_spread(
    values: ArrayLike, samples: ArrayLike, donors: ArrayLike, *, confidence: float = 0.95
) -> Crossed:
    """Standard deviation of what donors do to the values, beyond what samples and chance do.

    The square root of the variance component of the donors in the additive model of samples and donors: the variance of
    the fitted effects less what their own errors add to it (the method of moments). The interval is Student's, of the
    donors' squares; an end below zero is zero.

    Args:
        values: (n,) one a pair of sample and donor; NaN is left out.
        samples: (n,) what the value is of, or its subject.
        donors: (n,) whom it was measured with, or its subject.
        confidence: such as 0.95.
    """
    numbers, row, column = _pairs(values, samples, donors)
    if not numbers.size:
        return _unknown(0, 0)
    count, many = int(row.max()) + 1, int(column.max()) + 1
    effects, covariance = _donor_effects(row, column, numbers)
    freedom = numbers.size - count - many + 1
    if many < 2 * LEAST_DONORS or count < LEAST_SAMPLES or freedom < 1:
        return _unknown(count, many)
    left = numbers - effects[column]
    noise = float(((left - _mean_by(row, left)[row]) ** 2).sum()) / freedom
    squares = (effects - effects.mean()) ** 2 * many / (many - 1) - noise * np.diag(covariance)
    reach = float(stats.t.ppf((1 + confidence) / 2, many - 1)) * float(squares.std(ddof=1)) / many**0.5
    middle = float(squares.mean())
    low, estimate, high = (max(of, 0.0) ** 0.5 for of in (middle - reach, middle, middle + reach))
    return Crossed(estimate, low, high, float("nan"), count, many)


def _pairs(
    values: ArrayLike, samples: ArrayLike, donors: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """The defined values, and the number of each one's sample and donor."""
    numbers = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(numbers)
    row, column = (
        np.unique(np.asarray(of)[defined], return_inverse=True)[1].astype(np.intp) for of in (samples, donors)
    )
    return numbers[defined], row, column


def _levels(
    row: NDArray[np.intp], column: NDArray[np.intp], numbers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The level of each sample in the additive fit of samples and donors, (samples,).

    Not its mean: that would hold a share of each of its donors' effects, and hide as much of their variance.
    """
    return _mean_by(row, numbers - _donor_effects(row, column, numbers)[0][column])


def _donor_effects(
    row: NDArray[np.intp], column: NDArray[np.intp], numbers: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The effect of each donor in the additive fit of samples and donors, and their covariance for noise of variance 1."""
    pairs = sparse.csr_array((np.ones(row.size), (row, column)))
    counts: NDArray[np.float64] = np.bincount(row).astype(np.float64)
    shares = sparse.diags_array(1 / counts) @ pairs
    gram = np.diag(np.bincount(column)) - (pairs.T @ shares).toarray()
    covariance = np.linalg.pinv(gram, hermitian=True).astype(np.float64)
    effects = covariance @ np.bincount(column, numbers - _mean_by(row, numbers)[row])
    return effects, covariance


def _two_sides(
    by_donor: NDArray[np.float64], kinds: NDArray[np.bool_], sides: tuple[int, int]
) -> tuple[float, float]:
    """The donors' part of the variance, and its degrees of freedom (Welch 1947)."""
    parts = [
        float((by_donor[of] ** 2).sum()) * n / (n - 1) for of, n in zip((kinds, ~kinds), sides, strict=True)
    ]
    spread = sum(part**2 / (n - 1) for part, n in zip(parts, sides, strict=True))
    total = sum(parts)
    return total, (total**2 / spread if spread > 0 else float(sum(sides) - 2))


def _kinds(column: NDArray[np.intp], kind: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kinds = np.zeros(int(column.max()) + 1, dtype=bool)
    kinds[column] = kind
    return kinds


def _mean_by(groups: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = np.bincount(groups, values) / np.bincount(groups)
    return means


def _student(known: Crossed, variance: float, freedom: float, confidence: float) -> Crossed:
    error, estimate = float(np.sqrt(variance)), known.estimate
    if error == 0:
        return known._replace(low=estimate, high=estimate, p=1.0 if estimate == 0 else 0.0)
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(estimate) / error, freedom))
    return known._replace(low=estimate - reach, high=estimate + reach, p=p)


def _unknown(samples: int, donors: int) -> Crossed:
    nan = float("nan")
    return Crossed(nan, nan, nan, nan, samples, donors)
