"""Files of the run directory: each is there whole or not there."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pandas as pd

from camaudit.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PARTIAL = ".partial"
_LONGEST = 200  # characters of a file name; systems take 255 bytes


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the name, then rename."""
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Around the writing of a file or folder: what the system has against it, as a sentence."""
    try:
        yield
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}. Free it, or give another place."
        raise RunError(msg) from None


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a Parquet table; see `write_bytes`."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())


def write_array(path: Path, values: NDArray[np.float16]) -> None:
    """Write an .npy file; see `write_bytes`."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table of a run.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(damaged(path, error)) from None


def read_text(path: Path) -> str:
    """Read a text file of a run; errors as `read_table`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RunError(damaged(path, error)) from None


def damaged(path: Path, error: Exception) -> str:
    """What to say of a file of a run that cannot be read."""
    return f"{path} is missing or damaged: {error}. Run the audit again."


def part(number: int, suffix: str) -> str:
    """Name of a shard."""
    return f"part-{number:06d}.{suffix}"


def parts(folder: Path, suffix: str) -> list[Path]:
    """The shards in a folder, in order."""
    return sorted(folder.glob(f"part-*.{suffix}"))


def maps_folder(run: Path, method: str, target: str) -> Path:
    """Where the maps of a method and target lie; a class name may hold what a file name may not."""
    name = quote(target, safe=":, ")
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 17]}~{sha256(target.encode()).hexdigest()[:16]}"
    return run / "maps" / quote(method, safe="") / name


def scale_column(method: str, target: str) -> str:
    """The samples table's column with the maxima of the raw maps."""
    return f"scale_{method}_{target}"
