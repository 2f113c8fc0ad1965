from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from camaudit.statistics import benjamini_hochberg, sign_flip_test
from camaudit.statistics.permutation import all_patterns, pattern_sums, signed_sums

if TYPE_CHECKING:
    from random import Random

values_of = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30)


def literal(values: list[float], names: list[int]) -> float:
    subjects = sorted(set(names))
    observed = abs(sum(values))
    extreme = 0
    for signs in product((-1, 1), repeat=len(subjects)):
        sign = dict(zip(subjects, signs, strict=True))
        extreme += abs(sum(sign[name] * value for name, value in zip(names, values, strict=True))) >= (
            observed - 1e-9
        )
    return extreme / 2 ** len(subjects)


def test_few_values_are_enumerated() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 12)
    assert sign_flip_test(values, seed=0) == literal(values, list(range(12)))
    oracle = permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(values, seed=0) == pytest.approx(oracle.pvalue)


def test_signs_flip_by_whole_subjects() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, 24)
    names = [at % 7 for at in range(24)]
    assert sign_flip_test(values, names, seed=0) == literal(values, names)


def test_ties_count_although_their_sums_are_rounded() -> None:
    assert sign_flip_test([0.1, 0.2, 0.3, -0.3, 0.1, 0.2], seed=0) == literal(
        [1, 2, 3, -3, 1, 2], list(range(6))
    )


def test_random_patterns_agree_with_enumeration() -> None:
    values = np.random.default_rng(2).normal(0.5, 1, 13)
    exact = sign_flip_test(values, seed=0, flips=2**13)
    drawn = [sign_flip_test(values, seed=seed, flips=2000) for seed in range(10)]
    assert np.mean(drawn) == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))


def test_table_of_eights_gives_every_signed_sum() -> None:
    sums = np.random.default_rng(0).normal(size=10)
    found = pattern_sums(signed_sums(sums), all_patterns(10))
    expected = [np.dot(signs, sums) for signs in product((-1, 1), repeat=10)]
    assert sorted(found) == pytest.approx(sorted(expected))


def test_p_is_uniform_without_an_effect() -> None:
    generator = np.random.default_rng(0)
    p = [sign_flip_test(generator.normal(size=30), seed=seed, flips=499) for seed in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_an_effect_is_as_significant_as_the_flips_allow() -> None:
    assert sign_flip_test(np.arange(1, 101), seed=0) == 1e-4


def test_nothing_but_zeros_is_no_effect() -> None:
    assert sign_flip_test(np.zeros(40), seed=0) == 1
    assert np.isnan(sign_flip_test([np.nan, np.inf], seed=0))


@settings(max_examples=40, deadline=None)
@given(values_of, st.randoms(use_true_random=False))
def test_p_is_a_probability_and_knows_neither_order_nor_sign(values: list[float], random: Random) -> None:
    p = sign_flip_test(values, seed=3, flips=99)
    assert 0 < p <= 1
    shuffled = [*values, float("nan")]
    random.shuffle(shuffled)
    assert sign_flip_test(shuffled, seed=3, flips=99) == p
    if len(values) <= 6:  # enumerated: exactly symmetric
        assert sign_flip_test([-value for value in values], seed=3, flips=99) == p


def test_a_hundred_thousand_values_fit() -> None:
    assert 0.05 < sign_flip_test(np.random.default_rng(0).normal(size=100_000), seed=0, flips=499) <= 1


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=20))
def test_benjamini_hochberg_is_the_definition(p: list[float]) -> None:
    q = benjamini_hochberg(p)
    tested = sorted(value for value in p if not np.isnan(value))
    for value, adjusted in zip(p, q, strict=True):
        if np.isnan(value):
            assert np.isnan(adjusted)
            continue
        worse = [min(1, len(tested) * other / (at + 1)) for at, other in enumerate(tested) if other >= value]
        assert adjusted == pytest.approx(min(worse))
        assert adjusted >= value or adjusted == pytest.approx(value)
    order = np.argsort(p)
    assert (np.diff(q[order][~np.isnan(q[order])]) >= 0).all()
