"""``camaudit check`` and ``camaudit init`` on the command line: what is printed, written and returned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image

from tests import small_audit
from tests.command_line import camaudit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return small_audit.write_audit(tmp_path / "a", count=24, audit={"intervention": {"enabled": False}})


def test_a_sound_audit_is_told_in_full(audit: Path) -> None:
    code, said, message = camaudit("check", audit, "--json", audit.parent / "c.json")
    assert code == 0, message
    for part in (
        "bn2, maps of 2x2",
        "(from the configuration)",
        "mean area",
        "samples by label and colour",
        "label and colour  0.",
        "duplicates",
        "of disk (maps ",
        f"written: {audit.parent / 'audit.check.png'}",
    ):
        assert part in said
    with Image.open(audit.parent / "audit.check.png") as sheet:
        assert sheet.size[0] > 1000
    assert json.loads((audit.parent / "c.json").read_text())["stops"] is False


def test_the_first_of_each_kind_are_printed_or_all(audit: Path) -> None:
    table = pd.read_csv(audit.parent / "table.csv", dtype=str)
    table["label"] = [f"no{row}" for row in range(24)]
    table.to_csv(audit.parent / "table.csv", index=False)
    code, said, _ = camaudit("check", audit, "--no-duplicates")
    assert code == 2
    assert said.count("is none of the model's classes") == 5
    assert "labels that the model has no class for: 24" in said
    assert "and 19 more; print every one with --all" in said
    assert "duplicates" not in said
    code, said, _ = camaudit("check", audit, "--no-duplicates", "--all")
    assert said.count("is none of the model's classes") == 24
    assert "--all" not in said


def test_a_sheet_that_cannot_be_written_is_said(audit: Path) -> None:
    code, _, message = camaudit("check", audit, "--sheet", audit.parent / "table.csv" / "s.png")
    assert code == 2
    assert "s.png cannot be written" in message


def test_init_refuses_what_is_no_folder_and_what_is_there(audit: Path, tmp_path: Path) -> None:
    code, _, message = camaudit("init", tmp_path / "nothing")
    assert (code, "is not a folder" in message) == (2, True)
    code, _, message = camaudit("init", audit)
    assert (code, "exists already" in message) == (2, True)
    code, _, message = camaudit("init", audit.parent)
    assert (code, "exists already" in message) == (2, True)
    code, _, message = camaudit("init", audit.parent, "-o", tmp_path / "new.yaml")
    assert code == 0, message
    assert "path: a/table.csv" in (tmp_path / "new.yaml").read_text()
