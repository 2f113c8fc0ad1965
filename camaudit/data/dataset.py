"""A labelled dataset: samples, and what their columns and regions mean."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from camaudit.config import DataConfig
from camaudit.data.index import SampleIndex
from camaudit.data.roles import as_config
from camaudit.data.stored import arrow_file
from camaudit.errors import DataError
from camaudit.types import ColourMaskFile, Combined, InFile, Instances, MaskFile, Relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from camaudit.config import RolesConfig
    from camaudit.data.problems import Problem
    from camaudit.types import Role, Sample, Shape


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order.

    Attributes:
        samples: the samples; a reader's are on disk and made when they are asked for (`camaudit.data.index`), so keep
            none that is not needed.
        roles: the role of every region that occurs.
        groups: names of the group columns.
        source: where the samples were read from, as a configuration can repeat it.
        problems: what the reader found wrong and went on without, the first ones of each kind.
        problem_counts: how many of each kind there are, see `camaudit.data.problems.KINDS`.
    """

    samples: Sequence[Sample]
    roles: RolesConfig
    groups: tuple[str, ...]
    source: DataConfig
    problems: tuple[Problem, ...] = ()
    problem_counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, samples: Iterable[Sample], *, groups: Sequence[str] = (), source: DataConfig | None = None
    ) -> Dataset:
        """A dataset of samples that were made in Python.

        Args:
            samples: in the order of the dataset.
            groups: the grouping columns to compare by; every one that a sample has where left out.
            source: where the samples were read from.

        Raises:
            DataError: there is no sample, two share an id, or a region has different roles in different samples.
        """
        listed = tuple(samples)
        if not listed:
            msg = "The dataset is empty: there is no sample to audit."
            raise DataError(msg)
        seen: set[str] = set()
        roles: dict[str, Role] = {}
        for sample in listed:
            if sample.id in seen:
                msg = f"The id {sample.id!r} stands for two samples. Ids must be unique; name an id column."
                raise DataError(msg)
            seen.add(sample.id)
            names = [region.name for region in sample.regions]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                msg = f"The sample {sample.id!r} has two regions {twice!r}. Unite them into one."
                raise DataError(msg)
            for region in sample.regions:
                if roles.setdefault(region.name, region.role) != region.role:
                    msg = f"Region {region.name!r} has more than one role; give it one."
                    raise DataError(msg)
        columns = groups or dict.fromkeys(name for sample in listed for name in sample.groups)
        return cls(listed, as_config(roles), tuple(columns), source or DataConfig(format="memory"))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def regions(self) -> dict[str, Role]:
        """The role of every single region, objects first."""
        return self.roles.by_region()

    def select(self, split: str | None) -> Dataset:
        """The samples of one split; all of them for None.

        Raises:
            DataError: no sample is of this split.
        """
        if split is None:
            return self
        kept: Sequence[Sample]
        if isinstance(self.samples, SampleIndex):
            kept, splits = self.samples.of_split(split), self.samples.splits()
        else:
            kept = tuple(sample for sample in self.samples if sample.split == split)
            splits = [sample.split for sample in self.samples]
        if not kept:
            known = ", ".join(sorted({repr(of) for of in splits}))
            msg = f"No sample has the split {split!r}; the splits are {known}."
            raise DataError(msg)
        return replace(self, samples=kept)

    def sample(self, identifier: str) -> Sample | None:
        """The sample of an id; None where there is none."""
        if isinstance(self.samples, SampleIndex):
            return self.samples.find(identifier)
        return next((sample for sample in self.samples if sample.id == identifier), None)

    def fingerprint(self) -> str:
        """sha256 of everything the table says, and of the images' and masks' sizes and names.

        Pixels are not hashed: a fingerprint of a large dataset must not cost a pass over it.
        """
        digest = hashlib.sha256()
        for sample in self.samples:
            row = [
                sample.id,
                sample.image.name,
                _bytes_on_disk(sample.image),
                sample.label,
                sorted(sample.groups.items()),
                sample.split,
                sample.subject,
                [(region.name, region.role, _shape_key(region.shape)) for region in sample.regions],
            ]
            digest.update(json.dumps(row).encode())
        return digest.hexdigest()


def _bytes_on_disk(path: Path) -> int:
    try:
        return (arrow_file(path) or path).stat().st_size
    except (OSError, ValueError):
        return -1


def _shape_key(shape: Shape) -> object:
    if isinstance(shape, np.ndarray):
        return [shape.shape, hashlib.sha256(np.packbits(shape).tobytes()).hexdigest()]
    if isinstance(shape, (MaskFile, ColourMaskFile)):
        return [shape.path.name, _bytes_on_disk(shape.path), shape.values]
    if isinstance(shape, (Instances, Combined)):
        operator = shape.operator if isinstance(shape, Combined) else "instances"
        return [operator, [_shape_key(part) for part in shape.parts]]
    if isinstance(shape, Relative):
        return ["relative", _shape_key(shape.shape)]
    if isinstance(shape, InFile):  # the image's path differs from machine to machine
        return ["in file", _shape_key(shape.shape), shape.size]
    return repr(shape)
