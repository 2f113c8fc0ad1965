"""What donors put in: their backgrounds behind the objects of a batch, or their attribute in the place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from camaudit.measure.exchange import exchangeable, exchanged_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.data import Batch
    from camaudit.runs.intervening import Asked, Edits
    from camaudit.runs.pool import Pool
    from camaudit.runs.settings import Settings

COLUMNS = ("sample", "donor", "region", "put", "target", "target_class", "value")
BACKGROUND, ATTRIBUTE = "background", "attribute"
"""What of the donor is put into the sample's image."""


def exchange(
    batch: Batch,
    images: torch.Tensor,
    asked: Asked,
    settings: Settings,
    *,
    plan: Mapping[str, Edits],
    pool: Pool,
) -> pd.DataFrame:
    """One row a sample, donor, region and target: the margin, in units of the score, with what the donor gives.

    Its background, where an attribute leaves no room for controls and the object can be taken out of its surroundings; its
    attribute, where (nearly) every image has one and its kind is what matters.

    Args:
        batch: the samples.
        images: as the model takes them.
        asked: what is asked of an edit.
        settings: what is measured.
        plan: what is edited, and where that is not possible.
        pool: the donors.
    """
    tables = [_backgrounds(batch, images, asked, settings, plan=plan, pool=pool)]
    tables += [_attributes(batch, asked, settings, region, pool=pool) for region in pool.replaceable]
    known = [table for table in tables if len(table)]
    return pd.concat(known, ignore_index=True) if known else nothing()


def _backgrounds(
    batch: Batch,
    images: torch.Tensor,
    asked: Asked,
    settings: Settings,
    *,
    plan: Mapping[str, Edits],
    pool: Pool,
) -> pd.DataFrame:
    """The objects of samples on the backgrounds of donors."""
    wanted = _wanted(batch, settings, {name: of for name, of in plan.items() if name not in pool.replaceable})
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
    given = [(row, backgrounds.name(place), wanted[row]) for row, place in pairs]
    return _rows(asked, after, given, BACKGROUND)


def _attributes(batch: Batch, asked: Asked, settings: Settings, region: str, *, pool: Pool) -> pd.DataFrame:
    """The images of samples with the attribute of donors in the place of their own."""
    replacements = pool.replacements(region)
    coverage = np.nan_to_num(batch.coverage[:, list(settings.roles).index(region)]).astype(np.float32)
    item = None if settings.item is None else list(settings.roles).index(settings.item)
    given, frames = [], []
    for row, sample in enumerate(batch.samples):
        places = replacements.chosen(sample, coverage[row], settings.donors)
        free = batch.valid[row].astype(np.float32)
        if item is not None:
            free *= 1 - np.nan_to_num(batch.coverage[row, item])
        frames += replacements.replaced(batch.images[row], coverage[row], free, places) if places else []
        given += [(row, replacements.name(place), [region]) for place in places]
    if not given:
        return nothing()
    composed = torch.from_numpy(np.stack(frames))
    after = torch.cat(
        [
            asked.scores(asked.model.inputs(part.to(settings.device)))
            for part in torch.split(composed, settings.chunk)
        ]
    )
    return _rows(asked, after, given, ATTRIBUTE)


def _rows(
    asked: Asked, after: torch.Tensor, given: Sequence[tuple[int, str, Sequence[str]]], put: str
) -> pd.DataFrame:
    """The rows of images put together anew, from their scores.

    Args:
        asked: what is asked of an edit.
        after: their scores, (n, classes).
        given: of each the row of its sample in the batch, the name of its donor, and the regions it tells of.
        put: what of the donor was put in.
    """
    rows = torch.tensor([row for row, _, _ in given], device=after.device)
    classes = asked.chosen.tolist()
    found = []
    for target, of in enumerate(asked.targets):
        answers = asked.answers(after, rows, target).tolist()
        found += [
            (
                asked.samples[row].id,
                donor,
                region,
                put,
                of.id,
                asked.model.classes[classes[row][target]],
                value,
            )
            for (row, donor, regions), value in zip(given, answers, strict=True)
            for region in regions
        ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _wanted(batch: Batch, settings: Settings, plan: Mapping[str, Edits]) -> dict[int, list[str]]:
    """The attributes of each row whose effect is told by other backgrounds."""
    names, found = list(settings.roles), dict[int, list[str]]()
    if settings.item is None or not settings.exchange:
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
