"""A station at work: its pool and test set are drawn once, its models trained, measured by twins and audited in turn."""

from __future__ import annotations

import fcntl
import json
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.planted import networks, sets, truth
from benchmarks.planted.auditing import audit
from benchmarks.planted.composing import SIDE
from benchmarks.planted.grid import POOL, TRAINING, TWINS, Job
from benchmarks.planted.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchmarks.planted.composing import Parts
    from benchmarks.planted.grid import Station


class Workshop:
    """What the models of one station share; each part is made when it is needed first."""

    def __init__(self, station: Station, parts: Parts, work: Path) -> None:
        self.station, self.parts, self.work = station, parts, work
        self.memory = Memory.load(work / "memory.npz")
        self._sets: dict[int, sets.Pairs] = {}
        self._small: dict[int, NDArray[np.uint8]] = {}
        self._trained: dict[tuple[str, int, int], nn.Module] = {}

    @cached_property
    def pool(self) -> sets.Pairs:
        """Training images without and with the shortcut."""
        one = self.station
        # another seed than the test set's, so that nothing but the task is common
        return sets.pairs(self.parts, one.task, one.shortcut, "training", POOL, seed=one.seed + 500)

    @cached_property
    def pool_features(self) -> Tensor:
        """What the frozen trunk makes of the pool, (2, n, ...) float16."""
        return torch.stack([networks.trunk_features(pixels) for pixels in self.pool.pixels])

    @cached_property
    def pool_means(self) -> Tensor:
        """Means over places of the last stage's output, (2, n, 1280)."""
        return torch.stack([networks.pooled(features) for features in self.pool_features])

    @cached_property
    def pool_small(self) -> NDArray[np.uint8]:
        """The pool for networks from scratch."""
        return self.pool.small()

    def tests(self, count: int) -> sets.Pairs:
        """The test images, at least `count`."""
        total = max(count, TWINS)
        if total not in self._sets:
            one = self.station
            self._sets[total] = sets.pairs(
                self.parts, one.task, one.shortcut, one.portion, total, seed=one.seed, along=one.along / 100
            )
        return self._sets[total]

    def pixels(self, job: Job) -> NDArray[np.uint8]:
        """The test images in the size that the job's family takes."""
        found = self.tests(job.images)
        if job.family in {"frozen", "tuned"}:
            return found.pixels
        if len(found) not in self._small:
            self._small[len(found)] = found.small()
        return self._small[len(found)]

    def model(self, job: Job) -> nn.Module:
        """The job's model; those that differ only in how they are audited share one."""
        which = (job.family, job.strength, job.seed)
        if which not in self._trained:
            self._trained[which] = self._train(job)
        return self._trained[which]

    def _train(self, job: Job) -> nn.Module:
        """A model of a part of the pool in which so many images go along as its strength says."""
        shown = sets.aligned(self.pool.labels, job.strength / 100, seed=job.seed)
        chosen = np.sort(np.random.default_rng((job.seed, 3)).permutation(POOL)[:TRAINING])
        labels, shown = self.pool.labels[chosen], shown[chosen]
        if job.family == "frozen":
            return networks.frozen(self.pool_means[shown, chosen], labels, self.memory)
        if job.family == "tuned":
            return networks.tuned(self.pool_features[shown, chosen], labels, self.memory, seed=job.seed)
        make = networks.cnn if job.family == "cnn" else networks.vit
        return make(self.pool_small[shown, chosen], labels, seed=job.seed)


def work(station: Station, jobs: Sequence[Job], parts: Parts, out: Path) -> Iterator[dict[str, Any]]:
    """Train, measure and audit the models of a station; one record a job."""
    torch.set_num_threads(1)
    shop = Workshop(station, parts, out / "work" / station.id)
    try:
        for job in jobs:
            yield _record(shop, station, job)
    finally:
        if shop.memory.misses:
            shop.memory.save(shop.work / "memory.npz")


def keep_run(station: Station, job: Job, parts: Parts, out: Path) -> Path:
    """Train, measure and audit one model; the run, with its report, stays."""
    torch.set_num_threads(1)
    shop = Workshop(station, parts, out / station.id)
    _record(shop, station, job, keep=True)
    return shop.work / "run"


def _record(shop: Workshop, station: Station, job: Job, *, keep: bool = False) -> dict[str, Any]:
    started = time.perf_counter()
    model = shop.model(job)
    trained = time.perf_counter()
    found = shop.tests(job.images)
    told = truth.measure(model, found, shop.pixels(job), job.images)
    measured = time.perf_counter()
    sets.write(found, shop.work / "images", job.images)
    data = sets.dataset(found, shop.work / "images", job.images, job.masks, seed=station.seed)
    recipe = networks.preprocessing(job.family, SIDE)
    record = audit(model, recipe, data, found, told, out=shop.work / "run", trust=job.trust, keep=keep)
    record["seconds"] |= {"train": trained - started, "twins": measured - trained}
    return {
        "station": vars(station),
        "job": vars(job),
        "truth": {
            "kind": told.kind,
            "effect": told.effect,
            "size": told.size,
            "flips": told.flips,
            "aligned": told.accuracy(along=True),
            "conflicting": told.accuracy(along=False),
        },
        **record,
    }


def ledger(out: Path, station: Station) -> Path:
    """Where the records of a station are kept, one line each."""
    return out / "records" / f"{station.id}.jsonl"


def records(path: Path) -> list[dict[str, Any]]:
    """The records in a ledger; a last line that was cut off is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def undone(jobs: Iterable[Job], done: Sequence[dict[str, Any]]) -> list[Job]:
    """The jobs that no record is about."""
    there = {Job(**record["job"]).id for record in done}
    return [job for job in jobs if job.id not in there]


def go_on(station: Station, jobs: Sequence[Job], parts: Parts, out: Path, end: float | None = None) -> None:
    """Do what is not done yet of a station and write it down; no job is begun after `end`, in seconds of the clock."""
    path = ledger(out, station)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        # a later part of the plan may come to a station that is still at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = undone(jobs, records(path))
        if not left:
            return
        if path.exists() and not path.read_text(encoding="utf-8").endswith("\n"):
            path.write_text("".join(json.dumps(one) + "\n" for one in records(path)), encoding="utf-8")
        for record in work(station, left, parts, out):
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            kind, said = record["truth"], record["verdict"]
            job = record["job"]
            print(
                f"{station.id} {job['family']} {job['strength']}: {kind['effect']:+.2f} SD, {kind['kind']}; "
                f"{said['status']} ({record['seconds']['all']:.0f} s)",
                flush=True,
            )
            if end is not None and time.time() > end:
                return
