"""An audit from data and model to findings, in stages that can be gone on with."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from camaudit.clusters import assign
from camaudit.config import AuditConfig, AuditSettings, dump_config, parse_section, parse_target
from camaudit.data import Frame, batches, open_dataset
from camaudit.errors import DataError, ModelError, RunError
from camaudit.explain import explain, get_method
from camaudit.findings import write_findings
from camaudit.measure import measured_regions
from camaudit.models import open_model
from camaudit.runs import folder, stages, store
from camaudit.runs.manifest import SCHEMA_VERSION, STAGES, read_manifest, versions, with_stage, write_manifest
from camaudit.runs.measuring import Settings, measure_batch, settings_of
from camaudit.runs.progress import Progress, Silent
from camaudit.runs.run import Run
from camaudit.types import OutputTarget, RunManifest, Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.data import Batch, Dataset
    from camaudit.models import LoadedModel


@dataclass(frozen=True)
class Job:
    """Everything an audit needs, checked.

    Attributes:
        data: what is audited.
        model: on its device.
        config: resolved.
        out: the run directory.
        device: where the model runs.
        strict: whether an unreadable image ends the run.
        progress: who is told.
    """

    data: Dataset
    model: LoadedModel
    config: AuditConfig
    out: Path
    device: torch.device
    strict: bool
    progress: Progress

    @property
    def targets(self) -> tuple[OutputTarget, ...]:
        """The output targets."""
        return tuple(parse_target(target) for target in self.config.audit.targets)


def audit(
    data: Dataset,
    model: LoadedModel,
    *,
    out: Path | str,
    methods: Sequence[str] = ("gradcam",),
    targets: Sequence[str] = ("predicted", "label"),
    device: str = "auto",
    seed: int = 0,
    batch_size: int | str = "auto",
    intervention: bool = True,
    resume: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Audit a model on a dataset.

    Args:
        data: from `camaudit.data`.
        model: from `camaudit.load_model`.
        out: the run directory; must not exist, unless `resume`.
        methods: attribution methods; the first one decides the findings.
        targets: ``predicted``, ``label``, ``class:NAME`` or ``contrast:NAME,NAME``; the first one decides.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: of the statistics and the clusters.
        batch_size: images a batch; ``auto`` is 8 on a CPU, where larger ones leave its caches, and 64 on a GPU.
        intervention: whether regions are edited to see if the score follows.
        resume: go on with the run in `out`.
        strict: whether an unreadable image ends the run instead of being skipped and counted.
        progress: who is told how far it is.

    Raises:
        CamauditError: what is wrong, where, and what to do; nothing half-written is left.
    """
    values = {
        "methods": list(methods),
        "targets": list(targets),
        "device": device,
        "seed": seed,
        "batch_size": batch_size,
        "intervention": {"enabled": intervention},
    }
    settings = parse_section(AuditSettings, values, where="camaudit.audit")
    config = AuditConfig(model=model.config, data=data.source, roles=data.roles, audit=settings)
    return _audit(data, model, config, Path(out), resume=resume, strict=strict, progress=progress)


