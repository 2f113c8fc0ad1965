"""Which samples show a finding best, and which contradict it most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.kinds import Kind
    from camaudit.types import Effect


def exemplars(
    evidence: Evidence, cell: Cell, moved: Effect | None, count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Samples of a cell ordered by what was seen and what followed the edit.

    A sample's place is the mean of its rank by excess and its rank by what the edit did, so that neither unit decides.

    Args:
        evidence: the run's tables.
        cell: the cell.
        moved: the effect that the finding claims; its direction is what counts as following.
        count: how many at most, for and against.

    Returns:
        Ids of the exemplars and of the counter-exemplars; no sample is both.
    """
    excess = evidence.values("excess", evidence.method, cell)
    ranks = [excess.rank(pct=True)]
    if moved is not None:
        sign = -1.0 if moved.estimate < 0 else 1.0
        followed = evidence.edited_values(moved.name, cell).dropna() * sign
        # what was not edited shows nothing of what an edit does
        ranks = [excess[excess.index.isin(followed.index)].rank(pct=True), followed.rank(pct=True)]
    ordered = pd.concat(ranks, axis=1).mean(axis=1).sort_index().sort_values(ascending=False, kind="stable")
    return ends(ordered, count)


def most_moved(
    evidence: Evidence, cell: Cell, kind: Kind | None, count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Samples that a kind of what every image has moves most, and least or the other way."""
    if kind is None:
        return (), ()
    moved = evidence.moved(cell, kind.group, kind.value) * (-1.0 if kind.effect.estimate < 0 else 1.0)
    return ends(moved.sort_index().sort_values(ascending=False, kind="stable"), count)


def ends(ordered: pd.Series, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first and the last samples of an order, at most `count` of each; no sample is both."""
    half = len(ordered) // 2
    strongest = [str(sample) for sample in ordered.index[: min(count, len(ordered) - half)]]
    weakest = [str(sample) for sample in ordered.index[::-1][: min(count, half)]]
    return tuple(strongest), tuple(weakest)
