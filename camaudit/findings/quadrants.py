"""Every sample is right or wrong, for the right or the wrong reason, by what its own edits did.

One sample's number is noisy: it rests on a few edits of one image. The quadrants sort the images to look at; what the model
does is decided by the findings, over many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from camaudit.findings.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.types import Role

Quadrant = Literal["right_right", "right_wrong", "wrong_right", "wrong_wrong", "unknown"]
QUADRANTS: tuple[Quadrant, ...] = get_args(Quadrant)
"""Prediction right or wrong, for the right or the wrong reason."""

_NO_EDIT = "transplant"  # it adds the attribute to other images and says nothing of this one


def quadrants(
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
    roles: Mapping[str, Role],
    policy: Policy | None = None,
) -> pd.DataFrame:
    """The quadrant of every sample.

    A sample's shift is the mean, over the fills, of what editing a role's widest region takes from the margin of the
    predicted class beyond the controls. The reason is right where the object's shift reaches the threshold and exceeds the
    attribute's, wrong where it is the other way round. A region that the image does not have counts as zero; one that it
    has and that could not be edited leaves the reason unknown, as do two small shifts and an image without a label.

    Args:
        measurements: rows of `camaudit.types.Measurement`.
        samples: see `camaudit.types.AuditedRun`.
        roles: role of every measured region, unions included.
        policy: its `least_shift` is the threshold, in SD of the margin.

    Returns:
        One row a sample, in their order: ``sample, quadrant, object_shift, attribute_shift``; a shift that was not measured
        is NaN.
    """
    least = (policy or Policy()).least_shift
    ids = samples["sample"].astype(str)
    spoken = _of_prediction(measurements, samples)
    found = {role: _shifts(spoken, roles, role).reindex(ids) for role in ("object", "attribute")}
    counted = {role: _counted(spoken, roles, role, shifts) for role, shifts in found.items()}
    mine, other = counted["object"].to_numpy(float), counted["attribute"].to_numpy(float)
    asked = any(shifts.notna().any() for shifts in found.values())
    right = (mine >= least) & (mine > other) & asked
    wrong = (other >= least) & (other > mine) & asked

    said = np.full(len(ids), "unknown", dtype=object)
    correct = samples["correct"].astype("boolean")
    known = (correct.notna() & samples["label"].notna() & samples["predicted"].notna()).to_numpy(bool)
    hit = correct.fillna(value=False).to_numpy(bool)
    for prediction, is_so in (("right", hit), ("wrong", ~hit)):
        for reason, holds in (("right", right), ("wrong", wrong)):
            said[known & is_so & holds] = f"{prediction}_{reason}"
    return pd.DataFrame(
        {
            "sample": pd.array(ids.tolist(), dtype="string"),
            "quadrant": pd.array(said.tolist(), dtype="string"),
            "object_shift": found["object"].to_numpy(float),
            "attribute_shift": found["attribute"].to_numpy(float),
        }
    )


def clearest(table: pd.DataFrame, quadrant: str) -> list[str]:
    """The samples of a quadrant, those first whose object and attribute differ most when they are edited."""
    rows = table[table["quadrant"] == quadrant]
    apart = (rows["object_shift"].fillna(0.0) - rows["attribute_shift"].fillna(0.0)).abs()
    return [
        str(sample) for sample in rows["sample"].loc[apart.sort_values(ascending=False, kind="stable").index]
    ]


def _of_prediction(measurements: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """The measurements that are about the margin of the class a sample is predicted as, of one target."""
    targets = [str(target) for target in measurements["target"].unique()]
    plain = [target for target in targets if not target.startswith(("contrast:", "output:"))]
    chosen = "predicted" if "predicted" in plain else next(iter(plain), "")
    rows = measurements[measurements["target"] == chosen]
    predicted = dict(zip(samples["sample"], samples["predicted"], strict=True))
    return rows[rows["target_class"].astype(object) == rows["sample"].map(predicted).astype(object)]


def _shifts(rows: pd.DataFrame, roles: Mapping[str, Role], role: str) -> pd.Series:
    """By sample, the mean over the fills of the shift of the role's widest region; NaN where no fill has one."""
    region = _widest(roles, role)
    mine = rows[(rows["metric"] == "shift") & (rows["region"] == region) & (rows["method"] != _NO_EDIT)]
    return mine.groupby("sample")["value"].mean()


def _counted(rows: pd.DataFrame, roles: Mapping[str, Role], role: str, shifts: pd.Series) -> pd.Series:
    """The shifts, with zero where the image was mapped and has nothing of the region."""
    seen = rows[(rows["metric"] == "area") & (rows["value"] > 0)]  # a map without mass has no areas either
    there = set(seen.loc[seen["region"] == _widest(roles, role), "sample"])
    absent = shifts.index.isin(seen["sample"]) & ~shifts.index.isin(there)
    return shifts.mask(shifts.isna() & absent, 0.0)


def _widest(roles: Mapping[str, Role], role: str) -> str:
    """The union of a role's regions, or its only one; empty where there is none."""
    return max(
        (name for name, of in roles.items() if of == role), key=lambda name: name.count("+"), default=""
    )
