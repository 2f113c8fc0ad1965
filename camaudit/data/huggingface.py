"""A dataset of Hugging Face's library `datasets`, as its ``save_to_disk`` writes it.

A ``DatasetDict`` is a folder with ``dataset_dict.json`` and a folder a split; a ``Dataset`` is a folder with ``state.json``,
which names its Arrow files, and ``dataset_info.json``, which says what the columns mean. They are read as what they are,
text and memory-mapped tables: the library is not needed, nothing is executed, decoded or fetched. The images stay where they
are: `camaudit.data.stored` opens the cell of an Arrow file like a file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from camaudit.config import ColumnsConfig, DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.data.labels import label_source
from camaudit.data.lines import folder_of
from camaudit.data.paths import Root
from camaudit.data.problems import Problems
from camaudit.data.records import Record, assemble
from camaudit.data.rows import check_columns
from camaudit.data.stored import cell_path
from camaudit.data.table import legend_shapes
from camaudit.errors import ConfigError, DataError
from camaudit.types import MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape


def huggingface(
    path: Path,
    *,
    image: str = "image",
    label: str | None = "label",
    id: str | None = None,  # noqa: A002 - the name of the column's key
    groups: Sequence[str] = (),
    split_column: str | None = None,
    subject: str | None = None,
    mask: str | None = None,
    legend: Mapping[int, str] | None = None,
    masks: Mapping[str, str] | None = None,
    label_names: Mapping[str, str] | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    split: str | None = None,
) -> Dataset:
    """A dataset that was written by ``save_to_disk``.

    Args:
        path: the folder of a ``Dataset``, or of a ``DatasetDict``, whose keys are the splits.
        image: column with the images.
        label: column with the labels: a ClassLabel, whose names are the classes (-1: not known), or text; a number
            without names is its own text, which `label_names` may name. None where nothing is labelled.
        id: column with unique ids; the split and the number of the row where left out.
        groups: grouping columns; a ClassLabel is told by its names.
        split_column: column with the split of each row, where the dataset is not a ``DatasetDict``.
        subject: column that says which person, patient or place a row shows.
        mask: column with indexed masks, read with `legend`.
        legend: pixel value to region name.
        masks: region name to the column with its masks; a row whose cell is empty is not annotated.
        label_names: label as the data spells it to class name.
        objects: regions the model should use.
        attributes: regions the model should not use.
        split: keep only the rows of this split.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the folder is none of these, lacks a column, or has rows that cannot be used.
    """
    columns = {
        "image": image,
        "label": label,
        "id": id,
        "groups": list(groups),
        "split": split_column,
        "subject": subject,
    }
    indexed = {"column": mask, "legend": dict(legend)} if legend else None
    values = {
        "format": "huggingface",
        "path": path,
        "columns": columns,
        "label_names": dict(label_names) if label_names else None,
        "regions": indexed or (dict(masks) if masks else None),
        "split": split,
    }
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.huggingface"
    return read_huggingface(
        parse_section(DataConfig, values, where=where), parse_section(RolesConfig, roles, where=where)
    )


def read_huggingface(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``huggingface`` describes; see `huggingface`."""
    if source.table is not None:
        msg = "data.table is not possible with format: huggingface, whose data.columns are those of the dataset itself."
        raise ConfigError(msg)
    parts = _parts(folder_of(source.path, "the folder that save_to_disk wrote"))
    legend, masks = _masks(source)
    for part in parts:
        _check(part, source.columns, [*masks.values(), *([legend.column] if legend else [])])
    problems = Problems()
    return assemble(
        (record for part in parts for record in _records(part, source, legend, masks, problems)),
        source,
        roles,
        regions=list(dict.fromkeys(legend.legend.values())) if legend else list(masks),
        groups=source.columns.groups,
        label=label_source(source, ("none",), None) if source.label else None,
        problems=problems,
    )


