from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from camaudit.statistics import stratified
from camaudit.statistics.rates import difference, rate
from camaudit.statistics.stratified import (
    NOTHING,
    class_differences,
    class_means,
    mean_difference,
    rate_difference,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE = np.full(60, "", dtype=object)
THIRD = np.arange(60) % 3 == 0


def two_labels(
    n: int = 120, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.object_]]:
    """Values, groups and labels; the labels differ in level and in their share of the second group."""
    draw = np.random.default_rng(seed)
    labels = np.where(np.arange(n) < n // 2, "a", "b").astype(object)
    second = draw.random(n) < np.where(labels == "a", 0.3, 0.6)
    return draw.normal(size=n) + 3.0 * (labels == "a"), second, labels


def test_within_one_stratum_it_is_welchs() -> None:
    values = np.random.default_rng(0).normal(size=60) * np.where(THIRD, 2, 1)
    found = mean_difference(values, THIRD, ONE, seed=0)
    welch = stats.ttest_ind(values[THIRD], values[~THIRD], equal_var=False)
    low, high = welch.confidence_interval()
    assert found.estimate == pytest.approx(values[THIRD].mean() - values[~THIRD].mean())
    assert found.low <= low + 1e-9  # wider by what the values are askew
    assert found.high >= high - 1e-9
    assert found.high - found.low < 1.1 * (high - low)
    assert found.p == pytest.approx(welch.pvalue, abs=0.04)


def test_strata_are_weighed_and_added_as_a_loop_does() -> None:
    values, second, labels = two_labels()
    weights = {"a": 0.25, "b": 0.75}
    found = mean_difference(values, second, labels, weights=weights, seed=0)
    estimate = variance = bottom = 0.0
    for label, weight in weights.items():
        one, other = values[(labels == label) & second], values[(labels == label) & ~second]
        estimate += weight * (one.mean() - other.mean())
        for side in (one, other):
            part = weight**2 * side.var(ddof=1) / side.size
            variance += part
            bottom += part**2 / (side.size - 1)
    reach = stats.t.ppf(0.975, variance**2 / bottom) * math.sqrt(variance)
    assert found.estimate == pytest.approx(estimate)
    assert (found.low, found.high) == pytest.approx((estimate - reach, estimate + reach), abs=0.1 * reach)
    assert found.high - found.low >= 2 * reach - 1e-9
    assert found.n == 120


def test_pairs_are_compared_as_pairs() -> None:
    draw = np.random.default_rng(1)
    level, change = draw.normal(size=40) * 5, draw.normal(size=40) + 0.5
    values = np.r_[level, level + change]
    pairs = np.r_[np.arange(40), np.arange(40)].astype(object)
    found = mean_difference(values, np.repeat([False, True], 40), np.full(80, "", object), pairs, seed=0)
    paired = stats.ttest_1samp(change, 0.0)
    low, high = paired.confidence_interval()
    assert found.estimate == pytest.approx(change.mean())
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)
    assert found.p == pytest.approx(paired.pvalue, abs=0.01)


def test_the_order_of_the_rows_does_not_matter() -> None:
    values, second, labels = two_labels()
    subjects = np.array([f"p{i // 3}" for i in range(120)], dtype=object)
    order = np.random.default_rng(9).permutation(120)
    for people in (None, subjects):
        moved = None if people is None else people[order]
        assert mean_difference(values, second, labels, people, seed=4) == mean_difference(
            values[order], second[order], labels[order], moved, seed=4
        )


def test_a_stratum_without_ten_on_a_side_does_not_count() -> None:
    values, second, labels = two_labels()
    rare = second & ~((labels == "a") & (np.cumsum(second & (labels == "a")) > 9))
    found = mean_difference(values, rare, labels, seed=0)
    assert list(found.strata) == ["b"]
    assert mean_difference(values, np.zeros(120, dtype=bool), labels, seed=0) == NOTHING
    assert mean_difference(np.full(120, np.nan), second, labels, seed=0) == NOTHING
    people = np.where(second & (labels == "b"), "one", np.arange(120).astype(str)).astype(object)
    assert "b" not in mean_difference(values, second, labels, people, seed=0).strata


def test_a_difference_of_whole_subjects_is_studentised_as_clusters_are() -> None:
    draw = np.random.default_rng(12)
    counts = draw.integers(1, 6, 24).astype(np.float64)  # twelve subjects on each side
    people, second = np.repeat(np.arange(24), counts.astype(int)), np.arange(24) % 2 == 1
    values = draw.normal(size=24)[people] + draw.normal(size=people.size)
    fit = sm.OLS(values, sm.add_constant(second[people].astype(float))).fit(
        cov_type="cluster", cov_kwds={"groups": people, "use_correction": False}
    )
    found = stratified._studentised(
        np.bincount(people, values), counts, second[None, :], np.zeros(1, dtype=np.int64), np.ones(1)
    )
    assert found[0] == pytest.approx(abs(fit.tvalues[1]) * math.sqrt(11 / 12))


