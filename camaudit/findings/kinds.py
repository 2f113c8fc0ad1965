"""What an attribute does that every image has: whether its kind matters.

Where every image has hair and a face, an image without them is like none that the model has learnt from: editing them away
moves the score of any model, wherever it takes its decisions. So groups are held against one another: does the edit take more
from the score of a class in images of men than in images of women? What the edit does to every image cancels out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camaudit.findings.evidence import over_fills
from camaudit.statistics.exchanges import unit_names
from camaudit.statistics.stratified import mean_difference
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from camaudit.findings.evidence import Cell, Evidence

EVERYWHERE = 0.95
"""Share of the images that have an attribute, from which on every image is taken to have it."""


class Kind(NamedTuple):
    """The kind of an attribute that speaks most for a class, or against it.

    Attributes:
        group: the group column that tells the kinds.
        value: its value.
        effect: mean shift of the images with the value minus that of the others; q is p times the number of comparisons.
    """

    group: str
    value: str
    effect: Effect


def everywhere(evidence: Evidence, region: str) -> bool:
    """Whether (nearly) every image has a region, so that without it a picture is like none the model knows."""
    rows = evidence.measurements
    areas = rows[
        (rows["metric"] == "area") & (rows["target"] == evidence.target) & (rows["region"] == region)
    ]
    there = areas.loc[areas["value"] > 0, "sample"].nunique()
    return bool(len(evidence.samples)) and there >= EVERYWHERE * len(evidence.samples)


def telling_kind(evidence: Evidence, cell: Cell) -> Kind | None:
    """The kind that makes the largest difference in a cell; None where no groups can be compared."""
    found = list(_kinds(evidence, cell))
    if not found:
        return None
    most = max(found, key=lambda kind: np.nan_to_num(abs(kind.effect.estimate), nan=-1.0))
    tests = len(found) * max(1, len(evidence.classes))
    return most._replace(effect=replace(most.effect, q=min(1.0, most.effect.p * tests)))


def _kinds(evidence: Evidence, cell: Cell) -> Iterator[Kind]:
    about = evidence.samples.set_index("sample")
    shifts = [evidence.values("shift", fill, cell) for fill in evidence.fills]
    for group in evidence.groups:
        column = about[f"group_{group}"]
        values = sorted(column.dropna().unique(), key=str)
        if len(values) < 2:
            continue
        found = []
        for value in values:
            effects = []
            for shift in shifts:
                known = shift[column.reindex(shift.index).notna().to_numpy(dtype=bool)]
                inside = (column.reindex(known.index) == value).to_numpy(dtype=bool)
                subjects = unit_names(known.index.to_series(), about)
                effects.append(_difference(known.to_numpy(dtype=np.float64), inside, subjects, evidence.seed))
            if (effect := over_fills(effects)) is not None:
                found.append(Kind(group, str(value), effect))
        if len(found) == 2:  # one says what the other says: the one that speaks for the class is named
            found = [max(found, key=lambda kind: np.nan_to_num(kind.effect.estimate, nan=-1.0))]
        yield from found


def _difference(
    values: NDArray[np.float64], inside: NDArray[np.bool_], subjects: NDArray[np.object_], seed: int
) -> Effect:
    one = np.full(len(values), "", dtype=object)
    found = mean_difference(values, inside, one, subjects, seed=seed)
    return Effect("shift", found.estimate, found.low, found.high, found.p, found.p, found.n)
