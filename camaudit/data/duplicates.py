"""Samples that show the same picture, exactly or nearly.

Two files are *exact* duplicates where their decoded pixels are equal: the model sees no difference, however the files
were written. They are *near* duplicates where their perceptual hashes differ in few bits: pHash, the signs of the 64
lowest frequencies of the discrete cosine transform of a 32 x 32 grey copy about their median (after Zauner 2010, in the form
in common use, the constant term included). It hardly changes with the size and the compression of a picture, little with its brightness and contrast; a crop,
a turn or a mirror image is not found. Of 138 photographs, copies at half the size, at 64 pixels or at JPEG's quality 20 were
all within 4 bits; of the 9,403 pairs of different ones none was within 12, of 580,503 pairs of composites of few figures and
backgrounds none within 4 and three within 6.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from camaudit.data.images import open_image
from camaudit.data.index import SampleIndex, write_index
from camaudit.errors import DataError
from camaudit.types import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import pandas as pd
    from numpy.typing import NDArray

    from camaudit.data.dataset import Dataset
    from camaudit.types import Sample

NEAR = 4
"""Bits of 64 in which the hashes of near duplicates may differ. Two hashes of independent bits come as close as this
once in 2.7e13 pairs, and 100,000 images make 5e9."""
FLAT = 2.0
"""Standard deviation of the grey copy, in grey levels, below which a picture has no pattern to be known by."""
_THREADS = 4
_AHEAD = 64
_ROWS, _COLUMNS = 64, 4096  # a block of differences stays in a core's cache


@dataclass(frozen=True)
class DuplicateGroup:
    """Samples that are connected by duplicates: each is one of at least one other.

    Attributes:
        kind: ``exact`` where all have the same pixels, else ``near``.
        samples: at least two, in the order of the dataset.
        distances: for each sample the bits in which its hash differs from the closest other sample's; 0 for equal pixels.
    """

    kind: Literal["exact", "near"]
    samples: tuple[Sample, ...]
    distances: tuple[int, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits the samples are of, sorted; samples without one count for none."""
        return tuple(sorted({sample.split for sample in self.samples if sample.split is not None}))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels the samples have, sorted; more than one contradict each other."""
        return tuple(sorted({sample.label for sample in self.samples if sample.label is not None}))


@dataclass(frozen=True)
class Duplicates:
    """What `duplicates` found.

    Attributes:
        groups: those across splits first, then those with contradicting labels, then in the order of the dataset.
        skipped: images that could not be read.
        flat: ids of the images without a pattern (one colour), which are only compared exactly.
        images: number of images that were read.
    """

    groups: tuple[DuplicateGroup, ...]
    skipped: tuple[Skipped, ...]
    flat: tuple[str, ...]
    images: int

    def table(self) -> pd.DataFrame:
        """One row a sample that has a duplicate.

        Columns: ``group`` (place in `groups`), ``kind``, ``sample``, ``image``, ``label``, ``split``, ``subject``,
        ``distance`` (bits), ``across_splits``, ``contradicting``.
        """
        import pandas as pd

        rows = [
            {
                "group": place,
                "kind": group.kind,
                "sample": sample.id,
                "image": str(sample.image),
                "label": sample.label,
                "split": sample.split,
                "subject": sample.subject,
                "distance": distance,
                "across_splits": len(group.splits) > 1,
                "contradicting": len(group.labels) > 1,
            }
            for place, group in enumerate(self.groups)
            for sample, distance in zip(group.samples, group.distances, strict=True)
        ]
        columns = ["group", "kind", "sample", "image", "label", "split", "subject", "distance"]
        return pd.DataFrame(rows, columns=[*columns, "across_splits", "contradicting"])

    def warnings(self) -> list[str]:
        """What the reader of an audit should know of them, a sentence each."""
        across = [group for group in self.groups if len(group.splits) > 1]
        contradicting = [group for group in self.groups if len(group.labels) > 1]
        within = [group for group in self.groups if len(group.splits) <= 1]
        said = []
        if across:
            said.append(
                f"{_images(across)} in {len(across)} groups of duplicates lie in more than one split, such as "
                f"{_example(across[0])}: what is measured on them is partly known from training. Remove them from one."
            )
        if contradicting:
            said.append(
                f"{_images(contradicting)} in {len(contradicting)} groups of duplicates have different labels, such as "
                f"{_example(contradicting[0])}. Correct the labels."
            )
        if within:
            said.append(
                f"{_images(within)} in {len(within)} groups are duplicates within a split, such as {_example(within[0])}: "
                "they are no independent observations. Give them a common subject."
            )
        return said


def _images(groups: Sequence[DuplicateGroup]) -> str:
    return f"{sum(len(group.samples) for group in groups):,} images"


def _example(group: DuplicateGroup) -> str:
    first, second = group.samples[0], group.samples[1]
    for other in group.samples[2:]:  # two that show the problem, where there is one
        if (second.split, second.label) == (first.split, first.label):
            second = other
    return " and ".join(
        f"{sample.id} ({', '.join(filter(None, (sample.split, sample.label)))})" for sample in (first, second)
    ).replace(" ()", "")


def duplicates(
    dataset: Dataset, *, near: int | None = NEAR, progress: Callable[[int], None] | None = None
) -> Duplicates:
    """Finds the samples of a dataset that show the same picture.

    Every image is decoded once, a few at a time; 16 bytes and the sample are kept of each. Groups are connected
    components: of three pictures in a row, each like the next, the first and the last may differ in more bits.

    Args:
        dataset: with all its splits.
        near: bits of 64 in which the hashes of near duplicates may differ, at most 16; None: exact ones only.
        progress: called with the number of images done so far.

    Raises:
        DataError: `near` is no number of bits that tells pictures apart.
    """
    if near is not None and not 0 <= near <= 16:
        msg = f"near is {near}; near duplicates differ in 0 to 16 of 64 bits, others are different pictures."
        raise DataError(msg)
    samples: list[Sample] = []
    prints: list[Fingerprint] = []
    skipped: list[Skipped] = []
    for done, (sample, result) in enumerate(_fingerprints(dataset.samples), start=1):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            samples.append(sample)
            prints.append(result)
        if progress is not None:
            progress(done)
    groups = grouped(samples, prints, near)
    flat = tuple(sample.id for sample, found in zip(samples, prints, strict=True) if found.pattern is None)
    return Duplicates(groups, tuple(skipped), flat, len(samples))


@dataclass(frozen=True)
class Fingerprint:
    """What one picture is known by.

    Attributes:
        pixels: 16 bytes, equal for equal decoded pixels.
        pattern: the 64 bits of pHash; None for a picture without a pattern.
    """

    pixels: bytes
    pattern: int | None


def fingerprint(image: Image.Image) -> Fingerprint:
    """The fingerprint of an RGB image."""
    from scipy.fft import dctn

    digest = hashlib.blake2b(f"{image.width}x{image.height}".encode(), digest_size=16)
    digest.update(image.tobytes())
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    if grey.std() < FLAT:
        return Fingerprint(digest.digest(), None)
    low = np.asarray(dctn(grey, type=2))[:8, :8].ravel()
    signs = low > np.median(low)
    return Fingerprint(digest.digest(), int.from_bytes(np.packbits(signs).tobytes(), "big"))


def _fingerprints(samples: Iterable[Sample]) -> Iterator[tuple[Sample, Fingerprint | Skipped]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[tuple[Sample, Future[Fingerprint | Skipped]]] = deque()
        for sample in samples:
            waiting.append((sample, pool.submit(_read, sample)))
            if len(waiting) > _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


def _read(sample: Sample) -> Fingerprint | Skipped:
    try:
        return fingerprint(open_image(sample.image))
    except DataError as error:
        return Skipped(sample.id, str(sample.image), str(error))


def grouped(
    samples: Sequence[Sample], prints: Sequence[Fingerprint], near: int | None = NEAR
) -> tuple[DuplicateGroup, ...]:
    """Connected components of equal pixels, equal hashes and hashes that are close, in the order of `Duplicates`.

    Args:
        samples: asked for only where they have a duplicate.
        prints: of each.
        near: as of `duplicates`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pixels = _firsts([found.pixels for found in prints])
    edges = [pixels]
    closest = np.full(len(prints), 65, dtype=np.int64)
    np.minimum.at(closest, pixels[pixels[:, 0] != pixels[:, 1]].ravel(), 0)
    if near is not None:
        patterned = np.flatnonzero([found.pattern is not None for found in prints])
        hashes = np.array([found.pattern for found in prints if found.pattern is not None], dtype=np.uint64)
        values, first, value_of, counts = np.unique(
            hashes, return_index=True, return_inverse=True, return_counts=True
        )
        pairs, bits = close_pairs(values, near)
        nearest = np.where(counts > 1, 0, 65)
        np.minimum.at(nearest, pairs.ravel(), bits.repeat(2))
        closest[patterned] = np.minimum(closest[patterned], nearest[value_of])
        edges += [np.stack([patterned, patterned[first][value_of]], axis=1), patterned[first][pairs]]
    links = np.concatenate(edges)
    graph = coo_array((np.ones(len(links), dtype=bool), links.T), shape=(len(prints), len(prints)))
    components = connected_components(graph, directed=False)[1]
    members: dict[int, list[int]] = defaultdict(list)
    for place in np.flatnonzero(closest <= 64):
        members[int(components[place])].append(int(place))
    groups = [
        DuplicateGroup(
            "exact" if len({prints[place].pixels for place in places}) == 1 else "near",
            tuple(samples[place] for place in places),
            tuple(int(closest[place]) for place in places),
        )
        for places in members.values()
    ]
    return tuple(sorted(groups, key=lambda group: (len(group.splits) < 2, len(group.labels) < 2)))


