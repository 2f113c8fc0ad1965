"""Regions and their controls are edited in one batch: what the scores do then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from camaudit.measure import FILLS, Pictures, controls, edited_scores, margins
from camaudit.models import target_scores
from camaudit.models.layers import evaluating
from camaudit.models.outputs import is_right
from camaudit.runs.pool import SWAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.config.model import Task
    from camaudit.data import Batch
    from camaudit.models import LoadedModel
    from camaudit.runs.pool import Pool
    from camaudit.runs.settings import Settings
    from camaudit.types import OutputTarget, Sample

EDITS = tuple(FILLS)
"""What `method` of a measurement may be where a region was edited."""
_WIDE = 0.5  # of the image
SHIFTS = ("shift", "shift_region", "shift_control", "response")
FLIPS = ("flip", "flip_control")
ACCURACIES = ("accuracy", "accuracy_region", "accuracy_control")


@dataclass(frozen=True)
class Asked:
    """One batch as the model saw it, and what is asked of every edit of it.

    Attributes:
        model: the model.
        samples: the samples of the batch.
        logits: one score a class before any edit, (batch, classes).
        targets: the output targets.
        chosen: the class each target stands for, (batch, targets).
        right: whether each class would be right, (batch, classes) of 0 and 1; NaN where it cannot be said.
    """

    model: LoadedModel
    samples: Sequence[Sample]
    logits: torch.Tensor
    targets: Sequence[OutputTarget]
    chosen: torch.Tensor
    right: torch.Tensor

    @classmethod
    def of(
        cls,
        model: LoadedModel,
        samples: Sequence[Sample],
        logits: torch.Tensor,
        targets: Sequence[OutputTarget],
        chosen: torch.Tensor,
    ) -> Asked:
        """What is asked of a batch."""
        said = [[is_right(name, sample.label, model.task) for name in model.classes] for sample in samples]
        numbers = [[float("nan") if of is None else float(of) for of in row] for row in said]
        right = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
        return cls(model, samples, logits, targets, chosen, right)

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """One score a class of images as the model takes them, (batch, classes)."""
        with evaluating(self.model.module), torch.inference_mode():
            return self.model.scores(self.model.module(images)).float()

    def answers(self, logits: torch.Tensor, rows: torch.Tensor, target: int) -> torch.Tensor:
        """What an edit is measured by, (n,): the contrast that a map explains, or the margin of a target's class.

        Args:
            logits: of n images.
            rows: the sample that each of them is of or stands for, (n,).
            target: its place.
        """
        if self.targets[target].kind == "contrast":
            return target_scores(
                self.targets[target], logits, [None] * len(logits), self.model.classes
            ).double()
        return margins(logits, self.chosen[rows, target], self.model.task).double()


@dataclass(frozen=True)
class Edits:
    """What is edited of one region in one batch.

    Attributes:
        rows: the samples that have the region, and room for controls.
        edits: coverage of their region and its copies, (rows, 1 + copies, height, width).
        large: the samples that have the region, and no room for controls.
    """

    rows: list[int]
    edits: torch.Tensor
    large: list[int]


def plan_edits(batch: Batch, settings: Settings) -> dict[str, Edits]:
    """What is edited of every region; the controls are the same for every fill."""
    names = list(settings.roles)
    coverage, valid = torch.from_numpy(np.nan_to_num(batch.coverage)), torch.from_numpy(batch.valid)
    matters = [i for i, name in enumerate(names) if settings.roles[name] != "context"]
    # of a region that takes most of the image, such as a background, no control can keep clear
    wide = (coverage.sum((-2, -1)) > _WIDE * valid.sum((-2, -1))[:, None])[..., None, None]
    avoid = torch.where(wide, 0, coverage)[:, matters].amax(1)
    found = {}
    for name in settings.edited:
        own = coverage[:, names.index(name)]
        copies = [
            controls(own[row], torch.maximum(own[row], avoid[row]), valid[row], settings.controls)
            for row in range(len(own))
        ]
        rows = [row for row, copy in enumerate(copies) if len(copy)]
        edits = [torch.cat([own[row][None], copies[row]]) for row in rows]
        found[name] = Edits(
            rows=rows,
            edits=torch.stack(edits) if edits else own.new_zeros((0, 1, *own.shape[-2:])),
            large=[row for row in range(len(own)) if row not in rows and float(own[row].max()) > 0.5],
        )
    return found


def intervene(
    batch: Batch,
    images: torch.Tensor,
    asked: Asked,
    settings: Settings,
    *,
    plan: Mapping[str, Edits],
    pool: Pool,
) -> dict[str, dict[str, torch.Tensor]]:
    """By fill, the metrics of `SHIFTS`, `FLIPS` and `ACCURACIES`.

    Each is (batch, targets, regions), NaN where a region was not edited: where it is empty, not annotated, or so large
    that no copy of it is a control.
    """
    names = list(settings.roles)
    pictures = _pictures(batch, images, asked, settings, pool)
    shape = (len(images), len(asked.targets), len(names))
    found = {
        fill: {
            metric: torch.full(shape, torch.nan, dtype=torch.float64, device=images.device)
            for metric in (*SHIFTS, *FLIPS, *ACCURACIES)
        }
        for fill in settings.fills
    }
    for name, planned in plan.items():
        rows, edits, column = planned.rows, planned.edits, names.index(name)
        if not rows:
            continue
        every = torch.tensor(rows, device=images.device).repeat_interleave(edits.shape[1])
        for fill in settings.fills:
            if fill == "swap" and (pictures.order is None or not pictures.order.shape[1]):
                continue  # nobody else's image to take a place from
            after = edited_scores(
                pictures, fill, every, edits.flatten(0, 1).to(images), asked.scores, chunk=settings.chunk
            )
            for target in range(len(asked.targets)):
                answered = _answered(asked, after, every, target, edits.shape[1])
                for metric, values in answered.items():
                    found[fill][metric][rows, target, column] = values
    return found


def _pictures(batch: Batch, images: torch.Tensor, asked: Asked, settings: Settings, pool: Pool) -> Pictures:
    swaps = "swap" in settings.fills and len(pool.donors.samples) > 0
    orders = [pool.donors.order(sample)[:SWAPPED] for sample in batch.samples] if swaps else []
    fewest = min(map(len, orders), default=0)
    return Pictures(
        images=images,
        frames=batch.images,
        valid=torch.from_numpy(batch.valid).to(images.device),
        encode=asked.model.inputs,
        sigma=settings.sigma,
        others=pool.donors.frames if swaps else None,
        taken=pool.taken if swaps else None,
        order=torch.tensor([order[:fewest] for order in orders]) if swaps else None,
    )


def _answered(
    asked: Asked, after: torch.Tensor, every: torch.Tensor, target: int, edits: int
) -> dict[str, torch.Tensor]:
    """Each metric, (rows,), from the scores after each edit of each row: the region's first, then its controls'."""
    before = asked.logits[every]
    right = asked.right[every]
    drops = (asked.answers(before, every, target) - asked.answers(after, every, target)).view(-1, edits)
    flips = _flips(before, after, asked.chosen[every, target], asked.model.task).view(-1, edits)
    lost = (_chosen(right, before) - _chosen(right, after)).view(-1, edits)
    return {
        "shift_region": drops[:, 0],
        "shift_control": drops[:, 1:].mean(1),
        "shift": drops[:, 0] - drops[:, 1:].mean(1),
        "response": drops[:, 0].abs() - drops[:, 1:].abs().mean(1),
        "flip": flips[:, 0],
        "flip_control": flips[:, 1:].mean(1),
        "accuracy_region": lost[:, 0],
        "accuracy_control": lost[:, 1:].mean(1),
        "accuracy": lost[:, 0] - lost[:, 1:].mean(1),
    }


def _chosen(right: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Whether what the scores choose is right, (n,)."""
    return right.gather(1, logits.argmax(1)[:, None]).squeeze(1)


def _flips(before: torch.Tensor, after: torch.Tensor, classes: torch.Tensor, task: Task) -> torch.Tensor:
    """Whether an edit changes what is decided, (n,) of 0 and 1; NaN of a regression, which decides nothing.

    Args:
        before: one score a class, (n, classes).
        after: the same after the edit, (n, classes).
        classes: (n,) the class a target stands for; of multilabel its score's side of zero is what is decided.
        task: what the scores mean.
    """
    if task == "regression":
        return torch.full((len(after),), torch.nan, dtype=torch.float64, device=after.device)
    if task == "multilabel":
        was = before.gather(1, classes[:, None]) > 0
        now = after.gather(1, classes[:, None]) > 0
        return (now != was).squeeze(1).double()
    return (after.argmax(1) != before.argmax(1)).double()
