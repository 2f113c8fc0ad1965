"""A dataset from a table: one row a sample, with the paths of its image and masks."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.data.dataset import Dataset
from camaudit.data.roles import as_config, role_of_each
from camaudit.errors import DataError
from camaudit.types import MaskFile, Region, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from camaudit.types import Role


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
) -> Dataset:
    """A dataset from a CSV or Parquet table; paths in it are relative to the table's folder.

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
    }
    source = parse_section(DataConfig, values, where="camaudit.data.table")
    roles = {"object": list(objects), "attribute": list(attributes)}
    return read_table(source, parse_section(RolesConfig, roles, where="camaudit.data.table"))


def read_table(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``table`` describes; see `table`."""
    frame = _read(source.path)
    _check_columns(frame, source)
    if frame.empty:
        msg = f"{source.path} has no rows: there is no sample to audit."
        raise DataError(msg)
    by_region = role_of_each(_region_names(source), roles, where=str(source.path))
    columns = source.columns
    samples = []
    rows: list[dict[str, str]] = [
        {str(key): str(of) for key, of in row.items()} for row in frame.to_dict("records")
    ]
    for number, row in enumerate(rows, start=2):  # line 1 is the header
        if not row[columns.image]:
            msg = f"{source.path}, row {number}: the column {columns.image!r} is empty. Every row needs an image."
            raise DataError(msg)
        if columns.id and not row[columns.id]:
            msg = f"{source.path}, row {number}: the column {columns.id!r} is empty. Every row needs an id."
            raise DataError(msg)
        if columns.label and not row[columns.label]:
            msg = f"{source.path}, row {number}: the column {columns.label!r} is empty. Label the row or remove it."
            raise DataError(msg)
        samples.append(
            Sample(
                id=row[columns.id or columns.image],
                image=source.path.parent / row[columns.image],
                label=row[columns.label] if columns.label else None,
                groups={name: value for name in columns.groups if (value := _known(row[name])) is not None},
                regions=tuple(_regions(row, source, by_region)),
                split=_known(row[columns.split]) if columns.split else None,
                subject=_known(row[columns.subject]) if columns.subject else None,
            )
        )
    _check_ids(samples, source)
    dataset = Dataset(tuple(samples), as_config(by_region), tuple(columns.groups), source)
    return dataset.select(source.split)


def _known(cell: str) -> str | None:
    """What a cell says; None where it is blank, which is not a value that blank cells share."""
    return cell if cell.strip() else None


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(path).astype("string").fillna("").astype(object)
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if isinstance(frame.index, pd.RangeIndex):
            return frame
        # pandas took the first cells for an index, which moves every column by one
        msg = f"{path} has more cells in a row than names in its first line. Quote cells that hold a comma."
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct data.path."
    except IsADirectoryError:
        msg = (
            f"{path} is a folder. A table is a CSV or Parquet file; for folders of images use format: folder."
        )
    except pd.errors.EmptyDataError:
        msg = f"{path} is empty: there is no sample to audit."
    except (OSError, ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as a table: {error}"
    raise DataError(msg)


def _check_columns(frame: pd.DataFrame, source: DataConfig) -> None:
    columns = source.columns
    regions = source.regions
    asked: dict[str, list[str] | list[str | None]] = {
        "image": [columns.image],
        "label": [columns.label],
        "id": [columns.id],
        "groups": columns.groups,
        "split": [columns.split],
        "subject": [columns.subject],
        "regions": [regions.column] if isinstance(regions, LegendConfig) else list((regions or {}).values()),
    }
    for key, names in asked.items():
        for name in names:
            if name is not None and name not in frame.columns:
                known = [str(column) for column in frame.columns]
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(known)}."
                msg = f"{source.path} has no column {name!r} (data.columns.{key}); {hint}"
                raise DataError(msg)
    if source.split is not None and columns.split is None:
        msg = f"data.split is {source.split!r} but no column says the split; name it in data.columns.split."
        raise DataError(msg)
    if isinstance(regions, LegendConfig) and regions.column is None:
        msg = "data.regions has a legend but no column; name the table's mask column in data.regions.column."
        raise DataError(msg)


def _region_names(source: DataConfig) -> list[str]:
    if isinstance(source.regions, LegendConfig):
        return list(dict.fromkeys(source.regions.legend.values()))
    return list(source.regions or {})


def _regions(row: Mapping[str, str], source: DataConfig, roles: Mapping[str, Role]) -> Iterable[Region]:
    regions = source.regions
    base = source.path.parent
    if isinstance(regions, LegendConfig):
        if regions.column and row[regions.column]:
            yield from legend_regions(base / row[regions.column], regions.legend, roles)
        return
    for name, column in (regions or {}).items():
        if row[column]:
            yield Region(name, roles[name], MaskFile(base / row[column]))


def legend_regions(path: Path, legend: Mapping[int, str], roles: Mapping[str, Role]) -> Iterable[Region]:
    """The regions of one indexed mask; pixel values with the same name make one region."""
    for name in dict.fromkeys(legend.values()):
        values = tuple(value for value, of in legend.items() if of == name)
        yield Region(name, roles[name], MaskFile(path, values))


def _check_ids(samples: Sequence[Sample], source: DataConfig) -> None:
    rows: dict[str, int] = {}
    for number, sample in enumerate(samples, start=2):
        if sample.id in rows:
            msg = (
                f"{source.path}, rows {rows[sample.id]} and {number} have the same id {sample.id!r}. "
                "Ids must be unique; name an id column in data.columns.id."
            )
            raise DataError(msg)
        rows[sample.id] = number
