"""Two groups out of one number: low and high."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

APART = 0.8
"""Share of the variance between the two halves from which on a column has two modes: the best split of a normal column
leaves 0.64 (2/pi) between its halves, that of a uniform one 0.75."""
SMALLEST = 0.05
"""Share of the values that the smaller mode has at least: fewer are outliers."""


class Split(NamedTuple):
    """Where a column is cut.

    Attributes:
        at: values above are high; NaN where there are not two different values.
        modes: whether the column has two modes, and the cut lies between them; else it is the median.
        between: share of the variance that lies between the two sides of the best cut (Otsu 1979), 0 to 1.
    """

    at: float
    modes: bool
    between: float


def split(values: NDArray[np.float64]) -> Split:
    """Where to cut a column in two: between its modes (2-means in one dimension, exactly) or at its median.

    Args:
        values: (n,); NaN are left out.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if ordered.size < 2 or ordered[0] == ordered[-1]:
        return Split(math.nan, modes=False, between=math.nan)
    centred = ordered - ordered.mean()
    below = np.arange(1, ordered.size)
    left = np.cumsum(centred)[:-1]
    # the variance between the sides of a cut, where the sum of all is zero
    between = left**2 * (1 / below + 1 / (ordered.size - below)) / float((centred**2).sum())
    between[ordered[1:] == ordered[:-1]] = 0  # no cut within ties
    best = int(between.argmax())
    smaller = min(best + 1, ordered.size - best - 1) / ordered.size
    if between[best] >= APART and smaller >= SMALLEST:
        return Split(float((ordered[best] + ordered[best + 1]) / 2), modes=True, between=float(between[best]))
    return Split(halves(values), modes=False, between=float(between[best]))


def halves(values: NDArray[np.float64]) -> float:
    """Above which value the upper half of a column lies; NaN where there are not two different values.

    Args:
        values: (n,); NaN are left out.
    """
    ordered = np.sort(values[np.isfinite(values)])
    if ordered.size < 2 or ordered[0] == ordered[-1]:
        return math.nan
    middle = float(np.median(ordered))
    if middle == ordered[-1]:  # the upper half is all the same: what is below it is the other side
        middle = float((ordered[ordered < middle].max() + middle) / 2)
    return middle
