"""``scripts/setup.sh`` where there is no mongod: the tests need it in CI, the demo never does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
case "$*" in *find_spec*) echo /nowhere ;; esac
"""


@pytest.mark.parametrize(
    ("target", "ci", "code"), [("demo", "true", 0), ("test", "true", 1), ("test", "", 0)]
)
def test_a_missing_mongod_ends_only_the_tests_in_ci(tmp_path: Path, target: str, ci: str, code: int) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    python = tmp_path / ".venv" / "bin" / "python"  # installs nothing, says yes to everything
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "FIFTYONE_DATABASE_URI"}
    done = subprocess.run(
        ["sh", "scripts/setup.sh", target],
        cwd=tmp_path,
        env=environment | {"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "no mongod runs here" in done.stderr
    assert (python.parent.parent / f".{target}-installed").exists() == (code == 0)
