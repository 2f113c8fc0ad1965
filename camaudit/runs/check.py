"""The dry run: everything that is wrong, at once, and what the audit will cost."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from camaudit.config import parse_target
from camaudit.data import Frame, batches, open_dataset, open_image
from camaudit.data.masks import region_masks
from camaudit.errors import CamauditError, DataError
from camaudit.explain import get_method
from camaudit.measure import measured_regions
from camaudit.models import open_model
from camaudit.runs.device import enough_memory, full_precision
from camaudit.runs.fit import check_labels, check_methods, check_targets, find_device
from camaudit.runs.job import batch_size
from camaudit.runs.measuring import measure_batch, settings_of
from camaudit.runs.progress import Progress, Silent
from camaudit.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import torch

    from camaudit.config import AuditConfig
    from camaudit.data import Dataset
    from camaudit.models import LoadedModel
    from camaudit.types import Preprocessing, Sample

T = TypeVar("T")
_THREADS = 4
_AHEAD = 64  # samples that are read before their turn


@dataclass(frozen=True)
class Check:
    """What a dry run found.

    Attributes:
        problems: one sentence each; an audit with any of these is refused.
        unreadable: images that a run would leave out, unless it is strict.
        facts: what was resolved, in order: name and value.
        regions: one row a region: ``region, role, annotated, empty`` (numbers of samples), ``area`` (mean share of the
            whole image, where it is not empty).
        groups: number of samples per label and value of each group column: ``group, value, label, n``.
        seconds: estimated wall time of measuring the whole dataset; None where nothing could be tried.
    """

    problems: tuple[str, ...]
    unreadable: tuple[Skipped, ...]
    facts: dict[str, str]
    regions: pd.DataFrame
    groups: pd.DataFrame
    seconds: float | None


def check(config: AuditConfig, *, trust_code: bool = False, progress: Progress | None = None) -> Check:
    """Try everything an audit needs, without writing anything.

    Reads every image and mask, loads the model, and runs one batch, twice.
    """
    progress = progress or Silent()
    problems: list[str] = []

    def attempt(step: Callable[[], T]) -> T | None:
        try:
            return step()
        except CamauditError as error:
            problems.append(str(error))
            return None

    for method in config.audit.methods:
        attempt(partial(get_method, method))
    device = attempt(lambda: find_device(config.audit.device))
    data = attempt(lambda: open_dataset(config.data, config.roles))
    model = attempt(lambda: open_model(config.model, trust_code=trust_code))
    facts: dict[str, str] = {}
    unreadable: tuple[Skipped, ...] = ()
    regions = pd.DataFrame(columns=["region", "role", "annotated", "empty", "area"])
    seconds = None
    if data is not None:
        facts["samples"] = str(len(data))
        unreadable, regions, sizes = _read_all(data, progress)
        if model is not None:
            problems += _mixed_frames(sizes, model.preprocessing)
        classes, task = model.classes if model else tuple(config.model.classes), config.model.task
        targets = [parse_target(target) for target in config.audit.targets]
        attempt(lambda: check_labels(data, classes, task=task))
        attempt(lambda: check_targets(data, targets, classes, task=task))
        if len(unreadable) == len(data):
            problems.append(f"None of the {len(data)} images can be read. The first: {unreadable[0].reason}")
    if model is not None:
        attempt(lambda: check_methods(config.audit.methods, model))
        facts |= _model_facts(model)
    if data is not None and model is not None and device is not None and not problems:
        seconds = attempt(lambda: _one_batch(data, model, config, device))
        facts["device"] = str(device)
    return Check(tuple(problems), unreadable, facts, regions, _group_table(data), seconds)


def _model_facts(model: LoadedModel) -> dict[str, str]:
    """What was found out about the model, as a person reads it."""
    recipe = model.preprocessing
    facts = {
        "model": model.name,
        "task": f"{model.task}: {', '.join(model.classes[:6])}{', ...' if len(model.classes) > 6 else ''}",
        "target layer": model.target_layer or "none: its layers cannot be looked into",
        "preprocessing": f"resize {recipe.resize}, crop {recipe.crop}, {recipe.interpolation}, "
        f"mean {recipe.mean}, std {recipe.std} (from {model.preprocessing_of})",
    }
    return facts | ({"weights": "; ".join(model.notes)} if model.notes else {})


def _read_all(
    data: Dataset, progress: Progress
) -> tuple[tuple[Skipped, ...], pd.DataFrame, dict[tuple[int, int], Path]]:
    """What cannot be read, the table of the regions, and each size of an image with the first one that has it."""
    names = tuple(data.regions)
    unreadable: list[Skipped] = []
    sizes: dict[tuple[int, int], Path] = {}
    area = np.full((len(data), len(names)), np.nan)
    for row, found in enumerate(_looked_at(data.samples)):
        if isinstance(found, Skipped):
            unreadable.append(found)
        else:
            sizes.setdefault(found.size, data.samples[row].image)
            area[row] = [found.areas.get(name, np.nan) for name in names]
        if (row + 1) % _AHEAD == 0 or row + 1 == len(data):
            progress.update("check", row + 1, len(data))
    rows = [
        {
            "region": name,
            "role": role,
            "annotated": int((~np.isnan(area[:, column])).sum()),
            "empty": int((area[:, column] == 0).sum()),
            "area": float(area[area[:, column] > 0, column].mean())
            if (area[:, column] > 0).any()
            else np.nan,
        }
        for column, (name, role) in enumerate(data.regions.items())
    ]
    table = pd.DataFrame(rows, columns=["region", "role", "annotated", "empty", "area"])
    return tuple(unreadable), table, sizes


@dataclass(frozen=True)
class _Look:
    """The (height, width) of an image and the shares of it that its regions take, all in its own frame."""

    size: tuple[int, int]
    areas: dict[str, float]


def _looked_at(samples: Sequence[Sample]) -> Iterator[_Look | Skipped]:
    waiting: deque[Future[_Look | Skipped]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for sample in samples:
            waiting.append(pool.submit(_look, sample))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _look(sample: Sample) -> _Look | Skipped:
    try:
        image = open_image(sample.image)
        size = (image.height, image.width)
        masks = region_masks(sample.regions, size, image=str(sample.image))
    except DataError as error:
        return Skipped(sample.id, str(sample.image), str(error))
    return _Look(size, {name: float(mask.mean()) for name, mask in masks.items()})


def _mixed_frames(sizes: Mapping[tuple[int, int], Path], recipe: Preprocessing) -> list[str]:
    """The problem of images that have different sizes in the model's frame, which no batch can hold."""
    frames: dict[tuple[int, int], Path] = {}
    for size, image in sizes.items():
        frames.setdefault(Frame.of(size, recipe).crop, image)
    if len(frames) < 2:
        return []
    shown = [f"{width}x{height} of {image}" for (height, width), image in islice(frames.items(), 3)]
    more = ", ..." if len(frames) > len(shown) else ""
    msg = (
        f"The images have {len(frames)} different sizes in the model's frame ({', '.join(shown)}{more}). "
        "Set model.preprocessing.crop, or resize to a height and a width."
    )
    return [msg]


def _one_batch(data: Dataset, model: LoadedModel, config: AuditConfig, device: torch.device) -> float:
    """Seconds for the whole dataset, from one batch; what the first pass costs beyond the second comes once."""
    parts, roles = measured_regions(data.regions)
    settings = settings_of(config, data.groups, roles, device)
    size = batch_size(config, device)
    whole = (batch for batch in batches(data.samples, model.preprocessing, parts, size) if batch.samples)
    batch = next(whole)  # an image can be read: else there was a problem
    with full_precision(), enough_memory(size):
        model.module.to(device)
        measure_batch(batch, model, settings)
        started = time.perf_counter()
        measure_batch(batch, model, settings)
        spent = time.perf_counter() - started
    model.module.to("cpu")
    return spent / len(batch.samples) * len(data)


def _group_table(data: Dataset | None) -> pd.DataFrame:
    rows = [
        {"group": group, "value": value, "label": sample.label, "n": 1}
        for sample in (data.samples if data is not None else ())
        for group, value in sample.groups.items()
    ]
    table = pd.DataFrame(rows, columns=["group", "value", "label", "n"])
    return table.groupby(["group", "value", "label"], dropna=False)["n"].sum().reset_index()
