"""From which size on an effect counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """The thresholds that every decision is made with; the report prints them.

    Attributes:
        least_excess: share of the evidence beyond chance from which a region counts as attended.
        least_shift: shift of the margin, in its standard deviations, from which a region counts as used; a shift whose
            whole interval is smaller counts as not used.
        level: false discovery rate.
        least_samples: with fewer nothing is decided.
        exemplars: samples listed with a finding, for and against.
    """

    least_excess: float = 0.02
    least_shift: float = 0.1
    level: float = 0.05
    least_samples: int = 10
    exemplars: int = 6
