"""The stages of a run: each reads what is there and writes what it makes, whole or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from camaudit.clusters import assign
from camaudit.data import batches
from camaudit.data.problems import KINDS
from camaudit.data.training import training_table
from camaudit.errors import DataError
from camaudit.findings import quadrants, write_findings
from camaudit.measure import measured_regions
from camaudit.measure.appearance import looks
from camaudit.providers import provide
from camaudit.runs import concluding, exchanging, folder, store, transplanting, trusting
from camaudit.runs.accuracy import accuracy_warnings
from camaudit.runs.job import batch_size
from camaudit.runs.manifest import PROVIDING, read_manifest
from camaudit.runs.measuring import measure_batch
from camaudit.runs.pool import Pool
from camaudit.runs.recasting import recasts
from camaudit.runs.run import Run
from camaudit.runs.settings import settings_of
from camaudit.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.data import Batch
    from camaudit.runs.job import Job
    from camaudit.runs.settings import Settings
    from camaudit.types import OutputTarget, RunManifest


def regions(job: Job) -> tuple[Job, tuple[str, ...]]:
    """Makes the regions that nobody annotated, where that is not done yet: the job with them, and how sure they are."""

    def told(done: int, total: int) -> None:
        job.progress.update(PROVIDING, done, total)

    made = provide(job.data, job.out / folder.REGIONS, job.device, progress=told)
    return replace(job, data=made.data), made.warnings


def measure(job: Job, manifest: RunManifest) -> RunManifest:
    """Measures every batch that is not there yet; its measurements are written last, so that they vouch for the rest."""
    parts, roles = measured_regions(job.data.regions)
    settings = settings_of(job.config, job.data.groups, roles, job.device)
    pool = Pool(job.data, job.model.preprocessing, parts, settings, seed=job.config.audit.seed)
    work = job.out / folder.WORK
    size = batch_size(job.config, job.device)
    done = frozenset(int(path.stem.removeprefix("part-")) for path in store.parts(work, "parquet"))
    finished = min(len(done) * size, len(job.data))
    job.progress.update("measure", finished, len(job.data))
    for batch in batches(job.data.samples, job.model.preprocessing, parts, size, skip=done, look=looks):
        if batch.skipped and job.strict:
            msg = f"{batch.skipped[0].reason}\nThe run is strict, so this ends it; without --strict it is skipped."
            raise DataError(msg)
        _check_frame(batch, manifest.frame)
        _write_batch(job, batch, settings, pool)
        finished = min(finished + size, len(job.data))
        job.progress.update("measure", finished, len(job.data))
    skipped = _merge(job)
    store.write_table(job.out / "recasts.parquet", recasts(job))
    return replace(manifest, skipped=skipped, warnings=(*manifest.warnings, *_warnings(job, skipped)))


def _check_frame(batch: Batch, frame: tuple[int, int]) -> None:
    size = batch.images.shape[1:3]
    if batch.samples and size != frame:
        msg = (
            f"{batch.samples[0].image} is {size[1]}x{size[0]} in the model's frame, where the first image is "
            f"{frame[1]}x{frame[0]}. Set model.preprocessing.crop, or resize to a height and a width."
        )
        raise DataError(msg)


def _write_batch(job: Job, batch: Batch, settings: Settings, pool: Pool) -> None:
    work = job.out / folder.WORK
    skipped = pd.DataFrame(
        [vars(one) for one in batch.skipped], columns=["sample", "path", "reason"], dtype="string"
    )
    store.write_table(work / "skipped" / store.part(batch.index, "parquet"), skipped)
    notices = pd.DataFrame({"kind": pd.array([notice.kind for notice in batch.notices], dtype="string")})
    store.write_table(work / "notices" / store.part(batch.index, "parquet"), notices)
    if batch.samples:
        measured = measure_batch(batch, job.model, settings, pool)
        store.write_table(job.out / "samples" / store.part(batch.index, "parquet"), measured.samples)
        for (method, target), maps in measured.maps.items():
            store.write_array(
                store.maps_folder(job.out, method, target) / store.part(batch.index, "npy"), maps
            )
        rows, exchanges, transplants = measured.measurements, measured.exchanges, measured.transplants
    else:
        rows, exchanges, transplants = pd.DataFrame(), exchanging.nothing(), transplanting.nothing()
    store.write_table(work / "exchanges" / store.part(batch.index, "parquet"), exchanges)
    store.write_table(work / "transplants" / store.part(batch.index, "parquet"), transplants)
    store.write_table(work / store.part(batch.index, "parquet"), rows)


def _merge(job: Job) -> tuple[Skipped, ...]:
    work = job.out / folder.WORK
    skipped = pd.concat([pd.read_parquet(path) for path in store.parts(work / "skipped", "parquet")])
    listed = tuple(
        Skipped(**{str(key): str(value) for key, value in row.items()}) for row in skipped.to_dict("records")
    )
    if len(listed) == len(job.data):
        msg = f"None of the {len(listed)} images can be read. The first: {listed[0].reason}"
        raise DataError(msg)
    run = Run(job.out, read_manifest(job.out), job.data)
    rows = pd.concat([pd.read_parquet(path) for path in store.parts(work, "parquet")], ignore_index=True)
    table = concluding.in_deviations(rows, run.samples, job.model.classes, job.targets, task=job.model.task)
    store.write_table(job.out / "measurements.parquet", table)
    _merge_pairs(job, run.samples, "exchanges", exchanging.nothing(), ["value"])
    _merge_pairs(job, run.samples, "transplants", transplanting.nothing(), list(transplanting.SHIFTS))
    return listed


def _merge_pairs(job: Job, samples: pd.DataFrame, name: str, empty: pd.DataFrame, shifts: list[str]) -> None:
    """One table of what donors do, its shifts in standard deviations."""
    shards = [pd.read_parquet(path) for path in store.parts(job.out / folder.WORK / name, "parquet")]
    pairs = pd.concat([empty, *(shard for shard in shards if len(shard))], ignore_index=True)
    unit = concluding.deviations(pairs, samples, job.model.classes, job.targets, task=job.model.task)
    pairs[shifts] = pairs[shifts].div(unit, axis=0)
    store.write_table(job.out / f"{name}.parquet", pairs)


def _warnings(job: Job, skipped: Sequence[Skipped]) -> tuple[str, ...]:
    found = []
    if skipped:
        found.append(f"{len(skipped)} of {len(job.data)} images could not be read and were left out.")
    if not job.data.regions:
        found.append("No region is annotated, so nothing could be said about where the evidence lies.")
    found += _went_on_without(job)
    samples = Run(job.out, read_manifest(job.out), job.data).samples
    return (*found, *accuracy_warnings(samples, job.model))


def _went_on_without(job: Job) -> list[str]:
    """What the reader and the batches noticed, counted by kind."""
    counts = Counter(job.data.problem_counts)
    for path in store.parts(job.out / folder.WORK / "notices", "parquet"):
        counts.update(pd.read_parquet(path)["kind"])
    return [
        f"{count} time(s) in the data: {KINDS.get(kind, kind)}." for kind, count in sorted(counts.items())
    ]


def trust(job: Job, manifest: RunManifest) -> None:
    """The run's methods, examined on a sample of its images."""
    run = Run(job.out, manifest, job.data)
    asked = job.config.audit.trust.enabled
    table = trusting.examine(job, run.samples, run.measurements) if asked else trusting.empty()
    store.write_table(job.out / "trust.parquet", table)


