"""A table with an image a row: which column is what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camaudit.data.rows import open_rows
from camaudit.errors import DataError
from camaudit.runs.proposing.folders import SUFFIXES, legend, pixel_values
from camaudit.runs.proposing.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".jsonl", ".ndjson")
_FEW = 20
"""Values of a column that may be a label or a group."""
_KEPT = 1000  # distinct values of a column that are counted
_LABELS = ("label", "labels", "class", "target", "category", "y", "diagnosis", "dx")
_SUBJECTS = ("subject", "person", "patient", "patient_id", "subject_id", "person_id", "identity")
_MASK_WORDS = ("mask", "segmentation", "seg", "trimap", "annotation")


def table(folder: Path) -> Proposal | None:
    """The first table in a folder that names images which are there."""
    found = []
    for path in sorted(at for at in folder.iterdir() if at.suffix.lower() in _KINDS and at.is_file()):
        try:
            columns = _Columns(path)
        except DataError:
            continue
        if columns.images:
            found.append((path, columns))
    if not found:
        return None
    proposal = _proposal(*found[0])
    if len(found) == 1:
        return proposal
    others = ", ".join(path.name for path, _ in found[1:])
    return replace(proposal, unsure={**proposal.unsure, "path": f"or {others}"})


class _Columns:
    """What the cells of each column look like."""

    def __init__(self, path: Path) -> None:
        self.names, rows = open_rows(path)
        self.values: dict[str, Counter[str]] = {name: Counter() for name in self.names}
        self.rows = 0
        for _, row in rows:
            self.rows += 1
            for name in self.names:
                seen = self.values[name]
                cell = row.get(name, "")
                if cell.strip() and (cell in seen or len(seen) < _KEPT):
                    seen[cell] += 1
        self._folder = path.parent
        paths = [name for name in self.names if self._holds_paths(name)]
        self.masks = [name for name in paths if _is_mask(name)]
        self.images = sorted(
            (name for name in paths if name not in self.masks),
            key=lambda name: (
                name.lower() not in {"image", "path", "file", "filename"},
                self.names.index(name),
            ),
        )

    def few(self, name: str) -> bool:
        """Whether a column says which of a few groups a row is in."""
        seen = self.values[name]
        return 2 <= len(seen) <= _FEW and sum(seen.values()) > 2 * len(seen)

    def unique(self, name: str) -> bool:
        seen = self.values[name]
        return len(seen) == min(self.rows, _KEPT) and all(number == 1 for number in seen.values())

    def _holds_paths(self, name: str) -> bool:
        cells = list(self.values[name])[:20]
        return bool(cells) and any(
            Path(cell).suffix.lower() in SUFFIXES and "\0" not in cell and _there(self._folder / cell)
            for cell in cells
        )

    def paths(self, name: str) -> Iterator[Path]:
        return (self._folder / cell for cell in self.values[name] if _there(self._folder / cell))


def _is_mask(name: str) -> bool:
    return any(word in name.lower() for word in _MASK_WORDS)


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _proposal(path: Path, columns: _Columns) -> Proposal:
    unsure: dict[str, str] = {}
    image = columns.images[0]
    if len(columns.images) > 1:
        unsure["columns.image"] = f"or one of {', '.join(columns.images[1:])}"
    rest = [name for name in columns.names if name not in {*columns.images, *columns.masks}]
    by_name = {name.lower(): name for name in rest}
    label = next((by_name[name] for name in _LABELS if name in by_name), None)
    if label is None:
        label = next((name for name in rest if columns.few(name)), None)
        unsure["columns.label"] = (
            "the column of the labels" if label else "no column looks like labels; name it"
        )
    split = next((by_name[name] for name in ("split", "partition", "fold", "set") if name in by_name), None)
    subject = next((by_name[name] for name in _SUBJECTS if name in by_name), None)
    identity = next((by_name[name] for name in ("id", "sample", "sample_id") if name in by_name), None)
    taken = {label, split, subject, identity}
    groups = [name for name in rest if name not in taken and columns.few(name)]
    named: dict[str, Any] = {"image": image, "label": label}
    if identity is not None and columns.unique(identity):
        named["id"] = identity
    if groups:
        named["groups"] = groups
        unsure["columns.groups"] = "columns with few values, to compare by"
    named |= {key: name for key, name in (("split", split), ("subject", subject)) if name is not None}
    data: dict[str, Any] = {"format": "table", "path": path, "columns": named}
    if split is not None:
        found = [value for value in ("test", "val", "valid", "validation") if value in columns.values[split]]
        if found:
            data["split"] = found[0]
            unsure["split"] = f"which to audit: {', '.join(sorted(columns.values[split]))}"
    if columns.masks:
        data["regions"] = _regions(columns, unsure)
    return Proposal(f"a table ({path.name})", data, unsure)


def _regions(columns: _Columns, unsure: dict[str, str]) -> dict[str, Any]:
    """One indexed mask a row where a single column has one; a region for each of several columns."""
    first = columns.masks[0]
    values = pixel_values(columns.paths(first))
    if len(columns.masks) == 1 and len(values) > 1 and values != [255]:
        unsure["regions.legend"] = "what the pixel value is: give it its name"
        return {"column": first, "legend": legend(values)}
    unsure["regions"] = "columns of masks, taken as one region each"
    return {name.replace("+", " "): name for name in columns.masks}
