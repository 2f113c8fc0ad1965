"""What a device is held to while an audit runs: float32 that is float32, and a sentence where its memory ends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from camaudit.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 on a GPU in float32, not rounded to TF32; torch's settings come back as they were."""
    backends: Any = torch.backends
    parts = [backends.cuda.matmul, backends.cudnn]
    name: str = "allow_tf32"
    exact: bool | str = False
    if hasattr(backends.cudnn, "conv"):  # from torch 2.9 on, where reading the older switch can fail
        parts = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
        name, exact = "fp32_precision", "ieee"
    before = [(part, getattr(part, name)) for part in parts]
    try:
        for part, _ in before:
            setattr(part, name, exact)
        yield
    finally:
        for part, value in before:
            setattr(part, name, value)


@contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """Says what to do where a device has too little memory.

    Raises:
        RunError: torch could not have the memory; what the run has written stays, to be gone on with.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).split(". ")[0].rstrip(".")
        msg = (
            f"The device has too little memory for batches of {batch_size} images: {reason}. Begin a new run with a "
            "smaller audit.batch_size, or free the memory and go on with --resume."
        )
        raise RunError(msg) from None
