"""Images that lie in no file of their own: a path that goes on where its file ends.

``train/data-00000-of-00002.arrow/image/17`` is the image in row 17 of the column ``image`` of an Arrow file, and
``memory:/CIFAR10-1/17`` is item 17 of a dataset in this process. Such a path is a `Path` like any other: samples keep it on
disk, messages name it, and it is opened where any image is. So nothing is extracted: the dataset is neither copied nor held
in memory, and every image is read when it is needed, from the bytes that are there.
"""

from __future__ import annotations

import functools
import io
import itertools
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

_ARROW = ".arrow"
_MEMORY = "memory:"
_OPEN_FILES = 64

_datasets: dict[str, Callable[[str], Image.Image]] = {}
_numbers = itertools.count(1)
_lock = threading.Lock()


def open_stored(path: Path | str) -> Image.Image:
    """As ``PIL.Image.open``, of a path that may go on inside a file or lead into memory.

    Raises:
        OSError: as of ``PIL.Image.open``; there is no such file, row or dataset.
        ValueError: the file is no Arrow file, or the cell holds no image.
    """
    path = Path(path)
    if path.parts[:1] == (_MEMORY,):
        return _from_memory(path)
    file = arrow_file(path)
    return Image.open(path if file is None else io.BytesIO(_cell(file, path)))


def in_own_file(path: Path) -> bool:
    """Whether the path is that of a file, and does not go on inside one."""
    return path.parts[:1] != (_MEMORY,) and arrow_file(path) is None


def arrow_file(path: Path) -> Path | None:
    """The Arrow file that a path goes on inside; None where it does not."""
    return next((above for above in path.parents if above.suffix == _ARROW and above.is_file()), None)


def cell_path(file: Path, column: str, row: int) -> Path:
    """The path of the image in a cell of an Arrow file."""
    return file / column / str(row)


def keep_open(name: str, image: Callable[[str], Image.Image]) -> Path:
    """Make the images of a dataset in memory known by paths, for as long as the process lives.

    Args:
        name: of the dataset, for messages.
        image: from the rest of a path to an image; may raise ValueError or OSError.

    Returns:
        The path that the images' paths begin with.
    """
    with _lock:
        key = f"{name}-{next(_numbers)}".replace("/", "-")
        _datasets[key] = image
    return Path(_MEMORY, key)


def _from_memory(path: Path) -> Image.Image:
    image = _datasets.get(path.parts[1]) if len(path.parts) > 2 else None
    if image is None:
        msg = "its dataset was in the memory of another process; hand it over with data="
        raise ValueError(msg)
    return image("/".join(path.parts[2:]))


def _cell(file: Path, path: Path) -> bytes:
    *columns, row = path.relative_to(file).parts
    status = file.stat()
    table = _table(file, status.st_mtime_ns, status.st_size)
    column = "/".join(columns)
    if column not in table.column_names or not row.isdecimal() or int(row) >= len(table):
        msg = f"{file} has no such cell"
        raise FileNotFoundError(msg)
    cell = table.column(column)[int(row)].as_py()
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        msg = "the cell holds no image"
        raise ValueError(msg)  # noqa: TRY004 - of the data, not of an argument
    return data


@functools.lru_cache(maxsize=_OPEN_FILES)
def _table(file: Path, changed: int, size: int) -> Any:
    """A table whose cells stay on disk until they are asked for; read anew when the file has changed."""
    import pyarrow as pa

    del changed, size
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
        return reader.read_all()
