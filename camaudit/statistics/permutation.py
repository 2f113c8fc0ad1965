"""The one-sample sign-flip test (Fisher 1935): is the mean zero, if each sign could as well be the other?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camaudit.statistics.units import units

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CHUNK = 1 << 20  # bytes of signs at a time
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
SIGNS = BITS.T.astype(np.float64) * 2 - 1  # (8, 256): column b holds the eight signs that byte b means


def sign_flip_test(
    values: ArrayLike,
    subjects: ArrayLike | None = None,
    *,
    seed: int | np.random.Generator,
    flips: int = 9999,
) -> float:
    """Two-sided p-value of the mean against zero, the signs flipped by whole subjects.

    Exact, over all sign patterns, where there are no more of them than `flips` + 1; else (b + 1)/(B + 1) with
    b the number of B random patterns whose mean lies at least as far from zero as the data's (Phipson and
    Smyth 2010).

    Args:
        values: (n,) numbers, such as paired differences; NaN and infinities are left out.
        subjects: (n,) identifiers of what the values belong to; None: every value stands for itself.
        seed: of the random patterns.
        flips: number of random patterns.

    Returns:
        p in (0, 1]; NaN where there are no values.
    """
    sums = units(values, subjects).sums
    if sums.size == 0:
        return float("nan")
    # a pattern that ties with the data in exact arithmetic must count, however its sum is rounded
    threshold = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    table = signed_sums(sums)
    if sums.size < 63 and 2**sums.size <= flips + 1:
        patterns = all_patterns(sums.size)
        return float((np.abs(pattern_sums(table, patterns)) >= threshold).mean())
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // len(table))
    extreme = 0
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        patterns = np.frombuffer(generator.bytes(rows * len(table)), dtype=np.uint8).reshape(rows, -1)
        extreme += int((np.abs(pattern_sums(table, patterns)) >= threshold).sum())
    return (extreme + 1) / (flips + 1)


def signed_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 256 signed sums of every eight units, (ceil(units / 8), 256): one look-up flips eight signs."""
    padded = np.zeros(-(-sums.size // 8) * 8)
    padded[: sums.size] = sums
    return padded.reshape(-1, 8) @ SIGNS


def pattern_sums(table: NDArray[np.float64], patterns: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The signed sum of each pattern; `patterns` (rows, bytes) has a byte for every row of `table`."""
    offsets = 256 * np.arange(len(table), dtype=np.int32)
    total: NDArray[np.float64] = table.ravel().take(patterns + offsets).sum(axis=1)
    return total


def all_patterns(size: int) -> NDArray[np.uint8]:
    """Every sign pattern of `size` units, (2**size, bytes); bits beyond `size` are zero."""
    numbers = np.arange(2**size)[:, None] >> np.arange(size) & 1
    return np.packbits(numbers.astype(np.uint8), axis=1)
