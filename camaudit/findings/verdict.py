"""The overall verdict, which follows from the findings by one rule.

An attribute that is used makes the verdict an issue. Else an object that is missed does. Else the question is whether use
was excluded for every class: then the verdict is passed (or a tip, where maps lie on an attribute that is not used). Else
there is not enough evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


def conclude(findings: Sequence[Finding]) -> Verdict:
    """The verdict of an audit."""
    shortcuts = [f for f in findings if f.status == "issue" and f.role == "attribute"]
    missed = [f for f in findings if f.status == "issue" and f.role == "object"]
    # decided on all samples of a class or of the dataset: a small group that is undecided does not undo it
    whole = [f for f in findings if f.role == "attribute" and not f.group and f.status != "not_applicable"]
    undecided = [f for f in whole if f.status == "insufficient"]
    untested = [f for f in whole if "used" not in f.evidence]
    tips = [f for f in findings if f.status == "tip" and f.role == "attribute"]
    if shortcuts:
        more = (
            ""
            if len(shortcuts) == 1
            else " One more finding says so of another class, group or region."
            if len(shortcuts) == 2
            else f" {len(shortcuts) - 1} more findings say so of other classes, groups or regions."
        )
        return Verdict(
            "issue",
            f"The model uses {_regions(shortcuts)}",
            f"The model uses what it should not. {shortcuts[0].title}{more} Accuracy alone does not show this.",
        )
    if missed:
        return Verdict(
            "issue",
            f"The model does not use {_regions(missed)}",
            f"The model's evidence does not lie on the object it should recognise. {missed[0].title}",
        )
    if not whole:
        return Verdict(
            "not_applicable",
            "Nothing to decide",
            "No attribute region is annotated, so whether the model is right for the wrong reason was not examined.",
        )
    if undecided or untested:
        return _not_decided(undecided, untested)
    if tips:
        return Verdict(
            "tip",
            "No use of an attribute was found",
            "The score does not follow the attributes when they are edited, beyond what edits elsewhere do. "
            f"Some maps lie on them all the same. {tips[0].title}",
        )
    return Verdict(
        "passed",
        "No use of an attribute was found",
        "Neither do the maps lie on an annotated attribute nor does the score follow it when it is edited. "
        "A shortcut that nobody annotated, or that has no place in the image, would not be seen by this audit.",
    )


def _not_decided(undecided: Sequence[Finding], untested: Sequence[Finding]) -> Verdict:
    if not undecided:
        return Verdict(
            "insufficient",
            "Use was not tested",
            f"Nothing was edited, so use of an attribute was neither shown nor excluded. {untested[0].title} "
            "Turn the intervention on (audit.intervention).",
        )
    return Verdict(
        "insufficient",
        "Not decided",
        f"Use of an attribute was neither shown nor excluded. {undecided[0].title} {undecided[0].advice}",
    )


def _regions(findings: Sequence[Finding]) -> str:
    widest = max((f.region or "" for f in findings), key=lambda name: name.count("+"))
    return " and ".join(widest.split("+"))
