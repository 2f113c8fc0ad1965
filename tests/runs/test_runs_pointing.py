"""The pointing game averaged as its authors do: per class, then over the classes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from camaudit.runs.concluding import POINTING_OF_CLASSES, estimate
from camaudit.statistics import mean_interval


def measured(hits: dict[str, list[float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measurements of one region, by class, and their samples."""
    rows = [(f"{name}{i}", name, value) for name, values in hits.items() for i, value in enumerate(values)]
    common = {
        "method": "gradcam",
        "target": "predicted",
        "region": "hair",
        "role": "attribute",
        "metric": "pointing",
    }
    measurements = pd.DataFrame(
        [{"sample": sample, "target_class": name, "value": value, **common} for sample, name, value in rows]
    )
    samples = pd.DataFrame(
        {"sample": [sample for sample, _, _ in rows], "subject": pd.array([None] * len(rows))}
    )
    return measurements, samples


def _row(hits: dict[str, list[float]], metric: str) -> pd.Series:
    table = estimate(*measured(hits), ())
    (row,) = (row for _, row in table[(table["metric"] == metric) & (table["target_class"] == "")].iterrows())
    return row


def test_a_class_counts_as_much_as_another_whatever_its_size() -> None:
    hits = {"cat": [1.0] * 60 + [0.0] * 20, "dog": [0.0] * 15 + [1.0] * 5}
    assert _row(hits, "pointing")["estimate"] == pytest.approx(0.65)
    row = _row(hits, POINTING_OF_CLASSES)
    assert row["estimate"] == pytest.approx(0.5)
    assert row["n"] == 100
    parts = [mean_interval(values, bounds=(0.0, 1.0)) for values in hits.values()]
    below = math.sqrt(sum((part.estimate - part.low) ** 2 for part in parts)) / 2
    above = math.sqrt(sum((part.high - part.estimate) ** 2 for part in parts)) / 2
    assert (row["low"], row["high"]) == (pytest.approx(0.5 - below), pytest.approx(0.5 + above))


def test_a_class_with_too_few_samples_is_not_passed_over() -> None:
    row = _row({"cat": [1.0, 0.0] * 20, "dog": [1.0] * 3}, POINTING_OF_CLASSES)
    assert all(math.isnan(row[name]) for name in ("estimate", "low", "high"))


def test_maps_that_are_not_defined_do_not_count() -> None:
    whole = _row({"cat": [1.0, 0.0] * 20, "dog": [1.0, 0.0] * 20}, POINTING_OF_CLASSES)
    some = _row({"cat": [1.0, 0.0, np.nan] * 20, "dog": [1.0, 0.0] * 20}, POINTING_OF_CLASSES)
    assert some["estimate"] == pytest.approx(whole["estimate"])
    assert some["n"] == 80
