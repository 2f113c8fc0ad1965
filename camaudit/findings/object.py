"""CAM103: the evidence does not lie on the object the model should recognise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.codes import OBJECT_MISSED
from camaudit.findings.exemplars import exemplars
from camaudit.findings.ladder import Answer
from camaudit.findings.weighing import weigh
from camaudit.types import Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.policy import Policy
    from camaudit.findings.weighing import Weighed
    from camaudit.types import Effect, Rung, Status


def object_finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    """What the evidence says about the object in one cell."""
    weighed = weigh(evidence, cell, policy)
    status, rung = _status(weighed)
    best, weakest = exemplars(evidence, cell, weighed.moved, policy.exemplars)
    moved, excess = weighed.moved, weighed.excess
    return Finding(
        code=OBJECT_MISSED.id,
        title=_title(weighed, status, policy),
        status=status,
        rung=rung,
        severity=_severity(status, excess),
        target_class=cell.target_class or None,
        region=cell.region,
        role=cell.role,
        group={cell.group: cell.value} if cell.group else {},
        effect=moved if moved is not None and rung == "used" else excess,
        evidence=weighed.effects,
        answers=weighed.answers,
        samples=weakest if status == "issue" else best,
        counter_samples=best if status == "issue" else weakest,
        advice=_advice(weighed, status, policy),
    )


def _status(weighed: Weighed) -> tuple[Status, Rung | None]:
    seen, followed = weighed.seen, weighed.followed
    if followed is Answer.YES:
        return "passed", "used"
    if seen is Answer.YES:
        if followed is Answer.UNASKED:
            return "passed", "attended"
        return ("tip" if followed is Answer.NO else "insufficient"), "attended"
    if seen is Answer.NO and followed is Answer.NO:
        return "issue", None
    # also where nothing was edited: a map alone does not prove that the object is missed
    return "insufficient", None


def _severity(status: Status, excess: Effect | None) -> float:
    if status != "issue" or excess is None or math.isnan(excess.estimate):
        return 0.0
    return min(1.0, max(0.0, 0.5 - excess.estimate))


def _title(weighed: Weighed, status: Status, policy: Policy) -> str:
    about, name, share = wording.where(weighed), wording.region(weighed), wording.share(weighed)
    moved, followed = weighed.moved, weighed.followed
    if followed is Answer.YES and moved is not None:
        follows = wording.follows(moved)
        return f"{about}, the model uses {name}: editing it away {follows} more than editing as much elsewhere does{wording.alone(weighed)}; {share}."
    if followed is Answer.OPEN:
        why = wording.undecided(weighed, policy)
        return f"{about}, it cannot be said whether the model uses {name}: {why}; {share}."
    maps = wording.maps(weighed)
    if followed is Answer.NO and moved is not None:
        link = "and" if status == "issue" else "but"
        return f"{about}, {maps} ({share}), {link} the model does not use it: {wording.moves(weighed, moved)}{wording.alone(weighed)}."
    return f"{about}, {maps}: {share}. Whether the model uses it was not tested."


def _advice(weighed: Weighed, status: Status, policy: Policy) -> str:
    if status == "issue":
        return "Find out what the model uses instead: look at the exemplars and at the clusters."
    if weighed.followed is Answer.UNASKED:
        return "Turn the intervention on (audit.intervention) to learn whether the model uses it."
    if status == "tip":
        return "Test with another edit before you rely on these maps."
    if status == "insufficient":
        return f"Add images in which the object can be seen, with its annotation.{wording.enough(weighed, policy)}"
    return "Nothing has to be done."
