from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camaudit.statistics.splits import APART, halves, split

numbers = st.lists(st.integers(-20, 20).map(float), min_size=2, max_size=40)


def literal(values: list[float]) -> float:
    """The largest share of the variance between the two sides of any cut, cut by cut."""
    column = np.array(values)
    return max(
        float(
            (
                (column <= at).sum() * (column[column <= at].mean() - column.mean()) ** 2
                + (column > at).sum() * (column[column > at].mean() - column.mean()) ** 2
            )
            / ((column - column.mean()) ** 2).sum()
        )
        for at in sorted(set(values))[:-1]
    )


@given(numbers)
def test_the_best_cut_is_otsus(values: list[float]) -> None:
    found = split(np.array(values))
    if len(set(values)) == 1:
        assert np.isnan(found.at)
        return
    assert found.between == pytest.approx(literal(values))
    assert min(values) <= found.at < max(values)
    high = np.array(values) > found.at
    assert high.any()
    assert not high.all()


@given(numbers)
def test_halves_are_two_groups_wherever_there_are_two_values(values: list[float]) -> None:
    at = halves(np.array(values))
    assert np.isnan(at) == (len(set(values)) == 1)
    if not np.isnan(at):
        assert 0 < (np.array(values) > at).sum() < len(values)


def test_two_modes_are_told_from_one() -> None:
    draw = np.random.default_rng(0)
    for one in (draw.normal(size=300), draw.uniform(size=300), draw.exponential(size=300)):
        found = split(one)
        assert not found.modes
        assert found.at == pytest.approx(np.median(one), abs=0.02)
    two = np.r_[draw.normal(size=220), draw.normal(size=80) + 6]
    found = split(two)
    assert found.modes
    assert found.between > APART
    assert ((two > found.at) == (np.arange(300) >= 220)).mean() > 0.99
    assert split(np.r_[two, np.nan]) == found
    outliers = np.r_[draw.normal(size=300), np.full(5, 400.0)]
    assert not split(outliers).modes
    assert np.isnan(split(np.array([np.nan, np.nan])).at)
