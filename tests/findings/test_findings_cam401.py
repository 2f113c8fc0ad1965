"""CAM401: the worst group."""

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


def erring(share: float, n: int = 240, *, group: str = "man", label: str = "nurse") -> pd.DataFrame:
    """The model errs in a share of the images of one group of one label."""
    table = people.samples(n, spread=0.1)
    inside = ((table["group_gender"] == group) & (table["label"] == label)).to_numpy()
    wrong = inside & (np.cumsum(inside) % 10 < 10 * share)
    return people.scored(table, people.margin_of(table) * np.where(wrong, -1, 1))


def found(table: pd.DataFrame, **changes: object) -> list[Finding]:
    about = people.evidence(table, **changes)
    return [one for one in harms_findings(about, Policy()) if one.code == "CAM401"]


def of(findings: list[Finding], label: str | None) -> Finding:
    (one,) = [finding for finding in findings if finding.target_class == label]
    return one


def test_the_worst_group_is_said_with_what_it_is_mistaken_for() -> None:
    table = erring(0.4)
    finding = of(found(table), "nurse")
    assert (finding.status, finding.rung) == ("issue", "harms")
    assert finding.group == {"gender": "man"}
    assert "60 % of the 60 images with gender: man are right, and 100 % of the 60 with woman" in finding.title
    assert "40 % are taken for doctor" in finding.title
    assert finding.effect is not None
    assert finding.effect.estimate == pytest.approx(0.4)
    assert finding.effect.low > 0.2
    assert not table.set_index("sample").loc[list(finding.samples), "correct"].any()
    assert table.set_index("sample").loc[list(finding.counter_samples), "correct"].all()
    assert of(found(table), "doctor").status == "passed"


def test_even_groups_pass_by_the_band_of_four_fifths() -> None:
    findings = found(erring(0.0, 400))
    assert {one.status for one in findings} == {"passed"}
    assert all(one.answers == {"harms": "no"} for one in findings)


def test_a_few_errors_in_few_images_are_open_and_say_how_many_would_do() -> None:
    finding = of(found(erring(0.2, 60)), "nurse")
    assert finding.status == "insufficient"
    assert "fewer than 30 images: read the figures with care" in finding.title
    assert int(finding.advice.split()[1]) > 60


def test_groups_of_fewer_than_ten_are_not_told() -> None:
    few = [one for one in found(erring(0.4, 24)) if "cannot be said: fewer than two" in one.title]
    assert len(few) == 1
    assert "doctor and nurse" in few[0].title
    assert few[0].effect is None


def test_two_columns_together_are_told_only_where_they_tell_more() -> None:
    table = erring(0.0, 480)
    table["group_age"] = np.where(np.arange(480) % 8 < 4, "old", "young")
    alone = found(table, groups=["gender", "age"])
    assert all("×" not in next(iter(one.group)) for one in alone)
    old_men = (
        (table["group_age"] == "old") & (table["group_gender"] == "man") & (table["label"] == "nurse")
    ).to_numpy()
    young_women = (
        (table["group_age"] == "young") & (table["group_gender"] == "woman") & (table["label"] == "nurse")
    ).to_numpy()
    hurt = people.scored(table, people.margin_of(table) * np.where(old_men | young_women, -1, 1))
    both = [one for one in found(hurt, groups=["gender", "age"]) if one.group.keys() == {"gender × age"}]
    assert both
    assert {one.status for one in both} == {"issue"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.assign(correct=pd.NA), "no image has a label"),
        (lambda table: table.drop(columns=["label"]), "the run has no labels"),
    ],
)
def test_what_cannot_be_asked_is_said_once_a_code(change: object, why: str) -> None:
    about = people.evidence(change(people.samples()))  # type: ignore[operator]
    findings = harms_findings(about, Policy())
    assert [one.code for one in findings] == ["CAM401", "CAM402", "CAM403", "CAM404"]
    assert {one.status for one in findings} == {"not_applicable"}
    assert all(why in one.title for one in findings)
    assert {one.status for one in harms_findings(people.evidence(people.samples(), groups=[]), Policy())} == {
        "not_applicable"
    }


def test_a_model_that_says_one_class_errs_alike_in_all_groups() -> None:
    table = people.scored(people.samples(), np.full(240, 1.0))
    findings = found(table)
    # every doctor is wrong: rates of nothing have no ratio, and no group is worse
    assert of(findings, "doctor").status == "insufficient"
    assert of(findings, "nurse").status == "passed"
    assert all(one.status != "issue" for one in findings)
