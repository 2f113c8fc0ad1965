"""What a reader found wrong and went on without: counted by kind, the first ones of each kind listed."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LISTED = 200
"""Problems of each kind that are kept; the rest is counted."""

# kind: what is done about it
KINDS: Mapping[str, str] = {
    "no-image": "an annotation that belongs to no image is left out",
    "no-annotation": "an image without annotations has empty regions where annotations are exhaustive, else none",
    "no-label": "an image without a label keeps none",
    "not-in-table": "an image that the side table does not have has no label, group, split or subject from it",
    "no-sample": "a row of the side table that no image has is left out",
    "bad-image": "an entry that names no usable image is left out",
    "bad-shape": "the region is taken as not annotated in this image, because one of its shapes cannot be used",
    "empty-shape": "a shape without area is left out; its region stays",
    "outside": "a shape outside its image is left out; its region is taken as not annotated",
    "unknown-category": "an annotation of a category that is not declared is left out",
    "no-segmentation": "an instance without a segmentation is its box",
    "duplicate-annotation": "an annotation that stands twice counts once",
    "outside-folder": "an image or a mask outside the dataset's folder is left out",
    "animated": "of an image with several frames or pages the first is taken",
    "no-mask": "a mask that is named and not there: the sample has no regions from it",
}


@dataclass(frozen=True)
class Problem:
    """Something in a dataset that a reader went on without.

    Attributes:
        kind: a key of `KINDS`, which says what was done about it.
        where: file and row, line or id.
        message: what is wrong, one sentence.
    """

    kind: str
    where: str
    message: str


class Problems:
    """Collects problems; memory does not grow with their number.

    Attributes:
        most: problems of each kind that are kept; None: all. A reader keeps as many as what `collecting` is given.
    """

    def __init__(self, kinds: Mapping[str, str] = KINDS, *, most: int | None = LISTED) -> None:
        collector = _collector.get()
        self._kinds = kinds
        self.most: int | None = most if collector is None else collector.most
        self._counts: Counter[str] = Counter()
        self._listed: defaultdict[str, list[Problem]] = defaultdict(list)

    def add(self, kind: str, where: str, message: str) -> None:
        """Note one problem; `kind` is a key of the kinds."""
        if kind not in self._kinds:
            msg = f"{kind!r} is no kind of problem"
            raise KeyError(msg)
        self._counts[kind] += 1
        if self.most is None or len(self._listed[kind]) < self.most:
            self._listed[kind].append(Problem(kind, where, message))

    @property
    def listed(self) -> tuple[Problem, ...]:
        """The first problems of each kind, in the order in which the kinds came up."""
        return tuple(problem for of in self._listed.values() for problem in of)

    @property
    def counts(self) -> dict[str, int]:
        """How many problems there are of each kind."""
        return dict(self._counts)


_collector: ContextVar[Problems | None] = ContextVar("collector", default=None)


@contextmanager
def collecting(into: Problems) -> Iterator[None]:
    """Within it a row that would refuse the whole dataset is noted as ``row`` and left out, so that all of them are found.

    What is read is then not the dataset: it may be looked at, not measured.
    """
    token = _collector.set(into)
    try:
        yield
    finally:
        _collector.reset(token)


@contextmanager
def one_row() -> Iterator[None]:
    """Around what is done for one row: its `DataError` ends the reading, but within `collecting`."""
    try:
        yield
    except DataError as error:
        collector = _collector.get()
        if collector is None:
            raise
        collector.add("row", "", str(error))
