"""The experiment from end to end, on fewer test images: what the demo promises to show, it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from camaudit.demo.experiment import DATASET, Experiment, experiment, export
from camaudit.demo.summary import summary
from camaudit.runs import open_run
from camaudit.statistics import group_table

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("experiment")]

ROOT = Path(__file__).parents[2]
CAMAUDIT = (sys.executable, "-c", "from camaudit.cli import main; main()")


def camaudit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*CAMAUDIT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ.copy())


def example(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ.copy())
    assert done.returncode == 0, done.stderr
    return done.stdout


def made(out: Path) -> Experiment:
    """The small experiment; one process at a time, because workers share it."""
    with FileLock(out.with_suffix(".lock")):
        return experiment(out, test_per_cell=30, fiftyone=False)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """One for all workers: whoever comes second finds it made."""
    base = tmp_path_factory.getbasetemp()
    return made((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo")


def overall(effects: pd.DataFrame, metric: str, method: str, region: str) -> pd.Series:
    chosen = (effects["metric"] == metric) & (effects["method"] == method) & (effects["region"] == region)
    chosen &= (effects["target"] == "predicted") & (effects["target_class"] == "") & (effects["group"] == "")
    (row,) = (effects[chosen].iloc[i] for i in range(int(chosen.sum())))
    return row


def used_attributes(run: Run) -> list[str]:
    return [f.title for f in run.findings if (f.status, f.rung, f.role) == ("issue", "used", "attribute")]


def test_the_biased_model_looks_at_hair_and_face_more(demo: Experiment) -> None:
    assert overall(demo.comparison.effects, "excess", "gradcam", "hair+face")["low"] > 0


@pytest.mark.parametrize("metric", ["shift", "response"])
def test_the_biased_model_follows_hair_and_face_more(demo: Experiment, metric: str) -> None:
    assert overall(demo.comparison.effects, metric, "inpaint", "hair+face")["low"] > 0


def test_only_the_biased_audit_has_an_issue_at_rung_used(demo: Experiment) -> None:
    assert used_attributes(demo.biased)
    assert demo.biased.verdict.status == "issue"
    assert used_attributes(demo.balanced) == []


def test_the_shortcut_costs_the_men_who_are_nurses(demo: Experiment) -> None:
    def accuracy(run: Run) -> float:
        cells = group_table(run.samples, ["gender"])
        return float(cells.loc[(cells["label"] == "nurse") & (cells["value"] == "man"), "accuracy"].iloc[0])

    assert accuracy(demo.biased) + 0.2 < accuracy(demo.balanced)


def test_the_summary_has_the_papers_figures_beside_ours(demo: Experiment) -> None:
    text = summary(demo)
    assert "82 %" in text
    assert "90 %" in text
    assert str(demo.page) in text
    assert "FiftyOne was not asked for." in text


def test_a_second_call_makes_nothing_again(demo: Experiment) -> None:
    def times() -> dict[Path, int]:
        kept = [path for path in demo.out.rglob("*") if path.is_file()]
        return {
            path: path.stat().st_mtime_ns
            for path in kept
            if path.suffix in {".parquet", ".npy", ".safetensors"}
        }

    before = times()
    made(demo.out)
    assert times() == before


def test_the_configuration_it_wrote_passes_the_check(demo: Experiment) -> None:
    done = camaudit("check", demo.out / "biased.yaml")
    assert done.returncode == 0, done.stderr
    assert "Nothing stops this audit." in done.stdout


def test_report_and_compare_through_the_command_line(demo: Experiment, tmp_path: Path) -> None:
    report, page = tmp_path / "a.html", tmp_path / "ab.html"
    assert camaudit("report", demo.biased.path, "-o", report).returncode == 0
    assert camaudit("compare", demo.biased.path, demo.balanced.path, "-o", page).returncode == 0
    assert "The model uses" in report.read_text(encoding="utf-8")
    assert page.stat().st_size < 5_000_000


def test_example_audits_ones_own_model(demo: Experiment) -> None:
    printed = example("audit_own_model.py", demo.out)
    assert "CAM101 issue" in printed
    # the same model through a module and through its name: the same numbers
    own = open_run(demo.out / "runs" / "own", data=demo.biased.data).measurements
    assert own["value"].equals(demo.biased.measurements["value"])


def test_example_explains_one_image(demo: Experiment, tmp_path: Path) -> None:
    image = demo.out / "data" / "images" / "test-doctor-man-0000.jpg"
    printed = example(
        "explain_image.py", demo.out / "models" / "biased.safetensors", image, tmp_path / "out.png"
    )
    assert "layer bn2" in printed
    assert (tmp_path / "out.png").stat().st_size > 10_000


@pytest.mark.mongo
def test_example_opens_in_fiftyone(demo: Experiment, mongo: str) -> None:
    printed = example("open_in_fiftyone.py", demo.biased.path, "example-demo", "--no-app")
    assert "120 samples" in printed
    assert "CAM101" in printed


@pytest.mark.mongo
def test_a_demo_in_another_folder_takes_the_datasets_place(
    demo: Experiment, tmp_path: Path, mongo: str
) -> None:
    import fiftyone

    # without what another test may be writing just now
    shutil.copytree(demo.out, tmp_path / "moved", ignore=shutil.ignore_patterns("own*", "*.partial"))
    assert export({"biased": demo.biased}) is None
    assert export({"biased": open_run(tmp_path / "moved" / "runs" / "biased")}) is None
    paths = fiftyone.load_dataset(DATASET).values("filepath")
    assert all(path.startswith(str(tmp_path)) for path in paths)
    fiftyone.load_dataset(DATASET).add_sample_field("mine", fiftyone.StringField)
    assert "holds other images" in str(export({"biased": demo.biased}))


@pytest.mark.mongo
def test_export_and_remove_through_the_command_line(demo: Experiment, mongo: str) -> None:
    done = camaudit("fiftyone", "export", demo.biased.path, "--dataset", "cli-demo")
    assert done.returncode == 0, done.stderr
    assert "camaudit fiftyone app --dataset cli-demo" in done.stdout
    again = camaudit("fiftyone", "export", demo.biased.path, "--dataset", "cli-demo")
    assert again.returncode == 2
    assert "Traceback" not in again.stderr
    assert camaudit("fiftyone", "remove", demo.biased.path, "--dataset", "cli-demo").returncode == 0
