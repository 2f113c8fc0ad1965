"""Training pools and test sets: every image without and with a shortcut, and what a user would audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.planted.composing import CLASSES, OBJECTS, plans
from benchmarks.planted.networks import SMALL
from benchmarks.planted.shortcuts import SHORTCUTS, twins
from camaudit.data import Dataset
from camaudit.types import Region, Sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.planted.catalogue import Portion
    from benchmarks.planted.composing import Parts, Task
    from benchmarks.planted.shortcuts import Name, Shortcut

Masks = Literal["exact", "dilated", "eroded", "shifted", "boxes", "missing"]
MASKS: Final[tuple[Masks, ...]] = ("exact", "dilated", "eroded", "shifted", "boxes", "missing")


@dataclass(frozen=True)
class Pairs:
    """Images without and with a shortcut; half of each class is shown with it, whatever the class.

    Attributes:
        task: which task.
        shortcut: which shortcut.
        labels: (n,) 0 or 1.
        pixels: (2, n, side, side, 3) uint8: without, with.
        shown: (n,) 0 or 1: which of the two the audited image is.
        objects: (2, n, side, side) masks.
        regions: (2, n, side, side) masks of the shortcut.
        harmless: (n, side, side) masks of what goes with nothing.
        subjects: (n,) kind and place together.
    """

    task: Task
    shortcut: Shortcut
    labels: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    shown: NDArray[np.int64]
    objects: NDArray[np.bool_]
    regions: NDArray[np.bool_]
    harmless: NDArray[np.bool_]
    subjects: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def small(self) -> NDArray[np.uint8]:
        """The pixels for networks from scratch, (2, n, SMALL, SMALL, 3)."""
        flat = self.pixels.reshape(-1, *self.pixels.shape[2:])
        size = (SMALL, SMALL)
        found = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in flat]
        return np.stack(found).reshape(2, -1, SMALL, SMALL, 3)


def pairs(
    parts: Parts, task: Task, name: Name, portion: Portion, count: int, *, seed: int, along: float = 0.5
) -> Pairs:
    """Draw `count` images of a task without and with a shortcut.

    Args:
        parts: the photographs.
        task: which task.
        name: which shortcut.
        portion: whose cut-outs and scenes.
        count: how many; the first ones do not depend on it.
        seed: of everything.
        along: share of the images that are shown with the shortcut where their class has it and without where not.
    """
    planned = plans(task, portion, count, water=name == "background", seed=seed)
    drawn = [twins(parts, plan, name, portion) for plan in planned]
    labels = np.array([plan.label for plan in planned])
    return Pairs(
        task=task,
        shortcut=SHORTCUTS[name],
        labels=labels,
        pixels=np.stack([np.stack([one.without for one in drawn]), np.stack([one.planted for one in drawn])]),
        shown=aligned(labels, along, seed=seed),
        objects=np.stack([one.objects for one in drawn], 1),
        regions=np.stack([one.regions for one in drawn], 1),
        harmless=np.stack([one.harmless for one in drawn]),
        subjects=tuple(
            f"{plan.kind}@{plan.places[shown if name == 'background' else 0]}"
            for plan, shown in zip(planned, aligned(labels, along, seed=seed), strict=True)
        ),
    )


def aligned(labels: NDArray[np.int64], share: float, *, seed: int) -> NDArray[np.int64]:
    """Which image of each pair is taken, so that a share of every twenty of a class goes along with the class.

    Args:
        labels: (n,) 0 or 1.
        share: of the images whose shortcut says what the label says; 0.5: the shortcut says nothing.
        seed: of the order.
    """
    draw = np.random.default_rng((seed, 7))
    shown = labels.copy()
    for label in (0, 1):
        (rows,) = np.nonzero(labels == label)
        against: list[bool] = []
        while len(against) < len(rows):
            against += draw.permutation(np.arange(20) >= round(20 * share)).tolist()
        turned = rows[np.array(against[: len(rows)], bool)]
        shown[turned] = 1 - shown[turned]
    return shown


def write(found: Pairs, folder: Path, count: int) -> None:
    """Write the shown images as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in range(count):
        path = folder / f"{row:04}.png"
        if not path.exists():
            Image.fromarray(found.pixels[found.shown[row], row]).save(path, compress_level=1)


def dataset(found: Pairs, folder: Path, count: int, masks: Masks = "exact", *, seed: int = 0) -> Dataset:
    """What a user would audit: the first `count` shown images, annotated well or badly."""
    change = _SLOPPY[masks]
    draw = np.random.default_rng((seed, 11))
    lacking = draw.permutation(np.arange(count) < round(0.2 * count)) & (masks == "missing")
    classes, shortcut = CLASSES[found.task], found.shortcut
    samples = []
    for row in range(count):
        shown = int(found.shown[row])
        regions = [Region(OBJECTS[found.task], "object", change(found.objects[shown, row]))]
        if not lacking[row]:
            mask = found.regions[shown, row] if shortcut.region else found.harmless[row]
            regions.append(Region(shortcut.region or "watermark", "attribute", change(mask)))
        groups = {shortcut.column: shortcut.values[shown]} if shortcut.column else {}
        samples.append(
            Sample(
                id=f"{row:04}",
                image=folder / f"{row:04}.png",
                label=classes[found.labels[row]],
                groups=groups,
                regions=tuple(regions),
                subject=found.subjects[row],
            )
        )
    return Dataset.of(samples)


def _box(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    boxed = np.zeros_like(mask)
    if mask.any():
        rows, columns = np.nonzero(mask)
        boxed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return boxed


_SLOPPY: Final[dict[Masks, Callable[[NDArray[np.bool_]], NDArray[np.bool_]]]] = {
    "exact": lambda mask: mask,
    "dilated": lambda mask: ndimage.binary_dilation(mask, iterations=4),
    "eroded": lambda mask: ndimage.binary_erosion(mask, iterations=2, border_value=1),
    "shifted": lambda mask: ndimage.shift(mask.astype(np.uint8), (4, 4), order=0).astype(bool),
    "boxes": _box,
    "missing": lambda mask: mask,
}
