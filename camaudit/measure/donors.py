"""Samples whose pixels are put into others: one fixed pool for a whole run, so that its members can be clusters."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from camaudit.data.batches import Read, read_sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.types import Preprocessing, Sample

POOL = 96
"""Donors in the pool: their differences are known to about a tenth of their spread, and they fit into memory."""


@dataclass(frozen=True)
class Donors:
    """The pool, in the model's frame.

    Attributes:
        samples: the donors.
        frames: (donors, height, width, 3) uint8.
        coverage: how much of each pixel each region takes, (donors, regions, height, width) uint8, 255 for all of it.
        annotated: whether the region was annotated, (donors, regions).
        valid: true on the image, false on padding, (donors, height, width).
        strata: what the donors of a sample are balanced over, one a donor.
        seed: of every choice among them.
    """

    samples: tuple[Sample, ...]
    frames: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    annotated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    strata: tuple[tuple[str, ...], ...]
    seed: int

    @cached_property
    def of_stratum(self) -> Mapping[tuple[str, ...], tuple[int, ...]]:
        """Places of the donors of each stratum."""
        found = defaultdict(list)
        for place, stratum in enumerate(self.strata):
            found[stratum].append(place)
        return {stratum: tuple(found[stratum]) for stratum in sorted(found)}

    def order(self, sample: Sample, usable: NDArray[np.bool_] | None = None) -> list[int]:
        """The donors for one sample, each stratum in turn; neither itself nor another image of its subject.

        It depends on the sample's id and on the pool, not on the batch the sample is in.

        Args:
            sample: the sample.
            usable: which donors may be taken, (donors,); all where left out.
        """
        random = _generator(self.seed, sample.id)
        mine = [
            [
                int(place)
                for place in random.permutation(places)
                if (usable is None or usable[place]) and not _same(self.samples[place], sample)
            ]
            for places in self.of_stratum.values()
        ]
        queues = [mine[i] for i in random.permutation(len(mine))]
        longest = max(map(len, queues), default=0)
        return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def stratum(sample: Sample, groups: Sequence[str]) -> tuple[str, ...]:
    """What donors are balanced over: the values of the group columns, or the label where there are none."""
    if groups:
        return tuple(sample.groups.get(group, "") for group in groups)
    return (sample.label or "",)


def draw_donors(
    samples: Iterable[Sample],
    preprocessing: Preprocessing,
    regions: Mapping[str, Sequence[str]],
    groups: Sequence[str],
    *,
    seed: int,
    count: int = POOL,
) -> Donors:
    """The pool of a dataset, balanced over `stratum`; an image that cannot be read is left out.

    Args:
        samples: of the dataset.
        preprocessing: of the model.
        regions: the measured regions, and the annotated ones that each is the union of.
        groups: names of the group columns.
        seed: of the choice; the pool depends on it and on the samples only.
        count: donors at most.
    """
    drawn = _balanced(samples, groups, seed=seed, count=count)
    reads = [(sample, read_sample(sample, preprocessing, regions)) for sample in drawn]
    good = [(sample, read) for sample, read in reads if isinstance(read, Read)]
    # images of another size in the model's frame end the run where they are measured
    side = good[0][1].image.shape[:2] if good else (1, 1)
    good = [(sample, read) for sample, read in good if read.image.shape[:2] == side]
    coverage = np.zeros((len(good), len(regions), *side), dtype=np.uint8)
    annotated = np.zeros((len(good), len(regions)), dtype=bool)
    for place, (_, read) in enumerate(good):
        for column, name in enumerate(regions):
            if name in read.coverage:
                coverage[place, column] = np.round(read.coverage[name] * 255)
                annotated[place, column] = True
    return Donors(
        samples=tuple(sample for sample, _ in good),
        frames=np.stack([read.image for _, read in good]) if good else np.zeros((0, *side, 3), np.uint8),
        coverage=coverage,
        annotated=annotated,
        valid=np.stack([read.valid for _, read in good]) if good else np.zeros((0, *side), dtype=bool),
        strata=tuple(stratum(sample, groups) for sample, _ in good),
        seed=seed,
    )


def _balanced(samples: Iterable[Sample], groups: Sequence[str], *, seed: int, count: int) -> list[Sample]:
    """Each stratum's samples in an order by chance, one of each stratum in turn."""
    ranked: dict[tuple[str, ...], list[tuple[int, Sample]]] = defaultdict(list)
    for sample in samples:
        mine = ranked[stratum(sample, groups)]
        mine.append((_key(seed, "donor", sample.id), sample))
        if len(mine) >= 2 * count:  # only the first can be drawn: memory does not grow with the dataset
            mine.sort(key=lambda pair: pair[0])
            del mine[count:]
    turns = [
        (turn, _key(seed, *name), sample)
        for name, mine in ranked.items()
        for turn, (_, sample) in enumerate(sorted(mine, key=lambda pair: pair[0])[:count])
    ]
    return [sample for _, _, sample in sorted(turns, key=lambda entry: entry[:2])[:count]]


def _same(donor: Sample, sample: Sample) -> bool:
    return donor.id == sample.id or (sample.subject is not None and donor.subject == sample.subject)


def _generator(seed: int, *key: str) -> np.random.Generator:
    return np.random.default_rng(_key(seed, *key))


def _key(seed: int, *key: str) -> int:
    text = "\x1f".join((str(seed), *key))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
