"""Samples on disk, read one by one: memory does not grow with the dataset but for a few bytes a sample."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, overload

import numpy as np

from camaudit.data.codec import decode, decode_where, encode
from camaudit.data.problems import one_row
from camaudit.errors import DataError
from camaudit.types import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


class SampleIndex(Sequence[Sample]):
    """A sequence of samples that are read from a temporary file when they are asked for.

    The file has no name, so that it is gone when the last sequence over it is, also after a crash. 24 bytes a sample stay
    in memory: where it stands, and a hash of its id. A slice is a sequence over the same file. May be read by several
    threads and by forked processes.
    """

    def __init__(self, lines: _Lines, rows: NDArray[np.int64]) -> None:
        self._lines = lines
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> SampleIndex: ...
    def __getitem__(self, at: int | slice) -> Sample | SampleIndex:
        if isinstance(at, slice):
            return SampleIndex(self._lines, self._rows[at])
        return decode(self._lines.read(int(self._rows[at])))

    def __iter__(self) -> Iterator[Sample]:
        for row in self._rows:
            yield decode(self._lines.read(int(row)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # compared by content

    def __repr__(self) -> str:
        return f"<{len(self):,} samples on disk>"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _rebuilt, (list(self),)

    def of_split(self, split: str) -> SampleIndex:
        """The samples of one split."""
        code = self._lines.splits.get(split, -1)
        return SampleIndex(self._lines, self._rows[self._lines.split_of[self._rows] == code])

    def splits(self) -> list[str | None]:
        """The splits that occur."""
        codes = set(np.unique(self._lines.split_of[self._rows]).tolist())
        return [name for name, code in self._lines.splits.items() if code in codes]

    def where(self, at: int) -> str:
        """Where the sample at a place comes from: file and row."""
        return decode_where(self._lines.read(int(self._rows[at])))[1]

    def find(self, identifier: str) -> Sample | None:
        """The sample of an id; None where there is none."""
        for row in np.flatnonzero(self._lines.hashes == _hash(identifier)):
            if decode_where(self._lines.read(int(row)))[0] == identifier and row in self._rows:
                return decode(self._lines.read(int(row)))
        return None


class _Lines:
    """The lines of the file, and what is known of each without reading it."""

    def __init__(self, file: int, ends: array[int], hashes: array[int], splits: _Splits) -> None:
        self._file = file  # a descriptor, which this object closes
        weakref.finalize(self, os.close, file)
        self._ends = np.array(ends, dtype=np.int64)
        self.hashes = np.array(hashes, dtype=np.uint64)
        self.splits = splits.codes
        self.split_of = np.array(splits.of, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ends)

    def read(self, row: int) -> bytes:
        start = int(self._ends[row - 1]) if row else 0
        return os.pread(self._file, int(self._ends[row]) - start, start)


class _Splits:
    """A small number for every name of a split."""

    def __init__(self) -> None:
        self.codes: dict[str | None, int] = {}
        self.of = array("i")

    def add(self, split: str | None) -> None:
        self.of.append(self.codes.setdefault(split, len(self.codes)))


def write_index(samples: Iterable[tuple[Sample, str]], *, hint: str = "") -> SampleIndex:
    """Write samples to a temporary file.

    Args:
        samples: each with where it comes from: file and row, for messages.
        hint: what to do about ids that are not unique.

    Raises:
        DataError: two samples have one id.
    """
    ends, hashes, splits = array("q"), array("Q"), _Splits()
    size = 0
    with tempfile.TemporaryFile(prefix="camaudit-") as file:
        for sample, where in samples:
            size += file.write(encode(sample, where))
            ends.append(size)
            hashes.append(_hash(sample.id))
            splits.add(sample.split)
        file.flush()
        lines = _Lines(os.dup(file.fileno()), ends, hashes, splits)
    _check_unique(lines, hint)
    return SampleIndex(lines, np.arange(len(lines)))


def _rebuilt(samples: list[Sample]) -> SampleIndex:
    return write_index((sample, sample.id) for sample in samples)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _check_unique(lines: _Lines, hint: str) -> None:
    order = np.argsort(lines.hashes, kind="stable")
    same = np.flatnonzero(np.diff(lines.hashes[order]) == 0)
    for place in sorted(same.tolist(), key=lambda at: int(order[at + 1])):
        (name, first), (other, second) = (
            decode_where(lines.read(int(row))) for row in order[place : place + 2]
        )
        if name == other:
            msg = f"{_both(first, second)} have the same id {name!r}. Ids must be unique{hint}."
            with one_row():
                raise DataError(msg)


def _both(first: str, second: str) -> str:
    """``table.csv, rows 2 and 4`` of two places in one table."""
    (file, comma, row), (other, _, last) = (place.rpartition(", row ") for place in (first, second))
    return f"{file}, rows {row} and {last}" if comma and file == other else f"{first} and {second}"
