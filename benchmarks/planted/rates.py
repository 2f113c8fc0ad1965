"""Rates with intervals: Wilson's of a proportion, a bootstrap over models by station of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from scipy import stats

from benchmarks.planted.grid import AUDITED
from benchmarks.planted.truth import BIASED, CLEAN
from camaudit.statistics import proportion_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

Statistic: TypeAlias = "Callable[[NDArray[np.float64]], float]"
COVERED = ("low", "high", "twins")
RESAMPLES = 1000


class Rate(NamedTuple):
    """An estimate, its 95 % interval and how many models it rests on; NaN where there are none."""

    estimate: float
    low: float
    high: float
    n: int

    def text(self, digits: int = 2) -> str:
        """Such as ``0.97 (0.91 to 0.99), n = 40``."""
        if self.n == 0 or np.isnan(self.estimate):
            return "–"
        low, high = (f"{value:.{digits}f}".replace("-", "−") for value in (self.low, self.high))
        return f"{self.estimate:.{digits}f} ({low} to {high}), n = {self.n}".replace("-", "−")


def main_table(models: pd.DataFrame) -> pd.DataFrame:
    """The models that the bounds are about: `AUDITED` images, exact masks."""
    return models[(models["images"] == AUDITED) & (models["masks"] == "exact")]


def proportion(hits: pd.Series) -> Rate:
    """Share of true values, with Wilson's interval."""
    found = proportion_interval(float(hits.sum()), len(hits))
    return Rate(found.estimate, found.low, found.high, len(hits))


def bootstrapped(
    models: pd.DataFrame, columns: Sequence[str], statistic: Statistic, *, seed: int = 0
) -> Rate:
    """A statistic of models, with a percentile interval; stations are drawn whole, since their models share images.

    Args:
        models: one row a model or a cell.
        columns: what the statistic is given, as (n, columns); rows that lack one of them are left out.
        statistic: from these numbers to one.
        seed: of the resampling.
    """
    models = models.dropna(subset=list(columns))
    if models.empty:
        return Rate(float("nan"), float("nan"), float("nan"), 0)
    values = models[list(columns)].to_numpy(float)
    groups = models.groupby(["task", "shortcut", "station_seed", "along"]).indices.values()
    stations = [values[rows] for rows in groups]
    chance = np.random.default_rng(seed)
    draws = chance.integers(0, len(stations), (RESAMPLES, len(stations)))
    drawn = np.array([statistic(np.concatenate([stations[i] for i in draw])) for draw in draws])
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (float("nan"),) * 2
    return Rate(statistic(values), float(low), float(high), len(models))


def auroc(values: NDArray[np.float64]) -> float:
    """How well the size of a score (first column) tells biased models from clean ones (twins' effect, second column)."""
    score, size = np.abs(values).T
    biased, clean = score[size > BIASED], score[size < CLEAN]
    if not biased.size or not clean.size:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([biased, clean]))[: biased.size]
    return float((ranks.mean() - (biased.size + 1) / 2) / clean.size)


def rank_correlation(values: NDArray[np.float64]) -> float:
    """Spearman's, of two columns: what the edits say and what the twins say."""
    if len(values) < 3:
        return float("nan")
    ranks = stats.rankdata(values, axis=0)
    if (np.ptp(ranks, axis=0) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks.T)[0, 1])


def coverage(values: NDArray[np.float64]) -> float:
    """Share of the intervals (columns low, high) that hold what the twins say (third column)."""
    low, high, twins = values.T
    return float(((low <= twins) & (twins <= high)).mean())


def mean(values: NDArray[np.float64]) -> float:
    """Of one column."""
    return float(values.mean())


def threshold(models: pd.DataFrame, score: str, allowed: float = 0.02) -> float:
    """The least threshold of a score above which at most a share `allowed` of the clean models lie."""
    clean = models.loc[models["kind"] == "clean", score].dropna().to_numpy(float)
    return float(np.quantile(clean, 1 - allowed, method="higher")) if clean.size else float("nan")
