"""CAM302: a group's scores differ, and no annotated attribute is why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.findings.invisible import invisible_findings
from camaudit.findings.policy import Policy
from tests.findings import people

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.types import Finding


def uneven(strength: float, n: int = 240) -> pd.DataFrame:
    """Women's scores speak for nurse, whatever the label."""
    table = people.samples(n)
    return people.scored(
        table, people.margin_of(table) + strength * (table["group_gender"] == "woman").to_numpy()
    )


def found(table: pd.DataFrame, *attributes: Finding, **changes: object) -> Finding:
    about = people.evidence(table, {"hair": "attribute", "tool": "object"}, **changes)
    (one,) = [one for one in invisible_findings(about, Policy(), attributes) if one.code == "CAM302"]
    return one


def test_a_gap_without_an_attribute_is_not_visible_to_a_heatmap() -> None:
    finding = found(uneven(0.9))
    assert finding.status == "issue"
    assert finding.group == {"gender": "woman"}
    assert finding.target_class == "nurse"
    assert "speak for nurse more than other images of the same label" in finding.title
    assert "not visible to a heatmap of these regions" in finding.title
    assert "hair" in finding.title
    assert "tool" not in finding.title


def test_looks_that_go_with_the_group_are_named() -> None:
    table = uneven(0.9)
    women = (table["group_gender"] == "woman").to_numpy()
    table["look_warmth"] = women * 2.0 + np.random.default_rng(0).normal(size=len(table)) * 0.2
    finding = found(table)
    assert "In these images the colour of the light of the whole image differs too." in finding.title
    assert "CAM301" in finding.advice


def test_no_gap_passes_and_few_images_do_not() -> None:
    assert found(people.samples()).status == "passed"
    few = found(people.samples(48, spread=1.5))
    assert few.status == "insufficient"
    assert few.advice.startswith("About ")


def test_while_use_of_an_attribute_is_open_it_cannot_be_said_what_is_visible() -> None:
    use = replace(found(uneven(0.9)), code="CAM101", role="attribute", region="hair", group={})
    undecided = found(uneven(0.9), replace(use, status="insufficient", answers={"used": "open"}))
    assert undecided.status == "insufficient"
    assert "whether the model uses hair is undecided" in undecided.title
    explained = found(uneven(0.9), use)
    assert explained.status == "not_applicable"
    assert "The model uses hair" in explained.title


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(group_gender="man"), "no two of its values"),
        (lambda table: table.assign(group_gender=None), "no two of its values"),
        (
            lambda table: table.assign(group_gender=np.where(table["label"] == "nurse", "woman", "man")),
            "no two",
        ),
    ],
)
def test_groups_that_cannot_be_compared_within_labels(change: object, said: str) -> None:
    finding = found(change(uneven(0.9)))  # type: ignore[operator]
    assert finding.status == "insufficient"
    assert said in finding.title
    assert finding.effect is None


def test_without_a_group_column_there_is_nothing_to_ask() -> None:
    assert found(uneven(0.9), groups=[]).status == "not_applicable"


def test_of_several_values_the_one_that_differs_is_named() -> None:
    table = people.samples(360)
    place = np.array(["ward", "office", "street"])[np.arange(360) // 2 % 3]
    table = people.scored(
        table.assign(group_gender=place), people.margin_of(table) + 0.9 * (place == "street")
    )
    assert found(table).group == {"gender": "street"}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            [("CAM101", {}, "no"), ("CAM101", {"gender": "man"}, "open"), ("CAM101", {}, "open")],
            "is undecided",
        ),
        ([("CAM101", {}, "no"), ("CAM101", {"gender": "man"}, "open")], "was not found"),
        ([("CAM101", {}, "no"), ("CAM105", {}, "open")], "was not found"),
        ([("CAM101", {}, None)], "was not tested"),
    ],
)
def test_whatever_leaves_use_open_is_heard(
    others: list[tuple[str, dict[str, str], str | None]], said: str
) -> None:
    use = replace(found(uneven(0.9)), role="attribute", region="hair", status="passed")
    attributes = [
        replace(use, code=code, group=group, answers={"used": answer} if answer else {})  # type: ignore[dict-item]
        for code, group, answer in others
    ]
    finding = found(uneven(0.9), *attributes)
    assert (said if said != "was not found" else "it was not found to use hair") in finding.title
    assert finding.status == ("issue" if said == "was not found" else "insufficient")
