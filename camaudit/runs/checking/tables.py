"""What was counted, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.runs.checking.counting import MOST_VALUES
from camaudit.statistics import association_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.runs.checking.counting import Counts
    from camaudit.types import Role

_QUARTILES = ("q25", "median", "q75")


def area_table(counts: Counts | None, roles: Mapping[str, Role]) -> pd.DataFrame:
    """How much of the image each region takes, see `camaudit.runs.check.Check.regions`."""
    rows = []
    for name, role in roles.items() if counts is not None else ():
        areas = np.asarray(counts.areas[name], dtype=np.float64) if counts is not None else np.zeros(0)
        empty = counts.empty[name] if counts is not None else 0
        numbers = [areas.mean(), *np.quantile(areas, [0.25, 0.5, 0.75])] if areas.size else [np.nan] * 4
        rows.append((name, role, len(areas) + empty, empty, *numbers))
    return pd.DataFrame(rows, columns=["region", "role", "annotated", "empty", "mean", *_QUARTILES])


def group_table(counts: Counts | None) -> pd.DataFrame:
    """Samples per group, value and label, in the order of their names."""
    rows = [
        (group, value, label, n)
        for group, table in (counts.groups if counts is not None else {}).items()
        for (label, value), n in table.items()
    ]
    rows.sort(key=lambda row: (row[0], row[1], row[2] is None, row[2] or ""))
    return pd.DataFrame(rows, columns=["group", "value", "label", "n"])


def crossed_table(counts: Counts | None) -> pd.DataFrame:
    """Samples per value of each pair of group columns."""
    rows = [
        (first, one, second, other, n)
        for (first, second), table in (counts.crossed if counts is not None else {}).items()
        for (one, other), n in sorted((table or {}).items())
    ]
    return pd.DataFrame(rows, columns=["first", "first_value", "second", "second_value", "n"])


def associations(counts: Counts | None) -> pd.DataFrame:
    """Cramér's V of every pair of columns, the strongest first; not of columns with too many values."""
    pairs: list[tuple[str, str, Mapping[tuple[str | None, str], int]]] = []
    if counts is not None:
        pairs += [("label", group, table) for group, table in counts.groups.items()]
        pairs += [(*pair, table) for pair, table in counts.crossed.items() if table is not None]  # type: ignore[misc]  # no value is None here
    rows = []
    for first, second, table in pairs:
        cells = _contingency(table)
        if max(cells.shape) > MOST_VALUES:
            continue
        found = association_of(cells)
        rows.append((first, second, found.estimate, found.low, found.high, found.p, found.n))
    made = pd.DataFrame(rows, columns=["first", "second", "v", "low", "high", "p", "n"])
    return made.sort_values("v", ascending=False, kind="stable", ignore_index=True)


def _contingency(
    table: Mapping[tuple[str | None, str], int],
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Counts of the known labels by value."""
    known = {cell: n for cell, n in table.items() if cell[0] is not None}
    rows = {name: place for place, name in enumerate(dict.fromkeys(cell[0] for cell in known))}
    columns = {name: place for place, name in enumerate(dict.fromkeys(cell[1] for cell in known))}
    cells = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for (row, column), n in known.items():
        cells[rows[row], columns[column]] = n
    return cells
