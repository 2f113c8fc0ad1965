from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association as plain_association
from statsmodels.stats.proportion import proportion_confint

from camaudit.statistics import association, group_table

if TYPE_CHECKING:
    from numpy.typing import NDArray


def table_of(*cells: tuple[str, str, bool, int]) -> pd.DataFrame:
    """Samples from (label, gender, correct, how many)."""
    rows = [(label, gender, correct) for label, gender, correct, n in cells for _ in range(n)]
    return pd.DataFrame(rows, columns=["label", "group_gender", "correct"])


BIASED = table_of(
    ("doctor", "man", True, 40), ("doctor", "man", False, 2), ("doctor", "woman", True, 11),
    ("doctor", "woman", False, 9), ("nurse", "woman", True, 50), ("nurse", "man", True, 3),
    ("nurse", "man", False, 4),
)  # fmt: skip


def row(table: pd.DataFrame, label: str, value: str, group: str = "gender") -> pd.Series:
    chosen = table[(table["label"] == label) & (table["value"] == value) & (table["group"] == group)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_a_cell_has_its_accuracy_and_wilsons_interval() -> None:
    found = row(group_table(BIASED, ["gender"]), "doctor", "woman")
    low, high = proportion_confint(11, 20, method="wilson")
    assert (found["n"], found["accuracy"]) == (20, 11 / 20)
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def by_person(samples: pd.DataFrame, size: int) -> pd.DataFrame:
    """The samples as `size` images each of persons who are rather all right or all wrong."""
    ordered = samples.sort_values(["label", "group_gender", "correct"], kind="stable").reset_index(drop=True)
    return ordered.assign(subject=[f"p{number // size}" for number in ordered.index])


def test_where_samples_share_subjects_the_interval_is_over_subjects() -> None:
    people = by_person(table_of(("nurse", "man", True, 60), ("nurse", "man", False, 40)), 5)
    found = row(group_table(people, ["gender"]), "nurse", "man")
    alone = row(group_table(people.drop(columns="subject"), ["gender"]), "nurse", "man")
    assert (found["n"], found["accuracy"]) == (alone["n"], alone["accuracy"]) == (100, 0.6)
    assert found["high"] - found["low"] > 1.8 * (alone["high"] - alone["low"])
    pd.testing.assert_frame_equal(group_table(people, ["gender"]), group_table(people[::-1], ["gender"]))


@pytest.mark.parametrize("subjects", [None, range(100), [None] * 100])
def test_subjects_of_one_sample_are_samples(subjects: object) -> None:
    samples = table_of(("nurse", "man", True, 60), ("nurse", "man", False, 40)).assign(subject=subjects)
    found = row(group_table(samples, ["gender"]), "nurse", "man")
    assert (found["low"], found["high"]) == pytest.approx(proportion_confint(60, 100, method="wilson"))


@pytest.mark.parametrize(("right", "wrong", "hits", "n"), [(80, 0, 16, 16), (0, 80, 0, 16), (20, 10, 4, 6)])
def test_few_or_unanimous_subjects_are_wilsons(right: int, wrong: int, hits: int, n: int) -> None:
    people = by_person(table_of(("nurse", "man", True, right), ("nurse", "man", False, wrong)), 5)
    found = row(group_table(people, ["gender"]), "nurse", "man")
    assert (found["n"], found["accuracy"]) == (right + wrong, right / (right + wrong))
    assert (found["low"], found["high"]) == pytest.approx(
        proportion_confint(hits, n, method="wilson"), abs=1e-12
    )


def test_rows_are_also_over_all_labels_and_all_groups() -> None:
    table = group_table(BIASED, ["gender"])
    assert len(table) == 3 * 3
    assert row(table, "", "man")["n"] == 49
    assert row(table, "nurse", "", "")["accuracy"] == 53 / 57
    assert row(table, "", "", "")["n"] == len(BIASED)


def test_the_worst_group_is_marked_among_those_large_enough() -> None:
    table = group_table(BIASED, ["gender"])
    assert table["worst"].sum() == 1
    assert row(table, "doctor", "woman")[
        "worst"
    ]  # the 7 men who are nurses fare worse, but are too few to say


def test_a_combination_that_does_not_occur_is_shown_as_empty() -> None:
    found = row(
        group_table(BIASED.query("label != 'nurse' or group_gender != 'man'"), ["gender"]), "nurse", "man"
    )
    assert found["n"] == 0
    assert np.isnan(found["accuracy"])


def test_samples_without_a_label_are_not_judged() -> None:
    extra = pd.DataFrame({"label": [None, "nurse"], "group_gender": "man", "correct": [None, None]})
    table = group_table(pd.concat([BIASED.astype(object), extra]), ["gender"])
    pd.testing.assert_frame_equal(table, group_table(BIASED, ["gender"]))
    unlabelled = BIASED.assign(label=None, correct=None)
    assert group_table(unlabelled, ["gender"]).empty
    assert group_table(unlabelled[:0], ["gender"]).empty
    nullable = BIASED.assign(correct=BIASED["correct"].astype("boolean"))
    pd.testing.assert_frame_equal(group_table(nullable, ["gender"]), group_table(BIASED, ["gender"]))


def test_groups_without_values_have_no_rows() -> None:
    assert list(group_table(BIASED.assign(group_gender=None), ["gender"])["group"]) == ["", "", ""]
    assert len(group_table(BIASED, [])) == 3


def bergsma(counts: NDArray[np.int64]) -> float:
    """Bergsma 2013, eq. 10 to 12, literally."""
    n, (r, c) = counts.sum(), counts.shape
    phi = max(0, chi2_contingency(counts, correction=False).statistic / n - (r - 1) * (c - 1) / (n - 1))
    return np.sqrt(phi / (min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1))


def test_association_is_bergsmas_v() -> None:
    counts = pd.crosstab(BIASED["label"], BIASED["group_gender"]).to_numpy()
    found = association(BIASED, "gender", seed=1)
    assert found.estimate == pytest.approx(bergsma(counts))
    assert found.estimate == pytest.approx(plain_association(counts), abs=0.02)
    assert found.low < found.estimate < found.high
    assert found.p < 1e-6
    assert found.n == len(BIASED)
    assert found.low == association(BIASED, "gender", seed=1).low
    assert np.isnan(found.q)


def test_independence_and_a_fixed_mapping_are_the_ends_of_the_scale() -> None:
    fixed = table_of(("a", "x", True, 30), ("b", "y", True, 20))
    assert association(fixed, "gender").estimate == pytest.approx(1)
    free = table_of(*[(label, value, True, 25) for label in "ab" for value in "xyz"])
    assert association(free, "gender").estimate == 0
    assert association(free, "gender").high < 0.3


def test_an_association_of_constants_is_not_defined() -> None:
    for samples in (
        BIASED.query("label == 'nurse'"),
        BIASED[:0],
        BIASED.assign(group_gender=None),
        BIASED[40:46],
    ):
        found = association(samples, "gender")
        assert np.isnan([found.estimate, found.low, found.high, found.p]).all()


def test_the_associations_interval_covers() -> None:
    generator = np.random.default_rng(0)
    shares = np.array([[0.39, 0.11], [0.035, 0.465]])
    truth = plain_association(np.round(shares * 1_000_000).astype(int))
    hits = 0
    for repeat in range(60):
        counts = generator.multinomial(200, shares.ravel())
        cells = [("doctor", "man"), ("doctor", "woman"), ("nurse", "man"), ("nurse", "woman")]
        samples = table_of(*[(*key, True, n) for key, n in zip(cells, counts, strict=True)])
        found = association(samples, "gender", seed=repeat, resamples=500)
        hits += found.low <= truth <= found.high
    assert hits >= 53
