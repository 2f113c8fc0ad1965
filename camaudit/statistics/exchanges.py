"""What other samples' backgrounds, or attributes, do to the score: one kind of them against the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.statistics.crossed import LEAST_DONORS, crossed_contrast, crossed_spread
from camaudit.statistics.effects import COLUMNS, distinct
from camaudit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EXCHANGE = "exchange"
"""Method of these effects, and the metric of a contrast: one kind against the others."""
SPREAD = "exchange_spread"
"""Metric: standard deviation of what the donors do to the score, whatever their kind."""
LABEL = "label"
"""What stands for the group column where there is none: the label of the sample that the background is of."""


def exchange_effects(exchanges: pd.DataFrame, samples: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Effects of what was exchanged, a row a class x region x kind of donors, and a row their spread.

    `group` and `value` are of the donors, not of the samples; where the data have no groups the donors' labels are
    their kinds. Of a kind with fewer than `LEAST_DONORS` donors on either side there is no row. q is Benjamini-Hochberg's over all rows of a target.

    Args:
        exchanges: see `camaudit.types.AuditedRun`; values in standard deviations of the margin.
        samples: the run's samples table, which has the donors too.
        groups: names of the group columns, without ``group_``.

    Returns:
        Rows of `camaudit.types.AuditedRun.effects`.
    """
    about = samples.set_index("sample")
    named = {f"group_{group}": group for group in groups} or {LABEL: LABEL}
    rows = []
    for key, block in exchanges.groupby(["target", "target_class", "region"], sort=True, observed=True):
        target, target_class, region = (str(part) for part in key)
        values = block["value"].to_numpy(dtype=np.float64)
        count = int(block.loc[block["value"].notna(), "sample"].nunique())
        units = unit_names(block["sample"], about), unit_names(block["donor"], about)
        common = (EXCHANGE, target, target_class, region, "attribute")
        for column, group in named.items():
            kinds = about[column].reindex(block["donor"]).to_numpy(dtype=object)
            known = ~pd.isna(kinds)
            for value in distinct(kinds):
                inside = kinds[known] == value
                sides = [len(set(units[1][known][of])) for of in (inside, ~inside)]
                if min(sides) < LEAST_DONORS:
                    continue
                found = crossed_contrast(values[known], units[0][known], units[1][known], inside)
                rows.append((EXCHANGE, *common, group, value, *found[:4], np.nan, count))
        spread = crossed_spread(values, *units)
        rows.append((SPREAD, *common, "", "", *spread[:3], np.nan, np.nan, count))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["q"] = table.groupby(["metric", "target"])["p"].transform(benjamini_hochberg)
    return table.astype({"n": "int64", **dict.fromkeys(("estimate", "low", "high", "p", "q"), "float64")})


def unit_names(ids: pd.Series, about: pd.DataFrame) -> NDArray[np.object_]:
    """What each sample is a unit of: its subject, or itself where it has none.

    Args:
        ids: of samples.
        about: the samples table by sample.
    """
    names = ids.to_numpy(dtype=object)
    if "subject" not in about:
        return names
    subjects = about["subject"].reindex(names).to_numpy(dtype=object)
    # a space: no id of a sample is taken for a subject's
    return np.array(
        [
            f"sample {name}" if pd.isna(of) else f"subject {of}"
            for name, of in zip(names, subjects, strict=True)
        ],
        dtype=object,
    )
