"""What an attribute that is put into images adds to their score, in cells of class x region x group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.statistics.crossed import crossed_mean
from camaudit.statistics.effects import COLUMNS, distinct
from camaudit.statistics.exchanges import unit_names
from camaudit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TRANSPLANT = "transplant"
"""Method of these effects; their metrics are those of an edit: ``shift_region`` is what a paste does against nothing."""
METRICS = ("shift", "shift_region")


def transplant_effects(
    transplants: pd.DataFrame, samples: pd.DataFrame, groups: Sequence[str]
) -> pd.DataFrame:
    """The mean of each metric in every cell, with samples and donors as crossed clusters.

    Args:
        transplants: see `camaudit.types.AuditedRun`; shifts in standard deviations of the margin.
        samples: the run's samples table, which has the donors too.
        groups: names of the group columns, without ``group_``.

    Returns:
        Rows of `camaudit.types.AuditedRun.effects`; q is Benjamini-Hochberg's over all rows of a metric and target.
    """
    about = samples.set_index("sample")
    rows = []
    for metric in METRICS:
        for key, block in transplants.groupby(["target", "region"], sort=True, observed=True):
            target, region = (str(part) for part in key)
            for target_class, group, value, cell in _cells(block, about, groups):
                units = (unit_names(cell[of], about) for of in ("sample", "donor"))
                found = crossed_mean(cell[metric].to_numpy(dtype=np.float64), *units)
                name = (metric, TRANSPLANT, target, target_class, region, "attribute", group, value)
                rows.append((*name, *found[:4], np.nan, cell.loc[cell[metric].notna(), "sample"].nunique()))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["q"] = table.groupby(["metric", "target"])["p"].transform(benjamini_hochberg)
    return table.astype({"n": "int64", **dict.fromkeys(("estimate", "low", "high", "p", "q"), "float64")})


def _cells(
    block: pd.DataFrame, about: pd.DataFrame, groups: Sequence[str]
) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Class, group, value and rows of every cell."""
    for name in ("", *distinct(block["target_class"].to_numpy(dtype=object))):
        mine = block if name == "" else block[block["target_class"] == name]
        yield name, "", "", mine
        for group in groups:
            # a missing value compares with nothing, not even as unequal
            column = about[f"group_{group}"].reindex(mine["sample"]).fillna("").to_numpy(dtype=object)
            for value in distinct(column):
                yield name, group, str(value), mine[column == value]
