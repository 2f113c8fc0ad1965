"""How far up the ladder the evidence of one cell carries."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect, Said, Status


class Answer(Enum):
    """What an effect with an interval says to a question with a threshold."""

    YES = "yes"
    NO = "no"
    OPEN = "open"
    """The interval holds both answers, or there are too few samples."""
    UNASKED = "unasked"
    """Nothing was measured."""

    @property
    def said(self) -> Said:
        """The answer as a finding tells it; what nobody asked is open."""
        found: dict[Answer, Said] = {Answer.YES: "yes", Answer.NO: "no"}
        return found.get(self, "open")

    @property
    def status(self) -> Status:
        """The status of a finding that asks whether something is used, and nothing else."""
        found: dict[Answer, Status] = {Answer.YES: "issue", Answer.NO: "passed"}
        return found.get(self, "insufficient")


def attended(excess: Effect | None, policy: Policy) -> Answer:
    """Does more of the evidence lie in the region than chance puts there?"""
    if excess is None:
        return Answer.UNASKED
    if excess.n < policy.least_samples or math.isnan(excess.low):
        return Answer.OPEN
    if excess.low > 0 and excess.estimate >= policy.least_excess and excess.q <= policy.level:
        return Answer.YES
    return Answer.NO if excess.high < policy.least_excess else Answer.OPEN


def follows(effect: Effect, policy: Policy) -> Answer:
    """Does the score follow one kind more than the others, up or down? The sizes are those of a shift, see `used`."""
    if effect.n < policy.least_samples or math.isnan(effect.low):
        return Answer.OPEN
    if _beyond(effect, policy):
        return Answer.YES
    return Answer.NO if _within(effect, policy) else Answer.OPEN


def harms(gain: Effect | None, alone: Effect | None, policy: Policy) -> Answer:
    """Is the model right more often once an attribute is edited away, than before and than where as much else is?

    Args:
        gain: what the edit takes from the accuracy, beyond the controls: below zero where it makes more images right.
        alone: what the edit takes from it, whatever the controls do.
        policy: the thresholds.
    """
    if gain is None:
        return Answer.UNASKED
    if gain.n < policy.least_samples or math.isnan(gain.low):
        return Answer.OPEN
    if gain.high < 0 and gain.q <= policy.level and (alone is None or alone.high < 0):
        return Answer.YES
    return Answer.NO if gain.low > -policy.least_gap else Answer.OPEN


def used(shift: Effect | None, response: Effect | None, policy: Policy) -> Answer:
    """Does the score follow the region, up or down, by more than the threshold?

    Surely more than a little is use, surely less is none; an interval that holds the threshold is open. So is a shift that is the
    controls' doing: where they move the score more than the edit of the region does.

    Args:
        shift: mean of what the edit of the region does beyond the controls. It tells the direction, but is zero where an
            attribute speaks for a class in some images and against it in others.
        response: the same of the sizes of what the edits do, whatever their direction; it cannot cancel out.
        policy: the thresholds.
    """
    if shift is None or response is None:
        return Answer.UNASKED
    if min(shift.n, response.n) < policy.least_samples or math.isnan(shift.low) or math.isnan(response.low):
        return Answer.OPEN
    if _beyond(shift, policy) and not response.high < 0:
        return Answer.YES
    if response.low > policy.least_response and response.q <= policy.level:
        return Answer.YES
    either = max(-response.low, response.high) < policy.least_response
    return Answer.NO if _within(shift, policy) and either else Answer.OPEN


def _beyond(shift: Effect, policy: Policy) -> bool:
    return max(shift.low, -shift.high) > policy.least_shift and shift.q <= policy.level


def _within(shift: Effect, policy: Policy) -> bool:
    return max(-shift.low, shift.high) < policy.least_shift
