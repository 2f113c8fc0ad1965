"""What the page says of findings and verdict is what they hold, not what follows from a rung or a severity."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import pytest

from camaudit.findings import Policy
from camaudit.report import judgement, render, words
from camaudit.report.album import Album
from camaudit.report.making import thresholds
from camaudit.report.page import hero
from tests.report.html_reader import Reader
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.types import Said


def test_what_is_used_though_the_maps_do_not_lie_there_is_not_attended(biased: SyntheticRun) -> None:
    hidden = dataclasses.replace(
        biased.findings[0], code="CAM102", rung="used", answers={"attended": "no", "used": "yes"}
    )
    assert [(step.name, step.said) for step in judgement.ladder(hidden)] == [
        ("attended", "no"),
        ("trusted", "not examined"),
        ("used", "yes"),
        ("harms", "not examined"),
    ]


@pytest.mark.parametrize(("answer", "said"), [("yes", "yes"), ("no", "no"), ("open", "cannot be said")])
def test_a_rung_says_what_it_came_to(biased: SyntheticRun, answer: Said, said: str) -> None:
    finding = dataclasses.replace(biased.findings[0], answers={"used": answer}, rung="attended")
    steps = {step.name: step.said for step in judgement.ladder(finding)}
    assert steps == dict.fromkeys(("attended", "trusted", "harms"), "not examined") | {"used": said}


def test_the_verdicts_own_finding_decides_and_not_the_most_severe(biased: SyntheticRun) -> None:
    louder, own = (
        dataclasses.replace(
            biased.findings[0],
            severity=severity,
            samples=(sample,),
            effect=dataclasses.replace(biased.findings[0].effect, estimate=estimate),
        )
        for severity, sample, estimate in ((1.0, "img_001", 0.91), (0.1, "img_003", 0.37))
    )
    verdict = dataclasses.replace(biased.verdict, finding=1)
    run = biased.but(findings=(louder, own), verdict=verdict)
    assert "+0.37 SD" in judgement.certainty(run)[0]
    shot = hero(run, Album())
    assert shot is not None
    assert shot.caption.sample == "img_003"


def test_without_a_finding_that_decides_no_figure_does(biased: SyntheticRun) -> None:
    run = biased.but(verdict=dataclasses.replace(biased.verdict, finding=None))
    assert not any("decides" in said for said in judgement.certainty(run))


def test_a_finding_without_an_interval_decides_without_a_figure(biased: SyntheticRun) -> None:
    effect = dataclasses.replace(biased.findings[0].effect, low=math.nan, high=math.nan)
    undecided = dataclasses.replace(biased.findings[0], effect=effect, evidence={}, answers={})
    said = judgement.certainty(biased.but(findings=(undecided,)))
    assert not any("decides" in sentence for sentence in said)


def test_an_undecided_verdict_shows_what_leaves_it_open(biased: SyntheticRun) -> None:
    """First on the page and in full, with the figure of the rung that is open, though a tip is graver."""
    asked = biased.findings[0]
    open_one = dataclasses.replace(
        asked, status="insufficient", severity=0.0, title="Open.", answers={"attended": "yes", "used": "open"},
        effect=asked.evidence["attended"],
    )  # fmt: skip
    tip = dataclasses.replace(asked, status="tip", severity=0.5)
    verdict = dataclasses.replace(biased.verdict, status="insufficient", finding=2)
    run = biased.but(
        findings=(tip, dataclasses.replace(open_one, title="Another."), open_one), verdict=verdict
    )
    first, second = judgement.groups(run, Album(), 2)
    assert (first.status, second.status) == ("insufficient", "tip")
    assert [card.finding.title for card in first.full] == ["Open."]
    used = words.estimate(asked.evidence["used"])
    assert f"leaves it open: shift of the margin beyond control edits, {used}" in judgement.certainty(run)[0]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("predicted", "Where the model says nurse"),
        ("label", "In images of nurse"),
        ("class:nurse", "For the score of nurse"),
        ("contrast:nurse,doctor", "For the score of nurse"),
    ],
)
def test_a_class_is_what_the_target_makes_it(biased: SyntheticRun, target: str, said: str) -> None:
    assert words.scope("nurse", target) == said
    if target not in biased.manifest.targets:
        return
    manifest = dataclasses.replace(biased.manifest, targets=(target,))
    clusters = biased.clusters.assign(target=target)
    lines = [line.strip() for line in Reader(render(biased.but(manifest=manifest, clusters=clusters))).lines]
    assert said in lines  # the table of regions
    assert any(line.startswith(f"{said}: ") for line in lines)  # the patterns


def test_the_page_prints_what_decides(page: str) -> None:
    for sentence in thresholds(Policy(), edited=True):
        assert sentence.replace("'", "&#39;") in page
    said = " ".join(
        thresholds(Policy(least_excess=0.03, least_shift=0.2, level=0.01, least_samples=12), edited=True)
    )
    for figure in ("3 points", "0.2 SD", "q ≤ 0.01", "12 images"):
        assert figure in said
    assert "maximum<br>within 15 px</abbr>" in page


def test_a_pattern_that_lies_on_an_attribute_more_than_its_class_is_worth_a_look(tmp_path: Path) -> None:
    page = render(SyntheticRun(tmp_path, count=120))
    marked = [
        e.attributes["class"]
        for e in Reader(page).elements
        if e.attributes.get("class") in {"cluster", "suspicion"}
    ]
    assert sorted(marked) == ["cluster"] * 4 + ["suspicion"] * 2  # one of two patterns in each of two classes
    assert page.count("of the evidence lies on hair and face; in the rest of the class") == 2


def test_the_report_says_how_closely_class_and_group_go_together(biased: SyntheticRun) -> None:
    assert "class and gender are associated with V = 0 [0 to" in render(biased)
    samples = biased.samples.assign(
        group_gender=biased.samples["label"].map({"doctor": "man", "nurse": "woman"})
    )
    assert "class and gender are associated with V = 1.00 [1.00 to 1.00]" in render(
        biased.but(samples=samples)
    )
    assert "Cramér" not in render(biased.but(samples=biased.samples.assign(group_gender="woman")))
