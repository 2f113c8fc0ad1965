"""Findings in the words of a colleague."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell
    from camaudit.types import Effect


def where(cell: Cell) -> str:
    """The images a cell is about, as the beginning of a sentence."""
    about = f"Where the model says {cell.target_class}" if cell.target_class else "Over all classes"
    return f"{about} ({cell.group}: {cell.value})" if cell.group else about


def region(cell: Cell) -> str:
    """The region's name as it stands in a sentence."""
    return " and ".join(cell.region.split("+"))


def undecided(moved: Effect | None) -> str:
    """Why it cannot be said whether the score follows."""
    if moved is None or math.isnan(moved.low):
        return f"only {moved.n if moved else 0} samples can be used"
    return (
        f"editing it away changes the score by {moved.estimate:+.2f} SD ({moved.low:+.2f} to {moved.high:+.2f}) beyond "
        "the controls, which is too close to the threshold to call"
    )


def share(mass: Effect | None, area: Effect | None) -> str:
    """How much of the evidence lies in the region, beside what chance would put there."""
    if mass is None or area is None or math.isnan(mass.estimate):
        return "the share of the evidence is not known"
    return f"{mass.estimate:.0%} of the evidence lies there, where chance would put {area.estimate:.0%}"


def follows(effect: Effect) -> str:
    """What editing the region did to the score, beyond what editing as much elsewhere does."""
    low, high = sorted((abs(effect.low), abs(effect.high)))
    size = f"{abs(effect.estimate):.2f} SD ({low:.2f} to {high:.2f})"
    if effect.name == "response":
        return f"moves its score, up in some images and down in others, by {size}"
    return f"{'lowers' if effect.estimate >= 0 else 'raises'} its score by {size}"
