"""CAM101: the evidence lies on an attribute, and whether the score follows it."""

from __future__ import annotations

import pytest

from camaudit.findings import decide
from tests.findings.tables import evidence

CASES = [
    # seen, followed, status, rung
    ("yes", "yes", "issue", "used"),
    ("yes", "raises", "issue", "used"),
    ("yes", "both ways", "issue", "used"),
    ("yes", "no", "tip", "attended"),
    ("yes", "unasked", "tip", "attended"),
    ("yes", "open", "insufficient", "attended"),
    ("yes", "few", "insufficient", "attended"),
    ("open", "yes", "issue", "used"),
    ("few", "raises", "issue", "used"),
    ("unasked", "both ways", "issue", "used"),
    ("no", "no", "passed", None),
    ("no", "unasked", "passed", None),
    ("no", "open", "insufficient", None),
    ("no", "few", "insufficient", None),
    ("open", "no", "insufficient", None),
    ("open", "open", "insufficient", None),
    ("open", "unasked", "insufficient", None),
    ("few", "no", "insufficient", None),
    ("few", "few", "insufficient", None),
    ("few", "unasked", "insufficient", None),
    ("unasked", "no", "insufficient", None),
    ("unasked", "unasked", "insufficient", None),
]


@pytest.mark.parametrize(("seen", "followed", "status", "rung"), CASES)
def test_every_combination_of_answers(seen: str, followed: str, status: str, rung: str | None) -> None:
    findings = [finding for finding in decide(evidence("attribute", seen, followed)) if finding.region]
    assert [finding.target_class for finding in findings] == [None, "nurse", "doctor"]
    for finding in findings:
        assert (finding.code, finding.status, finding.rung) == ("CAM101", status, rung)
        assert (finding.region, finding.role, dict(finding.group)) == ("hair", "attribute", {})
        assert set(finding.evidence) == {
            name for name, answer in (("attended", seen), ("used", followed)) if answer != "unasked"
        }
        assert (finding.severity > 0) == (status == "issue")
        assert finding.advice


@pytest.mark.parametrize(
    ("seen", "followed", "words"),
    [
        ("yes", "yes", "editing hair away lowers its score by 0.40 SD (0.30 to 0.50) more than editing as much elsewhere does; 35 % of the evidence lies there, where chance would put 15 %."),
        ("yes", "raises", "editing hair away raises its score by 0.40 SD (0.30 to 0.50) more than"),
        ("yes", "both ways", "changes its score, in one direction or the other, by 0.40 SD (0.32 to 0.50) more than"),
        ("yes", "no", "but the model does not use it: editing it away changes the score by +0.01 SD (−0.03 to +0.05) beyond the controls."),
        ("yes", "unasked", "Whether the model uses it was not tested."),
        ("no", "no", "the maps lie on hair no more than chance would put there (35 % of the evidence lies there, where chance would put 15 %), and the model does not use it: editing it away changes the score by +0.01 SD (−0.03 to +0.05) beyond the controls."),
        ("no", "unasked", "the maps lie on hair no more than chance would put there: 35 % of the evidence lies there, where chance would put 15 %. Whether the model uses it was not tested."),
        ("open", "no", "it cannot be said whether the maps lie on hair (35 % of the evidence lies there, where chance would put 15 %), and the model does not use it"),
        ("open", "unasked", "Whether the model uses it was not tested."),
        ("yes", "open", "it cannot be said whether the model uses hair: editing it away changes the score by +0.08 SD (−0.05 to +0.21) beyond the controls"),
        ("yes", "few", "only 4 images can be used, and 10 are needed"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_found_and_no_more(seen: str, followed: str, words: str) -> None:
    finding = next(f for f in decide(evidence("attribute", seen, followed)) if f.target_class == "nurse")
    assert finding.title.startswith("Where the model says nurse, ")
    assert words in finding.title
    assert "nan" not in finding.title
    if followed == "unasked":
        assert "nor uses" not in finding.title
        assert "audit.intervention" in finding.advice or finding.status != "tip"


def test_the_deciding_effect_is_the_rungs() -> None:
    used, seen = (decide(evidence("attribute", "yes", followed))[0] for followed in ("yes", "no"))
    assert used.effect is not None
    assert (used.effect.name, used.effect.estimate) == ("shift", 0.40)
    assert seen.effect is not None
    assert seen.effect.name == "excess"


def test_a_union_reads_as_a_list() -> None:
    finding = decide(evidence("attribute", "yes", "yes", region="hair+face"))[0]
    assert "editing hair and face away" in finding.title
    assert finding.region == "hair+face"


def test_without_an_attribute_it_does_not_apply() -> None:
    finding = next(f for f in decide(evidence("object", "yes", "yes")) if f.code == "CAM101")
    assert (finding.status, finding.rung, finding.effect) == ("not_applicable", None, None)
    assert "roles.attribute" in finding.advice
