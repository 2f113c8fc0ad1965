"""Whether the kind of something matters that every image has: a background, or an attribute such as hair and a face.

Without it an image is like none that the model has learnt from: taking it away moves the score of any model, wherever it takes
its decisions. So it is exchanged for other samples', and what one kind of them does is held against what the others do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.findings.ladder import Answer, follows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect

EVERYWHERE = 0.95
"""Share of the images that have an attribute, from which on every image is taken to have it."""


@dataclass(frozen=True)
class Kind:
    """What one kind does to the score, against the others.

    Attributes:
        group: the donors' group column, or ``label``.
        value: its value.
        effect: difference of the margin, in standard deviations.
        answer: whether that is used.
    """

    group: str
    value: str
    effect: Effect
    answer: Answer


def always(evidence: Evidence, region: str) -> bool:
    """Whether only the kind of an attribute can be asked about: it was exchanged for others', or (nearly) every image has it."""
    return evidence.exchanged(region, "attribute") or everywhere(evidence, region)


def everywhere(evidence: Evidence, region: str) -> bool:
    """Whether (nearly) every image has a region, so that without it a picture is like none the model knows."""
    return bool(len(evidence.samples)) and len(evidence.having(region)) >= EVERYWHERE * len(evidence.samples)


def kinds(evidence: Evidence, cell: Cell, policy: Policy) -> list[Kind]:
    """Every kind that was held against the others in a cell; see `camaudit.findings.evidence.Evidence.kinds`."""
    return [
        Kind(group, value, effect, follows(effect, policy)) for group, value, effect in evidence.kinds(cell)
    ]


def answered(found: Sequence[Kind]) -> Answer:
    """Whether any kind is used; no only where that is said of every one."""
    answers = {kind.answer for kind in found}
    if Answer.YES in answers:
        return Answer.YES
    return Answer.NO if answers == {Answer.NO} else Answer.OPEN


def deciding(found: Sequence[Kind], answer: Answer) -> Kind | None:
    """The kind that moves the score most, upward of two that mirror each other; of those that gave the answer.

    One without an interval only where none has one.
    """
    mine = [kind for kind in found if kind.answer is answer and not math.isnan(kind.effect.estimate)]

    def order(kind: Kind) -> tuple[bool, float, float]:
        effect = kind.effect
        return not math.isnan(effect.low), round(abs(effect.estimate), 9), effect.estimate

    return max(mine, key=order, default=None)
