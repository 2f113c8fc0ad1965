"""Who pays, and what no heatmap shows, from files to findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from camaudit.config import load_config
from camaudit.errors import DataError, StaleRunError
from camaudit.measure.appearance import LOOKS
from camaudit.runs import check_file, run_config
from tests import small_audit

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run
    from camaudit.types import Finding

COUNT = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small audit, without what needs many passes."""
    place = tmp_path_factory.mktemp("harms")
    small_audit.write_audit(
        place, count=COUNT, audit={"intervention": {"enabled": False}, "trust": {"enabled": False}}
    )
    return place


@pytest.fixture(scope="module")
def unfair(folder: Path) -> Run:
    """The run of an audit in which a group is misclassified: the wrong label stands in the table for most blue bars."""
    table = pd.read_csv(folder / "table.csv", dtype=str)
    first = run_config(load_config(folder / "audit.yaml"), folder / "first")
    said = first.samples.set_index("sample")["predicted"].astype(str)
    other = {"disc": "square", "square": "disc"}
    rng = np.random.default_rng(3)
    table["colour"] = rng.permutation(["red", "blue"] * (COUNT // 2))
    wrong = np.where(table["colour"] == "blue", rng.random(COUNT) < 0.8, rng.random(COUNT) < 0.05)
    predicted = table["id"].map(said)
    table["label"] = np.where(wrong, predicted.map(other), predicted)
    table["subject"] = table["id"]
    table.to_csv(folder / "table.csv", index=False)
    table.assign(colour=np.where(table["label"] == "disc", "red", "blue")).to_csv(
        folder / "train.csv", index=False
    )
    config = small_audit.write_config(
        folder / "unfair.yaml",
        audit={
            "intervention": {"enabled": False},
            "trust": {"enabled": False},
            "training": "train.csv",
            "device": "cpu",
            "batch_size": 8,
        },
    )
    return run_config(load_config(config), folder / "unfair")


def of(run: Run, code: str) -> list[Finding]:
    """The findings of one code."""
    return [finding for finding in run.findings if finding.code == code]


def test_the_planted_gap_is_found_with_figures_and_exemplars(unfair: Run) -> None:
    found = of(unfair, "CAM401")
    overall = next(finding for finding in found if finding.target_class is None)
    samples = unfair.samples
    accuracy = samples["correct"].astype(float).groupby(samples["group_colour"]).mean()
    assert overall.status == "issue"
    assert overall.rung == "harms"
    assert overall.group == {"colour": "blue"}
    assert overall.effect is not None
    assert overall.effect.estimate == pytest.approx(accuracy["red"] - accuracy["blue"])
    assert overall.effect.low < overall.effect.estimate < overall.effect.high
    shown = samples.set_index("sample").loc[list(overall.samples)]
    assert not shown["correct"].any()
    assert set(shown["group_colour"]) == {"blue"}
    assert samples.set_index("sample").loc[list(overall.counter_samples), "correct"].all()


def test_alignment_is_that_of_the_training_table(unfair: Run) -> None:
    (association,) = of(unfair, "CAM404")
    assert association.status == "tip"
    assert "In the training images" in association.title
    assert association.effect is not None
    assert association.effect.estimate == pytest.approx(1.0, abs=0.02)
    (conflicting,) = of(unfair, "CAM402")
    assert "the usual one of the label in the training images" in conflicting.title


def test_every_code_of_harms_and_of_the_unseen_is_answered_once_a_group_at_least(unfair: Run) -> None:
    codes = {finding.code for finding in unfair.findings}
    assert {"CAM301", "CAM302", "CAM401", "CAM402", "CAM403", "CAM404"} <= codes
    assert all(finding.title.endswith(".") and finding.advice.endswith(".") for finding in unfair.findings)


def test_looks_are_those_of_the_files(folder: Path, unfair: Run) -> None:
    row = unfair.samples.iloc[5]
    picture = Image.open(folder / "images" / "05.png").convert("RGB")
    pixels = np.asarray(picture, dtype=float)
    assert row["look_brightness"] == pytest.approx(
        float((pixels @ [0.299, 0.587, 0.114]).mean()) / 255, abs=1e-5
    )
    assert np.isnan(row["look_quality"])
    assert row[[f"look_{name}" for name in LOOKS if name != "quality"]].notna().all()


def test_a_training_table_that_cannot_be_used_is_refused_before_anything_is_measured(folder: Path) -> None:
    def config(text: str) -> Path:
        (folder / "bad.csv").write_text(text, encoding="utf-8")
        return small_audit.write_config(
            folder / "bad.yaml",
            audit={"training": "bad.csv", "device": "cpu", "trust": {"enabled": False}},
        )

    for text, said in (
        ("id,label\na,disc\n", r"bad\.csv has no column 'colour' \(audit\.training\)"),
        ("label,colour\n", r"bad\.csv has no rows"),
    ):
        path = config(text)
        with pytest.raises(DataError, match=said):
            run_config(load_config(path), folder / "refused")
        assert not (folder / "refused" / "samples").exists()
        found = check_file(path)
        assert any("audit.training" in problem.message for problem in found.problems)


def test_a_run_is_not_resumed_with_another_training_table(folder: Path, unfair: Run) -> None:
    del unfair
    table = (folder / "train.csv").read_text(encoding="utf-8")
    (folder / "train.csv").write_text(table + table.splitlines()[1] + "\n", encoding="utf-8")
    try:
        with pytest.raises(StaleRunError, match="another training"):
            run_config(load_config(folder / "unfair.yaml"), folder / "unfair", resume=True)
    finally:
        (folder / "train.csv").write_text(table, encoding="utf-8")


def test_a_swap_with_nobody_elses_image_is_no_edit(tmp_path: Path) -> None:
    """All images are of one subject, so no other sample can lend a place."""
    small_audit.write_audit(tmp_path, count=12)
    table = pd.read_csv(tmp_path / "table.csv", dtype=str)
    table.assign(subject="somebody").to_csv(tmp_path / "table.csv", index=False)
    edits = {"fills": ["mean", "swap"], "exchange": False, "looks": False}
    config = small_audit.write_config(
        tmp_path / "swap.yaml",
        audit={"intervention": edits, "trust": {"enabled": False}, "device": "cpu", "batch_size": 8},
    )
    run = run_config(load_config(config), tmp_path / "run")
    edited = run.measurements[run.measurements["metric"] == "shift_region"].groupby("method")["value"]
    assert edited.count()["mean"] > 0
    assert edited.count()["swap"] == 0
    assert all(finding.answers.get("used") != "yes" for finding in run.findings)
