from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from camaudit.statistics import cliffs_delta, cohens_d, needed, proportion_interval, smallest_effect
from camaudit.types import Effect

if TYPE_CHECKING:
    from random import Random

some = st.lists(st.integers(-5, 5), min_size=2, max_size=25)


@settings(max_examples=60, deadline=None)
@given(some, some, st.randoms(use_true_random=False))
def test_delta_counts_every_pair(first: list[int], second: list[int], random: Random) -> None:
    found = cliffs_delta(first, second)
    pairs = [np.sign(y - x) for x in first for y in second]
    assert found.estimate == pytest.approx(np.mean(pairs))
    assert found.n == len(first) + len(second)
    assert -1 <= found.low <= found.estimate + 1e-12
    assert found.estimate - 1e-12 <= found.high <= 1
    back = cliffs_delta(second, first)
    assert (-back.high, -back.low) == pytest.approx((found.low, found.high))
    shuffled = [*first, math.nan, math.inf]
    random.shuffle(shuffled)
    # its own cube, an increasing transform
    assert cliffs_delta([x**3 for x in shuffled], [y**3 for y in second])[:3] == pytest.approx(found[:3])


def test_variance_of_delta_is_that_of_its_pairs() -> None:
    """Cliff's own consistent estimate, by loops over the matrix of dominances."""
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=30), generator.normal(0.5, 2, size=45)
    dominance = np.sign(second[None] - first[:, None])
    rows, columns = dominance.mean(1), dominance.mean(0)
    variance = rows.var(ddof=1) / 30 + columns.var(ddof=1) / 45
    found = cliffs_delta(first, second)
    reach = (math.atanh(found.high) - math.atanh(found.low)) / 2 * (1 - found.estimate**2)
    assert 1.96 < reach / math.sqrt(variance) < 2.02  # Student's with some 70 degrees of freedom


def test_delta_of_copies_is_as_sure_as_that_of_their_subjects() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=30), generator.normal(1, size=30)
    once = cliffs_delta(first, second)
    names = (np.repeat(np.arange(30), 4), np.repeat(np.arange(30, 60), 4))
    copied = cliffs_delta(np.repeat(first, 4), np.repeat(second, 4), subjects=names)
    assert copied[:3] == pytest.approx(once[:3])
    # what subjects have in both groups cancels out
    paired = cliffs_delta(first, first + 0.1, subjects=(np.arange(30), np.arange(30)))
    apart = cliffs_delta(first, first + 0.1)
    assert paired.high - paired.low < 0.5 * (apart.high - apart.low)


def test_groups_without_overlap_are_not_certain() -> None:
    found = cliffs_delta(range(12), range(20, 40))
    assert found[:3] == pytest.approx((1, 1 - 2 * proportion_interval(0, 12).high, 1))
    same = cliffs_delta([3.0] * 12, [3.0] * 12)
    assert (same.estimate, same.low) == (0, pytest.approx(-same.high))
    assert np.isnan(cliffs_delta([], [1, 2])[:3]).all()
    assert np.isnan(cliffs_delta([1.0], [1, 2])[1:3]).all()
    assert np.isnan(cliffs_delta([1, 2], [1, 2], subjects=(["a", "a"], ["b", "c"]))[1:3]).all()


def test_delta_covers_what_it_estimates() -> None:
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        found = cliffs_delta(generator.normal(size=15), generator.normal(1, 1, size=25))
        hits += found.low <= math.erf(0.5) <= found.high
    assert 0.92 <= hits / 400 <= 0.98


def test_cohens_d_is_in_pooled_deviations() -> None:
    assert cohens_d([1, 2, 3], [3, 4, 5, np.nan]) == pytest.approx(2.0)
    for nothing in (([1.0], [1.0, 2.0]), ([0.1] * 5, [0.1] * 5), ([], [])):
        assert math.isnan(cohens_d(*nothing))


@pytest.mark.parametrize("n", [3, 10, 57, 2000])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
def test_smallest_effect_is_statsmodels(n: int, power: float) -> None:
    oracle = TTestPower().solve_power(nobs=n, power=power, alpha=0.05)
    assert smallest_effect(n, 2.0, power=power) == pytest.approx(2 * oracle, rel=1e-4)


def test_nothing_can_be_seen_with_one_unit() -> None:
    assert math.isnan(smallest_effect(1, 1.0))
    assert math.isnan(smallest_effect(20, math.nan))
    assert smallest_effect(20, 0.0) == 0


def effect(estimate: float, low: float, high: float, n: int = 40) -> Effect:
    return Effect("shift", estimate, low, high, math.nan, math.nan, n)


@given(st.floats(-3, 3), st.floats(0.01, 2), st.floats(0, 1))
def test_so_many_images_decide(estimate: float, reach: float, threshold: float) -> None:
    found = needed(effect(estimate, estimate - reach, estimate + reach), threshold)
    if found is None:
        assert min(abs(estimate - threshold), abs(estimate + threshold)) < 1e-3 * reach
        return

    def decided(n: float) -> bool:
        then = reach * math.sqrt(40 / n)
        return all(abs(estimate - bound) >= then * (1 - 1e-9) for bound in (threshold, -threshold))

    assert decided(found)
    assert found == 40 or not decided((found - 1) * (1 - 1e-9))


def test_images_that_decide() -> None:
    # beyond 0.1 once the interval reaches no further than 0.05, within 0.2 the same
    assert needed(effect(0.15, 0.05, 0.25), 0.1) == needed(effect(-0.15, -0.25, -0.05), 0.2) == 160
    assert needed(effect(0.15, -0.05, 0.35), 0.3) == math.ceil(40 * (0.2 / 0.15) ** 2)
    assert needed(effect(0.0, -0.1, 0.1), 0.3) == 40


def test_no_number_of_images_decides_what_lies_on_the_threshold() -> None:
    assert needed(effect(0.1, 0.0, 0.2), 0.1) is None
    assert needed(effect(math.nan, math.nan, math.nan), 0.1) is None
    assert needed(effect(0.1, math.nan, math.nan), 0.2) is None
