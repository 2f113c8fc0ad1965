"""Many tests at once: the false discovery rate (Benjamini and Hochberg 1995), the family-wise error (Holm 1979)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import false_discovery_control

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of the same shape; NaN (not tested) stays NaN and does not count as a test.

    Those at most α are false discoveries in a share of at most α on average, where the tests are independent or
    positively dependent (Benjamini and Yekutieli 2001). For exploring a table.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested], method="bh")
    return adjusted


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of the same shape; NaN (not tested) stays NaN and does not count as a test.

    That any true null is among those at most α has a probability of at most α, however the tests depend on each other.
    For what is declared.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    found = values[tested]
    order = np.argsort(found, kind="stable")
    stepped = np.maximum.accumulate(found[order] * np.arange(found.size, 0, -1))
    found[order] = np.minimum(stepped, 1.0)
    adjusted[tested] = found
    return adjusted
