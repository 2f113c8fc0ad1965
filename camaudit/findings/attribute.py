"""CAM101 and CAM102: the evidence lies on an attribute; the score follows an attribute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.codes import ATTRIBUTE_ATTENDED, ATTRIBUTE_HIDDEN
from camaudit.findings.exemplars import exemplars
from camaudit.findings.ladder import Answer, attended, strongest, used
from camaudit.types import Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect, Rung, Status


def attribute_finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    """What the evidence says about one attribute in one cell."""
    excess = evidence.effect("excess", evidence.method, cell)
    shift = evidence.effect("shift", evidence.edit, cell)
    response = evidence.effect("response", evidence.edit, cell)
    seen, followed = attended(excess, policy), used(shift, response, policy)
    moved = strongest(shift, response, policy)
    status, rung = _status(seen, followed)
    code = ATTRIBUTE_HIDDEN if status == "issue" and seen is not Answer.YES else ATTRIBUTE_ATTENDED
    sign = -1.0 if shift is not None and shift.estimate < 0 else 1.0
    shown, against = exemplars(evidence, cell, policy.exemplars, sign=sign)
    return Finding(
        code=code.id,
        title=_title(evidence, cell, status, followed, moved),
        status=status,
        rung=rung,
        severity=_severity(status, moved),
        target_class=cell.target_class or None,
        region=cell.region,
        role=cell.role,
        group={cell.group: cell.value} if cell.group else {},
        effect=moved if rung == "used" or excess is None else excess,
        evidence={
            name: effect for name, effect in (("attended", excess), ("used", moved)) if effect is not None
        },
        samples=shown,
        counter_samples=against,
        advice=_advice(status, followed, cell),
    )


def _status(seen: Answer, followed: Answer) -> tuple[Status, Rung | None]:
    if followed is Answer.YES:
        return "issue", "used"
    if seen is Answer.YES:
        # looked at: a tip where it is not used, or where nobody asked; undecided otherwise
        return ("insufficient" if followed is Answer.OPEN else "tip"), "attended"
    if seen is Answer.NO and followed is not Answer.OPEN:
        return "passed", None
    return "insufficient", None


def _severity(status: Status, moved: Effect | None) -> float:
    if status != "issue" or moved is None or math.isnan(moved.estimate):
        return 0.0
    return min(1.0, abs(moved.estimate))


def _title(evidence: Evidence, cell: Cell, status: Status, followed: Answer, moved: Effect | None) -> str:
    mass = evidence.effect("mass", evidence.method, cell)
    share = wording.share(mass, evidence.effect("area", evidence.method, cell))
    about, name = wording.where(cell), wording.region(cell)
    if status == "issue" and moved is not None:
        return f"{about}, editing {name} away {wording.follows(moved)} more than editing as much elsewhere does; {share}."
    if status == "tip" and followed is Answer.NO and moved is not None:
        return (
            f"{about}, the maps lie on {name} ({share}), but the model does not use it: editing it away changes the "
            f"score by {moved.estimate:+.2f} SD ({moved.low:+.2f} to {moved.high:+.2f}) beyond the controls."
        )
    if status == "tip":
        return f"{about}, the maps lie on {name}: {share}. Whether the model uses it was not tested."
    if status == "passed":
        return (
            f"{about}, the maps do not lie on {name}: {share}. Whether the model uses it was not tested."
            if followed is Answer.UNASKED
            else f"{about}, the model neither looks at {name} nor uses it: {share}."
        )
    if followed in {Answer.NO, Answer.UNASKED}:
        use = "the model does not use it" if followed is Answer.NO else "use was not tested"
        return f"{about}, it cannot be said whether the maps lie on {name}: {share}; {use}."
    return f"{about}, it cannot be said whether the model uses {name}: {wording.undecided(moved)}; {share}."


def _advice(status: Status, followed: Answer, cell: Cell) -> str:
    name = wording.region(cell)
    if status == "issue":
        return (
            f"Collect images in which {name} contradicts the class, or rebalance the training set so that it does not "
            f"tell the class, and train again; look at the exemplars first."
        )
    if status == "tip":
        if followed is Answer.UNASKED:
            return "Turn the intervention on (audit.intervention) before you conclude anything from the maps."
        return "Nothing has to be done; do not show these maps as proof of a shortcut."
    if status == "insufficient":
        return f"Add images of this class and group; {name} must be annotated in them."
    return "Nothing has to be done."
