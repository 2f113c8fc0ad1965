"""A run that is about to begin: everything it needs, checked, and what its manifest says at the start."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import torch

from camaudit.config import AuditConfig, dump_config, parse_target
from camaudit.data import Frame, batches
from camaudit.data.training import training_table
from camaudit.errors import DataError
from camaudit.explain import explain, get_method
from camaudit.explain.registry import MANY_PASSES, SMOOTH
from camaudit.explain.targets import Classes
from camaudit.measure import measured_regions
from camaudit.providers import fingerprints, made_by
from camaudit.runs.manifest import PROVIDING, SCHEMA_VERSION, STAGES, versions
from camaudit.types import RunManifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from camaudit.data import Dataset
    from camaudit.models import LoadedModel
    from camaudit.runs.progress import Progress
    from camaudit.types import OutputTarget


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


def resolved(config: AuditConfig, model: LoadedModel, device: torch.device) -> AuditConfig:
    """The configuration with everything spelled out that was found; a resume must not find something else."""
    named = model.config.model_copy(update={"target_layer": model.target_layer})
    settings = config.audit.model_copy(update={"batch_size": batch_size(config, device)})
    return config.model_copy(update={"model": named, "audit": settings})


def batch_size(config: AuditConfig, device: torch.device) -> int:
    """Images a batch; larger ones than 8 leave a CPU's caches."""
    asked = config.audit.batch_size
    if asked == "auto":
        return 8 if device.type == "cpu" else 64
    return asked


def new_manifest(job: Job) -> RunManifest:
    """The manifest of a run of which nothing is done."""
    model, config = job.model, job.config
    single, provided = job.data.regions, job.data.source.provide
    parts, roles = measured_regions(single)
    makers = made_by(job.data.source)
    side = _frame_side(job)
    grid = _grid(job, side)
    return RunManifest(
        schema_version=SCHEMA_VERSION,
        name=job.out.resolve().name,
        stages=dict.fromkeys((PROVIDING, *STAGES) if provided else STAGES, "pending"),
        hashes={
            "config": sha256(dump_config(config, job.out).encode()).hexdigest(),
            "model": model.fingerprint(),
            "data": job.data.fingerprint(),
            **fingerprints(job.data.source),
            **_training_hash(job),
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
        roles=roles,
        groups=job.data.groups,
        samples=len(job.data),
        made_by={
            name: "+".join(dict.fromkeys(makers[part] for part in of if part in makers))
            for name, of in parts.items()
            if any(part in makers for part in of)
        },
    )


def _training_hash(job: Job) -> dict[str, str]:
    """Of the training set's table, which is read here so that it is refused at the start."""
    path = job.config.audit.training
    if path is None:
        return {}
    training_table(path, job.data.source, job.data.groups)
    return {"training": sha256(path.read_bytes()).hexdigest()}


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
    """(h, w) of the first method's maps; asks every method for one, so that one that does not fit is refused at the start.

    A method that runs the model many times is not asked: of ``smooth:METHOD`` the method is.
    """
    methods = [get_method(name.removeprefix(SMOOTH)) for name in job.config.audit.methods]
    asked = dict.fromkeys(of.id for of in methods if MANY_PASSES.isdisjoint(of.needs))
    first = methods[0]
    if first.grid == "layer" and first.id not in asked:
        asked["eigencam"] = None  # which any layer gives
    parameter = next(job.model.module.parameters(), torch.zeros(0))
    found: Mapping[str, torch.Tensor] = {}
    if asked:
        found = explain(
            job.model.module,
            torch.zeros(1, 3, *side, device=job.device, dtype=parameter.dtype),
            methods=list(asked),
            targets=Classes(0, job.model.scores),
            layer=job.model.target_layer or "auto",
        ).maps
    if first.grid == "input":
        return side
    height, width = found[first.id if first.id in found else "eigencam"].shape[-2:]
    return (height, width)
