"""CAM403: Simpson reversals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camaudit.findings.harms import harms_findings
from camaudit.findings.policy import Policy
from tests.findings import people

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.types import Finding


def cells(*sizes: tuple[str, str, int, int]) -> pd.DataFrame:
    """Samples from (label, gender, right, wrong)."""
    rows = [(label, gender, hit) for label, gender, good, bad in sizes for hit in [1.0] * good + [-1.0] * bad]
    label, gender, hit = (np.array(column) for column in zip(*rows, strict=True))
    table = people.samples(len(rows)).assign(label=label, group_gender=gender)
    return people.scored(table, hit.astype(float) * np.where(label == "nurse", 1.0, -1.0))


def found(table: pd.DataFrame) -> Finding:
    (one,) = [one for one in harms_findings(people.evidence(table), Policy()) if one.code == "CAM403"]
    return one


def test_a_comparison_that_turns_round_is_said_in_both_directions() -> None:
    finding = found(
        cells(
            ("doctor", "man", 150, 10),
            ("doctor", "woman", 40, 0),
            ("nurse", "man", 10, 30),
            ("nurse", "woman", 80, 80),
        )
    )
    assert (finding.status, finding.rung) == ("tip", "harms")
    assert "gender: man fare better than the others, by 20 points" in finding.title
    assert "but within labels worse" in finding.title
    assert finding.effect is not None
    assert finding.effect.high < 0


def test_no_reversal_passes() -> None:
    assert found(people.samples()).status == "passed"


def test_without_two_values_in_a_label_it_cannot_be_said() -> None:
    assert found(cells(("doctor", "man", 30, 5), ("nurse", "woman", 30, 5))).status == "insufficient"
