"""The overall verdict, which follows from the findings by one rule.

The first that holds decides:

1. the model uses an attribute (an issue of CAM101, 102, 104 or 105);
2. the score or the accuracy goes with something that has no place in the image (an issue of CAM3xx);
3. a group is classified worse, and nothing of the above was shown to be why (an issue of CAM4xx);
4. the object is missed (an issue of CAM103);
5. the maps of every method failed the checks of trust (CAM201);
6. something that matters is undecided: use of an attribute, over all samples or in a whole class, or whether the score goes
   with something that has no place;
7. there is a tip;
8. nothing of this: passed.

1 to 4 are issues. 5 is a tip where edits, which need no map, excluded use of every attribute, and undecided elsewhere. Where no
attribute is annotated and nothing else decides, the verdict is that there was nothing to decide. Who pays, and whether the
maps can be believed, is said of every verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.statistics.exchanges import EXCHANGE
from camaudit.types import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

_REGIONS, _TRUST, _UNSEEN, _HARMS = "CAM1", "CAM2", "CAM3", "CAM4"
"""How the codes of the families begin."""

TRANSPLANT = "CAM105"

_GAPS = frozenset({"CAM401", "CAM402"})
"""Findings of groups that are right less often than others."""

_NO_ATTRIBUTE = "No attribute region is annotated, so whether the model is right for the wrong reason was not examined on regions."


def conclude(findings: Sequence[Finding]) -> Verdict:
    """The verdict of an audit."""
    found = _issue(findings) or _untrusted(findings) or _without_issue(findings)
    rest = _who_pays(findings, found), _believed(findings, found)
    text = " ".join([found.text, *filter(None, rest)])
    return Verdict(found.status, found.headline, text, found.finding)


def _issue(findings: Sequence[Finding]) -> Verdict | None:
    issues = [finding for finding in findings if finding.status == "issue"]
    used = [finding for finding in _of(issues, _REGIONS) if finding.role != "object"]
    missed = [finding for finding in _of(issues, _REGIONS) if finding.role == "object"]
    unseen, harms = _of(issues, _UNSEEN), _of(issues, _HARMS)
    if used:
        headline = f"The model uses {_regions(used)}"
        return _led(
            findings,
            used,
            headline,
            "The model uses what it should not.",
            "Accuracy alone does not show this.",
        )
    if unseen:
        lead = "What the model goes by has no place in the image, so no heatmap can show it."
        return _led(findings, unseen, "Something the maps cannot show", lead)
    if harms:
        lead = "A group is classified worse, and what was examined does not say why."
        return _led(findings, harms, "Some are classified worse than others", lead)
    if missed:
        headline = f"The model does not use {_regions(missed)}"
        return _led(findings, missed, headline, "The model does without the object it should recognise.")
    return None


def _led(
    findings: Sequence[Finding], mine: Sequence[Finding], headline: str, lead: str, end: str = ""
) -> Verdict:
    """An issue of several findings that say the same: the gravest that is not about one group alone leads, if there is any."""
    mine = sorted(mine, key=lambda finding: bool(finding.group) and finding.code.startswith(_REGIONS))
    text = f"{lead} {mine[0].title}{_more(len(mine) - 1)} {end}".rstrip()
    return Verdict("issue", headline, text, findings.index(mine[0]))


def _untrusted(findings: Sequence[Finding]) -> Verdict | None:
    """The verdict where no method's maps can be believed."""
    failed = _failed(findings)
    if not failed or len(failed) < len(_judged(findings)):
        return None
    whole = _whole(findings)
    excluded = bool(whole) and all(finding.answers.get("used") == "no" for finding in whole)
    edits = (
        "Edits, which need no map, found no use of an attribute."
        if excluded
        else "Edits, which need no map, show no use of an attribute, and do not exclude it."
        if any("used" in finding.answers for finding in whole)
        else "Nothing was edited that would do without them."
    )
    return Verdict(
        "tip" if excluded else "insufficient",
        "The maps cannot be trusted here",
        f"No method's maps pass the checks that a map must pass to mean anything on this model. {failed[0].title} {edits}",
        findings.index(failed[0]),
    )


