"""CAM301: the score goes with the look of the whole image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.findings.invisible import invisible_findings
from camaudit.findings.policy import Policy
from tests.findings import people

if TYPE_CHECKING:
    from camaudit.types import Finding

POLICY = Policy()


def blurred(strength: float, *, n: int = 240, both_ways: bool = False, seed: int = 0) -> pd.DataFrame:
    """Half of the images of either label are blurred; a blur speaks for nurse, or makes the model less sure."""
    table = people.samples(n, seed=seed)
    blur = np.arange(n) % 8 < 4
    table["look_sharpness"] = np.where(blur, -1.5, -0.2) + 0.1 * np.random.default_rng(seed).normal(size=n)
    margin = people.margin_of(table)
    return people.scored(
        table, margin * np.where(blur, 1 - strength, 1) if both_ways else margin + strength * blur
    )


def found(table: pd.DataFrame, **changes: object) -> list[Finding]:
    about = people.evidence(table, **changes)
    return [one for one in invisible_findings(about, POLICY, []) if one.code == "CAM301"]


def only(findings: list[Finding], status: str) -> Finding:
    (one,) = [finding for finding in findings if finding.status == status]
    return one


def test_a_blur_that_speaks_for_a_class_is_an_issue_no_heatmap_shows() -> None:
    table = blurred(1.2)
    finding = only(found(table), "issue")
    unit = people.margin_of(table).std()
    assert finding.title.startswith(
        "Images that are sharp speak for doctor more than images of the same label that are blurred"
    )
    assert "not visible to a heatmap" in finding.title
    assert (finding.target_class, finding.region, finding.role) == ("doctor", None, None)
    assert finding.effect is not None
    assert finding.effect.low < 1.2 / unit < finding.effect.high
    assert finding.severity == pytest.approx(finding.effect.estimate)
    shown = table.set_index("sample").loc[list(finding.samples)]
    assert (shown["look_sharpness"] > -1).all()
    assert finding.answers["harms"] == "yes"
    assert finding.rung == "harms"
    assert "Of the doctor images the blurred ones are right in" in finding.title


def test_what_only_lowers_confidence_is_no_issue() -> None:
    findings = found(blurred(0.7, both_ways=True))
    assert only(findings, "passed").title.startswith("No class gains from blur, brightness and")
    assert not [one for one in findings if one.status == "issue"]


def test_a_clean_model_passes_in_one_sentence() -> None:
    (finding,) = found(people.samples())
    assert finding.status == "passed"
    assert "the largest difference within labels is" in finding.title


def test_clean_models_are_left_in_peace_and_biased_ones_found() -> None:
    def issues(strength: float, seed: int) -> bool:
        table = blurred(strength * 1.0, seed=seed)
        return any(one.status == "issue" for one in found(table, seed=seed))

    assert sum(issues(0.0, seed) for seed in range(8)) == 0
    unit = float(people.margin_of(blurred(0.6)).std())
    assert all(issues(0.5 * unit * 1.15, seed) for seed in range(4))


def test_what_is_seen_but_not_followed_comes_with_something_else() -> None:
    table = blurred(1.2)
    finding = only(found(table, recasts=people.recasts(table, {"sharpness": 0.0})), "tip")
    assert finding.answers["used"] == "no"
    assert finding.rung is None
    assert "Changing it in whole images, though" in finding.title


def test_what_is_seen_and_followed_is_used() -> None:
    table = blurred(1.2)
    finding = only(found(table, recasts=people.recasts(table, {"sharpness": -1.2})), "issue")
    assert finding.answers["used"] == "yes"
    assert finding.evidence["used"].estimate == pytest.approx(1.2 / people.margin_of(table).std(), abs=0.1)


def test_a_weak_sign_counts_where_the_score_follows() -> None:
    table = people.samples(400, spread=0.4)
    warm = table["look_warmth"].to_numpy() > 0
    table = people.scored(table, people.margin_of(table) + 0.25 * warm)
    assert {one.status for one in found(table)} == {"tip", "passed"}
    follows = found(table, recasts=people.recasts(table, {"warmth": 0.8}))
    assert only(follows, "issue").target_class == "nurse"


def test_a_look_that_never_differs_but_is_followed_is_a_tip() -> None:
    table = people.samples()
    finding = only(found(table, recasts=people.recasts(table, {"warmth": 0.9})), "tip")
    assert "When whole images are changed in the colour of the light, the score follows" in finding.title


def test_what_is_the_label_itself_is_undecided_unless_it_is_changed() -> None:
    table = people.samples()
    table["look_warmth"] = np.where(table["label"] == "nurse", 1.0, 0.0)
    finding = only(found(table), "insufficient")
    assert (
        "the colour of the light of the whole image cannot be said: too few images of some label"
        in finding.title
    )
    assert [one.status for one in found(table, recasts=people.recasts(table, {}))] == ["passed"]


def test_few_images_say_how_many_would_do() -> None:
    finding = only(found(people.samples(48, spread=1.5)), "insufficient")
    assert finding.advice.startswith("About ")
    assert int(finding.advice.split()[1]) > 48


def test_an_attribute_that_is_used_may_be_why() -> None:
    used = replace(only(found(blurred(1.2)), "issue"), code="CAM101", role="attribute", region="hair")
    about = people.evidence(blurred(1.2), {"hair": "attribute"})
    finding = only([one for one in invisible_findings(about, POLICY, [used]) if one.code == "CAM301"], "tip")
    assert "The model uses hair too" in finding.title


def without_labels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(label=None, correct=pd.NA)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_labels, "no image has a label"),
        (lambda table: table.drop(columns="label"), "the run has no labels"),
        (lambda table: table.assign(label="doctor|nurse"), "images have several labels"),
        (lambda table: people.scored(table, np.zeros(len(table))), "gives every image the same scores"),
        (lambda table: table.assign(score_nurse=np.nan), "some scores are not numbers"),
        (lambda table: table.filter(regex="^(?!look_)"), "has not measured them"),
        (
            lambda table: table.assign(**{f"look_{name}": 1.0 for name in people.LOOKS}),
            "every image has the same",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(change: object, why: str) -> None:
    (finding,) = found(change(people.samples()))  # type: ignore[operator]
    assert finding.status == "not_applicable"
    assert why in finding.title
