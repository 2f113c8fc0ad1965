from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, studentized_range
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from camaudit.statistics.rates import Rate, difference, gap, rate, ratio, shuffles, widest, wilson

names = st.lists(st.sampled_from("abc"), min_size=1, max_size=20)


def plain(hits: int, n: int) -> Rate:
    """A rate whose values are all units."""
    return Rate(hits / n, n, float(n))


@pytest.mark.parametrize(("hits", "n"), [(0, 12), (3, 12), (12, 12), (250, 1000)])
def test_wilsons_interval_is_that_of_statsmodels(hits: int, n: int) -> None:
    assert wilson(plain(hits, n)) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(("one", "other"), [((3, 12), (10, 40)), ((12, 12), (0, 9)), ((55, 60), (20, 60))])
def test_the_difference_is_newcombes(one: tuple[int, int], other: tuple[int, int]) -> None:
    expected = confint_proportions_2indep(*one, *other, method="newcomb", compare="diff")
    assert difference(plain(*one), plain(*other)) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 30), st.integers(0, 30))
def test_a_ratio_turned_round_has_its_interval_turned_round(a: int, b: int, c: int, d: int) -> None:
    one, other = plain(a, a + b), plain(c, c + d)
    low, high = ratio(one, other)
    assert low - 1e-9 <= one.share / other.share <= high + 1e-9
    assert low > 0
    back = ratio(other, one)
    assert 1 / high == pytest.approx(back[0], rel=1e-6)
    assert 1 / low == pytest.approx(back[1], rel=1e-6)


def test_subjects_that_answer_alike_are_worth_as_many_values_as_there_are_subjects() -> None:
    hits = np.repeat([True, False, True, True, False, True, True, False, True, True], 6)
    subjects = np.repeat(np.arange(10), 6).astype(object)
    found = rate(hits, subjects)
    assert found.n == 60
    assert found.effective == pytest.approx(9.0, abs=0.01)  # (10 - 1)/10 of the subjects, and the same mean
    assert rate(np.ones(60, dtype=bool), subjects) == Rate(1.0, 60, 10.0)
    assert rate(hits) == Rate(0.7, 60, 60.0)


def test_of_three_groups_every_pair_holds_at_once() -> None:
    rates = {"a": plain(30, 60), "b": plain(40, 60), "c": plain(57, 60)}
    worst, best, apart, relative = widest(rates)
    z = float(studentized_range.ppf(0.95, 3, np.inf)) / np.sqrt(2)
    assert (worst, best) == ("a", "c")
    assert apart[1:3] == pytest.approx(difference(rates["c"], rates["a"], z))
    assert relative.estimate == pytest.approx(30 / 57)
    alone = difference(rates["c"], rates["a"])
    assert apart.low < alone[0] < alone[1] < apart.high


def test_p_of_two_groups_is_that_of_all_tables() -> None:
    hits = np.r_[np.ones(14), np.zeros(6), np.ones(7), np.zeros(13)].astype(bool)
    groups = np.repeat(np.array(["a", "b"], dtype=object), 20)
    tables = np.arange(1, 21)  # hits of the first group, of 21 in all
    apart = np.abs(tables / 20 - (21 - tables) / 20)
    exact = hypergeom.pmf(tables, 40, 21, 20)[apart >= 0.35 - 1e-12].sum()
    drawn = gap(hits, groups, seed=1, permutations=19_999).p
    alone = np.arange(40).astype(object)
    assert drawn == pytest.approx(exact, abs=0.004)
    twice = gap(np.repeat(hits, 2), np.repeat(groups, 2), subjects=np.repeat(alone, 2), seed=1).p
    assert twice == pytest.approx(exact, abs=0.015)  # the same images twice say no more


def test_the_interval_and_the_p_hold_where_nothing_differs() -> None:
    """Five groups of 40, all right in 80 of 100: the bootstrap of the largest difference never holds 0."""
    draw = np.random.default_rng(5)
    groups = np.repeat(np.array(list("abcde"), dtype=object), 40)
    found = [gap(draw.random(200) < 0.8, groups, seed=i, permutations=199) for i in range(400)]
    assert np.mean([one.difference.low > 0 for one in found]) <= 0.05
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.055 + 0.02  # two standard errors of 400 draws
    assert (
        np.mean([one.difference.estimate for one in found]) > 0.13
    )  # what the mean of the estimates is biased by


def test_the_interval_holds_a_gap_that_is_there_and_the_test_finds_it() -> None:
    draw = np.random.default_rng(6)
    groups = np.repeat(np.array(list("abcd"), dtype=object), 75)
    chance = np.repeat([0.9, 0.9, 0.85, 0.65], 75)
    found = [gap(draw.random(300) < chance, groups, seed=i, permutations=199) for i in range(300)]
    assert np.mean([one.difference.low <= 0.25 <= one.difference.high for one in found]) >= 0.93
    assert np.mean([one.p <= 0.05 and one.worst == "d" for one in found]) >= 0.9


def test_groups_whose_labels_differ_in_difficulty_are_compared_within_labels() -> None:
    """No difference within either label, but one group has most of the hard one."""
    labels = np.array(["easy"] * 100 + ["hard"] * 100, dtype=object)
    groups = np.array((["a"] * 80 + ["b"] * 20) + (["a"] * 20 + ["b"] * 80), dtype=object)
    hits = np.tile([True, True, True, True, True], 40)
    hits[100:] = np.tile([True, False], 50)
    assert gap(hits, groups, labels, seed=0).p > 0.2
    assert gap(hits, groups, None, seed=0).p < 0.01


@settings(deadline=None)
@given(names, st.data())
def test_a_shuffle_keeps_what_each_block_has(values: list[str], data: st.DataObject) -> None:
    size = len(values)
    codes = np.array([ord(value) - 97 for value in values])
    blocks = np.array(data.draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)))
    for block in shuffles(codes, blocks, None, seed=0, count=7):
        for row in block:
            for number in set(blocks):
                assert sorted(row[blocks == number]) == sorted(codes[blocks == number])


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=8), st.data())
def test_subjects_of_one_group_move_as_one(sizes: list[int], data: st.DataObject) -> None:
    subjects = np.repeat(np.arange(len(sizes)), sizes).astype(object)
    of = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(sizes), max_size=len(sizes))))
    codes = of[subjects.astype(int)]
    for block in shuffles(codes, np.zeros(len(codes), np.int64), subjects, seed=0, count=5):
        for row in block:
            assert all(len(set(row[subjects == subject])) == 1 for subject in set(subjects))


def test_groups_within_subjects_move_within_subjects() -> None:
    subjects = np.repeat(np.arange(6), 4).astype(object)
    codes = np.tile([0, 1, 1, 0], 6)
    (block,) = shuffles(codes, np.zeros(24, np.int64), subjects, seed=0, count=50)
    assert (block.reshape(50, 6, 4).sum(2) == 2).all()
    assert len({tuple(row) for row in block}) > 40


@pytest.mark.parametrize("count", [2, 3])
def test_groups_that_fare_alike_are_named_apart(count: int) -> None:
    same = rate(np.full(30, fill_value=True))
    worst, best, *_ = widest({f"g{i}": same for i in range(count)})
    assert worst != best
