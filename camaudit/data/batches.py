"""Batches in the model's frame, decoded ahead by threads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from camaudit.data.geometry import Frame
from camaudit.data.images import decode
from camaudit.data.masks import region_masks
from camaudit.data.problems import Problem
from camaudit.errors import DataError
from camaudit.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.data.images import Decoded
    from camaudit.types import Preprocessing, Sample

    Look = Callable[[Decoded], Mapping[str, float]]

_AHEAD = 3
_THREADS = 4


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of a dataset, without those that could not be read.

    Attributes:
        index: number of the batch.
        samples: the samples that could be read.
        images: (n, height, width, 3) uint8, in the model's frame.
        coverage: (n, regions, height, width) float32, the share of each input pixel that each region takes; NaN
            where a sample has no annotation of the region.
        valid: (n, height, width) bool, false on padding.
        skipped: the samples that could not be read.
        notices: what was read and should be known, such as that only the first frame of an animation was taken.
        looks: by name, what was measured of the whole images as they are stored, (n,) float64.
    """

    index: int
    samples: tuple[Sample, ...]
    images: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    valid: NDArray[np.bool_]
    skipped: tuple[Skipped, ...]
    notices: tuple[Problem, ...] = ()
    looks: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def batches(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    regions: Mapping[str, Sequence[str]],
    size: int,
    *,
    skip: frozenset[int] = frozenset(),
    look: Look | None = None,
) -> Iterator[Batch]:
    """Decode a dataset in order, a few batches ahead.

    Args:
        samples: in the order of the dataset.
        preprocessing: of the model.
        regions: what the second axis of the coverage holds: a name, and the annotated regions it is the union of.
        size: samples a batch; batch i always holds the samples from i·size on, whatever was skipped.
        skip: numbers of batches that are not needed.
        look: measures a decoded image, before it is brought to the model's frame.
    """
    starts = [
        (number, start) for number, start in enumerate(range(0, len(samples), size)) if number not in skip
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[tuple[int, list[tuple[Sample, Future[Read | Skipped]]]]] = deque()
        for number, start in starts:
            part = samples[start : start + size]
            reads = [
                (sample, pool.submit(read_sample, sample, preprocessing, regions, look=look))
                for sample in part
            ]
            waiting.append((number, reads))
            if len(waiting) > _AHEAD:
                yield _collect(*waiting.popleft(), regions)
        while waiting:
            yield _collect(*waiting.popleft(), regions)


@dataclass(frozen=True)
class Read:
    """One sample in the model's frame; the fields are those of a `Batch` without its first axis."""

    image: NDArray[np.uint8]
    coverage: Mapping[str, NDArray[np.float32]]
    valid: NDArray[np.bool_]
    notices: tuple[Problem, ...] = ()
    looks: Mapping[str, float] = field(default_factory=dict)


def read_sample(
    sample: Sample,
    preprocessing: Preprocessing,
    regions: Mapping[str, Sequence[str]],
    *,
    look: Look | None = None,
) -> Read | Skipped:
    """One sample in the model's frame, or why it could not be read."""
    try:
        # the usual filters look at twice the side they shrink to, so a large JPEG need not be decoded whole
        decoded = decode(sample.image, lambda size: Frame.of(size, preprocessing).resized)
        frame = Frame.of(decoded.size, preprocessing)
        masks = region_masks(sample.regions, frame.size, image=str(sample.image))
    except DataError as error:
        return Skipped(sample.id, str(sample.image), str(error))
    # united before resampling: the coverages of two parts that overlap cannot be added
    coverage = {
        name: frame.coverage(np.logical_or.reduce([masks[part] for part in parts]))
        for name, parts in regions.items()
        if all(part in masks for part in parts)
    }
    return Read(
        frame.image(decoded.image),
        coverage,
        frame.valid(),
        _notices(sample, animated=decoded.animated),
        look(decoded) if look is not None else {},
    )


def _notices(sample: Sample, *, animated: bool) -> tuple[Problem, ...]:
    if not animated:
        return ()
    return (Problem("animated", str(sample.image), "it has several frames or pages; the first is taken."),)


def _collect(
    number: int, reads: list[tuple[Sample, Future[Read | Skipped]]], regions: Mapping[str, Sequence[str]]
) -> Batch:
    done = [(sample, future.result()) for sample, future in reads]
    skipped = tuple(result for _, result in done if isinstance(result, Skipped))
    good = [(sample, result) for sample, result in done if isinstance(result, Read)]
    images = [result.image for _, result in good]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        sizes = ", ".join(sorted(f"{width}x{height}" for height, width, _ in shapes))
        msg = (
            f"The images have different sizes in the model's frame ({sizes}). "
            "Set model.preprocessing.crop, or resize to a height and a width."
        )
        raise DataError(msg)
    side = images[0].shape[:2] if images else (0, 0)
    coverage = np.full((len(good), len(regions), *side), np.nan, dtype=np.float32)
    for row, (_, result) in enumerate(good):
        for column, name in enumerate(regions):
            if name in result.coverage:
                coverage[row, column] = result.coverage[name]
    return Batch(
        index=number,
        samples=tuple(sample for sample, _ in good),
        images=np.stack(images) if images else np.zeros((0, *side, 3), np.uint8),
        coverage=coverage,
        valid=np.stack([result.valid for _, result in good]) if good else np.zeros((0, *side), bool),
        skipped=skipped,
        notices=tuple(notice for _, result in good for notice in result.notices),
        looks={
            name: np.array([result.looks[name] for _, result in good], dtype=np.float64)
            for name in (good[0][1].looks if good else ())
        },
    )
