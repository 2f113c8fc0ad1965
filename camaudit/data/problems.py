"""What a reader found wrong and went on without: counted by kind, the first ones of each kind listed."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTED = 200  # of each kind; the rest is counted

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
    """Collects problems; memory does not grow with their number."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._listed: defaultdict[str, list[Problem]] = defaultdict(list)

    def add(self, kind: str, where: str, message: str) -> None:
        """Note one problem; `kind` is a key of `KINDS`."""
        if kind not in KINDS:
            msg = f"{kind!r} is no kind of problem"
            raise KeyError(msg)
        self._counts[kind] += 1
        if len(self._listed[kind]) < _LISTED:
            self._listed[kind].append(Problem(kind, where, message))

    @property
    def listed(self) -> tuple[Problem, ...]:
        """The first problems of each kind, in the order in which the kinds came up."""
        return tuple(problem for of in self._listed.values() for problem in of)

    @property
    def counts(self) -> dict[str, int]:
        """How many problems there are of each kind."""
        return dict(self._counts)
