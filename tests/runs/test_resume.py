"""A run that was interrupted goes on where it stopped and ends as one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from camaudit.config import load_config
from camaudit.errors import RunError
from camaudit.runs import folder, open_run, run_config, stages
from camaudit.runs.progress import Silent
from tests import small_audit

if TYPE_CHECKING:
    from camaudit.runs import Run

# the manifest, the configuration, two batches, the measurements, the manifest that says they are done, the clusters,
# the findings; 0: in the clearing up
MOMENTS = (1, 2, 5, 11, 19, 20, 25, 28, 0)
UNTIMED = {"report.html"}  # says how long the stages took


class Interrupted(Exception):  # noqa: N818 - stands for KeyboardInterrupt, a full memory, a bug
    pass


class StopAfter(Silent):
    def __init__(self, stage: str, done: int) -> None:
        self.stage, self.done = stage, done

    def update(self, stage: str, done: int, total: int) -> None:
        if stage == self.stage and done >= self.done:
            raise Interrupted


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run, byte by byte, but for how long it took."""
    files = {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name not in UNTIMED
    }
    manifest = json.loads(files.pop("manifest.json"))
    del manifest["seconds"]
    return files | {"manifest": json.dumps(manifest).encode()}


@pytest.fixture(scope="module")
def killed(audit_yaml: Path) -> Path:
    """A folder with runs that were killed at `MOMENTS`."""
    out = audit_yaml.parent
    command = [sys.executable, "-m", "tests.runs.killed_runs", str(audit_yaml), str(out), *map(str, MOMENTS)]
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {str(moment): -9 for moment in MOMENTS}
    return out


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_a_killed_run_ends_byte_identical(killed: Path, audit_yaml: Path, finished: Run, moment: int) -> None:
    out = killed / f"killed-{moment}" / "run"
    run_config(load_config(audit_yaml), out, resume=True)
    assert contents(out) == contents(finished.path)
    assert (out / "report.html").exists()


def test_a_run_that_was_killed_before_its_first_file_begins_anew(
    killed: Path, audit_yaml: Path, finished: Run
) -> None:
    out = killed / "killed-1" / "run"
    assert [path.name for path in out.iterdir()] == [".manifest.json.partial"]
    run_config(load_config(audit_yaml), out)
    assert contents(out) == contents(finished.path)


@pytest.mark.parametrize(
    ("stage", "done"), [("measure", 16), ("effects", 0), ("clusters", 0), ("findings", 0), ("report", 0)]
)
def test_an_exception_leaves_a_run_that_can_be_resumed(
    audit_yaml: Path, finished: Run, stage: str, done: int
) -> None:
    out = audit_yaml.parent / f"stopped-{stage}" / "run"
    with pytest.raises(Interrupted):
        run_config(load_config(audit_yaml), out, progress=StopAfter(stage, done))
    if stage != "report":
        with pytest.raises(RunError, match=rf"is not finished: {stage} is running.*--resume"):
            open_run(out)
    run_config(load_config(audit_yaml), out, resume=True)
    assert contents(out) == contents(finished.path)


def test_a_run_can_be_stopped_at_every_batch(audit_yaml: Path, finished: Run) -> None:
    out = audit_yaml.parent / "stopped-often" / "run"
    config = load_config(audit_yaml)
    for done in (8, 16, 24):
        with pytest.raises(Interrupted):
            run_config(config, out, resume=done > 8, progress=StopAfter("measure", done))
    run_config(config, out, resume=True)
    assert contents(out) == contents(finished.path)


