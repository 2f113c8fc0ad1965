from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.planted import grid, peers, rates, report, stations, table
from benchmarks.planted.grid import Job, Station
from benchmarks.planted.truth import BIASED, CLEAN

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


def record(station: Station, job: Job, effect: float, *, used: bool, estimate: float | None = None) -> dict:
    """A made-up record of an audit."""
    estimate = effect if estimate is None else estimate
    size = abs(effect)
    kind = "biased" if size > BIASED else "clean" if size < CLEAN else "between"
    finding = {
        "code": "CAM101",
        "status": "issue" if used else "passed",
        "rung": "used" if used else None,
        "severity": abs(estimate) if used else 0.0,
        "role": "attribute",
        "region": "patch",
        "class": None,
        "group": {},
        "answers": {"attended": "yes" if used else "no", "used": "yes" if used else "no"},
        "effects": {"used": ["shift", estimate, estimate - 0.1, estimate + 0.1, 150]},
        "truth": {"shift": effect, "response": size, "n": 300},
    }
    return {
        "station": asdict(station),
        "job": asdict(job),
        "truth": {
            "kind": kind,
            "effect": effect,
            "size": size,
            "flips": 0.1,
            "aligned": 0.9,
            "conflicting": 0.5,
        },
        "verdict": {"status": "issue" if used else "passed", "headline": "Said", "text": "This was said."},
        "findings": [finding, {**finding, "group": {"patch": "yes"}}],
        "cells": [
            {
                "class": "",
                "estimate": estimate,
                "low": estimate - 0.1,
                "high": estimate + 0.1,
                "n": 150,
                "twins": effect,
            },
            {"class": "waterbird", "estimate": None, "low": None, "high": None, "n": 4, "twins": effect},
        ],
        "estimate": {"shift": estimate, "plain": estimate, "exchange": None},
        "flagged": {"precision": 1.0 if used else None, "n": 6 if used else 0, "base": 0.5},
        "peers": {"attention": 0.1 + effect / 10, "coverage": 0.1, "iou": 0.1, "mass": 0.1, "area": 0.05},
        "seconds": {"measure": 6.0, "trust": 2.0, "report": 2.0, "all": 10.0, "train": 1.0, "twins": 1.0},
    }


@pytest.fixture
def made_up() -> list[dict]:
    found = []
    for seed in (1000, 1001):
        station = Station("waterbird", "patch", "reported", seed)
        for index, effect in enumerate((0.0, 0.05, 0.3, 0.8, 1.2)):
            job = Job("frozen", grid.STRENGTHS[index], index)
            found.append(record(station, job, effect, used=effect > 0.5 or (seed == 1001 and index == 1)))
    return found


def test_rates_of_made_up_results(made_up: list[dict]) -> None:
    models = rates.main_table(table.of_records(made_up))
    biased, clean = (models[models["kind"] == kind] for kind in ("biased", "clean"))
    assert rates.proportion(biased["used"]).estimate == 1.0
    found = rates.proportion(clean["used"])
    assert (found.estimate, found.n) == (0.25, 4)
    assert found.low == pytest.approx(0.0456, abs=1e-3)  # Wilson's, as tabulated
    assert found.high == pytest.approx(0.6994, abs=1e-3)
    assert rates.rank_correlation(models[["estimate", "effect"]].to_numpy()) == pytest.approx(1.0)
    assert rates.auroc(models[["estimate", "effect"]].to_numpy()) == 1.0
    assert rates.auroc(models[["severity", "effect"]].to_numpy()) == 1.0


def test_an_interval_is_counted_once_and_what_is_none_not_at_all(made_up: list[dict]) -> None:
    """Findings repeat the cells of the edits, and a response is nothing that twins could tell."""
    pasted = [{**one, "code": "CAM105"} for one in made_up[0]["findings"][:1]]
    pasted.append({**pasted[0], "effects": {"used": ["response", 0.1, 0.0, 0.2, 150]}})
    cells = table.cells_of([{**made_up[0], "findings": [*made_up[0]["findings"], *pasted]}, *made_up[1:]])
    assert cells["code"].value_counts().to_dict() == {"edits": len(made_up), "CAM105": 1}
    assert table.cells_of([{**made_up[0], "findings": [], "cells": []}]).empty
    assert rates.coverage(cells[list(rates.COVERED)].to_numpy()) == 1.0
    off = [
        record(Station("waterbird", "patch", "reported", 1), Job("cnn", 95, 0), 0.9, used=True, estimate=0.5)
    ]
    assert rates.coverage(table.cells_of(off)[list(rates.COVERED)].to_numpy()) == 0.0


