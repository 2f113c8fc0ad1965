"""From which size on an effect counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """The thresholds that every decision is made with; the report prints them.

    Attributes:
        least_excess: share of the evidence beyond chance from which a region counts as attended.
        least_shift: shift of the margin, in its standard deviations, beyond which a region counts as used, and within which as
            not used: a small effect by Cohen's convention (1988, section 2.2.3). The margin of any model shifts a little when
            something salient comes or goes.
        least_response: what the edit must move the margin beyond the controls, up or down, where the direction differs from
            image to image. It is larger: anything salient moves single margins a little, of any model.
        least_look: difference within labels of what the score says for a class, in standard deviations of the margin, from
            which a look of the whole image or a group counts as an issue.
        most_look: difference of that kind that must be excluded before it counts as absent.
        least_gap: difference of two accuracies from which a group counts as classified worse.
        fair_ratio: ratio of two accuracies from which on they count as alike (the band 0.8 to 1.25).
        level: false discovery rate.
        least_samples: with fewer nothing is decided.
        exemplars: samples listed with a finding, for and against.
    """

    least_excess: float = 0.02
    least_shift: float = 0.2
    least_response: float = 0.3
    least_look: float = 0.2
    most_look: float = 0.5
    least_gap: float = 0.05
    fair_ratio: float = 0.8
    level: float = 0.05
    least_samples: int = 10
    exemplars: int = 6
