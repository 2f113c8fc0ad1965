"""The same audit on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.config import load_config
from camaudit.runs import run_config

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.runs import Run


@pytest.mark.gpu
def test_a_gpu_measures_what_a_cpu_measures(audit_yaml: Path, finished: Run, tmp_path: Path) -> None:
    config = load_config(audit_yaml)
    config = config.model_copy(update={"audit": config.audit.model_copy(update={"device": "cuda"})})
    run = run_config(config, tmp_path / "gpu")
    keys = ["sample", "method", "target", "region", "metric"]
    joined = run.measurements.merge(finished.measurements, on=keys, suffixes=("_gpu", "_cpu"))
    assert len(joined) == len(finished.measurements)
    np.testing.assert_allclose(joined["value_gpu"], joined["value_cpu"], rtol=1e-4, atol=1e-4)
    assert run.manifest.device != "cpu"
