from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, skew, t, ttest_1samp
from statsmodels.stats.proportion import proportion_confint

from camaudit.statistics import mean_interval, mean_test, proportion_interval
from camaudit.statistics.intervals import moments_of
from camaudit.statistics.units import units

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

finite = st.floats(-1e6, 1e6, allow_nan=False)


def clustered(
    generator: np.random.Generator, subjects: int = 25
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    counts = generator.integers(1, 6, subjects)
    names = np.repeat(np.arange(subjects), counts)
    return generator.gamma(2, size=subjects)[names] + generator.gamma(1, size=names.size), names


def hall(values: NDArray[np.float64], level: float) -> float:
    """The end of Hall's interval above which the mean lies with probability `level`, by bisection of his equation."""
    n = values.size
    askew = skew(values) / math.sqrt(n) * (1 + 8 / n)
    error = values.std(ddof=1) / math.sqrt(n)
    quantile = t.ppf(level, n - 1)
    least, most = -1e4, 1e4
    for _ in range(200):
        middle = (least + most) / 2
        transformed = middle + askew * middle**2 / 3 + askew**2 * middle**3 / 27 + askew / 6
        least, most = (middle, most) if transformed < quantile else (least, middle)
    return float(values.mean() - error * middle)


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
@pytest.mark.parametrize("n", [10, 31, 400])
def test_ends_are_the_hull_of_students_and_halls(draw: str, n: int) -> None:
    values = getattr(np.random.default_rng(n), draw)(size=n)
    found = mean_interval(values)
    student = ttest_1samp(values, 0).confidence_interval()
    assert found.low == pytest.approx(min(student.low, hall(values, 0.975)), rel=1e-9)
    assert found.high == pytest.approx(max(student.high, hall(values, 0.025)), rel=1e-9)
    mirrored = mean_interval(-values)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high), rel=1e-12)


def test_symmetric_data_have_students_interval() -> None:
    half = np.random.default_rng(0).normal(size=20)
    values = np.concatenate([half, -half]) + 0.2
    assert mean_interval(values)[1:3] == pytest.approx(
        tuple(ttest_1samp(values, 0).confidence_interval()), rel=1e-9
    )
    p = ttest_1samp(values, 0).pvalue
    assert mean_test(values) == pytest.approx(p, rel=1e-9)
    assert p > 0.05
    further = ttest_1samp(values + 0.7, 0).pvalue
    assert mean_test(values + 0.7) == pytest.approx(
        0.05 * (further / 0.05) ** (1 - 2 / math.sqrt(40)), rel=1e-9
    )


def test_interval_of_subjects_is_near_scipys_bootstrap_of_the_ratio() -> None:
    values, names = clustered(np.random.default_rng(3), subjects=200)
    found = mean_interval(values, names)
    data = units(values, names)
    oracle = bootstrap(
        (data.sums, data.counts),
        lambda sums, counts, axis=-1: sums.sum(axis=axis) / counts.sum(axis=axis),
        paired=True, n_resamples=20_000, rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    width = oracle.high - oracle.low
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.05 * width)


def test_error_is_the_jackknifes() -> None:
    values, names = clustered(np.random.default_rng(1), subjects=8)
    without = np.array([values[names != name].mean() for name in np.unique(names)])
    found = moments_of(units(values, names))
    assert found.error[0] == pytest.approx(math.sqrt(7 / 8 * ((without - without.mean()) ** 2).sum()))
    assert found.skewness[0] == pytest.approx(skew(-without) / math.sqrt(8))
    counts = np.bincount(names)
    assert found.effective[0] == pytest.approx(counts.sum() ** 2 / (counts**2).sum())


def test_subjects_of_one_sample_are_no_subjects() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert mean_interval(values, np.arange(30)) == mean_interval(values)
    assert mean_interval(values, [None] * 30) == mean_interval(values)


