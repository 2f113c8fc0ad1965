"""What the tables say about one cell, before any decision about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.findings.kinds import always, answered, deciding, kinds
from camaudit.findings.ladder import Answer, attended, harms, used

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.kinds import Kind
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect, Said


@dataclass(frozen=True)
class Weighed:
    """The effects of one cell and what they answer.

    Attributes:
        cell: the cell.
        target: id of the output target; says what the cell's class stands for.
        mass: share of the evidence in the region.
        area: the region's share of the image.
        excess: their difference.
        moved: of shift and response the one that answers whether the region is used, or leaves it open; of an attribute that
            was exchanged what its kind does.
        seen: whether the region is attended.
        followed: whether it is used.
        gain: what editing it away takes from the accuracy, by label where the run has that target; None where nothing was
            edited.
        by_label: whether it is by label.
        pays: whether the model is right more often without it; only of an attribute that is used.
        fills: what regions were edited with.
        shown: whether any image of the cell has the region.
        always: whether it is an attribute that every image has, so that only its kind can be asked about.
        kind: the kind of it that was held against the others; None where none was.
    """

    cell: Cell
    target: str
    mass: Effect | None
    area: Effect | None
    excess: Effect | None
    moved: Effect | None
    seen: Answer
    followed: Answer
    gain: Effect | None
    pays: Answer
    fills: tuple[str, ...] = ()
    shown: bool = True
    always: bool = False
    kind: Kind | None = None
    by_label: bool = False

    @property
    def effects(self) -> dict[str, Effect]:
        """One effect for each rung that was examined."""
        gain = self.gain if self.pays is not Answer.UNASKED else None
        pairs = (("attended", self.excess), ("used", self.moved), ("harms", gain))
        return {rung: effect for rung, effect in pairs if effect is not None}

    @property
    def answers(self) -> dict[str, Said]:
        """The answer of each rung that was examined."""
        pairs = (("attended", self.seen), ("used", self.followed), ("harms", self.pays))
        return {rung: answer.said for rung, answer in pairs if answer is not Answer.UNASKED}


def weigh(evidence: Evidence, cell: Cell, policy: Policy) -> Weighed:
    """The effects of one cell and what they answer."""
    excess = evidence.effect("excess", evidence.method, cell)
    shift = evidence.edited("shift", cell)
    response = evidence.edited("response", cell)
    followed = used(shift, response, policy)
    moved = telling(shift, response, followed, policy)
    kept = cell.role == "attribute" and shift is not None and always(evidence, cell.region)
    found = kinds(evidence, cell, policy) if evidence.exchanged(cell.region, "attribute") else []
    kind = deciding(found, answered(found))
    if kind is not None:
        followed, moved = kind.answer, kind.effect
    elif kept and followed is Answer.YES:
        followed = Answer.OPEN
    by_label = evidence.edited("accuracy", cell, target="label")
    gain = by_label or evidence.edited("accuracy", cell)
    alone = evidence.edited("accuracy_region", cell, target="label" if by_label else None)
    if gain is not None and gain.n == 0:
        gain = None  # nothing is right or wrong without a label
    return Weighed(
        cell=cell,
        target=evidence.target,
        mass=evidence.effect("mass", evidence.method, cell),
        area=evidence.effect("area", evidence.method, cell),
        excess=excess,
        moved=moved,
        seen=attended(excess, policy),
        followed=followed,
        gain=gain,
        pays=harms(gain, alone, policy)
        if cell.role == "attribute" and followed is Answer.YES
        else Answer.UNASKED,
        fills=evidence.fills,
        shown=evidence.shown(cell),
        always=kept,
        kind=kind,
        by_label=by_label is not None,
    )


def telling(shift: Effect | None, response: Effect | None, followed: Answer, policy: Policy) -> Effect | None:
    """Of shift and response the one that gave the answer, or leaves it open."""
    if shift is None or response is None or math.isnan(shift.low) or math.isnan(response.low):
        return shift
    if response.high < 0 and followed is not Answer.NO:
        return response  # the controls move the score more, and so the shift is theirs
    if followed is Answer.YES:
        # the shift, where it is beyond doubt: it has a direction
        return shift if max(shift.low, -shift.high) > policy.least_shift else response
    # the one that reaches further, as a share of what it may: it keeps the answer open, or comes nearest to that
    most = {shift.name: policy.least_shift, response.name: policy.least_response}
    return max(shift, response, key=lambda effect: max(abs(effect.low), abs(effect.high)) / most[effect.name])
