"""CAM105: an attribute that is put into images which lack it moves their score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from camaudit.findings import wording
from camaudit.findings.building import finding, sized
from camaudit.findings.codes import ATTRIBUTE_TRANSPLANTED
from camaudit.findings.evidence import Cell, over_fills
from camaudit.findings.exemplars import ends
from camaudit.findings.ladder import Answer, follows
from camaudit.statistics.transplants import TRANSPLANT
from camaudit.types import Effect, Finding

if TYPE_CHECKING:
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Status


def transplant_findings(evidence: Evidence, policy: Policy) -> list[Finding]:
    """A finding for every class and every attribute that was put into images; nothing where nobody asked."""
    if evidence.transplants is None:
        return []
    edited = dict.fromkeys(cell.region for cell in evidence.cells("attribute"))
    found = []
    for region in edited:
        rows = evidence.transplants[
            (evidence.transplants["region"] == region) & (evidence.transplants["target"] == evidence.target)
        ]
        if rows.empty:
            found.append(_not_applicable(region))
        present = set(rows["target_class"])
        found += [
            _finding(evidence, Cell(name, region, "attribute"), policy)
            for name in evidence.classes
            if name in present
        ]
    return found


def _finding(evidence: Evidence, cell: Cell, policy: Policy) -> Finding:
    moved = _shift(evidence, cell)
    answer = Answer.UNASKED if moved is None else follows(moved, policy)
    status = answer.status
    shown, against = _exemplars(evidence, cell, moved, policy.exemplars)
    return Finding(
        code=ATTRIBUTE_TRANSPLANTED.id,
        title=_title(evidence, cell, moved, answer, policy),
        status=status,
        rung="used" if status == "issue" else None,
        severity=min(1.0, abs(moved.estimate)) if status == "issue" and moved is not None else 0.0,
        target_class=cell.target_class,
        region=cell.region,
        role="attribute",
        group={},
        effect=moved,
        evidence={} if moved is None else {"used": moved},
        answers={"used": answer.said},
        samples=shown,
        counter_samples=against,
        advice=_advice(cell, status),
    )


def _shift(evidence: Evidence, cell: Cell) -> Effect | None:
    """What the paste does, against nothing and against what donors without the attribute show there.

    The first is what the image without it says, the second does not count that something was pasted at all: the hull of both
    spans the choice, as it does that of the fill of an edit.
    """
    found = [evidence.effect(metric, TRANSPLANT, cell) for metric in ("shift", "shift_region")]
    together = over_fills([effect for effect in found if effect is not None])
    return None if together is None else replace(together, name="shift")


def _exemplars(
    evidence: Evidence, cell: Cell, moved: Effect | None, count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Samples that the attribute moves most, and least or the other way."""
    if moved is None:
        return (), ()
    rows = evidence.transplanted(cell)
    values = rows[["shift", "shift_region"]].mean(axis=1).groupby(rows["sample"]).mean().dropna()
    ordered = (values * (-1.0 if moved.estimate < 0 else 1.0)).sort_index()
    return ends(ordered.sort_values(ascending=False, kind="stable"), count)


def _title(evidence: Evidence, cell: Cell, moved: Effect | None, answer: Answer, policy: Policy) -> str:
    name = wording.named(cell.region)
    about = wording.about(evidence.target, cell)
    start = f"{about}, pasting {name} of another image "
    few = f"only {0 if moved is None else moved.n} images can be used, and {policy.least_samples} are needed"
    if moved is None or moved.n < policy.least_samples:
        return f"{start}tells nothing: {few}."
    if math.isnan(moved.low):
        return f"{start}tells nothing: too few donors or subjects were met."
    against = "against nothing pasted and against what images without it show in that place"
    if answer is Answer.YES:
        side = "raises" if moved.estimate >= 0 else "lowers"
        return f"{start}{side} the score by {sized(moved)}, {against}."
    does = f"changes the score by {wording.signed(moved)}, {against}"
    if answer is Answer.OPEN:
        return f"{start}{does}, which says neither that the model uses {name} nor that it does not."
    return f"{start}{does}."


def _advice(cell: Cell, status: Status) -> str:
    name = wording.named(cell.region)
    if status == "issue":
        return f"Put {name} into training images of every class, or take it out of all, and train again; look at the exemplars."
    if status == "insufficient":
        return f"Add images without {name}, annotated as such, or images that have it to take it from."
    return "Nothing has to be done."


def _not_applicable(region: str) -> Finding:
    name = wording.named(region)
    title = f"There was nothing to put {name} into, or nothing to take it from: every image has it, or none has, or too few lack it."
    advice = f"Annotate images that lack {name} with an empty region."
    return finding(ATTRIBUTE_TRANSPLANTED, "not_applicable", title, advice, region=region, role="attribute")
