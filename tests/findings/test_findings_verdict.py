"""One rule from the findings to the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from camaudit.findings import conclude, decide
from tests.findings.tables import evidence

if TYPE_CHECKING:
    from camaudit.types import Finding


def _findings(
    attribute: tuple[str, str] | None, obj: tuple[str, str] | None = ("yes", "yes")
) -> list[Finding]:
    found: list[Finding] = []
    for role, region, answers in (("attribute", "hair", attribute), ("object", "tool", obj)):
        if answers:
            tables = evidence(role, *answers, region=region)  # type: ignore[arg-type]
            found += [finding for finding in decide(tables) if finding.region]
    return found


@pytest.mark.parametrize(
    ("attribute", "obj", "status", "headline"),
    [
        (("yes", "yes"), ("yes", "yes"), "issue", "The model uses hair"),
        (("no", "raises"), ("no", "no"), "issue", "The model uses hair"),
        (("no", "no"), ("no", "no"), "issue", "The model does not use tool"),
        (None, ("no", "no"), "issue", "The model does not use tool"),
        (None, ("yes", "yes"), "not_applicable", "Nothing to decide"),
        (("open", "open"), ("yes", "yes"), "insufficient", "Not decided"),
        (("yes", "few"), ("yes", "yes"), "insufficient", "Not decided"),
        (("yes", "no"), ("yes", "yes"), "tip", "No use of an attribute was found"),
        (("no", "no"), ("yes", "yes"), "passed", "No use of an attribute was found"),
        (("open", "no"), ("yes", "yes"), "passed", "No use of an attribute was found"),
        (("no", "no"), ("no", "unasked"), "passed", "No use of an attribute was found"),
        (("no", "no"), ("yes", "no"), "passed", "No use of an attribute was found"),
        (("yes", "unasked"), ("yes", "unasked"), "insufficient", "Use was not tested"),
        (("no", "unasked"), ("yes", "unasked"), "insufficient", "Use was not tested"),
    ],
)
def test_the_rule(
    attribute: tuple[str, str] | None, obj: tuple[str, str] | None, status: str, headline: str
) -> None:
    verdict = conclude(_findings(attribute, obj))
    assert (verdict.status, verdict.headline) == (status, headline)
    assert verdict.text.endswith(".")


def test_nothing_found_is_nothing_decided() -> None:
    assert conclude([]).status == "not_applicable"


def test_an_undecided_group_does_not_undo_a_decided_class() -> None:
    passed = _findings(("no", "no"))
    undecided = replace(passed[0], status="insufficient", answers={"used": "open"}, group={"gender": "man"})
    assert conclude([*passed, undecided]).status == "passed"
    assert conclude([*passed, replace(undecided, group={})]).status == "insufficient"


def test_an_issue_of_a_group_is_an_issue() -> None:
    issue = replace(_findings(("yes", "yes"))[0], group={"gender": "man"})
    assert conclude([*_findings(("no", "no")), issue]).status == "issue"


@pytest.mark.parametrize(
    ("count", "words"), [(1, None), (2, "One more finding says so"), (3, "2 more findings say so")]
)
def test_further_findings_are_counted(count: int, words: str | None) -> None:
    text = conclude(_findings(("yes", "yes"))[:1] * count).text
    assert (words in text) if words else ("more finding" not in text)


def test_a_tip_about_the_object_is_not_said_of_attributes() -> None:
    assert "maps lie on them" not in conclude(_findings(("no", "no"), ("yes", "no"))).text
    assert "the maps lie on hair" in conclude(_findings(("yes", "no"), ("yes", "no"))).text


def test_the_widest_region_is_named() -> None:
    findings = [f for f in decide(evidence("attribute", "yes", "yes", region="hair+face")) if f.region]
    assert conclude([*_findings(("yes", "yes")), *findings]).headline == "The model uses hair and face"
