"""CAM104: the score follows the background, as other samples' backgrounds show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.building import finding, sized
from camaudit.findings.codes import BACKGROUND_USED
from camaudit.findings.exemplars import most_moved
from camaudit.findings.kinds import answered, deciding, kinds
from camaudit.findings.ladder import Answer
from camaudit.findings.weighing import weigh
from camaudit.statistics.exchanges import EXCHANGE, SPREAD
from camaudit.types import Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell, Evidence
    from camaudit.findings.kinds import Kind
    from camaudit.findings.policy import Policy
    from camaudit.findings.weighing import Weighed
    from camaudit.types import Status


def background_findings(evidence: Evidence, policy: Policy) -> list[Finding]:
    """A finding for each class and each attribute that was exchanged, or could not be."""
    found = []
    for region in evidence.without_controls():
        cells = [
            cell
            for cell in evidence.cells("attribute")
            if cell.region == region and cell.target_class and not cell.group
        ]
        if evidence.exchanged(region, "attribute"):
            continue  # a part of the image, whose kinds CAM101 tells of
        if evidence.exchanged(region, "background"):
            found += [_finding(evidence, cell, policy) for cell in cells]
        else:
            found.append(_not_applicable(evidence, region))
    return found


def _finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    weighed = weigh(evidence, cell, policy)
    found = kinds(evidence, cell, policy)
    answer = answered(found)
    kind = deciding(found, answer)
    status = answer.status
    seen = weighed.seen is Answer.YES
    if status == "passed" and seen:
        status = "tip"
    effect = kind.effect if kind else None
    shown, against = most_moved(evidence, cell, kind, policy.exemplars)
    pairs = (("attended", weighed.excess), ("used", effect))
    said = {rung: of for rung, of in weighed.answers.items() if rung == "attended"}
    said["used"] = answer.said
    return Finding(
        code=BACKGROUND_USED.id,
        title=_title(evidence, weighed, kind, answer, policy),
        status=status,
        rung="used" if status == "issue" else "attended" if seen else None,
        severity=min(1.0, abs(effect.estimate)) if status == "issue" and effect else 0.0,
        target_class=cell.target_class,
        region=cell.region,
        role=cell.role,
        group={},
        effect=effect,
        evidence={rung: of for rung, of in pairs if of is not None},
        answers=said,
        samples=shown,
        counter_samples=against,
        advice=_advice(weighed, status),
    )


def _title(evidence: Evidence, weighed: Weighed, kind: Kind | None, answer: Answer, policy: Policy) -> str:
    about, name, share = wording.where(weighed), wording.region(weighed), wording.share(weighed)
    start = f"{about}, put on other samples' backgrounds, "
    if kind is None:
        return f"{start}it cannot be said whether the score follows {name}: too few donors of each kind were met; {share}."
    whose = f"{kind.group} is {kind.value}" if kind.group != "label" else f"label is {kind.value}"
    if answer is Answer.YES:
        side = "higher" if kind.effect.estimate >= 0 else "lower"
        size = sized(kind.effect)
        return (
            f"{about}, the same object scores {size} {side} on backgrounds whose {whose} than on the others"
            f"{_spread(evidence, weighed)}; {share}."
        )
    moves = wording.signed(kind.effect)
    if answer is Answer.NO:
        return (
            f"{about}, the score does not follow {name}: on backgrounds whose {whose} the same object scores {moves} "
            f"against the others{_spread(evidence, weighed)}; {share}."
        )
    few = kind.effect.n < policy.least_samples
    why = (
        f"only {kind.effect.n} samples can be used"
        if few
        else "too few subjects, or too few donors of each kind, were met"
        if math.isnan(kind.effect.low)
        else f"the same object scores {moves} against the others on backgrounds whose {whose}, and the interval holds "
        f"{wording.holds(kind.effect, policy)}"
    )
    return f"{about}, it cannot be said whether the score follows {name}: {why}; {share}."


def _spread(evidence: Evidence, weighed: Weighed) -> str:
    spread = evidence.effect(SPREAD, EXCHANGE, weighed.cell)
    if spread is None or math.isnan(spread.estimate):
        return ""
    return f"; from one background to another it varies by {spread.estimate:.2f} SD"


def _advice(weighed: Weighed, status: Status) -> str:
    name = wording.region(weighed)
    if status == "issue":
        return (
            f"Collect images in which {name} contradicts the class, or train with objects on exchanged backgrounds; look "
            "at the exemplars first."
        )
    if status == "insufficient":
        return (
            "Add images, and more of each kind of background: the backgrounds are what limits the interval."
        )
    if status == "tip":
        return "Nothing has to be done; do not show these maps as proof of a shortcut."
    return "Nothing has to be done."


def _not_applicable(evidence: Evidence, region: str) -> Finding:
    name = " and ".join(region.split("+"))
    objects = sorted(
        (of for of, role in evidence.roles.items() if role == "object"), key=lambda of: -of.count("+")
    )
    why = (
        f"it may be turned off (audit.intervention.exchange), or no image has {' and '.join(objects[0].split('+'))} in a shape that could be cut out of it (a small part of the "
        f"image, apart from the attribute), and no other sample's {name} could be put in its place"
        if objects
        else "no region is annotated as the object, which would have to be cut out"
    )
    title = f"{name[0].upper()}{name[1:]} leaves no room for control edits, and objects were not put on other backgrounds: {why}."
    advice = "Annotate the object (roles.object), and leave audit.intervention.exchange on."
    return finding(BACKGROUND_USED, "not_applicable", title, advice, region=region, role="attribute")
