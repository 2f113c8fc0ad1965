"""Effects of donors on samples, where every sample meets several donors and every donor many samples.

Values of one sample share the sample, values of one donor share the donor, so neither is a unit by itself: the variance
is that of two-way clusters (Cameron, Gelbach and Miller 2011, eq. 2.11), samples plus donors minus pairs. Where the
donors' part rests on fitted effects, what the errors of the fit add to their squares is taken off (the method of
moments; Searle, Casella and McCulloch 1992): with two to four donors a sample it is as large as all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse, stats

from camaudit.statistics.moments import Moments, limits, moments

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
    The interval is Student's, with the two-way clustered variance: that of the samples, and of the values that share a donor
    and no sample; the degrees of freedom are those of samples and of both kinds of donors by their share of it
    (Welch-Satterthwaite), and no fewer than those of the fewest.

    Args:
        values: (n,) one a pair of sample and donor; NaN is left out.
        samples: (n,) what the value is of, or its subject.
        donors: (n,) whom it was measured with, or its subject; one of both kinds counts on both sides.
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
    # a subject of both kinds is one donor of each: what it has in common cancels out
    column = 2 * column + kind
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
    by_sample = np.bincount(row, design * (centred - estimate * design)) / total
    of_samples = float((by_sample**2).sum()) * count / (count - 1)
    fit = _donor_effects(row, column, numbers)
    weights = sparse.csr_array((design / total, (row, column)))
    # of values that share donor and sample the samples' part has it already
    shared: NDArray[np.float64] = weights.sum(axis=0) ** 2 - weights.power(2).sum(axis=0)
    of_donors, spread = 0.0, of_samples**2 / (count - 1)
    kinds = _kinds(column, kind)
    for side in (kinds, ~kinds):
        raw, noise = fit.squares(side)
        of_donors += float(((raw - noise) * shared[side]).sum())
        spread += float((raw * shared[side]).sum()) ** 2 / (raw.size - 1)
    variance = of_samples + max(of_donors, 0.0)
    known = _unknown(count, sum(sides))._replace(estimate=estimate)
    # a variance from which something was taken has less freedom than any of its parts, down to none
    least = min(*sides, count) - 1
    return _student(known, variance, max(variance**2 / spread, least) if spread > 0 else least, confidence)


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
    the fitted effects less what their own errors add to it (the method of moments). The interval is that of the mean of
    the donors' squares, `camaudit.statistics.moments.limits`, less sure by what is not known of the errors' variance; an end
    below zero is zero.

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
    fit = _donor_effects(row, column, numbers)
    if many < 2 * LEAST_DONORS or count < LEAST_SAMPLES or fit.freedom < 1:
        return _unknown(count, many)
    raw, noise = fit.squares(np.ones(many, dtype=bool))
    squares = np.sort(raw - noise)
    found = moments(squares, np.ones(many), np.zeros(many, dtype=np.intp), 1)
    of_noise = float(noise.mean()) ** 2 * 2 / fit.freedom
    ends = limits(_less_sure(found, of_noise, fit.freedom), confidence)
    low, estimate, high = (max(float(of[0]), 0.0) ** 0.5 for of in (ends[0], found.mean, ends[1]))
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


def _less_sure(found: Moments, variance: float, freedom: int) -> Moments:
    """Moments of a mean from which something was taken that is known with this variance (Satterthwaite 1946)."""
    own = found.error**2
    both = own + variance
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(both > 0, own / both, 1.0)
        units = 1 / (kept**2 / (found.effective - 1) + (1 - kept) ** 2 / freedom) + 1
    return found._replace(effective=units, error=np.sqrt(both), skewness=found.skewness * kept**1.5)


class _Fit(NamedTuple):
    """The additive fit of samples and donors.

    Attributes:
        effects: of each donor, (donors,).
        covariance: theirs for errors of variance 1, (donors, donors).
        noise: variance of the errors; 0 where nothing is left to know it by.
        freedom: degrees of freedom of the errors.
    """

    effects: NDArray[np.float64]
    covariance: NDArray[np.float64]
    noise: float
    freedom: int

    def squares(self, of: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Square of the effect of each of some donors around their mean, and what the errors are expected to add to it.

        Their difference is the variance of the donors' effects, on average.
        """
        effects, covariance = self.effects[of], self.covariance[np.ix_(of, of)]
        added = np.diag(covariance) - 2 * covariance.mean(1) + covariance.mean()
        scale = effects.size / (effects.size - 1)
        return scale * (effects - effects.mean()) ** 2, scale * self.noise * added


def _donor_effects(row: NDArray[np.intp], column: NDArray[np.intp], numbers: NDArray[np.float64]) -> _Fit:
    pairs = sparse.csr_array((np.ones(row.size), (row, column)))
    counts: NDArray[np.float64] = np.bincount(row).astype(np.float64)
    shares = sparse.diags_array(1 / counts) @ pairs
    gram = np.diag(np.bincount(column)) - (pairs.T @ shares).toarray()
    covariance = np.linalg.pinv(gram, hermitian=True).astype(np.float64)
    effects = covariance @ np.bincount(column, numbers - _mean_by(row, numbers)[row])
    left = numbers - effects[column]
    freedom = (
        row.size - counts.size - round(float((gram * covariance).sum()))
    )  # the trace of a projection is its rank
    noise = float(((left - _mean_by(row, left)[row]) ** 2).sum()) / freedom if freedom > 0 else 0.0
    return _Fit(effects, covariance, noise, freedom)


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
