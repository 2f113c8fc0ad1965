"""The dry run: everything that is wrong, at once, and what the audit will cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from camaudit.config import parse_target
from camaudit.data import batches, open_dataset
from camaudit.errors import CamauditError
from camaudit.explain import get_method
from camaudit.measure import measured_regions
from camaudit.models import open_model
from camaudit.runs.fit import check_labels, check_targets, find_device
from camaudit.runs.measuring import measure_batch, settings_of
from camaudit.runs.progress import Progress, Silent
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from camaudit.config import AuditConfig
    from camaudit.data import Batch, Dataset
    from camaudit.models import LoadedModel
    from camaudit.types import Skipped

T = TypeVar("T")
_RAW = Preprocessing(resize=64, crop=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="nearest")


@dataclass(frozen=True)
class Check:
    """What a dry run found.

    Attributes:
        problems: one sentence each; an audit with any of these is refused.
        unreadable: images that a run would leave out, unless it is strict.
        facts: what was resolved, in order: name and value.
        regions: one row a region: ``region, role, annotated, empty`` (numbers of samples), ``area`` (mean share).
        groups: number of samples per label and value of each group column: ``group, value, label, n``.
        seconds: estimated wall time of measuring the whole dataset; None where nothing could be tried.
    """

    problems: tuple[str, ...]
    unreadable: tuple[Skipped, ...]
    facts: dict[str, str]
    regions: pd.DataFrame
    groups: pd.DataFrame
    seconds: float | None


def check(config: AuditConfig, *, progress: Progress | None = None) -> Check:
    """Try everything an audit needs, without writing anything.

    Reads every image and mask, loads the model, and runs one batch.
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
    model = attempt(lambda: open_model(config.model))
    facts: dict[str, str] = {}
    unreadable: tuple[Skipped, ...] = ()
    regions = pd.DataFrame(columns=["region", "role", "annotated", "empty", "area"])
    seconds = None
    if data is not None:
        facts["samples"] = str(len(data))
        unreadable, regions = _read_all(data, progress)
        attempt(lambda: check_labels(data, config.model.classes))
        targets = [parse_target(target) for target in config.audit.targets]
        attempt(lambda: check_targets(data, targets, config.model.classes))
        if len(unreadable) == len(data):
            problems.append(f"None of the {len(data)} images can be read. The first: {unreadable[0].reason}")
    if model is not None:
        recipe = model.preprocessing
        facts |= {
            "model": model.name,
            "target layer": model.target_layer,
            "preprocessing": f"resize {recipe.resize}, crop {recipe.crop}, {recipe.interpolation}, "
            f"mean {recipe.mean}, std {recipe.std}",
        }
    if data is not None and model is not None and device is not None and not problems:
        seconds = attempt(lambda: _one_batch(data, model, config, device))
        facts["device"] = str(device)
    return Check(tuple(problems), unreadable, facts, regions, _group_table(data), seconds)


def _read_all(data: Dataset, progress: Progress) -> tuple[tuple[Skipped, ...], pd.DataFrame]:
    parts = {name: (name,) for name in data.regions}
    unreadable: list[Skipped] = []
    areas = []
    done = 0
    for batch in batches(data.samples, _RAW, parts, 64):
        unreadable += batch.skipped
        areas.append(batch.coverage.mean(axis=(2, 3)) if batch.samples else np.empty((0, len(parts))))
        done += len(batch.samples) + len(batch.skipped)
        progress.update("check", done, len(data))
    area = np.concatenate(areas)
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
    return tuple(unreadable), pd.DataFrame(rows, columns=["region", "role", "annotated", "empty", "area"])


def _one_batch(data: Dataset, model: LoadedModel, config: AuditConfig, device: torch.device) -> float | None:
    """Seconds for the whole dataset, from one batch after a smaller one to warm up."""
    parts, roles = measured_regions(data.regions)
    settings = settings_of(config, data.groups, roles, device)
    model.module.to(device)

    def measure(batch: Batch) -> float:
        started = time.perf_counter()
        measure_batch(batch, model, settings)
        return time.perf_counter() - started

    spent = [
        (measure(batch), len(batch.samples))
        for batch in batches(data.samples[:10], model.preprocessing, parts, 8)
        if batch.samples
    ]
    model.module.to("cpu")
    return spent[0][0] / spent[0][1] * len(data) if spent else None


def _group_table(data: Dataset | None) -> pd.DataFrame:
    rows = [
        {"group": group, "value": value, "label": sample.label, "n": 1}
        for sample in (data.samples if data is not None else ())
        for group, value in sample.groups.items()
    ]
    table = pd.DataFrame(rows, columns=["group", "value", "label", "n"])
    return table.groupby(["group", "value", "label"], dropna=False)["n"].sum().reset_index()
