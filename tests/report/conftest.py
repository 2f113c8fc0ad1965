"""Runs and pages that the report's tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from camaudit.report import render, render_comparison
from camaudit.statistics import compare_effects
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="session")
def biased(folder: Path) -> SyntheticRun:
    return SyntheticRun(folder)


@pytest.fixture(scope="session")
def balanced(folder: Path) -> SyntheticRun:
    return SyntheticRun(folder, biased=False)


@pytest.fixture(scope="session")
def page(biased: SyntheticRun) -> str:
    return render(biased)


@pytest.fixture(scope="session")
def differences(biased: SyntheticRun, balanced: SyntheticRun) -> pd.DataFrame:
    return compare_effects(
        biased.measurements,
        balanced.measurements,
        biased.samples,
        groups=["gender"],
        metrics=["excess", "shift"],
    )


@pytest.fixture(scope="session")
def comparison(biased: SyntheticRun, balanced: SyntheticRun, differences: pd.DataFrame) -> str:
    return render_comparison(biased, balanced, differences)
