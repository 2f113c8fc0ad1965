"""Paths that a dataset names, kept inside its folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REMEMBERED = 4096  # folders whose real place is kept


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long for one is no error, as it is to `Path.exists`."""
    return os.path.exists(path)  # noqa: PTH110 - never raises


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; as `exists`."""
    return os.path.isdir(path)  # noqa: PTH112 - likewise


class Root:
    """The folder that a dataset's files lie in.

    A name that leads out of it, by ``..``, as an absolute path or through a symbolic link, is refused unless
    `allow_outside`: a dataset that somebody else made does not choose what is opened and shown in a report.
    """

    def __init__(self, folder: Path, *, allow_outside: bool = False) -> None:
        self.folder = folder
        self._allowed = allow_outside
        self._real = os.path.realpath(folder)
        self._folders: dict[str, str] = {}

    def path(self, name: str, *, where: str) -> Path:
        """The path that a name stands for.

        Args:
            name: relative to the folder, as the dataset spells it.
            where: file and row, for messages.

        Raises:
            DataError: the name is empty, cannot be a path, or leads out of the folder.
        """
        if not name or "\0" in name:
            msg = f"{where}: {name!r} cannot be the name of a file."
            raise DataError(msg)
        joined = self.folder / name
        if not self._allowed and not self._within(self._place(joined)):
            msg = (
                f"{where}: {name!r} leads out of {self.folder}, the folder of the dataset. "
                "Correct it, or set data.allow_outside: true if the file is meant."
            )
            raise DataError(msg)
        return joined

    def walk(self, below: Path | None = None) -> Iterator[Path]:
        """Every file below the folder, or below one of its folders, sorted by the parts of its path.

        Raises:
            DataError: a symbolic link leads out of the folder.
        """
        return self._walk(below or self.folder, frozenset())

    def _walk(self, folder: Path, above: frozenset[str]) -> Iterator[Path]:
        real = os.path.realpath(folder)
        if real in above:  # a symbolic link to a folder that it lies in
            return
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 - names take a tenth of the memory of paths
        except OSError as error:
            msg = f"{folder} cannot be listed: {error.strerror}."
            raise DataError(msg) from None
        for name in names:
            entry = folder / name
            if entry.is_symlink():
                self.path(os.path.relpath(entry, self.folder), where=str(folder))
            if entry.is_dir():
                yield from self._walk(entry, above | {real})
            else:
                yield entry

    def _place(self, path: Path) -> str:
        if ".." in path.parts:
            return os.path.realpath(path)
        parent = str(path.parent)
        if parent not in self._folders:
            if len(self._folders) >= _REMEMBERED:
                self._folders.clear()
            self._folders[parent] = os.path.realpath(parent)
        place = f"{self._folders[parent]}/{path.name}"
        return os.path.realpath(place) if os.path.islink(place) else place  # noqa: PTH114 - never raises

    def _within(self, place: str) -> bool:
        return place.startswith(self._real.rstrip("/") + "/") or place == self._real
