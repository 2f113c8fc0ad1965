"""The run directory, the stages that fill it, and the run as a value to read."""

from camaudit.runs.check import Check, check, check_file
from camaudit.runs.pipeline import audit, run_config
from camaudit.runs.progress import Progress, Silent
from camaudit.runs.run import Run, open_run

__all__ = ["Check", "Progress", "Run", "Silent", "audit", "check", "check_file", "open_run", "run_config"]
