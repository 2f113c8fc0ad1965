"""CAM102: the score follows an attribute that the maps do not show."""

from __future__ import annotations

import pytest

from camaudit.findings import CODES, decide
from tests.findings.tables import evidence


@pytest.mark.parametrize("followed", ["yes", "raises", "both ways"])
def test_use_without_attention_is_an_issue_of_its_own(followed: str) -> None:
    for finding in (f for f in decide(evidence("attribute", "no", followed)) if f.region):
        assert finding.answers == {"attended": "no", "used": "yes"}
        assert (finding.code, finding.status, finding.rung) == ("CAM102", "issue", "used")
        assert finding.effect is not None
        assert finding.effect.name == ("response" if followed == "both ways" else "shift")
        assert finding.severity == pytest.approx(0.4)


@pytest.mark.parametrize("followed", ["no", "open", "few", "unasked"])
def test_without_use_there_is_no_such_finding(followed: str) -> None:
    assert all(f.code != "CAM102" for f in decide(evidence("attribute", "no", followed)))


def test_codes_are_stable() -> None:
    assert {"CAM101", "CAM102", "CAM103"} <= set(CODES)
    assert all(code.id == key and code.question.endswith("?") for key, code in CODES.items())