def test_copies_of_samples_do_not_narrow_the_interval_of_their_subjects() -> None:
    values = np.random.default_rng(0).normal(size=30)
    once = mean_interval(values)
    copied = mean_interval(np.repeat(values, 5), np.repeat(np.arange(30), 5))
    assert copied[:3] == pytest.approx(once[:3])
    assert copied.n == 150


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(finite, st.integers(0, 9)), min_size=2, max_size=40),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_neither_order_nor_undefined_values_change_anything(
    rows: list[tuple[float, int]], random: Random, shared: bool
) -> None:
    def found(rows: list[tuple[float, int]]) -> tuple[object, ...]:
        values, names = [row[0] for row in rows], [row[1] for row in rows] if shared else None
        return mean_interval(values, names), mean_test(values, names)

    shuffled = [*rows, (math.nan, 3), (-math.inf, 4)]
    random.shuffle(shuffled)
    np.testing.assert_equal(found(shuffled), found(rows))


@settings(max_examples=100, deadline=None)
@given(st.lists(finite, min_size=6, max_size=40), finite)
def test_p_is_small_where_the_interval_leaves_zero_out(values: list[float], shift: float) -> None:
    moved = [value - shift for value in values]
    found, p = mean_interval(moved), mean_test(moved)
    assert found.low <= found.estimate <= found.high
    assert 0 < p <= 1
    slack = 1e-6 * max(map(abs, moved))
    if found.low - slack > 0 or found.high + slack < 0:
        assert p <= 0.05
    if found.low + slack < 0 < found.high - slack:
        assert p >= 0.05


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.booleans())
def test_known_bounds_are_kept_and_hold_the_mean(values: list[float], shared: bool) -> None:
    names = [at // 2 for at in range(len(values))] if shared else None
    found = mean_interval(values, names, bounds=(0, 1))
    if math.isnan(found.low):
        assert len(values) < 3
        assert shared
    else:
        assert 0 <= found.low <= found.estimate + 1e-12
        assert found.estimate - 1e-12 <= found.high <= 1
        assert found.low < found.high


def test_zeros_and_ones_have_wilsons_interval() -> None:
    assert mean_interval([0, 0, 1] * 8, bounds=(0, 1)) == proportion_interval(8, 24)
    assert mean_interval([0] * 15, bounds=(0, 1)) == proportion_interval(0, 15)
    found, wilson = mean_interval([-1, 3, 3, -1, 3, 3], bounds=(-1, 3)), proportion_interval(4, 6)
    assert found[:3] == pytest.approx([-1 + 4 * end for end in wilson[:3]])
    # twelve subjects that agree say as much as twelve samples
    agreed = mean_interval([1] * 60, np.arange(60) % 12, bounds=(0, 1))
    assert agreed[:3] == pytest.approx(proportion_interval(12, 12)[:3])


def test_what_never_varied_may_still_be_elsewhere() -> None:
    unseen = proportion_interval(0, 20).high
    found = mean_interval([0.25] * 20, bounds=(-1, 1))
    assert found[:3] == pytest.approx((0.25, 0.25 - 1.25 * unseen, 0.25 + 0.75 * unseen))


def test_p_of_constants_is_that_of_their_signs() -> None:
    assert mean_test([0.0] * 12) == 1
    assert mean_test([0.3] * 12) == 2.0**-11
    assert mean_test([0.3, 0.3, 0.3, 0.30001] * 3) == 2.0**-11
    assert np.isnan(mean_test([3.0]))
    assert np.isnan(mean_test([1.0, 2.0], ["a", "a"]))


@pytest.mark.parametrize("value", [0.0, 0.1, -3e8])
def test_constant_data_are_certain(value: float) -> None:
    assert mean_interval([value] * 12) == pytest.approx((value, value, value, 12))
    assert mean_interval([value] * 12, [1, 1, 2] * 4) == pytest.approx((value, value, value, 12))


@pytest.mark.parametrize(("values", "n"), [([], 0), ([np.nan] * 3, 0), ([2.0], 1), ([2.0, np.nan], 1)])
def test_too_little_data_have_no_interval(values: list[float], n: int) -> None:
    found = mean_interval(values)
    assert found.n == n
    assert np.isnan([found.low, found.high]).all()


def test_one_subject_has_no_interval() -> None:
    assert np.isnan(mean_interval([1.0, 2.0, 3.0], ["a", "a", "a"]).low)


def test_an_outlier_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mean_interval([0.0] * 30 + [1e12])
    assert found.low <= found.estimate <= found.high


def test_interval_of_a_hundred_thousand_values_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=100_000)
    found = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(values.size)
    assert found.estimate - found.low == pytest.approx(half, rel=0.02)
    assert found.high - found.estimate == pytest.approx(half, rel=0.02)


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
