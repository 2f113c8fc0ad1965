"""A dataset from a table: one row a sample, with the paths of its image and masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.config.model import SEPARATOR
from camaudit.data.labels import label_source
from camaudit.data.paths import Root
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.data.rows import check_columns, known, open_rows
from camaudit.errors import ConfigError, DataError
from camaudit.types import MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.config.data import LabelSource
    from camaudit.data.dataset import Dataset
    from camaudit.data.rows import Row
    from camaudit.types import Shape


def table(
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
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    split: str | None = None,
    derive: Mapping[str, str] | None = None,
    label_names: Mapping[str, str] | None = None,
    allow_outside: bool = False,
) -> Dataset:
    """A dataset from a CSV, TSV, Parquet or JSON Lines table; paths in it are relative to the table's folder.

    Args:
        path: the table.
        image: column with the images' paths.
        label: column with the class names; None where nothing is labelled.
        id: column with unique ids; the image's path as the table spells it where left out.
        groups: grouping columns, such as ``["gender"]``; a sample whose cell is blank is in none of the column's groups.
        split_column: column with the split of each row; blank: none.
        subject: column that says which person, patient or place a row shows; a row whose cell is blank stands for itself.
        mask: column with the paths of indexed masks, one a sample, read with `legend`.
        legend: pixel value to region name.
        masks: region name to the column with the paths of its masks.
        objects: regions the model should use.
        attributes: regions the model should not use.
        split: keep only the rows of this split.
        derive: region name to an expression of other regions, such as ``"not (hair or face)"``.
        label_names: label as the table spells it to the class's name.
        allow_outside: whether paths may lead out of the table's folder.

    Raises:
        ConfigError: a name or a pixel value cannot be used.
        DataError: the table cannot be read, lacks a column, or has rows that cannot be used.
    """
    if mask is not None and not legend:
        msg = f"The masks in the column {mask!r} need a legend, such as legend={{1: 'hair'}}: pixel value to region name."
        raise DataError(msg)
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
        "format": "table",
        "path": path,
        "columns": columns,
        "regions": indexed or (dict(masks) if masks else None),
        "split": split,
        "derive": dict(derive or {}),
        "label_names": label_names and dict(label_names),
        "allow_outside": allow_outside,
    }
    source = parse_section(DataConfig, values, where="camaudit.data.table")
    roles = {"object": list(objects), "attribute": list(attributes)}
    return read_table(source, parse_section(RolesConfig, roles, where="camaudit.data.table"))


def read_table(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``table`` describes; see `table`."""
    label = label_source(source, ("table", "none"), "table")
    names, rows = open_rows(source.path)
    _check(names, source)
    return assemble(
        _records(rows, source, label),
        source,
        roles,
        regions=_region_names(source),
        groups=source.columns.groups,
        label="none" if label == "none" else None,
        problems=Problems(),
        hint="; name an id column in data.columns.id",
    )


def _records(rows: Iterator[tuple[int, Row]], source: DataConfig, label: LabelSource) -> Iterator[Record]:
    columns = source.columns
    root = Root(source.images or source.path.parent, allow_outside=source.allow_outside)
    masks = Root(source.path.parent, allow_outside=source.allow_outside)
    needed = [(columns.image, "Every row needs an image."), (columns.id, "Every row needs an id.")]
    if label == "table" and not columns.labels:
        needed.append((columns.label, "Label the row or remove it."))
    number = 1
    for number, row in rows:
        where = f"{source.path}, row {number}"
        record = None
        with one_row():
            for name, advice in needed:
                if name is not None and not row[name]:
                    msg = f"{where}: the column {name!r} is empty. {advice}"
                    raise DataError(msg)
            record = Record(
                id=row[columns.id or columns.image],
                image=root.path(row[columns.image], where=where),
                where=where,
                label=_label(row, source, where),
                groups={name: value for name in columns.groups if (value := known(row[name])) is not None},
                regions=dict(_shapes(row, source, masks, where)),
                split=known(row[columns.split]) if columns.split else None,
                subject=known(row[columns.subject]) if columns.subject else None,
            )
        if record is not None:
            yield record
    if number == 1:
        msg = f"{source.path} has no rows: there is no sample to audit."
        raise DataError(msg)


_SAYS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _label(row: Row, source: DataConfig, where: str) -> str | None:
    """The label of a row; of one column a class, the names of those that hold 1. None where there is none."""
    columns = source.columns
    if not columns.labels:
        return row[columns.label] if columns.label else None
    said = {name: _SAYS.get(row[name].strip().lower().removesuffix(".0")) for name in columns.labels}
    unclear = next((name for name, of in said.items() if of is None), None)
    if unclear is not None:
        msg = f"{where}: the column {unclear!r} holds {row[unclear]!r}; a column of data.columns.labels holds 1 or 0."
        raise DataError(msg)
    return SEPARATOR.join(name for name, of in said.items() if of) or None


def _check(names: Sequence[str], source: DataConfig) -> None:
    columns, regions = source.columns, source.regions
    origins = (
        [("data.columns.regions", regions.column)]
        if isinstance(regions, LegendConfig)
        else [("data.columns.regions", column) for _, column in mask_columns(source)]
    )
    asked = [
        ("data.columns.image", columns.image),
        ("data.columns.label", None if columns.labels else columns.label),
        *(("data.columns.labels", name) for name in columns.labels),
        ("data.columns.id", columns.id),
        *(("data.columns.groups", name) for name in columns.groups),
        ("data.columns.split", columns.split),
        ("data.columns.subject", columns.subject),
        *origins,
    ]
    check_columns(names, asked, source.path)
    if source.table is not None:
        msg = "data.table is for annotations without labels; with format: table, data.path is the table. Remove it."
        raise ConfigError(msg)
    if source.split is not None and columns.split is None:
        msg = f"data.split is {source.split!r} but no column says the split; name it in data.columns.split."
        raise DataError(msg)
    if isinstance(regions, LegendConfig) and regions.column is None:
        msg = "data.regions has a legend but no column; name the table's mask column in data.regions.column."
        raise DataError(msg)


def mask_columns(source: DataConfig) -> list[tuple[str, str]]:
    """Region and mask column of every pair in `data.regions`.

    Raises:
        ConfigError: a region has several columns.
    """
    if source.regions is None or isinstance(source.regions, LegendConfig):
        return []
    pairs = []
    for name, column in source.regions.items():
        if not isinstance(column, str):
            msg = f"data.regions.{name}: a table has one mask column a region; unite several by data.derive."
            raise ConfigError(msg)
        pairs.append((name, column))
    return pairs


def _region_names(source: DataConfig) -> list[str]:
    if isinstance(source.regions, LegendConfig):
        return list(dict.fromkeys(source.regions.legend.values()))
    return list(source.regions or {})


def _shapes(row: Row, source: DataConfig, masks: Root, where: str) -> Iterator[tuple[str, Shape]]:
    regions = source.regions
    if isinstance(regions, LegendConfig):
        if regions.column and row[regions.column]:
            yield from legend_shapes(masks.path(row[regions.column], where=where), regions.legend).items()
        return
    for name, column in mask_columns(source):
        if row[column]:
            yield name, MaskFile(masks.path(row[column], where=where))


def legend_shapes(path: Path, legend: Mapping[int, str]) -> dict[str, MaskFile]:
    """The regions of one indexed mask; pixel values with the same name make one region."""
    return {
        name: MaskFile(path, tuple(value for value, of in legend.items() if of == name))
        for name in dict.fromkeys(legend.values())
    }
