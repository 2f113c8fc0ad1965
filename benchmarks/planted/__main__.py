"""Shortcuts planted and found, clean models left in peace: how often is the verdict right?

``python -m scripts.fetch_planted_parts`` fetches what the images are made of; then

``python -m benchmarks.planted --quick``   some models of six shortcuts, 15 minutes on two cores
``python -m benchmarks.planted --full``    the whole grid; a run that was stopped goes on where it was
``python -m benchmarks.planted --report``  ``docs/validity.md`` from the committed table, or from ``--out``
``python -m benchmarks.planted --worked``  audits the models of its three verdicts again and leaves their reports in ``--out``
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.planted import grid
from benchmarks.planted.composing import Parts
from benchmarks.planted.stations import go_on, keep_run

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT = Path(__file__).parent / "work"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and do as they say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planted",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--worked", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT, help="results, as JSON lines")
    parser.add_argument("--parts", type=Path, default=OUT / "parts", help="what the script has fetched")
    parser.add_argument("--portion", choices=["development", "reported"], default="reported")
    parser.add_argument("--only", nargs="*", default=[], help="shortcuts")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="no model is begun after this time")
    chosen = parser.parse_args(arguments)
    if chosen.quick or chosen.full:
        plan = (grid.quick if chosen.quick else grid.whole)(chosen.portion)
        plan = [
            (station, jobs) for station, jobs in plan if not chosen.only or station.shortcut in chosen.only
        ]
        run(plan, Parts(chosen.parts), chosen.out, workers=chosen.workers, minutes=chosen.minutes)
    if chosen.report:
        from benchmarks.planted.report import write

        write(chosen.out if chosen.quick or chosen.full or chosen.out != OUT else None)
    if chosen.worked:
        _worked(Parts(chosen.parts), chosen.out)


def _worked(parts: Parts, out: Path) -> None:
    """The reports of the three verdicts that the page tells of."""
    from benchmarks.planted import rates, report, table

    models, _ = table.load()
    for name, row in report.worked(rates.main_table(models[models["portion"] == "reported"])).items():
        one = row.to_dict()
        station = grid.Station(
            one["task"], one["shortcut"], one["portion"], int(one["station_seed"]), int(one["along"])
        )
        job = grid.Job(one["family"], int(one["strength"]), int(one["seed"]), trust=bool(one["trusted"]))
        print(name, keep_run(station, job, parts, out / "worked") / "report.html", flush=True)


def run(plan: grid.Plan, parts: Parts, out: Path, *, workers: int, minutes: float | None) -> None:
    """Do the plan's stations, `workers` at a time."""
    end = None if minutes is None else time.time() + 60 * minutes
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(go_on, station, jobs, parts, out, end) for station, jobs in plan]
        for one in waiting:
            one.result()


if __name__ == "__main__":
    main()
