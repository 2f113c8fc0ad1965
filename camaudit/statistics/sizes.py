"""Effect sizes of two groups: without a unit, so that they can be held against each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from camaudit.statistics.intervals import Interval, proportion_interval
from camaudit.statistics.units import subject_codes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def cohens_d(first: ArrayLike, second: ArrayLike) -> float:
    """Difference of the means, second minus first, in pooled standard deviations (Cohen 1988).

    For values that are about symmetric; else `cliffs_delta`.

    Args:
        first: (n,) numbers; NaN and infinities are left out.
        second: (m,) likewise.

    Returns:
        NaN where either has fewer than two values, or nothing varies.
    """
    one, other = _defined(first), _defined(second)
    if min(one.size, other.size) < 2:
        return math.nan
    squares = float(((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum())
    spread = math.sqrt(squares / (one.size + other.size - 2))
    level = max(float(np.abs(one).max()), float(np.abs(other).max()))
    return float(other.mean() - one.mean()) / spread if spread > 1e-12 * level else math.nan


def cliffs_delta(
    first: ArrayLike,
    second: ArrayLike,
    *,
    subjects: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """How much more often a value of the second is above one of the first than below it (Cliff 1993), −1 to 1.

    The variance is that of the placements (DeLong et al. 1988), of subjects' sums where subjects are given; the interval is
    made on the scale of Fisher's z, on which it cannot leave −1 to 1, with Student's quantile at Welch's degrees of
    freedom (Feng and Cliff 2004). Where no placement varies, as when no pair is in the other order, Wilson's interval of none
    in so many units as the smaller group has says what may still be unseen.

    Args:
        first: (n,) numbers; NaN and infinities are left out.
        second: (m,) likewise.
        subjects: (n,) and (m,) identifiers, as in `mean_interval`; None: every value stands for itself.
        confidence: such as 0.95.

    Returns:
        Delta, its interval, and the number of values of both. NaN where one is empty; both ends are NaN where one has
        fewer than two units.
    """
    one, other = _defined(first), _defined(second)
    n, m = one.size, other.size
    if min(n, m) == 0:
        return Interval(math.nan, math.nan, math.nan, n + m)
    above, below = _placements(other, one), -_placements(one, other)
    delta = float(np.sort(above).mean())
    influence = np.concatenate([(below - delta) / n, (above - delta) / m])
    names = np.arange(n + m)
    if subjects is not None:
        kept = [
            np.asarray(of, dtype=object)[_is(values)]
            for of, values in zip(subjects, (first, second), strict=True)
        ]
        names = subject_codes(np.concatenate(kept))
    counts = [np.unique(of).size for of in (names[:n], names[n:])]
    if min(counts) < 2:
        return Interval(delta, math.nan, math.nan, n + m)
    parts = [_squares(names[of], influence[of]) for of in (slice(n), slice(n, None))]
    parts = [part * count / (count - 1) for part, count in zip(parts, counts, strict=True)]
    if sum(parts) <= 1e-24 or abs(delta) >= 1:
        unseen = proportion_interval(0, min(counts), confidence=confidence).high
        return Interval(delta, delta - (1 + delta) * unseen, delta + (1 - delta) * unseen, n + m)
    freedom = sum(parts) ** 2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    # a subject in both groups ties them together: its influences add up before they are squared
    together = _squares(names, influence) / (
        _squares(names[:n], influence[:n]) + _squares(names[n:], influence[n:])
    )
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(sum(parts) * together) / (1 - delta**2)
    centre = math.atanh(delta)
    return Interval(delta, math.tanh(centre - reach), math.tanh(centre + reach), n + m)


def _is(values: ArrayLike) -> NDArray[np.bool_]:
    return np.isfinite(np.asarray(values, dtype=np.float64))


def _defined(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _placements(values: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each value the share of the others that lie below it, minus the share above, (values,)."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, values, side="left")
    above = ordered.size - np.searchsorted(ordered, values, side="right")
    return np.asarray((below - above) / ordered.size, dtype=np.float64)


def _squares(names: NDArray[np.intp], influence: NDArray[np.float64]) -> float:
    """Sum of the squares of the subjects' sums, in an order of its own."""
    sums = np.bincount(names, weights=influence)
    return float(np.sort(sums**2).sum())
