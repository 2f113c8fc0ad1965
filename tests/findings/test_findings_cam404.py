"""CAM404: label and group association, and what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from camaudit.findings.harms import harms_findings
from camaudit.findings.policy import Policy
from tests.findings import people
from tests.findings.test_findings_cam402 import TRAINING, learnt

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.types import Finding


def found(table: pd.DataFrame, training: pd.DataFrame | None = TRAINING) -> Finding:
    about = people.evidence(table, training=training)
    (one,) = [one for one in harms_findings(about, Policy()) if one.code == "CAM404"]
    return one


def test_the_association_says_what_it_predicts_and_what_is_seen() -> None:
    finding = found(learnt(0.3))
    assert finding.status == "tip"
    assert "In the training images 78 % of doctor have gender: man (elsewhere 7 %)" in finding.title
    assert "A model that knew only gender would be right in 50 % of the audited images" in finding.title
    assert (
        "worst at nurse with gender: man; seen: 80 % of its 60 audited images are right, against 85 % of all"
        in finding.title
    )
    assert finding.effect is not None
    assert finding.effect.name == "cramers_v"
    assert finding.effect.estimate == pytest.approx(0.72, abs=0.02)


def test_independent_groups_pass() -> None:
    finding = found(people.samples(), None)
    assert finding.status == "passed"
    assert "audit.training" in finding.advice


def test_values_that_the_training_table_does_not_have() -> None:
    table = people.samples().assign(group_gender="other")
    assert "The audited images have other values, so nothing follows for them." in found(table).title


def test_one_value_cannot_go_with_anything() -> None:
    finding = found(people.samples().assign(group_gender="man"), None)
    assert finding.status == "insufficient"
    assert "fewer than two values" in finding.title
