"""The overall verdict, which follows from the findings by one rule.

An attribute that is used makes the verdict an issue. Else an object that is missed does. Else the question is whether use
of every attribute was excluded, over all samples and in every class: then the verdict is passed (or a tip, where maps lie
on an attribute that is not used). Else it is not decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


def conclude(findings: Sequence[Finding]) -> Verdict:
    """The verdict of an audit."""
    issues = [f for f in findings if f.status == "issue"]
    shortcuts = [f for f in issues if f.role == "attribute"]
    if shortcuts:
        return Verdict(
            "issue",
            f"The model uses {_regions(shortcuts)}",
            f"The model uses what it should not. {shortcuts[0].title}{_more(len(shortcuts) - 1)} "
            "Accuracy alone does not show this.",
            findings.index(shortcuts[0]),
        )
    if issues:
        return Verdict(
            "issue",
            f"The model does not use {_regions(issues)}",
            f"The model does without the object it should recognise. {issues[0].title}",
            findings.index(issues[0]),
        )
    # decided on all samples of a class or of the dataset: a small group that is undecided does not undo it
    whole = [f for f in findings if f.role == "attribute" and not f.group and f.status != "not_applicable"]
    if not whole:
        return Verdict(
            "not_applicable",
            "Nothing to decide",
            "No attribute region is annotated, so whether the model is right for the wrong reason was not examined.",
        )
    return _without_issue(findings, whole)


def _without_issue(findings: Sequence[Finding], whole: Sequence[Finding]) -> Verdict:
    undecided = [f for f in whole if f.answers.get("used") == "open"]
    untested = [f for f in whole if "used" not in f.answers]
    tips = [f for f in findings if f.status == "tip" and f.role == "attribute"]
    if undecided:
        return Verdict(
            "insufficient",
            "Not decided",
            f"Use of an attribute was neither shown nor excluded. {undecided[0].title} {undecided[0].advice}",
            findings.index(undecided[0]),
        )
    if untested:
        return Verdict(
            "insufficient",
            "Use was not tested",
            f"Nothing was edited, so use of an attribute was neither shown nor excluded. {untested[0].title} "
            "Turn the intervention on (audit.intervention).",
            findings.index(untested[0]),
        )
    if tips:
        return Verdict(
            "tip",
            "No use of an attribute was found",
            "The score does not follow the attributes when they are edited, beyond what edits elsewhere do. "
            f"Some maps lie on them all the same. {tips[0].title}",
            findings.index(tips[0]),
        )
    return Verdict(
        "passed",
        "No use of an attribute was found",
        "The score does not follow an annotated attribute when it is edited, beyond what edits elsewhere do. "
        "A shortcut that nobody annotated, or that has no place in the image, would not be seen by this audit.",
    )


def _more(count: int) -> str:
    if count == 0:
        return ""
    if count == 1:
        return " One more finding says so of another class, group or region."
    return f" {count} more findings say so of other classes, groups or regions."


def _regions(findings: Sequence[Finding]) -> str:
    widest = max((f.region or "" for f in findings), key=lambda name: name.count("+"))
    return " and ".join(widest.split("+"))