def run_config(
    config: AuditConfig,
    out: Path,
    *,
    resume: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Run the audit of a configuration; see `audit`."""
    if resume:
        read_manifest(out)  # before anything is loaded in vain
    else:
        folder.check_free(out)
    data = open_dataset(config.data, config.roles)
    model = open_model(config.model)
    return _audit(data, model, config, out, resume=resume, strict=strict, progress=progress)


def find_device(name: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one.

    Raises:
        ModelError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in {"cpu", "cuda"}:
            msg = f"camaudit does not run on {device.type}"
            raise RuntimeError(msg)  # noqa: TRY301 - as torch says it of a device it does not have
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        msg = f"The device {name!r} cannot be used here: {reason}. Use auto, cpu, cuda or cuda:N."
        raise ModelError(msg) from None
    return device


def check_labels(data: Dataset, classes: Sequence[str]) -> None:
    """Every label is one of the model's classes.

    Raises:
        DataError: naming the labels that are not, and how many samples have them.
    """
    unknown: dict[str, list[str]] = {}
    for sample in data.samples:
        if sample.label is not None and sample.label not in classes:
            unknown.setdefault(sample.label, []).append(sample.id)
    if unknown:
        what = "; ".join(
            f"{label!r} of {ids[0]}" + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")
            for label, ids in unknown.items()
        )
        msg = (
            f"{len(unknown)} label(s) are not among the model's classes ({', '.join(classes)}): {what}. "
            "Correct the labels, or name the classes as the labels do."
        )
        raise DataError(msg)


def check_targets(data: Dataset, targets: Sequence[OutputTarget], classes: Sequence[str]) -> None:
    """Every target can be had of this data and model.

    Raises:
        DataError: the label is asked for but not known, or a class does not exist.
    """
    for target in targets:
        for name in target.classes:
            if name not in classes:
                msg = f"The target {target.id!r} names {name!r}, which is no class: {', '.join(classes)}."
                raise DataError(msg)
        missing = [sample.id for sample in data.samples if sample.label is None]
        if target.kind == "label" and missing:
            msg = f"The target 'label' needs labels, and {len(missing)} sample(s) have none, such as {missing[0]}."
            raise DataError(msg)


def _audit(
    data: Dataset,
    model: LoadedModel,
    config: AuditConfig,
    out: Path,
    *,
    resume: bool,
    strict: bool,
    progress: Progress | None,
) -> Run:
    for method in config.audit.methods:
        get_method(method)
    targets = [parse_target(target) for target in config.audit.targets]
    check_labels(data, model.classes)
    check_targets(data, targets, model.classes)
    device = find_device(config.audit.device)
    config = _resolved(config, model, device)
    home = next(model.module.parameters(), torch.zeros(0)).device
    try:
        model.module.to(device)
        job = Job(data, model, config, out, device, strict, progress or Silent())
        return _resumed(job) if resume else _begun(job)
    finally:
        model.module.to(home)


def _resolved(config: AuditConfig, model: LoadedModel, device: torch.device) -> AuditConfig:
    """The configuration with everything spelled out that was found; a resume must not find something else."""
    named = model.config.model_copy(update={"target_layer": model.target_layer})
    settings = config.audit.model_copy(update={"batch_size": _batch_size(config, device)})
    return config.model_copy(update={"model": named, "audit": settings})


def _batch_size(config: AuditConfig, device: torch.device) -> int:
    asked = config.audit.batch_size
    if asked == "auto":
        return 8 if device.type == "cpu" else 64  # larger batches leave a CPU's caches
    return asked


def _begun(job: Job) -> Run:
    with folder.begun(job.out):
        with folder.undone_on_error(job.out):
            manifest = _manifest(job)
            write_manifest(job.out, manifest)
            store.write_text(job.out / "config.yaml", dump_config(job.config, job.out))
            manifest = _measured(job, manifest)
        return _judged(job, manifest)


def _resumed(job: Job) -> Run:
    read_manifest(job.out)
    with folder.held(job.out):
        manifest = _continued(job.out, _manifest(job))
        store.write_text(job.out / "config.yaml", dump_config(job.config, job.out))
        return _judged(job, _measured(job, manifest))


def _manifest(job: Job) -> RunManifest:
    model, config = job.model, job.config
    single = job.data.regions
    side = _frame_side(job)
    grid = _grid(job, side)
    return RunManifest(
        schema_version=SCHEMA_VERSION,
        name=job.out.resolve().name,
        stages=dict.fromkeys(STAGES, "pending"),
        hashes={
            "config": sha256(dump_config(config, job.out).encode()).hexdigest(),
            "model": model.fingerprint(),
            "data": job.data.fingerprint(),
        },
        versions=versions(),
        seed=config.audit.seed,
        device=torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else str(job.device),
        model=model.name,
        classes=model.classes,
        target_layer=model.target_layer,
        grid=grid,
        frame=side,
        preprocessing=model.preprocessing,
        methods=tuple(config.audit.methods),
        targets=tuple(config.audit.targets),
        roles=measured_regions(single)[1],
        groups=job.data.groups,
        samples=len(job.data),
    )


def _frame_side(job: Job) -> tuple[int, int]:
    """(height, width) of the model's input, by the first image that can be read where the recipe leaves it open."""
    recipe = job.model.preprocessing
    if recipe.crop is not None or isinstance(recipe.resize, tuple):
        return Frame.of((224, 224), recipe).crop
    for batch in batches(job.data.samples, recipe, {}, 1):
        if batch.samples:
            return (batch.images.shape[1], batch.images.shape[2])
    msg = f"None of the {len(job.data)} images can be read."
    raise DataError(msg)


def _grid(job: Job, side: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the maps; asks every method for one, so that a method that does not fit is refused at the start."""
    parameter = next(job.model.module.parameters(), torch.zeros(0))
    example = torch.zeros(1, 3, *side, device=job.device, dtype=parameter.dtype)
    found = explain(
        job.model.module, example, methods=job.config.audit.methods, targets=[0], layer=job.model.target_layer
    )
    height, width = found[job.config.audit.methods[0]].shape[-2:]
    return (height, width)


def _continued(out: Path, fresh: RunManifest) -> RunManifest:
    """The manifest of the run that is gone on with.

    Raises:
        RunError: there is none, or it was made from something else.
    """
    found = read_manifest(out)
    for what, value in fresh.hashes.items():
        if found.hashes.get(what) != value:
            msg = (
                f"{out} was begun with another {what}; a run that mixes two would mean nothing. "
                "Restore it, or start a new run with another --out."
            )
            raise RunError(msg)
    return found


def _measured(job: Job, manifest: RunManifest) -> RunManifest:
    if manifest.stages["measure"] != "done":
        manifest, started = _start(job, manifest, "measure")
        skipped = _measure(job, manifest.frame)
        manifest = replace(manifest, skipped=skipped, warnings=_warnings(job, skipped))
        manifest = _finish(job, manifest, "measure", started)
    # only now: until the manifest says done, the work is what a run that is gone on with knows
    shutil.rmtree(job.out / folder.WORK, ignore_errors=True)
    return manifest


def _judged(job: Job, manifest: RunManifest) -> Run:
    for stage, step in _AFTER.items():
        if manifest.stages[stage] != "done":
            manifest, started = _start(job, manifest, stage)
            step(job, manifest)
            manifest = _finish(job, manifest, stage, started)
    return Run(job.out, manifest, job.data)


def _start(job: Job, manifest: RunManifest, stage: str) -> tuple[RunManifest, float]:
    manifest = with_stage(manifest, stage, "running")
    write_manifest(job.out, manifest)
    job.progress.update(stage, 0, 1)
    return manifest, time.perf_counter()


def _finish(job: Job, manifest: RunManifest, stage: str, started: float) -> RunManifest:
    manifest = with_stage(manifest, stage, "done", time.perf_counter() - started)
    write_manifest(job.out, manifest)
    job.progress.update(stage, 1, 1)
    return manifest


def _measure(job: Job, frame: tuple[int, int]) -> tuple[Skipped, ...]:
    """Every batch that is not there yet; its measurements are written last, so that they vouch for the rest."""
    parts, roles = measured_regions(job.data.regions)
    settings = settings_of(job.config, job.data.groups, roles, job.device)
    work = job.out / folder.WORK
    size = _batch_size(job.config, job.device)
    done = frozenset(int(path.stem.removeprefix("part-")) for path in store.parts(work, "parquet"))
    finished = min(len(done) * size, len(job.data))
    job.progress.update("measure", finished, len(job.data))
    for batch in batches(job.data.samples, job.model.preprocessing, parts, size, skip=done):
        if batch.skipped and job.strict:
            msg = f"{batch.skipped[0].reason}\nThe run is strict, so this ends it; without --strict it is skipped."
            raise DataError(msg)
        _check_frame(batch, frame)
        _write_batch(job, batch, settings)
        finished = min(finished + size, len(job.data))
        job.progress.update("measure", finished, len(job.data))
    return _merge(job)


def _check_frame(batch: Batch, frame: tuple[int, int]) -> None:
    size = batch.images.shape[1:3]
    if batch.samples and size != frame:
        msg = (
            f"{batch.samples[0].image} is {size[1]}x{size[0]} in the model's frame, where the first image is "
            f"{frame[1]}x{frame[0]}. Set model.preprocessing.crop, or resize to a height and a width."
        )
        raise DataError(msg)


def _write_batch(job: Job, batch: Batch, settings: Settings) -> None:
    work = job.out / folder.WORK
    skipped = pd.DataFrame(
        [vars(one) for one in batch.skipped], columns=["sample", "path", "reason"], dtype="string"
    )
    store.write_table(work / "skipped" / store.part(batch.index, "parquet"), skipped)
    if batch.samples:
        measured = measure_batch(batch, job.model, settings)
        store.write_table(job.out / "samples" / store.part(batch.index, "parquet"), measured.samples)
        for (method, target), maps in measured.maps.items():
            store.write_array(
                store.maps_folder(job.out, method, target) / store.part(batch.index, "npy"), maps
            )
        rows = measured.measurements
    else:
        rows = pd.DataFrame()
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
    table = stages.in_deviations(rows, run.samples, job.model.classes)
    store.write_table(job.out / "measurements.parquet", table)
    return listed


def _warnings(job: Job, skipped: Sequence[Skipped]) -> tuple[str, ...]:
    found = []
    if skipped:
        found.append(f"{len(skipped)} of {len(job.data)} images could not be read and were left out.")
    if not job.data.regions:
        found.append("No region is annotated, so nothing could be said about where the evidence lies.")
    return tuple(found)


def _effects(job: Job, manifest: RunManifest) -> None:
    run = Run(job.out, manifest, job.data)
    settings = job.config.audit
    table = stages.estimate(
        run.measurements, run.samples, manifest.groups, seed=settings.seed, resamples=settings.resamples
    )
    store.write_table(job.out / "effects.parquet", table)


def _clusters(job: Job, manifest: RunManifest) -> None:
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


def _findings(job: Job, manifest: RunManifest) -> None:
    run = Run(job.out, manifest, job.data)
    findings, verdict = stages.judge(manifest, run.effects, run.measurements, run.samples)
    store.write_text(job.out / "findings.json", write_findings(manifest.name, verdict, findings))


def _report(job: Job, manifest: RunManifest) -> None:
    Run(job.out, manifest, job.data).report()


_AFTER = {"effects": _effects, "clusters": _clusters, "findings": _findings, "report": _report}
