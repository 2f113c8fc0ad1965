from __future__ import annotations

import numpy as np
import pytest

from camaudit.statistics.matching import paired_differences


def confounded(seed: int, effect: float) -> tuple[np.ndarray, ...]:
    """Margins that follow a look; the second group has more of the look; what is left is the effect of the group."""
    draw = np.random.default_rng(seed)
    labels = np.array(["a", "b"] * 200, dtype=object)
    second = draw.random(400) < 0.5
    look = draw.normal(size=400) + 0.8 * second
    margin = np.where(labels == "a", 1.0, -1.0) + look + effect * second + draw.normal(size=400) * 0.3
    return margin, second, labels, np.c_[look, np.ones(400), np.full(400, np.nan)]


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_what_goes_with_the_look_is_matched_away(effect: float) -> None:
    margin, second, labels, looks = confounded(0, effect)
    raw = margin[second].mean() - margin[~second].mean()
    found = paired_differences(
        margin, second, np.ones(400, dtype=bool), labels, covariates=looks, subjects=None, of="a", seed=0
    )
    assert raw > effect + 0.5
    assert found.by == "much the same look"
    assert found.difference.low - 0.05 <= effect <= found.difference.high + 0.05
    assert 200 < found.difference.n < 400  # twice as many as there are pairs


def test_the_same_subject_in_both_groups_makes_the_pairs() -> None:
    draw = np.random.default_rng(1)
    labels = np.repeat(np.array(["a", "b"], dtype=object), 60)
    subjects = np.array([f"p{i // 2}" for i in range(120)], dtype=object)
    second = np.arange(120) % 2 == 1
    margin = np.repeat(draw.normal(size=60) * 4, 2) + 0.4 * second + draw.normal(size=120) * 0.05
    found = paired_differences(
        margin,
        second,
        np.ones(120, dtype=bool),
        labels,
        covariates=np.zeros((120, 0)),
        subjects=subjects,
        of="a",
        seed=0,
    )
    assert found.by == "subject"
    assert found.difference.estimate == pytest.approx(0.4, abs=0.03)
    assert found.difference.high - found.difference.low < 0.1
    assert found.difference.p < 0.01


def test_groups_of_different_subjects_are_matched_by_looks() -> None:
    margin, second, labels, looks = confounded(2, 0.0)
    people = np.arange(400).astype(str).astype(object)
    found = paired_differences(
        margin, second, np.ones(400, dtype=bool), labels, covariates=looks, subjects=people, of="a", seed=0
    )
    assert found.by == "much the same look"


def test_without_a_pair_there_is_nothing() -> None:
    margin, _, labels, looks = confounded(3, 0.0)
    every = np.ones(400, dtype=bool)
    found = paired_differences(margin, ~every, every, labels, covariates=looks, subjects=None, of="a", seed=0)
    assert found.difference.n == 0
    assert np.isnan(found.difference.estimate)
    apart = np.where(labels == "a", np.arange(400) % 4 < 2, np.arange(400) % 4 < 2)
    looks = (apart * 100.0 + np.random.default_rng(0).normal(size=400))[:, None]  # nothing is alike
    found = paired_differences(margin, apart, every, labels, covariates=looks, subjects=None, of="a", seed=0)
    assert found.difference.n == 0
