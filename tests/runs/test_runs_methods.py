"""An audit with methods of every kind: on the layer's grid and the input's, of one pass and of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.config import load_config
from camaudit.errors import CamauditError
from camaudit.runs import run_config
from tests import small_audit

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run

METHODS = ["gradcam", "gradient", "finercam", "ablationcam", "smooth:hirescam"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("methods")
    path = small_audit.write_audit(folder, count=16, audit={"methods": METHODS})
    return run_config(load_config(path), folder / "run")


def test_every_method_is_measured(run: Run) -> None:
    mass = run.measurements[run.measurements["metric"] == "mass"]
    assert set(mass["method"]) == set(METHODS)
    for method, of in mass.groupby("method"):
        assert of["value"].between(0, 1).sum() > 20, method


def test_maps_come_back_on_their_own_grids(run: Run) -> None:
    sample = run.samples["sample"].iloc[0]
    assert run.attribution(sample, "gradient").values.shape == (64, 64)
    layer = run.attribution(sample, "gradcam").values.shape
    assert layer == tuple(run.manifest.grid)
    for method in ("finercam", "ablationcam", "smooth:hirescam"):
        values = run.attribution(sample, method).values
        assert values.shape == layer
        assert np.isfinite(values).all()


def test_a_method_that_does_not_fit_is_refused_at_the_start(tmp_path: Path) -> None:
    path = small_audit.write_audit(
        tmp_path, count=8, audit={"methods": ["gradcam", "smooth:guided_backprop"]}
    )
    with pytest.raises(CamauditError, match="rectif"):
        run_config(load_config(path), tmp_path / "run")
    assert not (tmp_path / "run" / "samples").exists()
