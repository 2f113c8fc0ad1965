"""One finished run that the tests read, and never write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from camaudit.config import load_config
from camaudit.runs import run_config
from tests import small_audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from camaudit.runs import Run


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def audit_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_audit.write_audit(tmp_path_factory.mktemp("small"), count=24)


@pytest.fixture(scope="session")
def finished(audit_yaml: Path) -> Run:
    """An uninterrupted run."""
    return run_config(load_config(audit_yaml), audit_yaml.parent / "uninterrupted" / "run")