def _without_issue(findings: Sequence[Finding]) -> Verdict:
    whole = _whole(findings)
    unseen = [f for f in _of(findings, _UNSEEN) if f.status == "insufficient"]
    undecided = [f for f in whole if f.answers.get("used") == "open"]
    untested = [f for f in whole if "used" not in f.answers]
    tips = [f for f in findings if f.status == "tip" and f.role != "object"] + _failed(findings)
    if undecided:
        lead = "Use of an attribute was neither shown nor excluded."
        return _open(
            findings, undecided[0], "Not decided", f"{lead} {undecided[0].title} {undecided[0].advice}"
        )
    if untested:
        text = (
            f"Nothing was edited, so use of an attribute was neither shown nor excluded. {untested[0].title} "
        )
        return _open(
            findings,
            untested[0],
            "Use was not tested",
            text + "Turn the intervention on (audit.intervention).",
        )
    if unseen and whole:
        lead = "No use of an annotated attribute was found, but a shortcut without a place was not excluded."
        return _open(
            findings,
            unseen[0],
            "No attribute is used, but not all is decided",
            f"{lead} {unseen[0].title} {unseen[0].advice}",
        )
    if not whole:
        more = next((f" {f.title}" for f in _of(findings, _UNSEEN) if f.status != "not_applicable"), "")
        return Verdict("not_applicable", "Nothing to decide", _NO_ATTRIBUTE + more)
    return _clean(findings, tips)


def _clean(findings: Sequence[Finding], tips: Sequence[Finding]) -> Verdict:
    headline = "No use of an attribute was found"
    used = [finding.evidence["used"] for finding in _whole(findings) if "used" in finding.evidence]
    exchanged = any(effect.name == EXCHANGE for effect in used)
    edited = "when it is edited, beyond what edits elsewhere do"
    how = f": neither {edited}, nor when it is exchanged for another kind" if exchanged else f" {edited}"
    lead = f"The score follows no annotated attribute{how}."
    if tips:
        lies = " Some maps lie on them all the same." if tips[0].code.startswith(_REGIONS) else ""
        return Verdict("tip", headline, f"{lead}{lies} {tips[0].title}", findings.index(tips[0]))
    return Verdict(
        "passed",
        headline,
        f"{lead} A shortcut that nobody annotated and nobody measured would not be seen by this audit.",
    )


def _open(findings: Sequence[Finding], finding: Finding, headline: str, text: str) -> Verdict:
    return Verdict("insufficient", headline, text, findings.index(finding))


def _who_pays(findings: Sequence[Finding], verdict: Verdict) -> str:
    """The gravest finding about groups, where the verdict does not say it already."""
    asked = [finding for finding in _of(findings, _HARMS) if finding.status != "not_applicable"]
    issues = [finding for finding in asked if finding.status == "issue"]
    if issues:
        # the figures, without the warnings behind them
        return "" if issues[0].title in verdict.text else f"{issues[0].title.split('. ')[0].rstrip('.')}."
    small = [finding for finding in asked if finding.status == "tip" and finding.code in _GAPS]
    if small:
        return "" if small[0].title in verdict.text else f"{small[0].title.split('. ')[0].rstrip('.')}."
    if any(finding.status == "insufficient" for finding in asked):
        return "Whether a group is classified worse cannot be said."
    if any(finding.status == "passed" for finding in asked):
        return "No group that was asked about is classified worse by more than chance leaves open."
    return ""


def _believed(findings: Sequence[Finding], verdict: Verdict) -> str:
    """Whether the maps can be believed."""
    judged, failed = _judged(findings), _failed(findings)
    if not judged:
        return "Whether the maps can be believed was not examined."
    if len(failed) == len(judged):
        said = verdict.headline == "The maps cannot be trusted here"
        return "" if said else "The maps cannot be believed here; the edits, which need none, carry this."
    if failed:
        few = "One method's maps" if len(failed) == 1 else f"The maps of {len(failed)} methods"
        return f"{few} cannot be believed here and were left out."
    # of several methods the one that the regions were judged by
    deciding = [f for f in _of(findings, _REGIONS) if "trusted" in f.answers][:1] or judged
    if any(finding.answers["trusted"] == "yes" for finding in deciding):
        return "The maps pass the checks that maps must pass to be believed."
    return "Whether the maps can be believed cannot be said."


def _of(findings: Sequence[Finding], family: str) -> list[Finding]:
    return [finding for finding in findings if finding.code.startswith(family)]


def _whole(findings: Sequence[Finding]) -> list[Finding]:
    """Those on all samples of a class or of the dataset: a small group that is undecided does not undo them.

    Putting an attribute into other images says nothing of the images that have it.
    """
    mine = [f for f in _of(findings, _REGIONS) if f.role == "attribute" and not f.group]
    return [f for f in mine if f.status != "not_applicable" and f.code != TRANSPLANT]


def _judged(findings: Sequence[Finding]) -> list[Finding]:
    """The findings about the maps, one a method."""
    return [finding for finding in _of(findings, _TRUST) if "trusted" in finding.answers]


def _failed(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in _judged(findings) if finding.answers["trusted"] == "no"]


def _more(count: int) -> str:
    if count == 0:
        return ""
    return " One more finding says so." if count == 1 else f" {count} more findings say so."


def _regions(findings: Sequence[Finding]) -> str:
    widest = max((f.region or "" for f in findings), key=lambda name: name.count("+"))
    return " and ".join(widest.split("+"))
