"""The run directory while it is written: one writer at a time, and nothing is removed but the run's own files."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from camaudit.errors import CamauditError, RunError
from camaudit.runs.store import PARTIAL, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = "work"  # shards of a stage that is not finished
REGIONS = "regions"  # what providers found
_OWN = (
    *("manifest.json", "config.yaml", REGIONS, "samples", "maps", WORK, "media", "report.html"),
    *(
        "measurements.parquet",
        "exchanges.parquet",
        "transplants.parquet",
        "recasts.parquet",
        "trust.parquet",
        "effects.parquet",
        "clusters.parquet",
        "quadrants.parquet",
        "findings.json",
    ),
)


def check_free(run: Path) -> None:
    """Nothing is in the way of a new run.

    Raises:
        RunError: there is a run, or anything else.
    """
    with written(run):
        if not run.is_symlink() and not run.exists():
            return
        # what a run that was killed at its first file left does not count
        empty = run.is_dir() and all(entry.name.endswith(PARTIAL) for entry in run.iterdir())
    if not empty:
        what = (
            "already holds a run" if (run / "manifest.json").exists() else "exists and is not an empty folder"
        )
        how = "Go on with it (--resume), give" if (run / "manifest.json").exists() else "Give"
        msg = f"{run} {what}. {how} another --out, or delete it."
        raise RunError(msg)


@contextmanager
def begun(run: Path) -> Iterator[None]:
    """A new run's directory, made and held.

    Folders that were made for it are removed again where nothing came to lie in them.

    Raises:
        RunError: it cannot be made, something is in the way, or another process writes it.
    """
    check_free(run)
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    with written(run):
        run.mkdir(parents=True, exist_ok=True)
    try:
        with held(run):
            check_free(run)  # another process may have begun and finished meanwhile
            yield
    finally:
        with suppress(OSError):  # not empty
            for folder in made:
                folder.rmdir()


@contextmanager
def held(run: Path) -> Iterator[None]:
    """The run directory, locked against other writers for as long as this process lives.

    Raises:
        RunError: another process writes it.
    """
    with written(run):
        handle = os.open(run, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                msg = f"{run} is being written by another process. Wait for it, or give another --out."
                raise RunError(msg) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def undone_on_error(run: Path) -> Iterator[None]:
    """Takes the run's own files away where the input turns out to be wrong; a full disk leaves them to be resumed."""
    try:
        yield
    except CamauditError as error:
        if not isinstance(error, RunError):
            for name in _OWN:
                path = run / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        raise
