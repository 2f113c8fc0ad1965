"""Rows of the text files that public datasets come with: tables with a header, or words between blanks.

Both are read a piece at a time, so that a long file is never held in memory, and every problem names the file and the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from camaudit.data.rows import check_columns, open_rows
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


class Row(dict[str, str]):
    """The cells of one line by their column, without surrounding blanks.

    Attributes:
        path: the file.
        line: number of the line, from 1.
    """

    def __init__(self, cells: Mapping[str, str], path: Path, line: int) -> None:
        super().__init__(cells)
        self.path = path
        self.line = line

    @property
    def where(self) -> str:
        """The file and the row, as messages name them."""
        return f"{self.path}, row {self.line}"

    def wrong(self, problem: str) -> DataError:
        """The error that refuses the row: the file and the row, and what the problem is."""
        return DataError(f"{self.where}: {problem}")

    def needed(self, column: str) -> str:
        """The cell of a column; a blank one is refused (DataError)."""
        if not self[column]:
            raise self.wrong(f"the column {column!r} is empty. Fill it in, or remove the row.")
        return self[column]

    def one_of(self, column: str, meanings: Mapping[str, str]) -> str:
        """What a coded cell means.

        Raises:
            DataError: the cell is none of the codes.
        """
        cell = self[column]
        if cell not in meanings:
            known = ", ".join(f"{code} ({meaning})" for code, meaning in meanings.items())
            raise self.wrong(f"the column {column!r} is {cell!r}, which is none of {known}.")
        return meanings[cell]


def csv_rows(path: Path, *, columns: Sequence[str], what: str) -> Iterator[Row]:
    """The rows of a table whose first line names the columns.

    Args:
        path: the file.
        columns: those that must be there.
        what: what a message calls the file, such as ``the metadata.csv of Waterbirds``.

    Raises:
        DataError: the file cannot be read as a table, lacks a column, or has no rows.
    """
    names, rows = open_rows(path)
    check_columns(names, [(what, column) for column in columns], path)
    number = 0
    for number, cells in rows:
        yield Row({name: cell.strip() for name, cell in cells.items()}, path, number)
    if not number:
        msg = f"{path} has no rows: there is no sample in {what}."
        raise DataError(msg)


def word_rows(
    path: Path, *, columns: Sequence[str], what: str, skip: int = 0, comment: str | None = None
) -> Iterator[Row]:
    """The rows of a text file whose cells are separated by blanks and hold none.

    Args:
        path: the file.
        columns: their names, in order.
        what: what a message calls the file.
        skip: number of lines at the beginning that are no rows.
        comment: lines that begin with it are no rows.

    Raises:
        DataError: the file is missing, is no text, has no rows, or has a row with more or fewer cells.
    """
    empty = True
    for number, line in enumerate(_lines(path, what), start=1):
        cells = line.split()
        if number <= skip or not cells or (comment is not None and line.startswith(comment)):
            continue
        if len(cells) != len(columns):
            _wrong_count(path, number, len(cells), len(columns))
        empty = False
        yield Row(dict(zip(columns, cells, strict=True)), path, number)
    if empty:
        msg = f"{path} has no rows: there is no sample in {what}."
        raise DataError(msg)


def first_words(path: Path, line: int, what: str) -> list[str]:
    """The words of one line, numbered from 1; none where the file is shorter."""
    return next(
        (text.split() for number, text in enumerate(_lines(path, what), start=1) if number == line), []
    )


def by_key(rows: Iterable[Row], key: str) -> dict[str, Row]:
    """Rows by the cell of a column, which must differ in every row (DataError)."""
    found: dict[str, Row] = {}
    for row in rows:
        name = row.needed(key)
        if name in found:
            raise row.wrong(f"{name!r} stands in row {found[name].line} too; keep one of them.")
        found[name] = row
    return found


def folder_of(path: Path, what: str) -> Path:
    """The folder itself, if it is one.

    Raises:
        DataError: there is no such folder.
    """
    if not path.is_dir():
        msg = f"{path} is not a folder. Give {what}."
        raise DataError(msg)
    return path


def _lines(path: Path, what: str) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, start=1):
                if "\0" in line:
                    msg = f"{path}, row {number}: it holds a zero byte, so this is no text. Replace the file."
                    raise DataError(msg)
                yield line
    except FileNotFoundError:
        msg = f"{path} does not exist. It is {what}; correct the path."
        raise DataError(msg) from None
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as text: {error}. It is {what}."
        raise DataError(msg) from None


def _wrong_count(path: Path, line: int, cells: int, columns: int) -> NoReturn:
    msg = f"{path}, row {line}: it has {cells} cells where there are {columns} columns. Correct the row."
    raise DataError(msg)
