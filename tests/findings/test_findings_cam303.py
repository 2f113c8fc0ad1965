"""CAM303: groups compared in pairs that are alike, where no attribute is annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camaudit.findings.invisible import invisible_findings
from camaudit.findings.policy import Policy
from tests.findings import people
from tests.findings.test_findings_cam302 import uneven

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.types import Finding


def found(table: pd.DataFrame) -> Finding:
    about = people.evidence(table, {"tool": "object"})
    (one,) = [one for one in invisible_findings(about, Policy(), []) if one.code == "CAM303"]
    return one


def test_a_gap_between_pairs_is_weaker_evidence() -> None:
    finding = found(uneven(0.9))
    assert finding.status == "issue"
    assert finding.rung is None
    assert (finding.target_class, finding.group) == ("nurse", {"gender": "woman"})
    assert "the same label and much the same look" in finding.title
    assert "weaker evidence" in finding.title
    assert finding.effect is not None
    assert finding.severity < abs(finding.effect.estimate)


def test_a_gap_that_the_look_explains_is_none() -> None:
    table = people.samples(400)
    women = (table["group_gender"] == "woman").to_numpy()
    warmth = np.random.default_rng(77).normal(size=400) + 0.9 * women
    table = people.scored(table.assign(look_warmth=warmth), people.margin_of(table) + 0.7 * warmth)
    assert found(table).status in {"passed", "tip"}
    blind = found(table.assign(look_warmth=0.0))
    assert blind.status == "issue"


def test_pairs_of_one_subject_are_preferred() -> None:
    table = uneven(0.9)
    # s0 and s2 are one doctor, once as a man and once as a woman
    table["subject"] = [f"p{i // 4}-{i % 2}" for i in range(len(table))]
    assert "the same label and subject" in found(table).title


def test_an_even_model_passes_and_too_few_say_so() -> None:
    assert found(people.samples()).status == "passed"
    few = found(people.samples(24))
    assert few.status == "insufficient"
    assert "At least 10 images" in few.advice