def test_a_batch_that_is_there_is_not_measured_again(
    audit_yaml: Path, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = audit_yaml.parent / "counted" / "run"
    measured: list[int] = []
    real = stages.measure_batch

    def counting(batch: Any, *rest: Any) -> Any:
        measured.append(batch.index)
        return real(batch, *rest)

    monkeypatch.setattr(stages, "measure_batch", counting)
    with pytest.raises(Interrupted):
        run_config(load_config(audit_yaml), out, progress=StopAfter("measure", 16))
    run_config(load_config(audit_yaml), out, resume=True)
    assert measured == [0, 1, 2]


def test_maps_and_measurements_of_a_batch_are_on_disk_before_the_next(audit_yaml: Path) -> None:
    out = audit_yaml.parent / "batchwise" / "run"
    with pytest.raises(Interrupted):
        run_config(load_config(audit_yaml), out, progress=StopAfter("measure", 16))
    for where in ("samples", "maps/gradcam/predicted", "maps/gradcam/label", "work", "work/skipped"):
        names = {path.stem for path in (out / where).iterdir() if path.is_file()}
        assert names == {"part-000000", "part-000001"}


def test_resuming_a_finished_run_changes_nothing(audit_yaml: Path, finished: Run) -> None:
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    run_config(load_config(audit_yaml), finished.path, resume=True)
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == before


def test_resuming_from_another_working_directory(
    audit_yaml: Path, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audit_yaml.parent)
    with pytest.raises(Interrupted):
        run_config(load_config(Path("audit.yaml")), Path("elsewhere/run"), progress=StopAfter("measure", 16))
    (audit_yaml.parent / "elsewhere" / "deeper").mkdir()
    monkeypatch.chdir(audit_yaml.parent / "elsewhere" / "deeper")
    run_config(load_config(Path("../../audit.yaml")), Path("../run"), resume=True)
    ended = contents(audit_yaml.parent / "elsewhere" / "run")
    expected = contents(finished.path)
    tables = {name for name in expected if not name.startswith("samples/")}  # they name the images' paths
    assert {name: ended[name] for name in tables} == {name: expected[name] for name in tables}


# ------------------------------------------------------------------ what is refused


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """An audit of its own whose run in ``run`` was interrupted."""
    config = small_audit.write_audit(tmp_path, count=16)
    with pytest.raises(Interrupted):
        run_config(load_config(config), tmp_path / "run", progress=StopAfter("measure", 8))
    return config


def refused(config: Path, what: str) -> None:
    out = config.parent / "run"
    before = contents(out)
    with pytest.raises(RunError, match=f"was begun with another {what}; .*--out"):
        run_config(load_config(config), out, resume=True)
    assert contents(out) == before


def test_another_model_is_refused(begun: Path) -> None:
    small_audit.write_weights(begun.parent / "weights.safetensors", seed=1)
    refused(begun, "model")


def test_one_weight_of_another_value_is_another_model(begun: Path) -> None:
    path = begun.parent / "weights.safetensors"
    state = load_file(path)
    state["classifier.bias"][0] += 1e-6
    save_file(state, path)
    refused(begun, "model")


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch_size": 4}, {"targets": ["predicted"]}])
def test_another_configuration_is_refused(begun: Path, change: dict[str, Any]) -> None:
    small_audit.write_config(begun, audit=change)
    refused(begun, "config")


@pytest.mark.parametrize(("old", "new"), [("s03,", "s99,"), (",red,", ",green,"), (",p3,", ",p4,")])
def test_other_data_is_refused(begun: Path, old: str, new: str) -> None:
    table = begun.parent / "table.csv"
    table.write_text(table.read_text().replace(old, new))
    refused(begun, "data")


def test_an_image_that_was_replaced_is_other_data(begun: Path) -> None:
    (begun.parent / "images" / "12.png").write_bytes(b"something else")
    refused(begun, "data")


def test_a_folder_that_is_no_run_is_refused(audit_yaml: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a run: it has no manifest"):
        run_config(load_config(audit_yaml), tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_of_another_layout_is_refused(begun: Path) -> None:
    manifest = begun.parent / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 99'))
    with pytest.raises(RunError, match="has the layout 99, this camaudit reads layout 2"):
        run_config(load_config(begun), begun.parent / "run", resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '"run"', "null", '{"schema_version": 2}', "\x00\xff"])
def test_a_damaged_manifest_is_refused(begun: Path, text: str) -> None:
    (begun.parent / "run" / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match=r"manifest\.json is damaged|has the layout None"):
        open_run(begun.parent / "run")


def test_a_run_that_is_being_written_is_left_alone(begun: Path) -> None:
    out = begun.parent / "run"
    with folder.held(out), pytest.raises(RunError, match="is being written by another process"):
        run_config(load_config(begun), out, resume=True)
    run_config(load_config(begun), out, resume=True)


def test_config_yaml_says_what_was_resolved(finished: Run) -> None:
    values = yaml.safe_load((finished.path / "config.yaml").read_text())
    assert values["model"]["target_layer"] == finished.manifest.target_layer != "auto"
    assert values["data"]["path"] == "../../table.csv"
    assert values["audit"]["batch_size"] == 8
