"""Whether the score follows the look of the whole image when that is changed, on a sample of the run's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.data import batches
from camaudit.measure import margins
from camaudit.measure.recast import RECASTS, recast
from camaudit.models.layers import evaluating
from camaudit.runs.job import batch_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from camaudit.data import Batch
    from camaudit.runs.job import Job

COLUMNS = ("sample", "look", "target_class", "value")
LEAST = 100
"""Images whose looks are changed, where there are as many."""
EACH = 20
"""And as many for every class."""
CLASSES = 20
"""With more classes nothing is changed: it would take too many images to see each."""


def nothing() -> pd.DataFrame:
    """The table where no look was changed."""
    return pd.DataFrame({name: pd.Series(dtype="str") for name in COLUMNS}).astype({"value": "float64"})


def recasts(job: Job) -> pd.DataFrame:
    """What more of a look adds to the margin of every class, in units of the score, one row a sample, look and class.

    The images are spread evenly over the dataset. Empty where edits are turned off (`audit.intervention`), for tasks without
    one class an image, and for more than `CLASSES` classes.
    """
    model, count = job.model, len(job.data)
    edits = job.config.audit.intervention
    several = len(model.classes)
    if not (edits.enabled and edits.looks) or model.task not in {"multiclass", "binary"} or several > CLASSES:
        return nothing()
    wanted = min(count, max(LEAST, EACH * several))
    chosen = [job.data.samples[i] for i in np.unique(np.linspace(0, count - 1, wanted).round().astype(int))]
    found = [
        _one(job, batch, look)
        for batch in batches(chosen, model.preprocessing, {}, batch_size(job.config, job.device))
        if batch.samples
        for look in RECASTS
    ]
    return pd.concat([nothing(), *found], ignore_index=True) if found else nothing()


def _one(job: Job, batch: Batch, look: str) -> pd.DataFrame:
    """One look of one batch."""
    changed = [recast(image, look) for image in batch.images]
    signs = [sign for sign, _ in changed[0]]
    before = _margins(job, batch.images)
    gain = np.zeros_like(before)
    for place, sign in enumerate(signs):
        pixels = np.stack([versions[place][1] for versions in changed])
        # padding is no part of the image
        pixels = np.where(batch.valid[..., None], pixels, batch.images)
        gain += sign * (_margins(job, pixels) - before) / len(signs)
    names = [sample.id for sample in batch.samples]
    return pd.DataFrame(
        {
            "sample": np.repeat(np.array(names, dtype=object), len(job.model.classes)),
            "look": look,
            "target_class": np.tile(np.array(job.model.classes, dtype=object), len(names)),
            "value": gain.ravel(),
        }
    )


def _margins(job: Job, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The margin of every class, (n, classes), in units of the score."""
    model = job.model
    inputs = model.inputs(torch.from_numpy(np.ascontiguousarray(pixels)).to(job.device))
    with evaluating(model.module), torch.inference_mode():
        scores = model.scores(model.module(inputs)).float()
    every = [
        margins(scores, torch.full((len(scores),), index, device=scores.device), model.task)
        for index in range(len(model.classes))
    ]
    return np.asarray(torch.stack(every, 1).double().cpu().numpy(), dtype=np.float64)
