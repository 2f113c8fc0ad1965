from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camaudit.statistics.harms import (
    aligned_conflicting,
    alignment,
    cell_table,
    crossings,
    group_gaps,
    pmi,
    simpson,
)


def table_of(*cells: tuple[str, str, int, int], predicted: str | None = None) -> pd.DataFrame:
    """Samples from (label, gender, right, wrong); what is wrong is predicted as the other label."""
    other = {"doctor": "nurse", "nurse": "doctor"}
    rows = [
        (label, gender, right, label if right else (predicted or other[label]))
        for label, gender, good, bad in cells
        for right in [True] * good + [False] * bad
    ]
    found = pd.DataFrame(rows, columns=["label", "group_gender", "correct", "predicted"])
    return found.assign(sample=[f"s{i}" for i in range(len(found))], confidence=0.9)


BIASED = table_of(
    ("doctor", "man", 48, 2), ("doctor", "woman", 30, 20), ("nurse", "man", 26, 24), ("nurse", "woman", 49, 1)
)


def one(table: pd.DataFrame, **where: str) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_cell_says_what_it_is_mistaken_for() -> None:
    found = one(cell_table(BIASED, ["gender"]), label="nurse", group="gender", value="man")
    assert (found["n"], found["accuracy"], found["confidence"]) == (50, 0.52, pytest.approx(0.9))
    assert (found["mistaken_for"], found["mistaken_share"]) == ("doctor", 0.48)


def test_a_cell_of_fewer_than_ten_has_only_its_number() -> None:
    few = table_of(("doctor", "man", 5, 4), ("doctor", "woman", 20, 0))
    found = one(cell_table(few, ["gender"]), label="doctor", group="gender", value="man")
    assert found["n"] == 9
    assert np.isnan(found["accuracy"])
    assert np.isnan(found["low"])
    assert found["mistaken_for"] == ""


def test_gaps_and_ratios_are_those_of_the_rates() -> None:
    found = one(group_gaps(BIASED, ["gender"], seed=0), label="nurse", group="gender")
    assert (found["worst"], found["best"]) == ("man", "woman")
    assert found["gap"] == pytest.approx(0.98 - 0.52)
    assert found["ratio"] == pytest.approx(0.52 / 0.98)
    assert found["gap_low"] < found["gap"] < found["gap_high"]
    assert found["p"] == 1 / 2000
    overall = one(group_gaps(BIASED, ["gender"], seed=0), label="", group="gender")
    assert overall["gap"] == pytest.approx(0.79 - 0.74)  # over all labels the two errors hide each other


def test_two_columns_are_crossed_and_missing_values_left_out() -> None:
    samples = BIASED.assign(group_age=np.where(np.arange(200) % 2 == 0, "old", "young"))
    samples.loc[::20, "group_age"] = None
    found = one(group_gaps(samples, ["gender", "age"], seed=0), label="nurse", group="gender × age")
    assert found["values"] == 4
    assert found["n"] == int((samples["group_age"].notna() & (samples["label"] == "nurse")).sum())
    assert crossings(["a", "b", "c"]) == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]


def test_where_fewer_than_two_values_are_left_there_is_no_gap() -> None:
    few = table_of(("doctor", "man", 30, 3), ("doctor", "woman", 4, 2), ("nurse", "man", 20, 1))
    found = group_gaps(few, ["gender"], seed=0)
    row = one(found, label="doctor")
    assert (row["values"], row["left_out"], row["n"]) == (1, 1, 39)
    assert found.loc[found["label"] == "doctor", ["gap", "gap_low", "ratio", "p", "q"]].isna().all(axis=None)


@pytest.mark.parametrize(
    "samples", [BIASED[:0], BIASED.assign(correct=pd.NA), BIASED.assign(group_gender=None)]
)
def test_nothing_to_compare_gives_tables_without_numbers(samples: pd.DataFrame) -> None:
    gaps = group_gaps(samples, ["gender"], seed=0)
    assert gaps["gap"].isna().all()
    assert set(cell_table(samples, ["gender"])["group"]) <= {""}
    assert simpson(samples, "gender", seed=0) == []


