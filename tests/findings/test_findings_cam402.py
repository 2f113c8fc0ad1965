"""CAM402: bias-aligned against bias-conflicting images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.findings.harms import harms_findings
from camaudit.findings.policy import Policy
from tests.findings import people

if TYPE_CHECKING:
    from camaudit.types import Finding

TRAINING = pd.DataFrame(
    {
        "label": ["doctor"] * 100 + ["nurse"] * 100,
        "group_gender": ["man"] * 78 + ["woman"] * 22 + ["man"] * 7 + ["woman"] * 93,
    }
)


def learnt(share: float) -> pd.DataFrame:
    """A model that errs in a share of the images whose gender is not the usual one of the label."""
    table = people.samples(spread=0.1)
    against = ((table["label"] == "doctor") == (table["group_gender"] == "woman")).to_numpy()
    wrong = against & (np.cumsum(against) % 10 < 10 * share)
    return people.scored(table, people.margin_of(table) * np.where(wrong, -1, 1))


def found(table: pd.DataFrame, training: pd.DataFrame | None = TRAINING) -> Finding:
    about = people.evidence(table, training=training)
    (one,) = [one for one in harms_findings(about, Policy()) if one.code == "CAM402"]
    return one


def test_conflicting_images_that_pay_are_an_issue() -> None:
    table = learnt(0.3)
    finding = found(table)
    assert (finding.status, finding.rung) == ("issue", "harms")
    assert "100 % of 120 images are right, and 70 % of the 120 where it is not: +30 points" in finding.title
    assert finding.effect is not None
    assert finding.effect.estimate == pytest.approx(0.3)
    shown = table.set_index("sample").loc[list(finding.samples)]
    assert ((shown["label"] == "doctor") == (shown["group_gender"] == "woman")).all()
    assert not shown["correct"].any()


def test_a_model_that_has_not_learnt_it_passes() -> None:
    assert found(learnt(0.0)).status == "passed"


def test_balanced_images_say_nothing_of_alignment_without_the_training_table() -> None:
    finding = found(learnt(0.3), None)
    assert finding.status == "not_applicable"
    assert "in the audited images it hardly goes with the label" in finding.title
    assert "audit.training" in finding.advice


def test_the_audited_images_will_do_where_they_hold_the_association() -> None:
    table = learnt(0.3)
    against = ((table["label"] == "doctor") == (table["group_gender"] == "woman")).to_numpy()
    skewed = table[~against | (np.cumsum(against) % 2 == 0)]
    finding = found(skewed, None)
    assert finding.status == "issue"
    assert "the usual one of the label in the audited images" in finding.title


def test_too_few_conflicting_images() -> None:
    table = learnt(0.3)
    against = ((table["label"] == "doctor") == (table["group_gender"] == "woman")).to_numpy()
    finding = found(table[~against | (np.cumsum(against) < 8)])
    assert finding.status == "insufficient"
    assert "there are 7 of them" in finding.title
