"""Whether the run's maps can be believed: its methods examined on a sample of its images.

How many images that are is decided by counting forward passes, never by the clock, so that a run can be repeated: trust
takes at most 30 % of the passes of the whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.data import batches
from camaudit.errors import ModelError
from camaudit.explain import get_method
from camaudit.explain.registry import MANY_PASSES
from camaudit.explain.targets import Classes, Contrast, Seen
from camaudit.measure.faithfulness import Asking
from camaudit.measure.trust import (
    Question,
    Randomised,
    changes_of,
    check_faithfulness,
    check_maps,
    find_stages,
    passes_of_faithfulness,
)
from camaudit.models import class_indices
from camaudit.models.layers import evaluating
from camaudit.runs.job import batch_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.config import AuditSettings
    from camaudit.explain.targets import Target
    from camaudit.measure.trust import Found, Stage
    from camaudit.runs.job import Job
    from camaudit.types import OutputTarget, Sample

COLUMNS = ("sample", "method", "check", "value", "draw")
SHARE = 0.3
LEAST, ENOUGH, MOST = 10, 50, 100
"""Images: with fewer nothing is decided; from here on other checks come first; more would tell little more."""
EDITED = 20
"""Images, at most, of which pixels are taken away by the ranks of a map: each takes many passes."""
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
        edited: of how many of them pixels are taken away too.
        passes: of the rest of the run, in forward passes of one image.
        taken: passes that trust takes.
    """

    images: int
    edited: int
    passes: int
    taken: int


def plan(
    settings: AuditSettings, samples: pd.DataFrame, measurements: pd.DataFrame, *, times: float = 1.0
) -> Plan:
    """How many images are examined, by the passes that the run's other stages took.

    Args:
        settings: of the audit.
        samples: the run's samples, or some of them.
        measurements: of them.
        times: how many times as many the run has.
    """
    once = passes_of_maps(settings.methods)
    edits = measurements[
        (measurements["metric"] == "shift_region")
        & (measurements["target"] == settings.targets[0])
        & measurements["value"].notna()
    ]
    count = round(times * len(samples))
    passes = count * once + round(times * len(edits)) * (1 + settings.intervention.controls)
    methods = [get_method(name) for name in settings.methods]
    each = passes_of_faithfulness(len(methods), len({method.grid for method in methods}))
    if settings.trust.samples != "auto":
        images = min(settings.trust.samples, count)
        edited = min(EDITED, images)
    else:
        budget = SHARE / (1 - SHARE) * passes
        images = min(ENOUGH, count, int(budget / (_CALLS * once)))
        images = images if images >= LEAST else 0
        edited = min(EDITED, images, int((budget - images * _CALLS * once) / each))
        edited = edited if edited >= LEAST else 0
        if images == ENOUGH:
            images = min(MOST, count, int((budget - edited * each) / (_CALLS * once)))
    return Plan(images, edited, passes, images * _CALLS * once + edited * each)


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
    takes = plan(job.config.audit, samples, measurements)
    names = drawn(samples, takes.images, job.config.audit.seed)
    edited = frozenset(names[: takes.edited])
    chosen = samples.loc[samples["sample"].isin(names), "sample"]  # in the order of the dataset
    found = [job.data.sample(str(name)) for name in chosen]
    listed = [sample for sample in found if sample is not None]
    rows = max(1, min(_ROWS, len(listed) // _DRAWS))
    frames: list[pd.DataFrame] = []
    kept: list[_Kept] = []
    copy: Randomised | None = None
    changes: Mapping[str, Sequence[Stage]] | None = None
    for batch in batches(listed, job.model.preprocessing, {}, rows):
        if not batch.samples:
            continue
        images = job.model.inputs(torch.from_numpy(batch.images).to(job.device))
        if changes is None:
            copy, changes = _randomised(job, images)
        seed = job.config.audit.seed + batch.index
        classes = _classes(job, images, batch.samples)
        question = _question(job, classes, seed)
        numbers, maps = check_maps(job.model.module, images, question, changes, copy, seed=seed)
        frames.append(_tidy(numbers, [sample.id for sample in batch.samples], batch.index))
        for place, sample in enumerate(batch.samples):
            if sample.id in edited:
                own = {name: of[place] for name, of in maps.items()}
                kept.append(_Kept(sample.id, batch.index, images[place], classes[place], own))
        job.progress.update("trust", min((batch.index + 1) * rows, len(listed)), len(listed))
    frames += _faithfulness(job, kept)
    return pd.concat(frames, ignore_index=True) if frames else empty()


@dataclass(frozen=True)
class _Kept:
    """A sample whose pixels are to be taken away.

    Attributes:
        sample: its id.
        draw: the random networks it was held against.
        image: as the model takes it.
        explained: the class whose score is explained, of a contrast the first.
        maps: by method, (h, w).
    """

    sample: str
    draw: int
    image: torch.Tensor
    explained: torch.Tensor
    maps: Mapping[str, torch.Tensor]


def _faithfulness(job: Job, kept: Sequence[_Kept]) -> list[pd.DataFrame]:
    size = batch_size(job.config, job.device)
    frames = []
    for start in range(0, len(kept), size):
        part = kept[start : start + size]
        explained = _scalar(job, job.targets[0], torch.stack([one.explained for one in part]))
        asking = Asking(
            images=torch.stack([one.image for one in part]),
            confidence=partial(_confidence, job, explained),
            seed=job.config.audit.seed,
            chunk=size,
        )
        maps = {name: torch.stack([one.maps[name] for one in part]) for name in part[0].maps}
        draws = np.array([one.draw for one in part])
        frames.append(_tidy(check_faithfulness(maps, asking), [one.sample for one in part], draws))
    return frames


def empty() -> pd.DataFrame:
    """The trust table of a run in which nothing was examined."""
    kinds = {"value": np.float64, "draw": np.int64}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, object)) for name in COLUMNS})


