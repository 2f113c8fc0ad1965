from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint

from camaudit.statistics import intervals, mean_interval, proportion_interval
from camaudit.statistics.intervals import bca, bootstrap_means, jackknife_means
from camaudit.statistics.units import units

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

finite = st.floats(-1e6, 1e6, allow_nan=False)


def ratio(sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def clustered(
    generator: np.random.Generator, subjects: int = 25
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    counts = generator.integers(1, 6, subjects)
    names = np.repeat(np.arange(subjects), counts)
    return generator.gamma(2, size=subjects)[names] + generator.gamma(1, size=names.size), names


def test_ends_equal_scipys_for_the_same_resamples() -> None:
    values = np.random.default_rng(0).lognormal(size=40)
    data = units(values)
    means = bootstrap_means(data, seed=1, resamples=2000)
    found = bca(means, data.mean, jackknife_means(data))
    oracle = bootstrap(
        (values,), np.mean, n_resamples=0, bootstrap_result=SimpleNamespace(bootstrap_distribution=means)
    ).confidence_interval
    assert found == pytest.approx(tuple(oracle), rel=1e-12)


def test_ends_of_clustered_data_equal_scipys_paired_ratio_for_the_same_resamples() -> None:
    values, names = clustered(np.random.default_rng(0))
    data = units(values, names)
    means = bootstrap_means(data, seed=1, resamples=2000)
    found = bca(means, data.mean, jackknife_means(data))
    given_means = SimpleNamespace(bootstrap_distribution=means)
    oracle = bootstrap(
        (data.sums, data.counts), ratio, paired=True, n_resamples=0, bootstrap_result=given_means
    ).confidence_interval
    assert found == pytest.approx(tuple(oracle), rel=1e-12)


def test_whole_interval_agrees_with_scipys_own_resampling() -> None:
    values, names = clustered(np.random.default_rng(3), subjects=60)
    found = mean_interval(values, names, seed=0, resamples=20_000)
    data = units(values, names)
    oracle = bootstrap(
        (data.sums, data.counts), ratio, paired=True, n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    width = oracle.high - oracle.low
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.03 * width)


def test_jackknife_is_the_mean_without_each_subject() -> None:
    values, names = clustered(np.random.default_rng(1), subjects=8)
    literal = sorted(values[names != name].mean() for name in np.unique(names))
    assert sorted(jackknife_means(units(values, names))) == pytest.approx(literal)


def test_subjects_of_one_sample_are_no_subjects() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, np.arange(30), seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, [None] * 30, seed=4) == mean_interval(values, seed=4)


def test_copies_of_samples_do_not_narrow_the_interval_of_their_subjects() -> None:
    values = np.random.default_rng(0).normal(size=30)
    once = mean_interval(values, seed=4)
    copied = mean_interval(np.repeat(values, 5), np.repeat(np.arange(30), 5), seed=4)
    assert copied[:3] == pytest.approx(once[:3])
    assert copied.n == 150


@settings(max_examples=40, deadline=None)
@given(st.lists(finite, min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_neither_order_nor_undefined_values_change_anything(values: list[float], random: Random) -> None:
    expected = mean_interval(values, seed=9, resamples=200)
    shuffled = [*values, float("nan"), float("-inf")]
    random.shuffle(shuffled)
    assert mean_interval(shuffled, seed=9, resamples=200) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(finite, min_size=2, max_size=40))
def test_interval_lies_within_the_data(values: list[float]) -> None:
    found = mean_interval(values, seed=9, resamples=200)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


@pytest.mark.parametrize("value", [0.0, 0.1, -3e8])
def test_constant_data_are_certain(value: float) -> None:
    assert mean_interval([value] * 12, seed=0) == pytest.approx((value, value, value, 12))
    assert mean_interval([value] * 12, [1, 1, 2] * 4, seed=0) == pytest.approx((value, value, value, 12))


@pytest.mark.parametrize(("values", "n"), [([], 0), ([np.nan] * 3, 0), ([2.0], 1), ([2.0, np.nan], 1)])
def test_too_little_data_have_no_interval(values: list[float], n: int) -> None:
    found = mean_interval(values, seed=0)
    assert found.n == n
    assert np.isnan([found.low, found.high]).all()


def test_one_subject_has_no_interval() -> None:
    assert np.isnan(mean_interval([1.0, 2.0, 3.0], ["a", "a", "a"], seed=0).low)


def test_an_outlier_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mean_interval([0.0] * 30 + [1e12], seed=0)
    assert found.low <= found.estimate <= found.high


def test_memory_is_bounded_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    drawn = []
    generator = np.random.default_rng(1)
    original = intervals.np.random.default_rng

    class Recorder:
        def integers(self, low: int, high: int, size: tuple[int, int], dtype: type) -> NDArray[np.int32]:
            drawn.append(size[0] * size[1])
            return generator.integers(low, high, size, dtype=dtype)

    monkeypatch.setattr(intervals, "CHUNK", 1000)
    monkeypatch.setattr(intervals.np.random, "default_rng", lambda _seed: Recorder())
    means = bootstrap_means(units(values), seed=1, resamples=2000)
    monkeypatch.setattr(intervals.np.random, "default_rng", original)
    assert max(drawn) <= 1000
    assert sum(drawn) == 2000 * 50
    assert means.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.1)


def test_interval_of_a_hundred_thousand_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=100_000)
    found = mean_interval(values, seed=0)
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert found.estimate - found.low == pytest.approx(half, rel=0.1)
    assert found.high - found.estimate == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(("n", "subjects", "least"), [(20, None, 0.87), (60, 20, 0.85)])
def test_interval_covers_the_truth_about_as_often_as_it_says(
    n: int, subjects: int | None, least: float
) -> None:
    generator = np.random.default_rng(0)
    names = None if subjects is None else np.arange(n) % subjects
    hits = 0
    for repeat in range(300):
        shared = 0 if names is None else generator.normal(size=subjects)[names]
        found = mean_interval(generator.normal(size=n) + shared, names, seed=repeat, resamples=1000)
        hits += found.low <= 0 <= found.high
    assert least <= hits / 300 <= 0.99


@settings(max_examples=40)
@given(st.integers(0, 50), st.integers(1, 50))
def test_proportion_is_statsmodels_wilson(hits: int, more: int) -> None:
    n = hits + more - 1 or 1
    hits = min(hits, n)
    low, high = proportion_confint(hits, n, method="wilson")
    found = proportion_interval(hits, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12


def test_proportion_of_nothing_is_not_defined() -> None:
    assert np.isnan(proportion_interval(0, 0)[:3]).all()
