"""The benchmark and the conformance table, on what is small enough for a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import conformance, explain

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_benchmark_runs_to_its_end_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    arguments = ["--quick", "--device", "cpu", "--json", str(path)]
    explain.main(arguments)
    first = capsys.readouterr().out
    kept = json.loads(path.read_text())
    assert len(kept["rows"]) == 5
    for row in kept["rows"].values():
        assert not row["failed"]
        assert row["timings"]["camaudit"]["multiple"] > 0
        assert row["bound"].endswith(("met", "NOT MET"))
    assert {"gradcam", "fullgrad", "scorecam"} <= set(kept["waits"]["tiny | cpu"])
    explain.main(arguments)
    rows = [line for line in first.splitlines() if line.startswith("| tiny")]
    assert rows == [line for line in capsys.readouterr().out.splitlines() if line.startswith("| tiny")]
    assert json.loads(path.read_text()) == kept  # nothing was measured twice


def test_the_conformance_table_holds_distances(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    conformance.main(["--methods", "gradcam", "--networks", "VGG", "--markdown", str(path)])
    cells = [line.split(" | ") for line in path.read_text().splitlines() if line.startswith("| gradcam")]
    assert len(cells) == 4  # the twin and three peers
    assert all(float(cell[2]) < 1e-12 for cell in cells)
