"""What a dry run leaves on disk where it is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.runs import store
from camaudit.runs.checking.serial import to_json

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs.check import Check


def write_check(check: Check, sheet: Path, json: Path | None) -> list[Path]:
    """Write the contact sheet, where there is one, and the JSON, where a path is given; the paths that were written.

    Raises:
        RunError: one cannot be written.
    """
    written = []
    if check.sheet is not None:
        store.write_bytes(sheet, check.sheet)
        written.append(sheet)
    if json is not None:
        store.write_text(json, to_json(check))
        written.append(json)
    return written
