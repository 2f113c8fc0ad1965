"""An audit from data and model to findings, in stages that can be gone on with."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from camaudit.config import AuditConfig, AuditSettings, dump_config, parse_section, parse_target
from camaudit.errors import StaleRunError
from camaudit.explain import get_method
from camaudit.models import open_model
from camaudit.providers import open_dataset
from camaudit.runs import folder, stages, store
from camaudit.runs.device import enough_memory, full_precision
from camaudit.runs.fit import check_labels, check_methods, check_targets, find_device
from camaudit.runs.job import Job, batch_size, new_manifest, resolved
from camaudit.runs.manifest import PROVIDING, read_manifest, with_stage, write_manifest
from camaudit.runs.progress import Progress, Silent
from camaudit.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.data import Dataset
    from camaudit.models import LoadedModel
    from camaudit.types import RunManifest


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
    trust: bool = True,
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
        trust: whether it is examined if the maps can be believed.
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
        "trust": {"enabled": trust},
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
    trust_code: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Run the audit of a configuration; see `audit`, and `camaudit.load_model` of `trust_code`."""
    if resume:
        read_manifest(out)  # before anything is loaded in vain
    else:
        folder.check_free(out)
    data = open_dataset(config.data, config.roles)
    model = open_model(config.model, trust_code=trust_code)
    return _audit(data, model, config, out, resume=resume, strict=strict, progress=progress)


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
    check_labels(data, model.classes, task=model.task)
    check_targets(data, targets, model.classes, task=model.task)
    check_methods(config.audit.methods, model)
    device = find_device(config.audit.device)
    config = resolved(config, model, device)
    home = next(model.module.parameters(), torch.zeros(0)).device
    try:
        with full_precision(), enough_memory(batch_size(config, device)):
            model.module.to(device)
            job = Job(data, model, config, out, device, strict, progress or Silent())
            return _resumed(job) if resume else _begun(job)
    finally:
        model.module.to(home)


def _begun(job: Job) -> Run:
    with folder.begun(job.out):
        with folder.undone_on_error(job.out):
            manifest = new_manifest(job)
            write_manifest(job.out, manifest)
            store.write_text(job.out / "config.yaml", dump_config(job.config, job.out))
            job, manifest = _provided(job, manifest)
            manifest = _measured(job, manifest)
        return _judged(job, manifest)


def _resumed(job: Job) -> Run:
    read_manifest(job.out)
    with folder.held(job.out):
        manifest = _continued(job.out, new_manifest(job))
        store.write_text(job.out / "config.yaml", dump_config(job.config, job.out))
        job, manifest = _provided(job, manifest)
        return _judged(job, _measured(job, manifest))


def _continued(out: Path, fresh: RunManifest) -> RunManifest:
    """The manifest of the run that is gone on with.

    Raises:
        RunError: there is none.
        StaleRunError: it was made from something else.
    """
    found = read_manifest(out)
    for what, value in fresh.hashes.items():
        if found.hashes.get(what) != value:
            msg = (
                f"{out} was begun with another {what}; a run that mixes two would mean nothing. "
                "Restore it, or start a new run with another --out."
            )
            raise StaleRunError(msg)
    return found


def _provided(job: Job, manifest: RunManifest) -> tuple[Job, RunManifest]:
    state = manifest.stages.get(PROVIDING)
    if state is None:
        return job, manifest
    if state == "done":
        return stages.regions(job)[0], manifest  # read, not made again
    manifest, started = _start(job, manifest, PROVIDING)
    job, warnings = stages.regions(job)
    manifest = replace(manifest, warnings=(*manifest.warnings, *warnings))
    return job, _finish(job, manifest, PROVIDING, started)


def _measured(job: Job, manifest: RunManifest) -> RunManifest:
    if manifest.stages["measure"] != "done":
        manifest, started = _start(job, manifest, "measure")
        manifest = stages.measure(job, manifest)
        manifest = _finish(job, manifest, "measure", started)
    # only now: until the manifest says done, the work is what a run that is gone on with knows
    shutil.rmtree(job.out / folder.WORK, ignore_errors=True)
    return manifest


def _judged(job: Job, manifest: RunManifest) -> Run:
    for stage, step in stages.AFTER_MEASURING.items():
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
