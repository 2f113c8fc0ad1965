"""Objects of one batch on the backgrounds of donors, where a region is too large for controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.measure.exchange import exchangeable, exchanged_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.data import Batch
    from camaudit.runs.intervening import Asked, Edits
    from camaudit.runs.pool import Pool
    from camaudit.runs.settings import Settings

COLUMNS = ("sample", "donor", "region", "target", "target_class", "value")


def exchange(
    batch: Batch,
    images: torch.Tensor,
    asked: Asked,
    settings: Settings,
    *,
    plan: Mapping[str, Edits],
    pool: Pool,
) -> pd.DataFrame:
    """One row a sample, donor, region and target: the margin, in units of the score, on the donor's background.

    Only of attributes that leave no room for controls, in samples whose object can be taken out of its surroundings.

    Args:
        batch: the samples.
        images: as the model takes them.
        asked: what is asked of an edit.
        settings: what is measured.
        plan: what is edited, and where that is not possible.
        pool: the donors.
    """
    wanted = _wanted(batch, settings, plan)
    if not wanted or (backgrounds := pool.backgrounds) is None:
        return nothing()
    item = torch.from_numpy(np.nan_to_num(batch.coverage[:, list(settings.roles).index(str(settings.item))]))
    pairs = [
        (row, place) for row in wanted for place in backgrounds.chosen(batch.samples[row], settings.donors)
    ]
    if not pairs:
        return nothing()
    rows_of = torch.tensor([row for row, _ in pairs], device=images.device)
    after = exchanged_scores(
        images,
        item.to(images),
        rows_of,
        torch.from_numpy(backgrounds.frames[[place for _, place in pairs]]),
        asked.scores,
        encode=asked.model.inputs,
        chunk=settings.chunk,
    )
    classes = asked.chosen.tolist()
    found = []
    for target, of in enumerate(settings.targets):
        answers = asked.answers(after, rows_of, target).tolist()
        found += [
            (
                batch.samples[row].id,
                backgrounds.name(place),
                region,
                of.id,
                asked.model.classes[classes[row][target]],
                value,
            )
            for (row, place), value in zip(pairs, answers, strict=True)
            for region in wanted[row]
        ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _wanted(batch: Batch, settings: Settings, plan: Mapping[str, Edits]) -> dict[int, list[str]]:
    """The attributes of each row whose effect is told by other backgrounds."""
    names, found = list(settings.roles), dict[int, list[str]]()
    if settings.item is None:
        return found
    coverage = torch.from_numpy(np.nan_to_num(batch.coverage))
    for region, planned in plan.items():
        if settings.roles[region] != "attribute":
            continue
        for row in planned.large:
            own, item = (coverage[row, names.index(name)] for name in (region, settings.item))
            if exchangeable(own, item):
                found.setdefault(row, []).append(region)
    return found


def nothing() -> pd.DataFrame:
    """The table where nothing was exchanged."""
    kinds = dict.fromkeys(COLUMNS[:-1], "str") | {"value": "float64"}
    return pd.DataFrame(columns=list(COLUMNS)).astype(kinds)
