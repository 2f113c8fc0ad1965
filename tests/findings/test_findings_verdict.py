"""One rule from the findings to the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camaudit.findings import conclude, decide
from camaudit.types import Finding
from tests.findings.tables import evidence

if TYPE_CHECKING:
    from camaudit.types import Role, Said, Status


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


# ------------------------------------------------------------------ all families together

STATUSES = ("issue", "tip", "passed", "insufficient", "not_applicable")
FAMILIES = {
    "CAM101": "attribute", "CAM102": "attribute", "CAM104": "attribute", "CAM105": "attribute", "CAM103": "object",
    "CAM301": None, "CAM302": None, "CAM303": None, "CAM401": None, "CAM402": None, "CAM403": None, "CAM404": None,
}  # fmt: skip
USED: dict[str, Said | None] = {
    "issue": "yes",
    "tip": "no",
    "passed": "no",
    "insufficient": "open",
    "not_applicable": None,
}


def _finding(code: str, status: Status, *, trusted: Said | None = None, **changes: object) -> Finding:
    """A finding as its family makes it, with a title that names it."""
    role = cast("Role | None", FAMILIES.get(code))
    about_region = code.startswith("CAM1")
    answers: dict[str, Said] = {"trusted": trusted} if trusted else {}
    said = USED[status]
    if about_region and said:
        answers["used"] = said
    made = Finding(
        code, f"Title of {code} {status}.", status, None, 0.0, None, "hair" if about_region else None, role,
        {}, None, {}, answers, (), (), "Advice.",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def _trust(*said: Said) -> list[Finding]:
    status: dict[Said, Status] = {"yes": "passed", "no": "issue", "open": "insufficient"}
    return [
        _finding("CAM201", status[one], trusted=one, title=f"Method {i} {one}.") for i, one in enumerate(said)
    ]


OPEN_ELSEWHERE = "No attribute is used, but not all is decided"
CLEAN = _finding("CAM101", "passed")
# the table of docs/findings.md, one row a line: what is there besides a clean attribute, status, headline
TABLE = [
    ([_finding("CAM101", "issue"), _finding("CAM301", "issue"), *_trust("no")], "issue", "The model uses hair"),
    ([_finding("CAM104", "issue")], "issue", "The model uses hair"),
    ([_finding("CAM105", "issue")], "issue", "The model uses hair"),
    ([_finding("CAM301", "issue"), _finding("CAM401", "issue")], "issue", "Something the maps cannot show"),
    ([_finding("CAM302", "issue"), _finding("CAM103", "issue")], "issue", "Something the maps cannot show"),
    ([_finding("CAM303", "issue")], "issue", "Something the maps cannot show"),
    ([_finding("CAM401", "issue"), _finding("CAM103", "issue")], "issue", "Some are classified worse than others"),
    ([_finding("CAM402", "issue")], "issue", "Some are classified worse than others"),
    ([_finding("CAM103", "issue"), *_trust("no")], "issue", "The model does not use hair"),
    (_trust("no"), "tip", "The maps cannot be trusted here"),
    (_trust("no", "no"), "tip", "The maps cannot be trusted here"),
    ([*_trust("no"), _finding("CAM301", "insufficient")], "tip", "The maps cannot be trusted here"),
    ([*_trust("no"), _finding("CAM104", "insufficient", region="wall")], "insufficient", "The maps cannot be trusted here"),
    (_trust("no", "yes"), "tip", "No use of an attribute was found"),
    (_trust("open"), "passed", "No use of an attribute was found"),
    (_trust("yes"), "passed", "No use of an attribute was found"),
    ([_finding("CAM101", "insufficient", region="face")], "insufficient", "Not decided"),
    ([_finding("CAM104", "insufficient", region="wall")], "insufficient", "Not decided"),
    ([_finding("CAM105", "insufficient", region="face")], "passed", "No use of an attribute was found"),
    ([_finding("CAM301", "insufficient")], "insufficient", OPEN_ELSEWHERE),
    ([_finding("CAM302", "insufficient", group={"gender": "man"})], "insufficient", OPEN_ELSEWHERE),
    ([_finding("CAM401", "insufficient")], "passed", "No use of an attribute was found"),
    ([_finding("CAM404", "tip")], "tip", "No use of an attribute was found"),
    ([_finding("CAM103", "tip")], "passed", "No use of an attribute was found"),
    ([_finding(code, "passed") for code in FAMILIES], "passed", "No use of an attribute was found"),
    ([_finding(code, "not_applicable") for code in FAMILIES], "passed", "No use of an attribute was found"),
]  # fmt: skip


@pytest.mark.parametrize(("beside", "status", "headline"), TABLE)
def test_the_table_of_all_families(beside: list[Finding], status: str, headline: str) -> None:
    verdict = conclude([*beside, CLEAN])
    assert (verdict.status, verdict.headline) == (status, headline)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ([], "Whether the maps can be believed was not examined."),
        (_trust("yes"), "The maps pass the checks"),
        (_trust("open"), "Whether the maps can be believed cannot be said."),
        (_trust("yes", "no"), "One method's maps cannot be believed here and were left out."),
        (_trust("yes", "no", "no"), "The maps of 2 methods cannot be believed here and were left out."),
        ([_finding("CAM101", "issue"), *_trust("no")], "the edits, which need none, carry this"),
        ([_finding("CAM401", "passed")], "No group that was asked about is classified worse"),
        ([_finding("CAM401", "insufficient")], "Whether a group is classified worse cannot be said."),
        ([_finding("CAM401", "issue"), _finding("CAM101", "issue")], "Title of CAM401 issue."),
        ([_finding("CAM402", "issue"), _finding("CAM301", "issue")], "Title of CAM402 issue."),
    ],
)
def test_who_pays_and_whether_maps_can_be_believed_is_said(beside: list[Finding], said: str) -> None:
    assert said in conclude([*beside, CLEAN]).text


def test_what_is_true_of_a_whole_class_leads_before_what_is_true_of_a_group() -> None:
    group = _finding("CAM101", "issue", title="In the group.", group={"gender": "man"}, severity=0.9)
    whole = _finding("CAM101", "issue", title="In the class.", severity=0.2)
    verdict = conclude([group, whole, CLEAN])
    assert verdict.finding == 1
    assert "In the class. One more finding" in verdict.text
    assert conclude([group, CLEAN]).finding == 0


def test_who_pays_is_said_without_its_warnings() -> None:
    harm = _finding("CAM401", "issue", title="0.5 points apart, 1.2 times. Read the figures with care.")
    text = conclude([harm, _finding("CAM101", "issue"), CLEAN]).text
    assert "0.5 points apart, 1.2 times. " in text
    assert "with care" not in text


def test_nothing_is_said_twice() -> None:
    text = conclude([_finding("CAM401", "issue"), CLEAN]).text
    assert text.count("Title of CAM401 issue.") == 1
    assert text.count("classified worse") == 1


statuses = st.sampled_from(STATUSES)
some = st.lists(
    st.one_of(
        st.builds(_finding, st.sampled_from(sorted(FAMILIES)), statuses),
        st.sampled_from([finding for said in ("yes", "no", "open") for finding in _trust(said)]),
    ),
    max_size=12,
)


@settings(max_examples=400, deadline=None)
@given(some)
def test_every_combination_of_findings(findings: list[Finding]) -> None:
    verdict = conclude(findings)
    about_model = [f for f in findings if f.status == "issue" and f.code != "CAM201"]
    assert (verdict.status == "issue") == bool(about_model)
    if verdict.status == "passed":
        assert not any(f.status == "issue" for f in findings)
        assert not any(
            f.status == "insufficient" for f in findings if f.code in {"CAM101", "CAM102", "CAM301"}
        )
        assert any(f.status == "passed" or f.code == "CAM103" for f in findings)
    if verdict.finding is not None:
        decided = findings[verdict.finding]
        assert decided.title in verdict.text
        assert verdict.status != "issue" or decided.status == "issue"
    else:
        assert verdict.status in {"passed", "not_applicable"}
    trust = [f.answers["trusted"] for f in findings if f.code == "CAM201"]
    if trust and set(trust) == {"no"}:
        assert "cannot be" in verdict.headline + verdict.text
    assert "cannot be trusted here" not in verdict.headline or set(trust) == {"no"}
    assert "  " not in verdict.text
    assert verdict.text.endswith(".")


def _about(code: str, status: str, title: str, **answers: str) -> Finding:
    (one, *_) = _findings(("no", "no"), None)
    return replace(
        one,
        code=code,
        status=cast("Status", status),
        title=title,
        region=None,
        role=None,
        answers=cast("dict[str, Said]", answers),
    )


def test_a_small_gap_is_not_denied() -> None:
    tip = _about("CAM401", "tip", "In images of nurse men are right less often by 3 points.")
    passed = _about("CAM403", "passed", "No value is better off over all labels and worse off within them.")
    text = conclude([*_findings(("no", "no")), tip, passed]).text
    assert "right less often by 3 points" in text
    assert "No group that was asked about" not in text
    association = _about("CAM404", "tip", "In the audited images 91 % of nurse are women.")
    assert "No group that was asked about" in conclude([*_findings(("no", "no")), association, passed]).text


def test_of_several_methods_the_deciding_one_is_believed_or_not() -> None:
    maps = [
        _about("CAM201", "insufficient", "…", trusted="open"),
        _about("CAM201", "passed", "…", trusted="yes"),
    ]
    regions = [replace(one, answers={**one.answers, "trusted": "open"}) for one in _findings(("no", "no"))]
    assert "Whether the maps can be believed cannot be said." in conclude([*regions, *maps]).text
    believed = [replace(one, answers={**one.answers, "trusted": "yes"}) for one in _findings(("no", "no"))]
    assert "The maps pass the checks" in conclude([*believed, *maps]).text


def test_an_exchange_is_told_of_only_where_there_was_one() -> None:
    assert "exchanged" not in conclude(_findings(("no", "no"))).text
