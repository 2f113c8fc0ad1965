"""Samples of an audit with labels, groups and looks, whose scores follow what a test wants them to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from camaudit.findings import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from camaudit.types import Role

LOOKS = ("sharpness", "brightness", "warmth")


def samples(n: int = 240, *, seed: int = 0, spread: float = 0.5) -> pd.DataFrame:
    """Doctors and nurses, men and women, half and half; the scores follow the label alone."""
    draw = np.random.default_rng(seed)
    label = np.where(np.arange(n) % 2 == 0, "doctor", "nurse")
    gender = np.where(np.arange(n) % 4 < 2, "man", "woman")
    margin = np.where(label == "nurse", 1.0, -1.0) + spread * draw.normal(size=n)
    table = pd.DataFrame(
        {
            "sample": [f"s{i:03}" for i in range(n)],
            "label": label,
            "group_gender": gender,
            "subject": pd.array([None] * n, dtype="string"),
            "confidence": 0.9,
        }
    )
    table = table.assign(**{f"look_{name}": draw.normal(size=n) for name in LOOKS})
    return scored(table, margin)


def scored(table: pd.DataFrame, margin: NDArray[np.float64]) -> pd.DataFrame:
    """The samples with these scores: nurse minus doctor."""
    predicted = np.where(margin > 0, "nurse", "doctor")
    return table.assign(
        score_doctor=-margin / 2,
        score_nurse=margin / 2,
        predicted=predicted,
        correct=pd.array(predicted == table["label"].to_numpy(), dtype="boolean"),
    )


def margin_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """Nurse minus doctor."""
    return (table["score_nurse"] - table["score_doctor"]).to_numpy(dtype=np.float64)


def evidence(table: pd.DataFrame, roles: Mapping[str, Role] | None = None, **changes: Any) -> Evidence:
    """A run with these samples and no measurements."""
    known = {
        "effects": pd.DataFrame(),
        "measurements": pd.DataFrame(),
        "samples": table,
        "roles": roles or {},
        "parts": {},
        "classes": ["doctor", "nurse"],
        "groups": ["gender"],
        "method": "gradcam",
        "fills": (),
        "target": "predicted",
    }
    return Evidence(**(known | changes))


def recasts(
    table: pd.DataFrame, adds: Mapping[str, float], *, spread: float = 0.1, seed: int = 0
) -> pd.DataFrame:
    """What more of each look adds to the margin of nurse, in units of the score."""
    draw = np.random.default_rng(seed)
    rows = [
        (sample, look, of, sign * (adds.get(look, 0.0) + spread * float(draw.normal())))
        for sample in table["sample"].iloc[:100]
        for look in LOOKS
        for of, sign in (("nurse", 1.0), ("doctor", -1.0))
    ]
    return pd.DataFrame(rows, columns=["sample", "look", "target_class", "value"])