counts = st.lists(st.integers(0, 30), min_size=6, max_size=6)


@settings(deadline=None, max_examples=30)
@given(counts)
def test_pmi_is_log2_of_seen_over_expected(cells: list[int]) -> None:
    pairs = [(label, value) for label in "ab" for value in "xyz"]
    rows = [pair for pair, n in zip(pairs, cells, strict=True) for _ in range(n)]
    found = pmi(pd.DataFrame(rows, columns=["label", "g"]), "label", "g", seed=0)
    n = len(rows)
    for label in found.information.index:
        for value in found.information.columns:
            both = rows.count((label, value)) / n
            alone = sum(row[0] == label for row in rows) * sum(row[1] == value for row in rows) / n**2
            bits = found.information.loc[label, value]
            assert bits == (pytest.approx(math.log2(both / alone)) if both else -math.inf)


def test_a_sample_is_aligned_where_its_value_is_over_represented() -> None:
    training = table_of(
        ("doctor", "man", 78, 0),
        ("doctor", "woman", 22, 0),
        ("nurse", "man", 7, 0),
        ("nurse", "woman", 93, 0),
    )
    bits = pmi(training, "label", "group_gender", seed=0).information
    audited = pd.DataFrame(
        {
            "label": ["doctor", "doctor", "nurse", "nurse", "surgeon", "nurse"],
            "group_gender": ["man", "woman", "man", "woman", "man", None],
        }
    )
    assert alignment(audited, "gender", bits).tolist() == [True, False, False, True, None, None]


def test_conflicting_samples_pay() -> None:
    bits = pmi(
        table_of(
            ("doctor", "man", 78, 0),
            ("doctor", "woman", 22, 0),
            ("nurse", "man", 7, 0),
            ("nurse", "woman", 93, 0),
        ),
        "label",
        "group_gender",
        seed=0,
    ).information
    margin = pd.Series(
        np.where(BIASED["correct"], 1.0, -1.0) + np.random.default_rng(0).normal(size=200) * 0.1
    )
    found = aligned_conflicting(BIASED, "gender", bits, margin, seed=0)
    assert found.aligned == (0.97, 100)
    assert found.conflicting == (0.56, 100)
    assert found.accuracy.estimate == pytest.approx(0.41)
    assert 0.25 < found.accuracy.low < found.accuracy.high < 0.6
    assert found.margin.estimate == pytest.approx(0.82, abs=0.05)
    assert found.is_aligned["s0"] is True


TURNED = table_of(
    ("doctor", "man", 150, 10),
    ("doctor", "woman", 40, 0),
    ("nurse", "man", 10, 30),
    ("nurse", "woman", 80, 80),
)


def test_a_reversal_is_seen_within_and_not_over_all_labels() -> None:
    (found,) = simpson(TURNED, "gender", seed=0)
    assert found.value == "man"
    assert found.pooled.estimate == pytest.approx(160 / 200 - 120 / 200)
    assert found.within.estimate < 0
    assert found.reversed
    (plain,) = simpson(BIASED, "gender", seed=0)
    assert not plain.reversed


def test_reversals_are_rare_where_there_is_none_and_found_where_there_is() -> None:
    draw = np.random.default_rng(8)

    def drawn(chances: tuple[float, float, float, float]) -> bool:
        sizes = (160, 40, 40, 160)
        cells = [draw.binomial(n, chance) for n, chance in zip(sizes, chances, strict=True)]
        pairs = [("doctor", "man"), ("doctor", "woman"), ("nurse", "man"), ("nurse", "woman")]
        rows = [(*pair, hit, n - hit) for pair, hit, n in zip(pairs, map(int, cells), sizes, strict=True)]
        return simpson(table_of(*rows), "gender", seed=0)[0].reversed

    assert np.mean([drawn((0.9, 0.9, 0.6, 0.6)) for _ in range(100)]) <= 0.05
    assert np.mean([drawn((0.94, 1.0, 0.2, 0.55)) for _ in range(30)]) >= 0.8