def test_an_interval_over_stations_is_wider_than_one_station_could_make_it(made_up: list[dict]) -> None:
    models = table.of_records(made_up)
    found = rates.bootstrapped(models, ("used",), rates.mean)
    assert found.estimate == 0.5
    assert (found.low, found.high) == pytest.approx((0.4, 0.6))


def test_the_page_follows_from_the_committed_table(
    made_up: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [*made_up]
    station = Station("waterbird", "patch", "reported", 1000)
    found.append(record(station, Job("frozen", 50, 0, images=100), 0.0, used=False))
    unseen = Station("waterbird", "blur", "reported", 1000)
    found += [
        record(unseen, Job("frozen", strength, 0), strength / 100, used=False) for strength in (60, 100)
    ]
    table.save(found, tmp_path / "results.csv", tmp_path / "cells.csv")
    models, cells = table.load(tmp_path / "results.csv", tmp_path / "cells.csv")
    page = report.text(models, rates.main_table(cells))
    assert "1.000 (0.510 to 1.000), n = 4 | met |" in page  # power
    assert "0.250 (0.046 to 0.699), n = 4 | **missed** |" in page  # false alarms
    assert "0.000 (0.000 to 0.658), n = 2 | **missed** |" in page  # not visible to a heatmap
    assert "nan" not in page.replace("nance", "")
    monkeypatch.setattr(table, "load", lambda: (models, cells))
    assert report.write(goal=tmp_path).read_text(encoding="utf-8") == page
    assert all(path.stat().st_size < 200_000 for path in tmp_path.glob("*.png"))


def test_what_is_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_up: list[dict]
) -> None:
    station = Station("waterbird", "patch", "reported", 1000)
    jobs = [Job("frozen", 50, 0), Job("frozen", 95, 0), Job("cnn", 50, 0)]
    asked: list[str] = []

    def work(station: Station, jobs: list[Job], *_: object) -> Iterator[dict]:
        for job in jobs:
            asked.append(job.id)
            yield record(station, job, 0.0, used=False)

    monkeypatch.setattr(stations, "work", work)
    stations.go_on(station, jobs[:2], None, tmp_path)
    with stations.ledger(tmp_path, station).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record(station, jobs[2], 0.0, used=False))[:100])  # killed while writing
    stations.go_on(station, jobs, None, tmp_path)
    stations.go_on(station, jobs, None, tmp_path)
    assert asked == [job.id for job in jobs]
    assert [one["job"]["family"] for one in table.gather(tmp_path)] == ["frozen", "frozen", "cnn"]


def test_overlap_by_hand() -> None:
    heat = np.array([[1.0, 0.5], [0.5, 0.0]])
    mask = np.array([[True, False], [False, True]])
    assert peers.overlap(heat, mask) == (0.5, 0.5, 0.25)
    assert peers.overlap(heat, np.zeros((2, 2), bool)) == (0.0, 0.0, 0.0)
    assert peers.overlap(np.zeros((2, 2)), mask) == (0.0, 0.0, 0.0)


def test_no_model_is_planned_twice() -> None:
    planned = [(station.id, job.id) for station, jobs in grid.whole() for job in jobs]
    assert len(planned) == len(set(planned))


def test_the_grid_is_large_enough_and_reported_seeds_are_not_those_it_was_developed_on() -> None:
    models = {
        (station.id, job.family, job.strength, job.seed)
        for station, jobs in grid.whole()
        for job in jobs
        if (job.images, job.masks) == (grid.AUDITED, "exact")
    }
    assert len(models) >= 150
    assert sum(strength == 50 for _, _, strength, _ in models) >= 50
    small = {"cnn", "vit"}
    for station, jobs in grid.whole():
        scratch = any(job.family in small for job in jobs)
        assert station.seed >= (grid.FIRST_REPORTED_SEED if scratch else grid.FIRST_PRETRAINED_SEED)
        assert scratch or station.seed < grid.FIRST_REPORTED_SEED
    assert all(station.seed < grid.FIRST_PRETRAINED_SEED for station, _ in grid.whole("development"))
    assert {station.id for station, _ in grid.quick()} <= {station.id for station, _ in grid.whole()}


def test_the_page_is_made_of_the_committed_tables() -> None:
    models, cells = table.load()
    models, cells = models[models["portion"] == "reported"], cells[cells["portion"] == "reported"]
    page = (ROOT / "docs" / "validity.md").read_text(encoding="utf-8")
    assert page == report.text(models, rates.main_table(cells))
