"""Intervals: the BCa bootstrap of a mean (Efron 1987) and Wilson's of a proportion (1927)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from camaudit.statistics.units import Units, units

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CHUNK = 1 << 20  # elements drawn at a time: some 20 MB of indices and values, whatever n is


class Interval(NamedTuple):
    """An estimate, the ends of its interval (in the estimate's unit) and the number of values behind it."""

    estimate: float
    low: float
    high: float
    n: int


def mean_interval(
    values: ArrayLike,
    subjects: ArrayLike | None = None,
    *,
    seed: int | np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """BCa interval of the mean, resampling subjects where they are given.

    With subjects the mean is the ratio of the sum of the subjects' sums and the sum of their counts, and
    whole subjects are drawn, so that one with many images weighs as much as its images do, in the estimate
    and in every resample. For paired data pass the differences.

    Args:
        values: (n,) numbers; NaN and infinities are left out.
        subjects: (n,) identifiers of what the values belong to; None: every value stands for itself.
        seed: of the resampling.
        resamples: number of bootstrap resamples.
        confidence: such as 0.95.

    Returns:
        The mean and its interval; both ends are NaN where there are fewer than two units to resample, and
        equal the mean where all units have the same mean.
    """
    data = units(values, subjects)
    if data.sums.size < 2:
        return Interval(data.mean, float("nan"), float("nan"), data.n)
    if is_constant(data):
        return Interval(data.mean, data.mean, data.mean, data.n)
    means = bootstrap_means(data, seed=seed, resamples=resamples)
    low, high = bca(means, data.mean, jackknife_means(data), confidence=confidence)
    return Interval(data.mean, low, high, data.n)


def is_constant(data: Units) -> bool:
    """Whether all units have the same mean, up to rounding: no resample can then differ from the estimate."""
    means = data.sums / data.counts
    return bool(np.ptp(means) <= 1e-12 * np.abs(means).max())


def bootstrap_means(data: Units, *, seed: int | np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """Means of resampled units, (resamples,), in bounded memory."""
    generator = np.random.default_rng(seed)
    size = data.sums.size
    plain = bool((data.counts == 1).all())
    step = max(1, CHUNK // size)
    means = np.empty(resamples)
    for start in range(0, resamples, step):
        drawn = generator.integers(0, size, (min(step, resamples - start), size), dtype=np.int32)
        total = data.sums.take(drawn).sum(axis=1)
        means[start : start + step] = total / (size if plain else data.counts.take(drawn).sum(axis=1))
    return means


def jackknife_means(data: Units) -> NDArray[np.float64]:
    """The mean without each unit in turn, (units,)."""
    left: NDArray[np.float64] = (data.sums.sum() - data.sums) / (data.counts.sum() - data.counts)
    return left


def bca(
    means: NDArray[np.float64], estimate: float, jackknife: NDArray[np.float64], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Ends of the bias-corrected and accelerated interval (Efron and Tibshirani 1993, eq. 14.9 to 14.15).

    Args:
        means: (resamples,) the bootstrap distribution.
        estimate: of the statistic, from the data.
        jackknife: (units,) the statistic without each unit.
        confidence: such as 0.95.
    """
    below = ((means < estimate).mean() + (means <= estimate).mean()) / 2
    resolution = 0.5 / means.size  # a distribution that lies wholly on one side would shift by infinity
    bias = ndtri(np.clip(below, resolution, 1 - resolution))
    deviation = jackknife.mean() - jackknife
    largest = np.abs(deviation).max()
    if largest > 0:  # the acceleration knows no scale, and the cube of a small number is 0
        deviation = deviation / largest
    acceleration = (deviation**3).sum() / (6 * max(1.0, (deviation**2).sum()) ** 1.5)
    tail = (1 - confidence) / 2
    shifted = bias + ndtri(np.array([tail, 1 - tail]))
    scale = 1 - acceleration * shifted
    with np.errstate(divide="ignore"):  # at the pole and beyond it the end is that of the distribution
        level = ndtr(np.where(scale > 0, bias + shifted / scale, np.sign(shifted) * np.inf))
    low, high = np.quantile(means, level)
    return float(low), float(high)


def proportion_interval(hits: float, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion such as an accuracy; NaN where n is 0.

    Args:
        hits: of `n`; not whole where n counts units that are right in part.
        n: number of units.
        confidence: such as 0.95.
    """
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    share, z = hits / n, float(ndtri((1 + confidence) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if hits == 0 else max(middle - reach, 0.0)
    high = 1.0 if hits == n else min(middle + reach, 1.0)
    return Interval(share, low, high, n)
