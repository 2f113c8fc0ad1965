"""What providers found, image by image, as run lengths in Parquet shards: each is there whole or not there."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from camaudit.data.shapes import as_run_lengths
from camaudit.errors import RunError
from camaudit.types import RunLengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.providers.registry import Found

SHARD = 64  # samples
_COLUMNS = {
    "sample": "string", "region": "string", "height": "int64", "width": "int64", "counts": "string",
    "score": "float64", "entropy": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A region that was found in a sample's image, or found not to be there.

    Attributes:
        sample: id of the sample.
        region: name of the region.
        shape: its mask.
        score: see `camaudit.providers.registry.Found`.
        entropy: likewise.
    """

    sample: str
    region: str
    shape: RunLengths
    score: float
    entropy: float

    @classmethod
    def of(cls, sample: str, region: str, found: Found) -> Row:
        """The row of what was found."""
        return cls(sample, region, as_run_lengths(found.mask), found.score, found.entropy)

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return math.isnan(self.score)


def folder_of(cache: Path, names: Sequence[str]) -> Path:
    """Where the regions that one provider makes together lie."""
    return cache / quote(names[0], safe=" ")[:150]


def shard(folder: Path, number: int) -> Path:
    """A shard's file."""
    return folder / f"part-{number:06d}.parquet"


def write_shard(path: Path, rows: Sequence[Row]) -> None:
    """Write a shard beside its name, then rename it.

    Raises:
        RunError: it cannot be written.
    """
    table = pd.DataFrame(
        [
            (
                row.sample,
                row.region,
                row.shape.height,
                row.shape.width,
                row.shape.counts,
                row.score,
                row.entropy,
            )
            for row in rows
        ],
        columns=list(_COLUMNS),
    ).astype(_COLUMNS)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        msg = f"{path} cannot be written: {error.strerror or error}. Free it, or give another place."
        raise RunError(msg) from None


def read_shard(path: Path) -> Mapping[str, Mapping[str, Row]]:
    """The rows of a shard by sample and region.

    Raises:
        RunError: it is missing or damaged.
    """
    found: dict[str, dict[str, Row]] = {}
    for row in _rows(path):
        found.setdefault(row.sample, {})[row.region] = row
    return found


def _rows(path: Path) -> Iterator[Row]:
    try:
        table = pd.read_parquet(path)[list(_COLUMNS)]
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path} is missing or damaged: {error}. Delete it, and go on with --resume, or run the audit again."
        raise RunError(msg) from None
    for sample, region, height, width, counts, score, entropy in table.itertuples(index=False):
        yield Row(sample, region, RunLengths(int(height), int(width), counts), float(score), float(entropy))