def _firsts(keys: Sequence[bytes]) -> NDArray[np.int64]:
    """For each place, the place and the first one with the same key."""
    first: dict[bytes, int] = {}
    return np.array(
        [(place, first.setdefault(key, place)) for place, key in enumerate(keys)], dtype=np.int64
    ).reshape(-1, 2)


def close_pairs(values: NDArray[np.uint64], near: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of 64-bit words that differ in at most so many bits.

    All pairs are compared, in blocks: a hundred thousand words take seconds, whatever their distribution.

    Args:
        values: (n,).
        near: bits.

    Returns:
        Places (pairs, 2), the smaller first, and the differing bits (pairs,).
    """
    pairs, bits = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for top in range(0, len(values), _ROWS):
        rows = values[top : top + _ROWS, None]
        for left in range(top, len(values), _COLUMNS):
            differing = np.bitwise_count(rows ^ values[None, left : left + _COLUMNS])
            row, column = np.nonzero(differing <= near)
            found = np.stack([row + top, column + left], axis=1)
            later = found[:, 0] < found[:, 1]
            pairs.append(found[later])
            bits.append(differing[row, column][later].astype(np.int64))
    return np.concatenate(pairs), np.concatenate(bits)


def one_subject_each(dataset: Dataset, found: Duplicates) -> Dataset:
    """The same dataset with a common subject for the samples of each group of duplicates.

    Intervals resample subjects: duplicates then count as one observation. Subjects that share a group become one, with
    all their samples, called by the first of them, or ``duplicates of ID`` where the first sample has none.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.get(name, name) != name:
            name = parent[name]
        return name

    for group in found.groups:
        first = root(_subject(group.samples[0]))
        for sample in group.samples:
            parent.setdefault(_subject(sample), _subject(sample))
            parent[root(_subject(sample))] = first
    samples = (
        replace(sample, subject=_called(root(_subject(sample)))) if _subject(sample) in parent else sample
        for sample in dataset.samples
    )
    if not isinstance(dataset.samples, SampleIndex):
        return replace(dataset, samples=tuple(samples))
    return replace(dataset, samples=write_index((sample, sample.id) for sample in samples))


def _called(name: str) -> str:
    kind, _, of = name.partition(":")
    return of if kind == "subject" else f"duplicates of {of}"


def _subject(sample: Sample) -> str:
    # a subject and an id may be spelled alike without being the same
    return f"id:{sample.id}" if sample.subject is None else f"subject:{sample.subject}"