@dataclass(frozen=True)
class _Part:
    """One ``Dataset``: where it lies, its split, its Arrow files and what its columns are."""

    folder: Path
    split: str | None
    files: tuple[Path, ...]
    features: Mapping[str, Any]

    def kind(self, column: str) -> str:
        """The name of a feature's type, such as Image, ClassLabel or Value; Sequence for lists."""
        feature = self.features[column]
        return str(feature.get("_type", "")) if isinstance(feature, dict) else "Sequence"

    def names(self, column: str) -> list[str] | None:
        """The names of a ClassLabel; None of any other feature."""
        return (
            [str(name) for name in self.features[column]["names"]]
            if self.kind(column) == "ClassLabel"
            else None
        )


def _parts(folder: Path) -> list[_Part]:
    if (folder / "dataset_dict.json").exists():
        splits = _json(folder / "dataset_dict.json").get("splits")
        if not isinstance(splits, list) or not splits or not all(isinstance(name, str) for name in splits):
            msg = f"{folder / 'dataset_dict.json'} names no splits. Save the dataset again."
            raise DataError(msg)
        root = Root(folder)
        return [_part(root.path(name, where=str(folder / "dataset_dict.json")), name) for name in splits]
    return [_part(folder, None)]


def _part(folder: Path, split: str | None) -> _Part:
    if not (folder / "state.json").exists():
        msg = (
            f"{folder} holds no state.json, so save_to_disk did not write it. Give the folder that it wrote."
        )
        raise DataError(msg)
    state, info = _json(folder / "state.json"), _json(folder / "dataset_info.json")
    try:
        names = [str(file["filename"]) for file in state["_data_files"]]
        if state.get("_indices_data_files"):
            msg = f"{folder}: an old version of datasets chose its rows by an index. Load and save it with a new one."
            raise DataError(msg)
        own = state.get("_split")
        features = dict(info["features"])
    except (KeyError, TypeError, ValueError):
        msg = f"{folder}: state.json names no data files, or dataset_info.json no features. Save the dataset again."
        raise DataError(msg) from None
    for column, feature in features.items():
        if (
            isinstance(feature, dict)
            and feature.get("_type") == "ClassLabel"
            and not isinstance(feature.get("names"), list)
        ):
            msg = f"{folder / 'dataset_info.json'}: the ClassLabel {column!r} has no list of names."
            raise DataError(msg)
    root = Root(folder)
    files = tuple(root.path(name, where=str(folder / "state.json")) for name in names)
    return _Part(folder, split or (own if isinstance(own, str) else None), files, features)


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path} does not exist. Give the folder that save_to_disk wrote."
        raise DataError(msg) from None
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read as JSON: {error}."
        raise DataError(msg) from None
    if not isinstance(values, dict):
        msg = f"{path} holds no JSON object. Save the dataset again."
        raise DataError(msg)
    return values


def _masks(source: DataConfig) -> tuple[LegendConfig | None, dict[str, str]]:
    """The legend with its column, or region to column."""
    if isinstance(source.regions, LegendConfig):
        if source.regions.column is None:
            msg = "data.regions has a legend but no column; name the dataset's mask column in data.regions.column."
            raise ConfigError(msg)
        return source.regions, {}
    masks = {}
    for name, column in (source.regions or {}).items():
        if not isinstance(column, str):
            msg = f"data.regions.{name} names several columns; a region has one column of masks. Unite them with data.derive."
            raise ConfigError(msg)
        masks[name] = column
    return None, masks


def _check(part: _Part, columns: ColumnsConfig, masks: Sequence[str | None]) -> None:
    asked = [
        ("data.columns.image", columns.image),
        ("data.columns.label", columns.label),
        ("data.columns.id", columns.id),
        ("data.columns.split", columns.split),
        ("data.columns.subject", columns.subject),
        *(("data.columns.groups", name) for name in columns.groups),
        *(("data.regions", name) for name in masks),
    ]
    check_columns(list(part.features), asked, part.folder)
    for name in (columns.image, *masks):
        if name is not None and part.kind(name) != "Image":
            images = [column for column in part.features if part.kind(column) == "Image"]
            known = (
                f"its columns of images are {', '.join(images)}" if images else "it has no column of images"
            )
            msg = f"{part.folder}: the column {name!r} holds no images but {part.kind(name)}; {known}."
            raise DataError(msg)


