"""The unit of statistics: a sample, or all samples of one subject together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Units(NamedTuple):
    """Independent units, in an order that does not depend on the order of the rows.

    Attributes:
        sums: (units,) float64, the sum of each unit's values.
        counts: (units,) float64, how many values each unit has, at least 1.
    """

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def n(self) -> int:
        """The number of values in all units."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean over the values, not over the units; NaN where there are none."""
        return float(self.sums.sum() / self.counts.sum()) if self.sums.size else float("nan")


def units(values: ArrayLike, subjects: ArrayLike | None = None) -> Units:
    """Collect values by subject.

    Args:
        values: (n,) numbers; NaN and infinities are left out.
        subjects: (n,) identifiers; a value whose subject is missing is a unit of its own. None: every value
            is.

    Returns:
        The units that have a value left.
    """
    numbers = np.asarray(values, dtype=np.float64)
    defined = np.isfinite(numbers)
    # sorted throughout: a sum of floats would otherwise depend on the order of the rows
    order = np.argsort(numbers[defined], kind="stable")
    numbers = numbers[defined][order]
    if subjects is None:
        return Units(numbers, np.ones(numbers.size))
    names = subject_codes(np.asarray(subjects, dtype=object)[defined][order])
    found, _ = units_in_cells(numbers, np.zeros(numbers.size, dtype=np.intp), names)
    return found


def units_in_cells(
    values: NDArray[np.float64], cells: NDArray[np.intp], subjects: NDArray[np.intp] | None
) -> tuple[Units, NDArray[np.intp]]:
    """Collect values by cell and subject.

    Args:
        values: (n,) finite numbers, sorted.
        cells: (n,) the cell each is in.
        subjects: (n,) of `subject_codes`; None: every value is a unit.

    Returns:
        The units, and the cell of each.
    """
    if subjects is None:
        return Units(values, np.ones(values.size)), cells
    several = int(subjects.max(initial=0)) + 1
    pairs, inverse = np.unique(cells.astype(np.int64) * several + subjects, return_inverse=True)
    sums = np.bincount(inverse, weights=values, minlength=pairs.size).astype(np.float64)
    counts = np.bincount(inverse, minlength=pairs.size).astype(np.float64)
    ranked = np.lexsort((counts, sums))
    return Units(sums[ranked], counts[ranked]), (pairs // several)[ranked].astype(np.intp)


def subject_codes(subjects: NDArray[np.object_]) -> NDArray[np.intp]:
    """A number for each subject, (n,); one whose name is missing has a number of its own."""
    codes, names = pd.factorize(pd.Series(subjects, dtype=object).to_numpy())
    missing = codes < 0
    codes[missing] = len(names) + np.arange(missing.sum())
    return codes


def units_within(blocks: NDArray[np.int64], subjects: NDArray[np.object_] | None) -> NDArray[np.intp]:
    """A number for each subject of each block, (n,), in the order in which they come; of each value where there are none."""
    if subjects is None:
        return np.arange(blocks.size)
    pairs = subject_codes(subjects) * (int(blocks.max(initial=0)) + 1) + blocks
    return pd.factorize(pairs)[0]
