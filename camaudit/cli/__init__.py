"""The command line: parse, call, print; no logic."""

from camaudit.cli.app import main

__all__ = ["main"]
