"""One pass over the images of a dataset, of which only counters stay in memory."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from camaudit.data import Frame, open_image
from camaudit.data.duplicates import Fingerprint, fingerprint
from camaudit.data.masks import MaskSizeError, region_masks
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from camaudit.data.problems import Problems
    from camaudit.types import Preprocessing, Sample

_THREADS = 4
_AHEAD = 64  # samples that are read before their turn
MOST_VALUES = 50
"""Values of a column beyond which it is no longer crossed with others."""
_FRAMES = 16  # sizes in the model's frame that are kept, with an image each
_CELLS, _EACH = 1000, 8  # combinations of label and groups, and samples of each, that a sheet is chosen from


@dataclass
class Counts:
    """What one pass over the audited samples counts; per sample 4 bytes a region stay, and a fingerprint where asked for.

    Attributes:
        samples: how many there are.
        left_out: those with an image or a mask that cannot be used.
        labels: by label; None: without one.
        groups: for each group column, by (label, value).
        crossed: for each pair of group columns, by (value, value); None where they have too many values.
        areas: share of the image, for each region and image where it is not empty.
        empty: images in which a region is annotated as not there.
        frames: sizes (height, width) in the model's frame, with the first image of each.
        cells: places of samples for each label and combination of groups.
        prints: fingerprints, see `places`.
        places: place of the sample that each fingerprint is of.
    """

    samples: int = 0
    left_out: int = 0
    labels: Counter[str | None] = field(default_factory=Counter)
    groups: dict[str, Counter[tuple[str | None, str]]] = field(default_factory=dict)
    crossed: dict[tuple[str, str], Counter[tuple[str, str]] | None] = field(default_factory=dict)
    areas: dict[str, array[float]] = field(default_factory=dict)
    empty: Counter[str] = field(default_factory=Counter)
    frames: dict[tuple[int, int], str] = field(default_factory=dict)
    cells: dict[tuple[str | None, ...], list[int]] = field(default_factory=dict)
    prints: list[Fingerprint] = field(default_factory=list)
    places: array[int] = field(default_factory=lambda: array("q"))


def count(
    samples: Sequence[Sample],
    *,
    audited: Callable[[Sample], bool],
    groups: Sequence[str],
    regions: Sequence[str],
    recipe: Preprocessing | None,
    fingerprints: bool,
    left_out: Problems,
    where: Callable[[int], str],
    each: Callable[[int, Sample], None],
    progress: Callable[[int], None],
) -> Counts:
    """Read every image and mask once.

    Args:
        samples: of all splits where duplicates across them are looked for.
        audited: whether a sample is one of those that are audited; of the others only the fingerprint is taken.
        groups: the group columns.
        regions: the single regions.
        recipe: the model's; None where it is not known.
        fingerprints: whether they are taken.
        left_out: takes what cannot be read, of the kinds `camaudit.runs.checking.kinds.LEAVES_OUT`.
        where: file and row of the sample at a place.
        each: called with every audited sample and its place.
        progress: called with the number of samples done.
    """
    counts = Counts(
        groups={name: Counter() for name in groups},
        crossed={pair: Counter() for pair in combinations(groups, 2)},
        areas={name: array("f") for name in regions},
    )
    for place, (sample, ours, found) in enumerate(_looks(samples, audited, fingerprints=fingerprints)):
        if found.fingerprint is not None:
            counts.prints.append(found.fingerprint)
            counts.places.append(place)
        if ours:
            for kind, message in found.wrong:
                left_out.add(kind, where(place), message)
            each(place, sample)
            _add(counts, place, sample, found, recipe)
        if (place + 1) % _AHEAD == 0 or place + 1 == len(samples):
            progress(place + 1)
    return counts


@dataclass(frozen=True)
class _Look:
    """One image: (height, width), None where it cannot be read; the shares of it that regions take; what is wrong."""

    size: tuple[int, int] | None
    areas: Mapping[str, float]
    fingerprint: Fingerprint | None
    wrong: tuple[tuple[str, str], ...]


def _looks(
    samples: Sequence[Sample], audited: Callable[[Sample], bool], *, fingerprints: bool
) -> Iterator[tuple[Sample, bool, _Look]]:
    waiting: deque[tuple[Sample, bool, Future[_Look]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for sample in samples:
            ours = audited(sample)
            future = pool.submit(_look, sample, regions=ours, fingerprints=fingerprints)
            waiting.append((sample, ours, future))
            if len(waiting) > _AHEAD:
                first, whether, done = waiting.popleft()
                yield first, whether, done.result()
        while waiting:
            first, whether, done = waiting.popleft()
            yield first, whether, done.result()


def _look(sample: Sample, *, regions: bool, fingerprints: bool) -> _Look:
    try:
        image = open_image(sample.image)
    except DataError as error:
        return _Look(None, {}, None, (("image", str(error)),))
    size = (image.height, image.width)
    known = fingerprint(image) if fingerprints else None
    if not regions:
        return _Look(size, {}, known, ())
    areas, wrong = _areas(sample, size)
    return _Look(size, areas, known, wrong)


def _areas(sample: Sample, size: tuple[int, int]) -> tuple[dict[str, float], tuple[tuple[str, str], ...]]:
    """The regions' shares of the image; where one cannot be drawn, what is wrong with each that cannot."""
    try:
        masks = region_masks(sample.regions, size, image=str(sample.image))
    except DataError:
        said: dict[str, str] = {}  # message and kind: regions of one file fail alike
        for region in sample.regions:
            try:
                region_masks([region], size, image=str(sample.image))
            except DataError as error:
                said.setdefault(str(error), "mask-size" if isinstance(error, MaskSizeError) else "mask")
        return {}, tuple((kind, message) for message, kind in said.items())
    return {name: float(mask.mean()) for name, mask in masks.items()}, ()


