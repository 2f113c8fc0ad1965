"""A run of the demo that belongs to something else is made anew; any other is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from camaudit.config import load_config
from camaudit.demo.experiment import _audited
from camaudit.errors import RunError
from camaudit.runs import Silent, folder, run_config
from tests import small_audit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """An audit with a finished run in ``run``, and a file of somebody's in it."""
    config = small_audit.write_audit(tmp_path, count=12)
    run_config(load_config(config), tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    return config


def other_model(audit: Path) -> None:
    small_audit.write_weights(audit.parent / "weights.safetensors", seed=1)


def damaged_manifest(audit: Path) -> None:
    (audit.parent / "run" / "manifest.json").write_text("{")


def other_version(audit: Path) -> None:
    manifest = audit.parent / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 99'))


@pytest.mark.parametrize("change", [other_model, damaged_manifest, other_version])
def test_a_run_of_something_else_is_made_anew(audit: Path, change: Callable[[Path], None]) -> None:
    change(audit)
    run = _audited(load_config(audit), audit.parent / "run", Silent())
    assert set(run.manifest.stages.values()) == {"done"}
    assert not (run.path / "notes.txt").exists()


def test_a_run_that_is_being_written_is_left_alone(audit: Path) -> None:
    out = audit.parent / "run"
    with folder.held(out), pytest.raises(RunError, match="is being written by another process"):
        _audited(load_config(audit), out, Silent())
    assert (out / "notes.txt").exists()


def test_a_run_that_cannot_be_written_is_left_alone(audit: Path) -> None:
    out = audit.parent / "run"
    (out / "config.yaml").unlink()
    (out / "config.yaml").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        _audited(load_config(audit), out, Silent())
    assert (out / "notes.txt").exists()
