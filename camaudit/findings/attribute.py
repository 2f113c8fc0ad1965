"""CAM101 and CAM102: the evidence lies on an attribute; the score follows an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.codes import ATTRIBUTE_ATTENDED, ATTRIBUTE_HIDDEN
from camaudit.findings.exemplars import exemplars, most_moved
from camaudit.findings.ladder import Answer
from camaudit.findings.weighing import weigh
from camaudit.types import Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.policy import Policy
    from camaudit.findings.weighing import Weighed
    from camaudit.types import Rung, Status


def attribute_finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    """What the evidence says about one attribute in one cell."""
    weighed = weigh(evidence, cell, policy)
    status, rung = _status(weighed)
    hidden = status == "issue" and weighed.seen is Answer.NO
    moved, kind = weighed.moved, weighed.kind
    if kind is None:
        shown, against = exemplars(evidence, cell, moved, policy.exemplars)
    else:
        shown, against = most_moved(evidence, cell, kind, policy.exemplars)
    return Finding(
        code=(ATTRIBUTE_HIDDEN if hidden else ATTRIBUTE_ATTENDED).id,
        title=_title(weighed, status, policy),
        status=status,
        rung=rung,
        severity=min(1.0, abs(moved.estimate)) if status == "issue" and moved is not None else 0.0,
        target_class=cell.target_class or None,
        region=cell.region,
        role=cell.role,
        group={cell.group: cell.value} if cell.group else {},
        effect=moved if status == "issue" or weighed.excess is None else weighed.excess,
        evidence=weighed.effects,
        answers=weighed.answers,
        samples=shown,
        counter_samples=against,
        advice=_advice(weighed, status, policy),
    )


def _status(weighed: Weighed) -> tuple[Status, Rung | None]:
    seen, followed = weighed.seen, weighed.followed
    if followed is Answer.YES:
        return "issue", "harms" if weighed.pays is Answer.YES else "used"
    if seen is Answer.YES:
        # looked at: a tip where it is not used, or where nobody asked; undecided otherwise
        return ("insufficient" if followed is Answer.OPEN else "tip"), "attended"
    if seen is Answer.NO and followed is not Answer.OPEN:
        return "passed", None
    return "insufficient", None


def _title(weighed: Weighed, status: Status, policy: Policy) -> str:
    about, name, share = wording.where(weighed), wording.region(weighed), wording.share(weighed)
    moved, followed = weighed.moved, weighed.followed
    if status == "issue" and moved is not None:
        return f"{about}, {wording.uses(weighed, moved)}{wording.pays(weighed)}; {share}."
    if followed is Answer.OPEN:
        why = wording.undecided(weighed, policy)
        return f"{about}, it cannot be said whether the model uses {name}: {why}; {share}."
    maps = wording.maps(weighed)
    if followed is Answer.NO and moved is not None:
        link = "but" if weighed.seen is Answer.YES else "and"
        return f"{about}, {maps} ({share}), {link} the model does not use it: {wording.moves(weighed, moved)}{wording.alone(weighed)}."
    return f"{about}, {maps}: {share}. Whether the model uses it was not tested."


def _advice(weighed: Weighed, status: Status, policy: Policy) -> str:
    name = wording.region(weighed)
    if status == "issue":
        return (
            f"Collect images in which {name} contradicts the class, or rebalance the training set so that it does not "
            f"tell the class, and train again; look at the exemplars first."
        )
    if weighed.followed is Answer.UNASKED:
        return "Turn the intervention on (audit.intervention) before you conclude anything from the maps."
    if status == "tip":
        return "Nothing has to be done; do not show these maps as proof of a shortcut."
    if status == "insufficient":
        return _wanted(weighed, policy)
    return "Nothing has to be done."


def _wanted(weighed: Weighed, policy: Policy) -> str:
    """What would decide it."""
    name = wording.region(weighed)
    if not weighed.shown:
        return f"Add images that show {name}, with it annotated in them."
    if weighed.moved is not None and weighed.moved.n == 0:
        return (
            "Annotate the object (roles.object) and leave audit.intervention.exchange on, so that it can be put on other backgrounds: "
            f"{name} leaves no room for a control."
        )
    if weighed.always and weighed.kind is None:
        return (
            f"Name a group column that tells the kinds of {name} (data.columns.groups), with five images of each at least, and leave "
            "audit.intervention.exchange on, so that one kind can be put in the place of another."
        )
    if weighed.kind is not None:
        return f"Add images, and more of each kind of {name}: the kinds are what limits the interval."
    return f"Add images of this kind, with {name} annotated in them.{wording.enough(weighed, policy)}"