def effects(job: Job, manifest: RunManifest) -> None:
    """Means, intervals and tests of every cell."""
    run = Run(job.out, manifest, job.data)
    table = concluding.estimate(
        run.measurements,
        run.samples,
        manifest.groups,
        exchanges=run.exchanges,
        transplants=run.transplants,
    )
    store.write_table(job.out / "effects.parquet", table)


def clusters(job: Job, manifest: RunManifest) -> None:
    """Clusters of the maps of the first method and target, class by class."""
    run = Run(job.out, manifest, job.data)
    method, target = manifest.methods[0], job.targets[0]
    classes = _target_classes(run.samples, target)
    maps = {
        name: {
            sample: run.attribution(sample).values for sample in run.samples.loc[classes == name, "sample"]
        }
        for name in manifest.classes
    }
    table = assign(maps, method=method, target=target.id, seed=job.config.audit.seed)
    store.write_table(job.out / "clusters.parquet", table)


def _target_classes(samples: pd.DataFrame, target: OutputTarget) -> pd.Series:
    if target.kind in {"predicted", "label"}:
        return samples[target.kind]
    return pd.Series(target.classes[0], index=samples.index)


def findings(job: Job, manifest: RunManifest) -> None:
    """Findings and verdict."""
    run = Run(job.out, manifest, job.data)
    trust = run.trust if job.config.audit.trust.enabled else None
    path = job.config.audit.training
    edits = job.config.audit.intervention
    findings, verdict = concluding.judge(
        manifest,
        run.effects,
        run.measurements,
        run.samples,
        exchanges=run.exchanges,
        transplants=run.transplants if edits.enabled and edits.transplant else None,
        trust=trust,
        recasts=run.recasts,
        training=training_table(path, job.data.source, manifest.groups) if path is not None else None,
    )
    reasons = quadrants(run.measurements, run.samples, manifest.roles)
    store.write_table(job.out / "quadrants.parquet", reasons)
    store.write_text(job.out / "findings.json", write_findings(manifest.name, verdict, findings))


def report(job: Job, manifest: RunManifest) -> None:
    """The HTML report."""
    Run(job.out, manifest, job.data).report()


AFTER_MEASURING = {
    "trust": trust,
    "effects": effects,
    "clusters": clusters,
    "findings": findings,
    "report": report,
}
"""The stages after `measure`, in order."""
