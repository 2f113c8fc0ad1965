"""Which samples show a finding best, and which contradict it most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence


def exemplars(
    evidence: Evidence, cell: Cell, count: int, *, sign: float = 1.0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Samples of a cell ordered by what was seen and what followed the edit.

    A sample's place is the mean of its rank by excess and its rank by shift, so that neither unit decides.

    Args:
        evidence: the run's tables.
        cell: the cell.
        count: how many at most, for and against.
        sign: -1 where a negative shift is what the finding claims.

    Returns:
        Ids of the exemplars and of the counter-exemplars; no sample is both.
    """
    excess = evidence.values("excess", evidence.method, cell)
    shift = evidence.values("shift", evidence.edit, cell) * sign
    ranks = pd.concat([excess.rank(pct=True), shift.rank(pct=True)], axis=1).mean(axis=1)
    ordered = ranks.sort_index().sort_values(ascending=False, kind="stable")
    half = len(ordered) // 2
    strongest = [str(sample) for sample in ordered.index[: min(count, len(ordered) - half)]]
    weakest = [str(sample) for sample in ordered.index[::-1][: min(count, half)]]
    return tuple(strongest), tuple(weakest)