def drawn(samples: pd.DataFrame, count: int, seed: int) -> list[str]:
    """Random samples: of each subject one, then of each another, until there are enough."""
    mixed = samples.iloc[np.random.default_rng(seed).permutation(len(samples))]
    turn = mixed.groupby("subject", sort=False).cumcount().where(mixed["subject"].notna(), 0)
    first = mixed.loc[turn.sort_values(kind="stable").index].head(count)
    return [str(name) for name in first["sample"]]


def _randomised(job: Job, images: torch.Tensor) -> tuple[Randomised | None, dict[str, list[Stage]]]:
    """The copy that is re-initialised, and in which stages; none of a program."""
    if "hooks" not in job.model.gives or job.model.config.source == "export":
        return None, {}
    try:
        copy = Randomised(job.model.module)
    except ModelError:
        return None, {}
    return copy, changes_of(find_stages(job.model.module, images[:1]))


def _classes(job: Job, images: torch.Tensor, samples: Sequence[Sample]) -> torch.Tensor:
    """The class whose score is explained in each sample, of a contrast the first."""
    model = job.model
    with evaluating(model.module), torch.inference_mode():
        logits = model.scores(model.module(images)).float()
    labels = [sample.label for sample in samples]
    return class_indices(job.targets[0], logits, labels, model.classes, task=model.task).clone()


def _question(job: Job, own: torch.Tensor, seed: int) -> Question:
    """What is explained in a batch, fixed, and another class of the same images, drawn at random."""
    model, target = job.model, job.targets[0]
    count = len(model.classes)
    other = None
    if count > 1:
        draw = torch.Generator().manual_seed(seed)
        further = torch.randint(1, count, (len(own),), generator=draw).to(own.device)
        other = (own + further) % count
    return Question(
        methods=job.config.audit.methods,
        target=_scalar(job, target, own),
        other=_other(job, target, own, other),
        layer=model.target_layer or "auto",
        reference="hooks" in model.gives,
    )


def _confidence(job: Job, explained: Target, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The probability of what is explained, of a contrast that of the first class against the second: (n,).

    A regression has none: there it is the output itself.

    Args:
        job: the audit.
        explained: the score, of the samples of a batch.
        images: variants of them, as the model takes them, (n, channels, height, width).
        rows: of each image the place of its sample, (n,).
    """
    model, task = job.model, job.model.task
    with evaluating(model.module), torch.inference_mode():
        output = model.module(images)
        value = explained.value(Seen(output, rows, {})).double()
        if task == "regression":
            return value
        if job.targets[0].kind == "contrast" or task == "multilabel":
            return value.sigmoid()
        return (value - model.scores(output).double().logsumexp(1)).exp()


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


def _tidy(found: Found, samples: Sequence[str], draw: int | NDArray[np.int64]) -> pd.DataFrame:
    keys, values = zip(*sorted(found.items()), strict=True)
    many, one = len(samples), len(keys)
    return pd.DataFrame(
        {
            "sample": np.tile(np.array(samples, dtype=object), one),
            "method": np.repeat(np.array([method for method, _ in keys], dtype=object), many),
            "check": np.repeat(np.array([check for _, check in keys], dtype=object), many),
            "value": np.concatenate(values),
            "draw": np.tile(np.broadcast_to(draw, many), one),
        }
    )[list(COLUMNS)]
