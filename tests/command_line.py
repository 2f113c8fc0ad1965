"""``camaudit`` in this process, as fast as a function and with the semantics of the real entry point."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import TYPE_CHECKING, Any

from camaudit.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def camaudit(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["camaudit", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
                code: Any = 0
            except SystemExit as end:
                code = end.code or 0
    finally:
        sys.argv = argv
    return int(code), out.getvalue(), err.getvalue()
