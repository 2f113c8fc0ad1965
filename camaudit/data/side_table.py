"""A table beside the annotations: labels, groups, splits and subjects by an image's name or id."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.data.rows import check_columns, known, open_rows
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from camaudit.config import DataConfig
    from camaudit.data.problems import Problems


@dataclass(frozen=True)
class Joined:
    """What the table says of one image."""

    label: str | None
    groups: Mapping[str, str]
    split: str | None
    subject: str | None


class SideTable:
    """The rows of the table by the image they are about, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # an empty name is a private file of SQLite, gone when it is closed
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.execute("create table r (name text primary key, number int, row text) without rowid")
        self._used = bytearray()  # by number of the row

    @classmethod
    def of(cls, source: DataConfig, *, labels: bool) -> SideTable | None:
        """The side table of a configuration; None where it has none, or where the dataset is the table.

        Args:
            source: the configuration.
            labels: whether the labels come from it.

        Raises:
            DataError: it cannot be read, lacks a column, or says two things of one image.
        """
        if source.table is None or source.format == "table":
            return None
        table = cls(source.table)
        table._fill(source, labels=labels)
        return table

    def row(self, names: Sequence[str], where: str, problems: Problems) -> Joined | None:
        """What the table says of the image with one of these names, the first that it has."""
        for name in names:
            found = self._rows.execute("select number, row from r where name = ?", (_key(name),)).fetchone()
            if found is not None:
                self._used[found[0]] = 1
                return Joined(*json.loads(found[1]))
        problems.add("not-in-table", where, f"{self.path} has no row for {names[0]!r}.")
        return None

    def note_unused(self, problems: Problems) -> None:
        """Note the rows that no image asked for, in the table's order."""
        for number in range(2, len(self._used)):
            if not self._used[number]:
                problems.add("no-sample", f"{self.path}, row {number}", "no image has this name or id.")

    def _fill(self, source: DataConfig, *, labels: bool) -> None:
        columns = source.columns
        names, rows = open_rows(self.path)
        asked = [
            ("data.columns.image", columns.image),
            ("data.columns.label", columns.label if labels else None),
            *(("data.columns.groups", name) for name in columns.groups),
            ("data.columns.split", columns.split),
            ("data.columns.subject", columns.subject),
        ]
        check_columns(names, asked, self.path)
        self._rows.execute("begin")
        for number, row in rows:
            where = f"{self.path}, row {number}"
            if not row[columns.image]:
                msg = (
                    f"{where}: the column {columns.image!r} is empty. Every row needs an image's name or id."
                )
                raise DataError(msg)
            if labels and not row[columns.label or ""].strip():
                msg = f"{where}: the column {columns.label!r} is empty. Label the row or remove it."
                raise DataError(msg)
            plain = [
                row[columns.label] if labels and columns.label else None,
                {name: value for name in columns.groups if (value := known(row[name])) is not None},
                known(row[columns.split]) if columns.split else None,
                known(row[columns.subject]) if columns.subject else None,
            ]
            try:
                self._rows.execute(
                    "insert into r values (?, ?, ?)", (_key(row[columns.image]), number, json.dumps(plain))
                )
            except sqlite3.IntegrityError:
                msg = f"{where}: {row[columns.image]!r} stands in an earlier row already. Keep one row an image."
                raise DataError(msg) from None
            self._used += b"\1" * (number - len(self._used)) + b"\0"  # lines without a row count as used
        self._rows.execute("commit")


def _key(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
