"""What the end of a run says in the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from camaudit.cli.printing import describe_findings, describe_run
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return SyntheticRun(tmp_path_factory.mktemp("printed"), count=16)


def _rows(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines if line]


def test_every_rung_of_issues_and_tips_has_its_answer(run: SyntheticRun) -> None:
    first = replace(
        run.findings[0],
        code="CAM101",
        answers={"attended": "yes", "trusted": "open", "used": "no"},
        group={"gender": "man", "age": ""},
    )
    passed = replace(first, status="passed")
    header, row = _rows(describe_findings([first, passed]))
    assert header == ["code", "attended", "trusted", "used", "harms", "about"]
    about = ["nurse,", "hair", "and", "face,", "gender:", "man,", "age"]
    assert row == ["issue", "CAM101", "yes", "open", "no", "-", *about]


def test_many_findings_are_counted(run: SyntheticRun) -> None:
    lines = describe_findings([run.findings[0]] * 40)
    assert len(_rows(lines)) == 14
    assert lines[-2:] == ["and 28 more, in the report", ""]


def test_without_issue_or_tip_no_table_is_printed() -> None:
    assert describe_findings([]) == []


def test_verdict_quadrants_and_the_time_of_each_stage_are_told(run: SyntheticRun, tmp_path: Path) -> None:
    seconds = {"measure": 6.0, "trust": 3.0, "report": 1.0}
    text = describe_run(run.but(manifest=replace(run.manifest, seconds=seconds), path=tmp_path))
    lines = text.splitlines()
    assert lines[:2] == [f"{run.verdict.headline}.", run.verdict.text]
    assert "time: 10 s, of that measure 60%, trust 30%, report 10%" in lines
    (images,) = (line for line in lines if line.startswith("images: "))
    counts = run.quadrants["quadrant"].value_counts()
    assert f"{counts['right_wrong']} right for the wrong reason" in images
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_a_run_without_times_or_quadrants_says_nothing_of_them(run: SyntheticRun) -> None:
    nothing = run.but(
        manifest=replace(run.manifest, seconds={}), quadrants=run.quadrants.assign(quadrant="unknown")
    )
    assert not [line for line in describe_run(nothing).splitlines() if line.startswith(("time:", "images:"))]
