"""Whether the run's maps can be believed: its methods examined on a sample of its images.

How many images that are is decided by counting forward passes, never by the clock, so that a run can be repeated: trust
takes at most 30 % of the passes of the whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.data import batches
from camaudit.errors import ModelError
from camaudit.explain import get_method
from camaudit.explain.registry import MANY_PASSES
from camaudit.explain.targets import Classes, Contrast
from camaudit.measure.trust import Question, Randomised, changes_of, check_maps, find_stages
from camaudit.models import class_indices
from camaudit.models.layers import evaluating

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.explain.targets import Target
    from camaudit.measure.trust import Found, Stage
    from camaudit.runs.job import Job
    from camaudit.types import OutputTarget, Sample

COLUMNS = ("sample", "method", "check", "value", "draw")
SHARE = 0.3
LEAST, MOST = 10, 100
"""Images: with fewer nothing is decided, and more would tell little more."""
_CALLS = 8  # passes: what is predicted, the maps, under noise, under five changes of the weights
_MANY = 100  # passes of a method that runs the model again and does not say how often
_DRAWS = (
    50  # at least as many random networks, where there are as many images: they differ more than images do
)
_ROWS = 4  # most images that share one


@dataclass(frozen=True)
class Plan:
    """What trust is to take.

    Attributes:
        images: whose maps are examined; 0 where too few would be.
        passes: of the rest of the run, in forward passes of one image.
    """

    images: int
    passes: int


def plan(job: Job, samples: pd.DataFrame, measurements: pd.DataFrame) -> Plan:
    """How many images are examined, by the passes that the run's other stages took."""
    once = passes_of_maps(job.config.audit.methods)
    edited = measurements[
        (measurements["metric"] == "shift_region")
        & (measurements["target"] == job.targets[0].id)
        & measurements["value"].notna()
    ]
    passes = len(samples) * once + len(edited) * (1 + job.config.audit.intervention.controls)
    budget = SHARE / (1 - SHARE) * passes
    asked = job.config.audit.trust.samples
    if asked != "auto":
        return Plan(min(asked, len(samples)), passes)
    images = min(MOST, len(samples), int(budget / (_CALLS * once)))
    return Plan(images if images >= LEAST else 0, passes)


def passes_of_maps(methods: Sequence[str]) -> int:
    """Forward passes of one image that its maps of all methods take; a backward pass counts as two."""
    found = 1
    for method in map(get_method, methods):
        through = 1 if method.grid == "layer" else 3
        if "samples" in method.options or "steps" in method.options:
            found += through * int(method.options.get("samples", method.options.get("steps")))
        elif MANY_PASSES & method.needs:
            found += int(method.options.get("masks", _MANY))
        elif method.grid == "input":
            found += through - 1
    return found


def examine(job: Job, samples: pd.DataFrame, measurements: pd.DataFrame) -> pd.DataFrame:
    """The trust table; see `camaudit.types.AuditedRun`.

    Args:
        job: the audit.
        samples: the run's samples.
        measurements: the run's measurements.
    """
    count = plan(job, samples, measurements).images
    chosen = _chosen(samples, count, job.config.audit.seed)
    found = [job.data.sample(name) for name in chosen]
    listed = [sample for sample in found if sample is not None]
    rows = max(1, min(_ROWS, len(listed) // _DRAWS))
    frames: list[pd.DataFrame] = []
    copy: Randomised | None = None
    changes: Mapping[str, Sequence[Stage]] | None = None
    for batch in batches(listed, job.model.preprocessing, {}, rows):
        if not batch.samples:
            continue
        images = job.model.inputs(torch.from_numpy(batch.images).to(job.device))
        if changes is None:
            copy, changes = _randomised(job, images)
        seed = job.config.audit.seed + batch.index
        question = _question(job, images, batch.samples, seed)
        numbers, _ = check_maps(job.model.module, images, question, changes, copy, seed=seed)
        frames.append(_tidy(numbers, batch.samples, batch.index))
        job.progress.update("trust", min((batch.index + 1) * rows, len(listed)), len(listed))
    return pd.concat(frames, ignore_index=True) if frames else empty()


def empty() -> pd.DataFrame:
    """The trust table of a run in which nothing was examined."""
    kinds = {"value": np.float64, "draw": np.int64}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, object)) for name in COLUMNS})


def _chosen(samples: pd.DataFrame, count: int, seed: int) -> list[str]:
    """Random samples in the order of the dataset; of each subject one, then of each another, until there are enough."""
    drawn = samples.iloc[np.random.default_rng(seed).permutation(len(samples))]
    alone = drawn["subject"].isna()
    turn = drawn.groupby("subject", sort=False).cumcount().where(~alone, 0)
    first = drawn.loc[turn.sort_values(kind="stable").index].head(count)
    return [str(name) for name in first.sort_index()["sample"]]


def _randomised(job: Job, images: torch.Tensor) -> tuple[Randomised | None, dict[str, list[Stage]]]:
    """The copy that is re-initialised, and in which stages; none of a program."""
    if "hooks" not in job.model.gives or job.model.config.source == "export":
        return None, {}
    try:
        copy = Randomised(job.model.module)
    except ModelError:
        return None, {}
    return copy, changes_of(find_stages(job.model.module, images[:1]))


def _question(job: Job, images: torch.Tensor, samples: Sequence[Sample], seed: int) -> Question:
    """What is explained in a batch, fixed, and another class of the same images, drawn at random."""
    model, target = job.model, job.targets[0]
    with evaluating(model.module), torch.inference_mode():
        logits = model.scores(model.module(images)).float()
    labels = [sample.label for sample in samples]
    own = class_indices(target, logits, labels, model.classes, task=model.task)
    draw = torch.Generator().manual_seed(seed)
    count = len(model.classes)
    other = None
    if count > 1:
        further = torch.randint(1, count, (len(samples),), generator=draw).to(own.device)
        other = (own + further) % count
    return Question(
        methods=job.config.audit.methods,
        target=_scalar(job, target, own),
        other=_other(job, target, own, other),
        layer=model.target_layer or "auto",
        reference="hooks" in model.gives,
    )


def _scalar(job: Job, target: OutputTarget, own: torch.Tensor) -> Target:
    first = Classes(own, job.model.scores)
    if target.kind != "contrast":
        return first
    return Contrast(first, Classes(job.model.classes.index(target.classes[1]), job.model.scores))


def _other(job: Job, target: OutputTarget, own: torch.Tensor, other: torch.Tensor | None) -> Target | None:
    """Another class; of a contrast the same the other way round."""
    if other is None:
        return None
    if target.kind != "contrast":
        return Classes(other, job.model.scores)
    second = Classes(job.model.classes.index(target.classes[1]), job.model.scores)
    return Contrast(second, Classes(own, job.model.scores))


def _tidy(found: Found, samples: Sequence[Sample], draw: int) -> pd.DataFrame:
    names = [sample.id for sample in samples]
    frames = [
        pd.DataFrame({"sample": names, "method": method, "check": check, "value": values, "draw": draw})
        for (method, check), values in sorted(found.items())
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]
