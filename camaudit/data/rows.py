"""The rows of a table on disk, one by one, every cell as text."""

from __future__ import annotations

import difflib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Row = dict[str, str]
_CHUNK = 2000
_PACKED = {".gz", ".bz2", ".zip", ".xz", ".zst", ".tar", ".tgz"}
_LONGEST_LINE = 10_000_000


def open_rows(path: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The columns of a table, and its rows.

    Args:
        path: a CSV, TSV (``.tsv``, ``.tab``), Parquet (``.parquet``, ``.pq``) or JSON Lines (``.jsonl``, ``.ndjson``) file.

    Returns:
        The names of the columns, and each row with its number: the line in the file for JSON Lines; else 2 for the first
        row, since the names stand in the first line. A cell that is missing is empty text. Of JSON Lines the columns are
        those of the first line.

    Raises:
        DataError: the file is missing, or no such table; also while the rows are consumed.
    """
    kind = path.suffix.lower()
    if kind in _PACKED:
        msg = f"{path} is compressed. Unpack it first: a few bytes can hold a table without end."
        raise DataError(msg)
    with _readable(path):
        if kind in {".parquet", ".pq"}:
            return _parquet(path)
        if kind in {".jsonl", ".ndjson"}:
            return _json_lines(path)
        return _delimited(path, "\t" if kind in {".tsv", ".tab"} else ",")


def check_columns(columns: Sequence[str], asked: Iterable[tuple[str, str | None]], path: Path) -> None:
    """Refuse a column that is asked for and not there.

    Args:
        columns: that the table has.
        asked: key of the configuration and column.
        path: the table, for messages.

    Raises:
        DataError: naming every such column, its key and a near one.
    """
    missing = []
    for key, name in asked:
        if name is not None and name not in columns:
            close = difflib.get_close_matches(name, columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(columns)}."
            missing.append(f"{path} has no column {name!r} ({key}); {hint}")
    if missing:
        raise DataError("\n".join(missing))


def known(cell: str) -> str | None:
    """What a cell says; None where it is blank, which is not a value that blank cells share."""
    return cell if cell.strip() else None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Any failure to read a table as a sentence."""
    import pandas as pd

    try:
        yield
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct data.path."
    except IsADirectoryError:
        msg = (
            f"{path} is a folder. A table is a CSV or Parquet file; for folders of images use format: folder."
        )
    except pd.errors.EmptyDataError:
        msg = f"{path} is empty: there is no sample to audit."
    except (OSError, ValueError, pd.errors.ParserError) as error:  # pyarrow's are ValueErrors or OSErrors
        msg = f"{path} cannot be read as a table: {error}"
    else:
        return
    raise DataError(msg)


def _delimited(path: Path, separator: str) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    import pandas as pd

    options: dict[str, Any] = {
        "sep": separator,
        "dtype": str,
        "keep_default_na": False,
        "encoding": "utf-8-sig",
        "compression": None,
    }
    columns = [str(name) for name in pd.read_csv(path, nrows=0, **options).columns]

    def rows() -> Iterator[tuple[int, Row]]:
        number = 2
        with _readable(path), pd.read_csv(path, chunksize=_CHUNK, **options) as chunks:
            for chunk in chunks:
                if not isinstance(chunk.index, pd.RangeIndex):
                    # pandas took the first cells for an index, which moves every column by one
                    msg = f"{path} has more cells in a row than names in its first line. Quote cells that hold a comma."
                    raise DataError(msg)
                for values in zip(*(chunk[name].tolist() for name in chunk.columns), strict=True):
                    yield number, dict(zip(columns, map(str, values), strict=True))
                    number += 1

    return columns, rows()


def _parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    import pyarrow.parquet as pq

    if path.is_dir():
        raise IsADirectoryError
    columns = [str(name) for name in pq.read_schema(path).names]

    def rows() -> Iterator[tuple[int, Row]]:
        number = 2
        with _readable(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_CHUNK):
                for row in batch.to_pylist():
                    yield number, {name: _text(row[name], name, f"{path}, row {number}") for name in columns}
                    number += 1

    return columns, rows()


def _json_lines(path: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    columns = list(next(_json_objects(path), (0, {}))[1])
    if not columns:
        msg = f"{path} is empty: there is no sample to audit."
        raise DataError(msg)

    def rows() -> Iterator[tuple[int, Row]]:
        kinds: dict[str, type] = {}
        with _readable(path):
            for number, values in _json_objects(path):
                where = f"{path}, row {number}"
                _check_kinds(values, kinds, where)
                row = {name: _text(value, name, where) for name, value in values.items()}
                yield number, dict.fromkeys(columns, "") | row

    return columns, rows()


def _json_objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if not line.strip():
                continue
            if len(line) == _LONGEST_LINE:
                msg = f"{path}, row {number}: the line is longer than {_LONGEST_LINE:,} characters."
                raise DataError(msg)
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                msg = f"{path}, row {number}: the line is no JSON: {error}."
                raise DataError(msg) from None
            if not isinstance(values, dict):
                msg = f'{path}, row {number}: a line must be a JSON object, such as {{"image": "a.jpg"}}.'
                raise DataError(msg)
            yield number, values


def _check_kinds(values: dict[str, object], kinds: dict[str, type], where: str) -> None:
    """Refuse a column of texts and numbers, whose 1 and "1" would become one value."""
    for name, value in values.items():
        if value is None:
            continue
        kind = str if isinstance(value, str) else bool if isinstance(value, bool) else float
        if kinds.setdefault(name, kind) is not kind:
            msg = f"{where}: the column {name!r} holds texts and numbers, of which {value!r} is the second kind. Use one."
            raise DataError(msg)


def _text(value: object, name: str, where: str) -> str:
    if value is None or value != value:  # noqa: PLR0124 - not a number: a missing cell
        return ""
    if isinstance(value, (list, dict)):
        msg = f"{where}: the column {name!r} holds {type(value).__name__}s. A cell is a text or a number."
        raise DataError(msg)
    if isinstance(value, bytes):
        msg = f"{where}: the column {name!r} holds bytes. A cell is a text or a number; save images as files."
        raise DataError(msg)
    return str(value)
