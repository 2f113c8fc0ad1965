"""Running a model on many rows in batches that fit a stated amount of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from camaudit.errors import ExplainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_ROWS: Final = 512  # larger batches are no faster on any device
_MEASURED_ROWS: Final = 2
# the C library maps larger blocks anew at every allocation, and the system clears them: measured slower than small batches
_LARGEST_BLOCK_ON_CPU: Final = 32 * 2**20
# what kernels take for themselves and do not report: copies in another layout, workspaces
_UNSEEN: Final = 1.5
_OUT_OF_MEMORY: Final = (
    "alloc_failed",
    "can't allocate memory",
    "could not create a memory object",
    "not enough memory",
    "out of memory",
)


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what the operations inside of it allocate and hold, on any device, without asking the device.

    Attributes:
        peak: most bytes held at once.
        largest: bytes of the largest block.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self.largest = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then look what its results take."""
        output = function(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}  # noqa: SLF001 - its identity has no other name
        self._held = {key: held for key, held in self._held.items() if not held[0].expired()}  # type: ignore[no-untyped-call]
        for storage in _storages(output):
            if storage._cdata not in given:  # noqa: SLF001
                held = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._held[storage._cdata] = (held, storage.nbytes())  # noqa: SLF001
                self.largest = max(self.largest, storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))
        return output


class Batches:
    """Runs rows in batches as large as fits the memory, or as is of use.

    The first rows are few and measured. Where memory runs out all the same, a batch is tried again with half of its rows,
    and later ones are no larger.

    Args:
        memory: bytes that a batch may take.
        device: where it runs.
    """

    def __init__(self, memory: int, device: torch.device) -> None:
        self._memory, self._device = memory, device
        self._rows, self._most, self._measured = _MEASURED_ROWS, MOST_ROWS, False

    def __call__(self, total: int, run: Callable[[int, int], Tensor]) -> Tensor:
        """The results of ``run(start, stop)``, each (stop - start, ...), for `total` rows: (total, ...).

        Raises:
            ExplainError: a single row does not fit the device's memory.
        """
        found: list[Tensor] = []
        start = 0
        while start < total:
            stop = min(start + self._rows, total)
            counting = None if self._measured else Allocations()
            result = _tried(run, start, stop, counting)
            if result is None:
                if stop - start == 1:
                    raise ExplainError(_TOO_LARGE)
                self._rows = self._most = (stop - start) // 2
                continue
            if counting is not None:
                self._rows = min(self._fitting(counting, stop - start), self._most)
                self._measured = True
            found.append(result)
            start = stop
        return torch.cat(found)

    def _fitting(self, counted: Allocations, rows: int) -> int:
        needed = max(1, round(counted.peak * _UNSEEN / rows))
        fitting = min(MOST_ROWS, self._memory // needed)
        if self._device.type == "cpu":
            fitting = min(fitting, _LARGEST_BLOCK_ON_CPU * rows // max(1, counted.largest))
        return max(1, fitting)


_TOO_LARGE = (
    "There is not enough memory to run the model again on a single image. Use smaller images, a method that does not run "
    "the model again (such as gradcam), or another device."
)


def _tried(
    run: Callable[[int, int], Tensor], start: int, stop: int, measured: Allocations | None
) -> Tensor | None:
    """The result; None where memory ran out: outside of the exception, whose frames hold what is to be freed."""
    try:
        if measured is None:
            return run(start, stop)
        with measured:
            return run(start, stop)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; devices say it in different words."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()
    return any(words in said for words in _OUT_OF_MEMORY)


def _storages(tree: object) -> Iterator[Any]:
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
            yield leaf.untyped_storage()
