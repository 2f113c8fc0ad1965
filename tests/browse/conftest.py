"""Runs and datasets for the tests of browse."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def biased(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path, count=16, original=(90, 64))


@pytest.fixture
def balanced(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path, count=16, original=(90, 64), biased=False)


@pytest.fixture
def dataset(mongo: str) -> Iterator[str]:
    """The name of a dataset that does not exist yet."""
    name = f"wards-{uuid.uuid4().hex[:8]}"
    yield name
    import fiftyone

    if fiftyone.dataset_exists(name):
        fiftyone.delete_dataset(name)