def _add(counts: Counts, place: int, sample: Sample, found: _Look, recipe: Preprocessing | None) -> None:
    counts.samples += 1
    counts.labels[sample.label] += 1
    values = _cross(counts, sample)
    if found.wrong or found.size is None:
        counts.left_out += 1
        return
    for name, area in found.areas.items():
        if area > 0:
            counts.areas[name].append(area)
        else:
            counts.empty[name] += 1
    if recipe is not None and len(counts.frames) < _FRAMES:
        counts.frames.setdefault(Frame.of(found.size, recipe).crop, str(sample.image))
    cell = (sample.label, *(values.get(name) for name in counts.groups))
    if cell in counts.cells or len(counts.cells) < _CELLS:
        kept = counts.cells.setdefault(cell, [])
        if len(kept) < _EACH:
            kept.append(place)


def _cross(counts: Counts, sample: Sample) -> dict[str, str]:
    """Counts the sample's groups, by its label and by each other; the groups."""
    values = {name: sample.groups[name] for name in counts.groups if name in sample.groups}
    for name, value in values.items():
        counts.groups[name][sample.label, value] += 1
    for pair, table in counts.crossed.items():
        if table is not None and all(name in values for name in pair):
            table[values[pair[0]], values[pair[1]]] += 1
            if len(table) > MOST_VALUES**2:
                counts.crossed[pair] = None
    return values


def chosen(counts: Counts, most: int = 8) -> list[int]:
    """Places of samples to look at, sorted by label and groups: each time one whose label and groups were seen least."""
    seen: Counter[tuple[int, str | None]] = Counter()
    left = {cell: list(places) for cell, places in counts.cells.items()}
    picked: list[tuple[tuple[str, ...], int]] = []

    def known(cell: tuple[str | None, ...]) -> float:
        # the label counts most, then the first group column
        return sum(seen[at, value] / (at + 1) for at, value in enumerate(cell))

    while left and len(picked) < most:
        cell = min(left, key=known)
        picked.append((tuple(map(str, cell)), left[cell].pop(0)))
        seen.update(enumerate(cell))
        if not left[cell]:
            del left[cell]
    return [place for _, place in sorted(picked)]