def _records(
    part: _Part, source: DataConfig, legend: LegendConfig | None, masks: Mapping[str, str], problems: Problems
) -> Iterator[Record]:
    columns = source.columns
    root = Root(part.folder, allow_outside=source.allow_outside)
    pictures = [columns.image, *dict.fromkeys([*masks.values(), *([str(legend.column)] if legend else [])])]
    plain = [
        name for name in (columns.label, columns.id, columns.split, columns.subject) if name
    ] + columns.groups
    number = 0
    for file in part.files:
        for row, cells in _rows(file, pictures, list(dict.fromkeys(plain))):
            where = f"{part.folder}, row {number}"
            text = {name: _text(cells[name], name, part, where) for name in plain}
            paths = {name: _place(cells[name], cell_path(file, name, row), root, where) for name in pictures}
            image = paths.pop(columns.image)
            if image is None:
                msg = f"{where}: the column {columns.image!r} is empty. Every row needs an image."
                raise DataError(msg)
            label = text[columns.label] if columns.label else None
            if columns.label and label is None:
                problems.add("no-label", where, f"the column {columns.label!r} is empty or -1.")
            identifier = text[columns.id] if columns.id else None
            if columns.id and identifier is None:
                msg = f"{where}: the column {columns.id!r} is empty. Every row needs an id."
                raise DataError(msg)
            yield Record(
                id=identifier or (f"{part.split}/{number}" if part.split else str(number)),
                image=image,
                where=where,
                label=label,
                groups={name: value for name in columns.groups if (value := text[name]) is not None},
                regions=_regions(paths, legend, masks),
                split=text[columns.split] if columns.split else part.split,
                subject=text[columns.subject] if columns.subject else None,
                names=(str(number),),
            )
            number += 1


def _rows(file: Path, pictures: Sequence[str], plain: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of an Arrow file, without the images' bytes: of an image its path, and whether there are bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    number = 0
    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                batch.validate(full=True)  # offsets that lead out of the buffer would be followed
                cells = {name: batch.column(name).to_pylist() for name in plain}
                for name in pictures:
                    column = batch.column(name)
                    there = pc.is_valid(pc.struct_field(column, "bytes")).to_pylist()
                    paths = pc.struct_field(column, "path").to_pylist()
                    cells[name] = list(zip(there, paths, strict=True))
                for row in range(len(batch)):
                    yield number, {name: of[row] for name, of in cells.items()}
                    number += 1
    except FileNotFoundError:
        msg = f"{file} does not exist. Save the dataset again."
    except (OSError, pa.ArrowException, UnicodeDecodeError, KeyError) as error:
        msg = f"{file} cannot be read as an Arrow file: {error}. Save the dataset again."
    else:
        return
    raise DataError(msg)


def _text(cell: Any, column: str, part: _Part, where: str) -> str | None:
    """A cell as text; a ClassLabel by name; None where it is empty or blank."""
    names = part.names(column)
    if cell is None or cell != cell or (names is not None and cell == -1):  # noqa: PLR0124 - not a number
        return None
    if names is not None:
        if not isinstance(cell, int) or not 0 <= cell < len(names):
            msg = f"{where}: the column {column!r} is {cell!r}, but its names are numbered from 0 to {len(names) - 1}."
            raise DataError(msg)
        return names[cell]
    if isinstance(cell, (list, dict, bytes)):
        msg = f"{where}: the column {column!r} holds {type(cell).__name__}s. A cell is a text or a number."
        raise DataError(msg)
    return str(cell) if str(cell).strip() else None


def _place(cell: tuple[bool, str | None], own: Path, root: Root, where: str) -> Path | None:
    """Where an image is: in its own cell, or in a file that the cell names."""
    there, name = cell
    if there:
        return own
    if name is None:
        return None
    if "://" in name:
        msg = f"{where}: the image {name} is not on disk, and nothing is fetched. Save the dataset with its images."
        raise DataError(msg)
    return root.path(name, where=where)


def _regions(
    paths: Mapping[str, Path | None], legend: LegendConfig | None, masks: Mapping[str, str]
) -> Mapping[str, Shape]:
    if legend is not None:
        path = paths[str(legend.column)]
        return legend_shapes(path, legend.legend) if path is not None else {}
    return {name: MaskFile(path) for name, column in masks.items() if (path := paths[column]) is not None}
