"""Files of the run directory: each is there whole or not there."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray


def write_bytes(path: Path, content: bytes) -> None:
    """Write beside the name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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


def part(number: int, suffix: str) -> str:
    """Name of a shard."""
    return f"part-{number:06d}.{suffix}"


def parts(folder: Path, suffix: str) -> list[Path]:
    """The shards in a folder, in order."""
    return sorted(folder.glob(f"part-*.{suffix}"))


def maps_folder(run: Path, method: str, target: str) -> Path:
    """Where the maps of a method and target lie; a class name may hold what a file name may not."""
    return run / "maps" / quote(method, safe="") / quote(target, safe=":, ")


def scale_column(method: str, target: str) -> str:
    """The samples table's column with the maxima of the raw maps."""
    return f"scale_{method}_{target}"
