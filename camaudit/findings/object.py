"""CAM103: the evidence does not lie on the object the model should recognise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.codes import OBJECT_MISSED
from camaudit.findings.exemplars import exemplars
from camaudit.findings.ladder import Answer, attended, strongest, used
from camaudit.types import Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Effect, Rung, Status


def object_finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    """What the evidence says about the object in one cell."""
    excess = evidence.effect("excess", evidence.method, cell)
    shift = evidence.effect("shift", evidence.edit, cell)
    response = evidence.effect("response", evidence.edit, cell)
    seen, followed = attended(excess, policy), used(shift, response, policy)
    moved = strongest(shift, response, policy)
    status, rung = _status(seen, followed)
    best, weakest = exemplars(evidence, cell, policy.exemplars)
    return Finding(
        code=OBJECT_MISSED.id,
        title=_title(evidence, cell, status, followed, moved),
        status=status,
        rung=rung,
        severity=_severity(status, excess),
        target_class=cell.target_class or None,
        region=cell.region,
        role=cell.role,
        group={cell.group: cell.value} if cell.group else {},
        effect=moved if moved is not None and rung == "used" else excess,
        evidence={
            name: effect for name, effect in (("attended", excess), ("used", moved)) if effect is not None
        },
        samples=weakest if status == "issue" else best,
        counter_samples=best if status == "issue" else weakest,
        advice=_advice(status),
    )


def _status(seen: Answer, followed: Answer) -> tuple[Status, Rung | None]:
    if followed is Answer.YES:
        return "passed", "used"
    if seen is Answer.YES:
        if followed is Answer.UNASKED:
            return "passed", "attended"
        return ("tip" if followed is Answer.NO else "insufficient"), "attended"
    if seen is Answer.NO and followed is not Answer.OPEN:
        return "issue", None
    return "insufficient", None


def _severity(status: Status, excess: Effect | None) -> float:
    if status != "issue" or excess is None or math.isnan(excess.estimate):
        return 0.0
    return min(1.0, max(0.0, 0.5 - excess.estimate))


def _title(evidence: Evidence, cell: Cell, status: Status, followed: Answer, moved: Effect | None) -> str:
    mass = evidence.effect("mass", evidence.method, cell)
    share = wording.share(mass, evidence.effect("area", evidence.method, cell))
    about, name = wording.where(cell), wording.region(cell)
    if status == "passed" and moved is not None:
        return f"{about}, the model uses {name}: editing it away {wording.follows(moved)}; {share}."
    if status == "passed":
        return f"{about}, the maps lie on {name}: {share}."
    if status == "tip":
        return f"{about}, the maps lie on {name} ({share}), but editing it away hardly changes the score."
    if status == "issue":
        return f"{about}, the model does not look at {name}: {share}."
    if followed in {Answer.NO, Answer.UNASKED}:
        use = "editing it away hardly changes the score" if followed is Answer.NO else "use was not tested"
        return f"{about}, it cannot be said whether the maps lie on {name}: {share}; {use}."
    return f"{about}, it cannot be said whether the model uses {name}: {wording.undecided(moved)}; {share}."


def _advice(status: Status) -> str:
    if status == "issue":
        return "Find out what the model uses instead: look at the exemplars and at the clusters."
    if status == "tip":
        return "Test with another edit before you rely on these maps."
    if status == "insufficient":
        return "Add images in which the object can be seen, with its annotation."
    return "Nothing has to be done."
