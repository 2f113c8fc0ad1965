"""What is simulated: distributions, sizes of subjects, and the intervals and tests that camaudit's are held against."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
    Ends = tuple[NDArray[np.float64], NDArray[np.float64]]

RESAMPLES = 2000


class Law(NamedTuple):
    """A distribution.

    Attributes:
        draw: (draws, n) values from a generator and that shape.
        mean: of the distribution.
        bounds: given to the interval; None where the metric would have none.
    """

    draw: Draw
    mean: float
    bounds: tuple[float, float] | None = None


def of(name: str, *args: float) -> Draw:
    """One of numpy's own."""
    return lambda generator, shape: getattr(generator, name)(*args, size=shape)


CHOSEN = {
    "normal": Law(of("normal"), 0),
    "lognormal, σ 0.5": Law(of("lognormal", 0, 0.5), np.exp(1 / 8)),
    "lognormal, σ 1": Law(of("lognormal", 0, 1), np.exp(1 / 2)),
    "exponential": Law(of("exponential"), 1),
}
REPORTED = {
    "uniform": Law(of("random"), 0.5),
    "Laplace": Law(of("laplace"), 0),
    "Student's t, 3 d. f.": Law(of("standard_t", 3), 0),
    "gamma, shape 0.5": Law(of("gamma", 0.5), 0.5),
    "two humps, 1 : 4": Law(lambda g, s: g.normal(size=s) + 6 * (g.random(s) < 0.2), 1.2),
    "Poisson, mean 1 (ties)": Law(of("poisson", 1), 1),
    "fifths, binomial 0.2 (ties)": Law(lambda g, s: g.binomial(5, 0.2, s) / 5, 0.2, (0, 1)),
    "share, beta 0.5, 4.5": Law(of("beta", 0.5, 4.5), 0.1, (0, 1)),
    "share, beta 5, 5": Law(of("beta", 5, 5), 0.5, (0, 1)),
    "share, 70 % zeros": Law(lambda g, s: (g.random(s) < 0.3) * g.beta(1, 3, s), 0.075, (0, 1)),
    "70 % zeros, else exponential": Law(lambda g, s: (g.random(s) < 0.3) * g.exponential(size=s), 0.3),
    "−1, 0, 1 with 5, 80, 15 %": Law(
        lambda g, s: g.choice([-1.0, 0, 1], s, p=[0.05, 0.8, 0.15]), 0.1, (-1, 1)
    ),
    **{
        f"yes or no, {share:.0%} yes": Law(
            partial(lambda p, g, s: (g.random(s) < p) * 1.0, share), share, (0, 1)
        )
        for share in (0.5, 0.2, 0.1, 0.03)
    },
}
LAWS = CHOSEN | REPORTED
HARD = {
    "lognormal, σ 1.5": Law(of("lognormal", 0, 1.5), np.exp(9 / 8)),
    "gamma, shape 0.1": Law(of("gamma", 0.1), 0.1),
}
SEEN = 0.8
"""Part of a law below its tail."""
UNSEEN: dict[str, Draw] = {
    "lognormal, σ 1": lambda generator, shape: np.exp(ndtri(SEEN * generator.random(shape))),
    "two humps, 1 : 4": of("normal"),
}
"""What is left of laws without their tail: the largest fifth, the second hump."""


def seeded(*key: object) -> np.random.Generator:
    """A generator that depends on the key alone."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


# ------------------------------------------------------------------ subjects


COUNTED: dict[str, Draw] = {
    "4 each": lambda _, shape: np.full(shape, 4),
    "1 + Poisson 2": lambda generator, shape: 1 + generator.poisson(2, shape),
    "geometric, mean 5": of("geometric", 0.2),
    "Pareto 1.2, at most 50": lambda generator, shape: np.clip(np.ceil(generator.pareto(1.2, shape)), 1, 50),
}


def subjects_of(sizes: str, generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Images of every subject, (draws, subjects)."""
    return COUNTED[sizes](generator, shape).astype(np.float64)


SUBJECTS = {name: CHOSEN[name] for name in ("normal", "exponential", "lognormal, σ 1")}


# ------------------------------------------------------------------ peers


def student(values: NDArray[np.float64]) -> Ends:
    n = values.shape[1]
    reach = stdtrit(n - 1, 0.975) * values.std(axis=1, ddof=1) / np.sqrt(n)
    return values.mean(axis=1) - reach, values.mean(axis=1) + reach


def bca(values: NDArray[np.float64], generator: np.random.Generator) -> Ends:
    """Efron's bias-corrected and accelerated percentiles (1987), row by row."""
    ends = []
    for row in values:
        means = row[generator.integers(0, row.size, (RESAMPLES, row.size), dtype=np.int32)].mean(axis=1)
        mean, off = row.mean(), row - row.mean()
        below = ((means < mean).mean() + (means <= mean).mean()) / 2
        bias = ndtri(np.clip(below, 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES))
        spread = (off**2).sum() ** 1.5
        acceleration = (off**3).sum() / spread / 6 if spread > 0 else 0.0
        shifted = bias + ndtri([0.025, 0.975])
        ends.append(np.quantile(means, ndtr(bias + shifted / (1 - acceleration * shifted))))
    return tuple(np.array(ends).T)


def studentised(values: NDArray[np.float64], generator: np.random.Generator) -> Ends:
    """The bootstrap-t, row by row; a resample that does not vary is as far away as can be."""
    ends = []
    for row in values:
        drawn = row[generator.integers(0, row.size, (RESAMPLES, row.size), dtype=np.int32)]
        off = drawn.mean(axis=1) - row.mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.nan_to_num(off / drawn.std(axis=1), nan=0.0, posinf=1e9, neginf=-1e9)
        ends.append(row.mean() - np.quantile(ratio, [0.975, 0.025]) * row.std())
    return tuple(np.array(ends).T)


def sign_flips(
    values: NDArray[np.float64], generator: np.random.Generator, flips: int = 999
) -> NDArray[np.float64]:
    """p-values of every row by flipping signs."""
    found = []
    for row in values:
        sums = generator.choice([-1.0, 1.0], (flips, row.size)) @ row
        found.append(((np.abs(sums) >= abs(row.sum()) - 1e-12).sum() + 1) / (flips + 1))
    return np.array(found)
