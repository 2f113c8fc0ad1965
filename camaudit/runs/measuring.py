"""One batch through the model: predictions, maps, localisation and intervention, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.errors import ModelError
from camaudit.explain import explain
from camaudit.measure import localisation, margins
from camaudit.models import class_indices
from camaudit.models.outputs import confidence, is_right, values_of
from camaudit.runs import exchanging, transplanting
from camaudit.runs.intervening import Asked, intervene, plan_edits
from camaudit.runs.store import scale_column
from camaudit.runs.targets import OfAudit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.data import Batch
    from camaudit.models import LoadedModel
    from camaudit.runs.pool import Pool
    from camaudit.runs.settings import Settings
    from camaudit.types import Sample

_ROW = ("sample", "method", "target", "target_class", "region", "role", "metric", "value")


@dataclass(frozen=True)
class Measured:
    """One batch, measured.

    Attributes:
        samples: rows of the samples table.
        maps: by (method, target): (n, h, w) float16, each map divided by its maximum.
        measurements: tidy rows; shifts in units of the score.
        exchanges: one row a sample, donor, region and target; margins in units of the score.
        transplants: one row a sample, donor, region and target; shifts in units of the score.
    """

    samples: pd.DataFrame
    maps: Mapping[tuple[str, str], NDArray[np.float16]]
    measurements: pd.DataFrame
    exchanges: pd.DataFrame
    transplants: pd.DataFrame


def measure_batch(batch: Batch, model: LoadedModel, settings: Settings, pool: Pool) -> Measured:
    """Measure a batch that is not empty; edits that need other samples take them from the pool."""
    images = model.inputs(torch.from_numpy(batch.images).to(settings.device))
    labels = [sample.label for sample in batch.samples]

    explained = explain(
        model.module,
        images,
        methods=settings.methods,
        targets=[OfAudit(target, labels, model) for target in settings.targets],
        layer=model.target_layer or "auto",  # a TorchScript program has none to name
    )
    logits = model.scores(explained.output).float()
    _check_finite(logits, batch.samples, model)
    chosen = torch.stack(
        [
            class_indices(target, logits, labels, model.classes, task=model.task)
            for target in settings.targets
        ],
        1,
    )
    coverage = torch.from_numpy(batch.coverage).to(settings.device)
    valid = torch.from_numpy(batch.valid).to(settings.device)

    frames = []
    for method in settings.methods:
        found = localisation(explained[method], coverage, valid)
        frames.append(_tidy(found, batch.samples, method, chosen, model=model, settings=settings))
    exchanges, transplants = exchanging.nothing(), transplanting.nothing()
    if settings.edited:
        asked = Asked.of(model, batch.samples, logits, settings.targets, chosen)
        plan = plan_edits(batch, settings)
        for fill, edited in intervene(batch, images, asked, settings, plan=plan, pool=pool).items():
            rows = _tidy(edited, batch.samples, fill, chosen, model=model, settings=settings)
            frames.append(rows[rows["region"].isin(settings.edited)])
        exchanges = exchanging.exchange(batch, images, asked, settings, plan=plan, pool=pool)
        transplants = transplanting.transplant(batch, images, asked, settings, pool)
    maps, scales = _stored(explained.maps, settings)
    return Measured(
        samples=_rows(batch.samples, logits.cpu(), model, settings.groups, scales).assign(
            **{f"look_{name}": values for name, values in batch.looks.items()}
        ),
        maps=maps,
        measurements=pd.concat(frames, ignore_index=True),
        exchanges=exchanges,
        transplants=transplants,
    )


def _check_finite(logits: torch.Tensor, samples: Sequence[Sample], model: LoadedModel) -> None:
    for sample, finite in zip(samples, logits.isfinite().all(1).tolist(), strict=True):
        if not finite:
            msg = (
                f"The scores that {model.name} gives to {sample.image} are not finite numbers. "
                "Check the weights and model.preprocessing."
            )
            raise ModelError(msg)


def _tidy(
    metrics: Mapping[str, torch.Tensor],
    samples: Sequence[Sample],
    method: str,
    chosen: torch.Tensor,
    *,
    model: LoadedModel,
    settings: Settings,
) -> pd.DataFrame:
    ids = np.array([sample.id for sample in samples], dtype=object)
    targets = np.array([target.id for target in settings.targets], dtype=object)
    regions = np.array(list(settings.roles), dtype=object)
    roles = np.array(list(settings.roles.values()), dtype=object)
    classes = np.array(model.classes, dtype=object)[chosen.cpu().numpy()]
    shape = (len(ids), len(targets), len(regions))
    common = {
        "sample": np.broadcast_to(ids[:, None, None], shape).ravel(),
        "method": method,
        "target": np.broadcast_to(targets[None, :, None], shape).ravel(),
        "target_class": np.broadcast_to(classes[:, :, None], shape).ravel(),
        "region": np.broadcast_to(regions, shape).ravel(),
        "role": np.broadcast_to(roles, shape).ravel(),
    }
    frames = [
        pd.DataFrame({**common, "metric": metric, "value": values.cpu().double().numpy().ravel()})
        for metric, values in metrics.items()
    ]
    return pd.concat(frames, ignore_index=True)[list(_ROW)]


def _stored(
    maps: Mapping[str, torch.Tensor], settings: Settings
) -> tuple[dict[tuple[str, str], NDArray[np.float16]], dict[str, NDArray[np.float32]]]:
    stored: dict[tuple[str, str], NDArray[np.float16]] = {}
    scales: dict[str, NDArray[np.float32]] = {}
    for method, values in maps.items():
        raw = values.float().cpu().numpy()
        for index, target in enumerate(settings.targets):
            one = raw[:, index]
            scale = one.max(axis=(1, 2))
            safe = np.where(scale > 0, scale, 1)[:, None, None]
            stored[method, target.id] = (one / safe).astype(np.float16)
            scales[scale_column(method, target.id)] = scale.astype(np.float32)
    return stored, scales


def _rows(
    samples: Sequence[Sample],
    logits: torch.Tensor,
    model: LoadedModel,
    groups: Sequence[str],
    scales: Mapping[str, NDArray[np.float32]],
) -> pd.DataFrame:
    classes, task = model.classes, model.task
    predicted = logits.argmax(1)
    names = [classes[index] for index in predicted.tolist()]
    labels = [sample.label for sample in samples]
    decides = task != "regression"
    table = pd.DataFrame(
        {
            "sample": [sample.id for sample in samples],
            "image": [str(sample.image) for sample in samples],
            "label": pd.array(labels, dtype="string"),
            "predicted": pd.array(names if decides else [None] * len(names), dtype="string"),
            "correct": pd.array(
                [is_right(name, label, task) for label, name in zip(labels, names, strict=True)],
                dtype="boolean",
            ),
            "confidence": confidence(logits, task).numpy(),
            "margin": margins(logits, predicted, task).double().numpy() if decides else np.nan,
            "split": pd.array([sample.split for sample in samples], dtype="string"),
            "subject": pd.array([sample.subject for sample in samples], dtype="string"),
        }
    )
    for name in groups:
        table[f"group_{name}"] = pd.array([sample.groups.get(name) for sample in samples], dtype="string")
    scores = {f"score_{name}": logits[:, i].numpy() for i, name in enumerate(classes)}
    if not decides:
        truth = [values_of(label, len(classes)) or (np.nan,) * len(classes) for label in labels]
        errors = logits.double().numpy() - np.array(truth, dtype=np.float64)
        scores |= {f"error_{name}": errors[:, i] for i, name in enumerate(classes)}
    return pd.concat([table, pd.DataFrame(scores), pd.DataFrame(scales)], axis=1)
