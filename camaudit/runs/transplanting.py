"""Attributes of donors in the images of one batch that lack them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.measure.transplant import CONTROLS, pasted_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.data import Batch
    from camaudit.runs.intervening import Asked
    from camaudit.runs.pool import Pool
    from camaudit.runs.settings import Settings

SHIFTS = ("shift", "shift_region")
COLUMNS = ("sample", "donor", "region", "target", "target_class", *SHIFTS)


def transplant(
    batch: Batch, images: torch.Tensor, asked: Asked, settings: Settings, pool: Pool
) -> pd.DataFrame:
    """One row a sample, donor, region and target: what the donor's attribute adds to the margin.

    Only of images that are annotated as lacking it.
    """
    tables = [
        _of_region(batch, images, asked, settings, pool=pool, region=region)
        for region in settings.edited
        if settings.transplant and settings.roles[region] == "attribute"
    ]
    return pd.concat(tables, ignore_index=True) if tables else nothing()


def _of_region(
    batch: Batch, images: torch.Tensor, asked: Asked, settings: Settings, *, pool: Pool, region: str
) -> pd.DataFrame:
    attributes = pool.attributes(region)
    coverage = batch.coverage[:, list(settings.roles).index(region)]
    pairs = [
        (row, place, others)
        for row, sample in enumerate(batch.samples)
        if coverage[row].max() == 0  # not of one that is not annotated: its coverage is not a number
        for place, others in attributes.chosen(sample)
    ]
    if not pairs:
        return nothing()
    rows = torch.tensor([row for row, _, _ in pairs], device=images.device)
    every = rows.repeat_interleave(1 + CONTROLS)
    after = pasted_scores(
        images,
        every,
        torch.from_numpy(np.concatenate([attributes.frames(place, others) for _, place, others in pairs])),
        torch.from_numpy(np.stack([attributes.share(place) for _, place, _ in pairs])).repeat_interleave(
            1 + CONTROLS, 0
        ),
        asked.scores,
        encode=asked.model.inputs,
        chunk=settings.chunk,
    )
    named = [(batch.samples[row].id, attributes.name(place), row) for row, place, _ in pairs]
    return _rows(asked, after, every, named, region)


def _rows(
    asked: Asked, after: torch.Tensor, every: torch.Tensor, pairs: Sequence[tuple[str, str, int]], region: str
) -> pd.DataFrame:
    """The rows of one region, from the scores after each paste: the attribute's first, then its controls'."""
    found = []
    for target, of in enumerate(asked.targets):
        before = asked.answers(asked.logits[every], every, target)
        gains = (asked.answers(after, every, target) - before).view(-1, 1 + CONTROLS)
        table = pd.DataFrame(list(pairs), columns=["sample", "donor", "row"])
        classes = asked.chosen[:, target].tolist()
        found.append(
            table.assign(
                region=region,
                target=of.id,
                target_class=[asked.model.classes[classes[row]] for row in table["row"]],
                shift=(gains[:, 0] - gains[:, 1:].mean(1)).cpu().numpy(),
                shift_region=gains[:, 0].cpu().numpy(),
            )
        )
    return pd.concat(found, ignore_index=True)[list(COLUMNS)]


def nothing() -> pd.DataFrame:
    """The table where nothing was transplanted."""
    kinds = dict.fromkeys(COLUMNS[:5], "str") | dict.fromkeys(SHIFTS, "float64")
    return pd.DataFrame(columns=list(COLUMNS)).astype(kinds)
