"""CAM103: the evidence does not lie on the object the model should recognise."""

from __future__ import annotations

import pytest

from camaudit.findings import decide
from tests.findings.tables import evidence

CASES = [
    ("yes", "yes", "passed", "used"),
    ("no", "yes", "passed", "used"),
    ("open", "raises", "passed", "used"),
    ("unasked", "both ways", "passed", "used"),
    ("yes", "unasked", "passed", "attended"),
    ("yes", "no", "tip", "attended"),
    ("yes", "open", "insufficient", "attended"),
    ("yes", "few", "insufficient", "attended"),
    ("no", "no", "issue", None),
    ("no", "unasked", "insufficient", None),
    ("no", "open", "insufficient", None),
    ("no", "few", "insufficient", None),
    ("open", "no", "insufficient", None),
    ("open", "open", "insufficient", None),
    ("open", "unasked", "insufficient", None),
    ("few", "few", "insufficient", None),
    ("unasked", "unasked", "insufficient", None),
]


@pytest.mark.parametrize(("seen", "followed", "status", "rung"), CASES)
def test_every_combination_of_answers(seen: str, followed: str, status: str, rung: str | None) -> None:
    findings = [
        finding for finding in decide(evidence("object", seen, followed, region="tool")) if finding.region
    ]
    assert len(findings) == 3
    for finding in findings:
        assert (finding.code, finding.status, finding.rung) == ("CAM103", status, rung)
        assert finding.role == "object"
        assert (finding.severity > 0) == (status == "issue")
        assert finding.advice


@pytest.mark.parametrize(
    ("seen", "followed", "words"),
    [
        ("yes", "yes", "the model uses tool: editing it away lowers its score by 0.40 SD (0.30 to 0.50) more than editing as much elsewhere does; 35 %"),
        ("yes", "unasked", "the maps lie on tool: 35 % of the evidence"),
        ("yes", "no", "the maps lie on tool (35 % of the evidence lies there, where chance would put 15 %), but the model does not use it: editing it away changes the score by +0.01 SD (−0.03 to +0.05) beyond the controls."),
        ("no", "no", "the maps lie on tool no more than chance would put there (35 % of the evidence lies there, where chance would put 15 %), and the model does not use it"),
        ("open", "no", "it cannot be said whether the maps lie on tool (35 % of the evidence lies there, where chance would put 15 %), but the model does not use it"),
        ("open", "unasked", "Whether the model uses it was not tested."),
        ("no", "open", "it cannot be said whether the model uses tool"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_found_and_no_more(seen: str, followed: str, words: str) -> None:
    for finding in decide(evidence("object", seen, followed, region="tool")):
        if finding.region:
            assert words in finding.title
            assert "nan" not in finding.title


def test_an_issue_shows_first_what_contradicts_the_object() -> None:
    issue, passed = (
        next(f for f in decide(evidence("object", seen, followed)) if f.region)
        for seen, followed in (("no", "no"), ("yes", "yes"))
    )
    assert issue.samples[0] == "s0"
    assert passed.samples[0] == "s9"
    assert set(issue.samples) == set(passed.counter_samples)


def test_without_an_object_it_does_not_apply() -> None:
    finding = next(f for f in decide(evidence("attribute", "yes", "yes")) if f.code == "CAM103")
    assert finding.status == "not_applicable"
    assert "roles.object" in finding.advice