def test_constants_have_no_interval_beyond_themselves() -> None:
    found = mean_difference(np.ones(60), THIRD, ONE, seed=0)
    assert (found.estimate, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["normal", "skewed", "subjects"])
def test_size_and_coverage(kind: str) -> None:
    """200 draws of 120 values with unequal spreads and a difference of zero."""
    draw = np.random.default_rng(11)
    held = reached = 0
    for index in range(200):
        values, second, labels = two_labels(seed=1000 + index)
        subjects = None
        if kind == "skewed":
            values = draw.exponential(size=120)
        if kind == "subjects":
            subjects = (np.arange(120) // 3).astype(object)
            values = draw.normal(size=120) * 0.6 + draw.normal(size=40)[np.arange(120) // 3]
        values = values * np.where(second, 1.0, 1.0 if kind == "skewed" else 1.5)
        found = mean_difference(values, second, labels, subjects, seed=index, permutations=199)
        truth = 0.0 if kind != "normal" else float(_shift(labels, second))
        held += found.low <= truth <= found.high
        reached += found.p <= 0.05
    assert held / 200 >= 0.95 - 0.03
    if kind != "normal":  # there the groups differ by what they are multiplied with
        assert reached / 200 <= 0.05 + 0.03


def _shift(labels: NDArray[np.object_], second: NDArray[np.bool_]) -> float:
    """What multiplying the first group by 1.5 takes from the difference, weighed as the strata are."""
    weight = np.array(
        [
            (second & (labels == of)).sum() * (~second & (labels == of)).sum() / (labels == of).sum()
            for of in "ab"
        ]
    )
    return float(weight @ np.array([-1.5, 0.0]) / weight.sum())


def test_rates_are_the_mantel_haenszel_difference_with_newcombes_ends() -> None:
    _, second, labels = two_labels()
    hits = np.random.default_rng(2).random(120) < np.where(labels == "a", 0.95, 0.6)
    found = rate_difference(hits, second, labels, seed=0)
    weight, apart, ends = [], [], []
    for label in ("a", "b"):
        one, other = hits[(labels == label) & second], hits[(labels == label) & ~second]
        weight.append(one.size * other.size / (one.size + other.size))
        apart.append(one.mean() - other.mean())
        ends.append(difference(rate(one), rate(other)))
    share = np.array(weight) / sum(weight)
    estimate = float(share @ apart)
    down = math.sqrt(sum((w * (d - low)) ** 2 for w, d, (low, _) in zip(share, apart, ends, strict=True)))
    assert found.estimate == pytest.approx(estimate)
    assert found.low == pytest.approx(estimate - down)
    assert found.low < found.estimate < found.high


def test_what_speaks_for_a_class_is_told_from_a_loss_of_confidence() -> None:
    draw = np.random.default_rng(3)
    labels = np.array(["a", "b"] * 100, dtype=object)
    second = np.arange(200) % 4 < 2
    margin = np.where(labels == "a", 1.0, -1.0) + 0.3 * draw.normal(size=200)
    speaks = margin + 0.5 * second
    weaker = margin * np.where(second, 0.5, 1.0)
    toward, less = (
        class_differences({"a": of, "b": -of}, second, labels, seed=0)["a"] for of in (speaks, weaker)
    )
    assert toward.estimate == pytest.approx(0.5, abs=0.12)
    assert toward.low > 0.3
    assert less.low < 0 < less.high
    assert set(less.strata) == {"a", "b"}


def test_of_several_classes_each_is_asked() -> None:
    draw = np.random.default_rng(4)
    labels = np.array(["a", "b", "c"] * 60, dtype=object)
    second = draw.random(180) < 0.5
    margins = {of: (labels == of) * 2.0 + draw.normal(size=180) * 0.3 for of in "abc"}
    margins["c"] = margins["c"] + 0.6 * second
    found = class_differences(margins, second, labels, seed=0)
    assert list(found) == ["a", "b", "c"]
    assert found["c"].low > 0.4
    assert max(abs(found["a"].estimate), abs(found["b"].estimate)) < 0.2


def test_a_class_that_is_always_on_one_side_is_not_compared() -> None:
    values, _, labels = two_labels()
    second = np.where(labels == "a", True, np.arange(120) % 2 == 0)
    assert class_differences({"a": values, "b": -values}, second, labels, seed=0) == {"a": NOTHING}


def test_changes_are_means_of_what_changed() -> None:
    draw = np.random.default_rng(5)
    labels = np.array(["a"] * 30 + ["b"] * 60, dtype=object)
    change = draw.normal(size=90) * 0.4 + np.where(labels == "a", 0.6, 0.2)
    change[::9] = np.nan
    found = class_means({"a": change, "b": -change}, labels, seed=0)["a"]
    assert found.estimate == pytest.approx(
        0.5 * np.nanmean(change[labels == "a"]) + 0.5 * np.nanmean(change[labels == "b"])
    )
    assert found.low < found.estimate < found.high
    assert found.p < 0.01
