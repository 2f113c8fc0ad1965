"""Intervals of a mean (Student's and Hall's, their hull) and of a proportion (Wilson 1927)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from camaudit.statistics.moments import Moments, limits, moments, p_values
from camaudit.statistics.units import Units, units

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
    confidence: float = 0.95,
    bounds: tuple[float, float] | None = None,
) -> Interval:
    """Interval of the mean; the unit is the subject where subjects are given.

    With subjects the mean is the ratio of the sum of the subjects' sums and the sum of their counts, so that one with
    many images weighs as much as its images do. For paired data pass the differences. The interval is that of
    `camaudit.statistics.moments.limits`; ``docs/statistics.md`` has its coverage beside that of the bootstrap.

    Args:
        values: (n,) numbers; NaN and infinities are left out.
        subjects: (n,) identifiers of what the values belong to; None: every value stands for itself.
        confidence: such as 0.95.
        bounds: least and greatest value possible, where they are known; see `bounded`.

    Returns:
        The mean and its interval; both ends are NaN where there are fewer than two units, and equal the mean where all
        units have the same mean and no bounds are known.
    """
    data = units(values, subjects)
    found = moments_of(data)
    low, high = limits(found, confidence)
    if bounds is not None:
        at_ends = bool(np.isin(data.sums, bounds).all() and (data.counts == 1).all())
        low, high = bounded(found, (low, high), np.array([at_ends]), bounds, confidence)
    return Interval(float(found.mean[0]), float(low[0]), float(high[0]), data.n)


def mean_test(values: ArrayLike, subjects: ArrayLike | None = None) -> float:
    """Two-sided p-value of the mean against zero, consistent with `mean_interval` without bounds.

    It tests the mean, not the symmetry of the values, as flipping their signs would.

    Args:
        values: as in `mean_interval`.
        subjects: as in `mean_interval`.

    Returns:
        p in (0, 1], at least 2^(1 - units); NaN for fewer than two units.
    """
    return float(p_values(moments_of(units(values, subjects)))[0])


def moments_of(data: Units) -> Moments:
    """The moments of one cell."""
    return moments(data.sums, data.counts, np.zeros(data.sums.size, dtype=np.intp), 1)


def bounded(
    found: Moments,
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    at_ends: NDArray[np.bool_],
    bounds: tuple[float, float],
    confidence: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the intervals of values that cannot leave their bounds.

    Cut at the bounds; Wilson's where all values lie at one bound or the other. Where all units are the same, what was
    never seen may still be there, at either bound, in as large a share as Wilson's interval of none of so many units allows.

    Args:
        found: the moments of each cell.
        ends: (cells,) lower and upper ends without bounds.
        at_ends: (cells,) whether all values lie at the bounds, each a unit of its own.
        bounds: least and greatest value.
        confidence: such as 0.95.
    """
    least, greatest = bounds
    low, high = (np.clip(end, least, greatest) for end in ends)
    unseen = _wilson(np.zeros(found.units.size), found.units, confidence)[1]
    flat = found.error == 0
    low = np.where(flat, found.mean - (found.mean - least) * unseen, low)
    high = np.where(flat, found.mean + (greatest - found.mean) * unseen, high)
    share = np.clip((found.mean - least) / (greatest - least), 0.0, 1.0)
    wilson = _wilson(share, found.units, confidence)
    score = [least + (greatest - least) * end for end in wilson]
    several = at_ends & (found.units >= 2)
    return np.where(several, score[0], low), np.where(several, score[1], high)


def proportion_interval(hits: float, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion such as an accuracy; NaN where n is 0.

    Args:
        hits: of `n`; not whole where n counts units that are right in part.
        n: number of units.
        confidence: such as 0.95.
    """
    share = hits / n if n else float("nan")
    low, high = _wilson(np.array([share]), np.array([n]), confidence)
    return Interval(share, float(low[0]), float(high[0]), n)


def _wilson(
    share: NDArray[np.float64], n: NDArray[np.int64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z = float(ndtri((1 + confidence) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        spread = np.maximum(share * (1 - share), 0.0) / n + z**2 / (
            4 * n**2
        )  # a share may be rounded beyond 1
        reach = z / (1 + z**2 / n) * np.sqrt(spread)
    low = np.where(share <= 0, 0.0, np.maximum(middle - reach, 0.0))
    high = np.where(share >= 1, 1.0, np.minimum(middle + reach, 1.0))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)
