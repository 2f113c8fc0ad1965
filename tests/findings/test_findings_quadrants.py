"""Every sample's quadrant, from tables small enough to work out by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camaudit.findings.quadrants import QUADRANTS, quadrants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.types import Role

NAN = math.nan
ROLES: dict[str, Role] = {
    "tool": "object",
    "hair": "attribute",
    "face": "attribute",
    "hair+face": "attribute",
}
Row = tuple[str, str, str, float]


def _samples(*rows: tuple[str, str | None, str | None]) -> pd.DataFrame:
    """Samples of (id, label, predicted)."""
    right = [None if label is None or said is None else label == said for _, label, said in rows]
    table = pd.DataFrame(rows, columns=["sample", "label", "predicted"])
    return table.assign(correct=pd.array(right, dtype="boolean"))


def _rows(
    *rows: Row, target: str = "predicted", target_class: str = "nurse", metric: str = "shift"
) -> pd.DataFrame:
    """Measurements of (sample, method, region, value)."""
    table = pd.DataFrame(rows, columns=["sample", "method", "region", "value"])
    return table.assign(target=target, target_class=target_class, metric=metric, role="attribute")


def _areas(sample: str, **share: float) -> pd.DataFrame:
    return _rows(
        *((sample, "gradcam", name.replace("_", "+"), value) for name, value in share.items()), metric="area"
    )


def _one(label: str | None, said: str | None, *tables: pd.DataFrame, roles: dict[str, Role] = ROLES) -> str:
    found = quadrants(pd.concat(tables), _samples(("a", label, said)), roles)
    assert list(found.columns) == ["sample", "quadrant", "object_shift", "attribute_shift"]
    return str(found["quadrant"].item())


@pytest.mark.parametrize(
    ("mine", "other", "reason"),
    [
        (0.30, 0.05, "right"),
        (0.05, 0.30, "wrong"),
        (0.40, 0.30, "right"),  # both are used, the object more
        (0.30, -0.90, "right"),  # an attribute that speaks against the class is no reason for it
        (0.20, 0.19, "right"),  # the threshold itself reaches it
        (0.19, 0.05, None),  # both are small
        (-0.50, -0.50, None),
        (0.30, 0.30, None),  # neither is larger
        (NAN, NAN, None),
        (0.30, NAN, None),  # what could not be edited may be the larger one
        (NAN, 0.30, None),
    ],
)
@pytest.mark.parametrize(("said", "prediction"), [("nurse", "right"), ("doctor", "wrong")])
def test_the_larger_shift_is_the_reason(
    mine: float, other: float, reason: str | None, said: str, prediction: str
) -> None:
    rows = _rows(("a", "blur", "tool", mine), ("a", "blur", "hair+face", other), target_class=said)
    areas = _areas("a", tool=0.1, hair_face=0.2).assign(target_class=said)
    expected = "unknown" if reason is None else f"{prediction}_{reason}"
    assert _one("nurse", said, rows, areas) == expected


def test_the_fills_are_averaged_and_a_transplant_is_none() -> None:
    rows = _rows(
        ("a", "blur", "tool", 0.1), ("a", "mean", "tool", 0.5), ("a", "inpaint", "tool", NAN),
        ("a", "blur", "hair+face", 0.2), ("a", "mean", "hair+face", 0.2), ("a", "transplant", "hair+face", 9.0),
        ("a", "blur", "hair", 7.0),  # a part of the union
    )  # fmt: skip
    found = quadrants(rows, _samples(("a", "nurse", "nurse")), ROLES).iloc[0]
    assert found["object_shift"] == pytest.approx(0.3)
    assert found["attribute_shift"] == pytest.approx(0.2)
    assert found["quadrant"] == "right_right"


def test_a_region_that_the_image_does_not_have_is_no_reason() -> None:
    rows = _rows(("a", "blur", "tool", 0.3), ("a", "blur", "hair+face", NAN))
    assert _one("nurse", "nurse", rows, _areas("a", tool=0.1, hair_face=NAN)) == "right_right"
    assert _one("nurse", "nurse", rows, _areas("a", tool=0.1, hair_face=0.9)) == "unknown"
    assert (
        _one("nurse", "nurse", rows, _areas("a", tool=NAN, hair_face=NAN)) == "unknown"
    )  # a map without mass
    roles: dict[str, Role] = {"tool": "object"}
    assert (
        _one("nurse", "nurse", rows[rows["region"] == "tool"], _areas("a", tool=0.1), roles=roles)
        == "right_right"
    )


def test_only_the_predicted_class_counts() -> None:
    mine = _rows(("a", "blur", "tool", 0.3), ("a", "blur", "hair+face", 0.0), target_class="doctor")
    label = _rows(("a", "blur", "tool", 0.0), ("a", "blur", "hair+face", 0.3), target="label")
    areas = _areas("a", tool=0.1, hair_face=0.1)
    assert _one("nurse", "doctor", mine, label, areas) == "wrong_right"
    # without the target `predicted`, another one where it stands for the same class
    assert _one("nurse", "nurse", label, areas.assign(target="label")) == "right_wrong"
    assert _one("nurse", "doctor", label, areas.assign(target="label")) == "unknown"
    assert _one("nurse", "nurse", label.assign(target="contrast:nurse,doctor")) == "unknown"


@pytest.mark.parametrize(("label", "said"), [(None, "nurse"), ("0.5", None), (None, None)])
def test_without_label_or_prediction_it_is_unknown(label: str | None, said: str | None) -> None:
    rows = _rows(("a", "blur", "tool", 0.3), ("a", "blur", "hair+face", 0.0))
    assert _one(label, said, rows, _areas("a", tool=0.1, hair_face=0.1)) == "unknown"


def test_nothing_measured_is_unknown() -> None:
    empty = _rows()
    samples = _samples(("a", "nurse", "nurse"), ("b", "nurse", "doctor"))
    found = quadrants(empty, samples, {})
    assert found["quadrant"].tolist() == ["unknown", "unknown"]
    assert found[["object_shift", "attribute_shift"]].isna().all(axis=None)
    assert quadrants(empty, samples.iloc[:0], {}).empty


numbers = st.one_of(st.just(NAN), st.floats(-1, 1))


@given(st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=1, max_size=30))
def test_every_sample_has_one_by_the_rule(values: Sequence[tuple[float, float, bool]]) -> None:
    ids = [f"s{i}" for i in range(len(values))]
    said = ["nurse" if right else "doctor" for _, _, right in values]
    tables = [
        _rows((i, "blur", "tool", mine), (i, "blur", "hair+face", other), target_class=of)
        for i, of, (mine, other, _) in zip(ids, said, values, strict=True)
    ]
    tables += [
        _areas(i, tool=0.1, hair_face=0.1).assign(target_class=of) for i, of in zip(ids, said, strict=True)
    ]
    found = quadrants(
        pd.concat(tables), _samples(*((i, "nurse", of) for i, of in zip(ids, said, strict=True))), ROLES
    )
    assert found["sample"].tolist() == ids
    assert set(found["quadrant"]) <= set(QUADRANTS)
    for quadrant, (mine, other, right) in zip(found["quadrant"], values, strict=True):
        reasons = [
            name for name, a, b in (("right", mine, other), ("wrong", other, mine)) if a >= 0.2 and a > b
        ]
        assert quadrant == (f"{'right' if right else 'wrong'}_{reasons[0]}" if reasons else "unknown")
    assert np.array_equal(found["object_shift"], [mine for mine, _, _ in values], equal_nan=True)
