"""Weights that lie near a dataset, and how many outputs they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from camaudit.errors import ModelError
from camaudit.models.weights import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pt2")
_HEADS = ("fc", "classifier", "head", "_fc", "last_linear", "linear")
_MOST = 20


@dataclass(frozen=True)
class Found:
    """A file with weights.

    Attributes:
        path: the file, or the folder of a transformers model.
        source: where the architecture comes from, as far as the file says it.
        outputs: of the head; None where it cannot be seen.
        classes: names of the outputs; empty where the file does not say them.
        said: why it cannot be used, where it cannot.
    """

    path: Path
    source: str | None
    outputs: int | None
    classes: tuple[str, ...] = ()
    said: str = ""


def weights_near(folder: Path) -> list[Found]:
    """The weights in a folder, in one directly below, and beside it; those that can be used first."""
    found = [_found(path) for path in islice(_files(folder), _MOST)]
    return sorted(found, key=lambda of: (bool(of.said), of.source is None and of.outputs is None))


def _files(folder: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    for place in (folder, *below[:50], folder.resolve().parent):
        for path in sorted(islice(place.iterdir(), 2000)):
            if path.suffix in _SUFFIXES and path.is_file() and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _found(path: Path) -> Found:
    config = path.parent / "config.json"
    if path.name in {"model.safetensors", "pytorch_model.bin"} and config.is_file():
        return _of_transformers(path, config)
    try:
        state = read_checkpoint(path).state
    except ModelError as error:
        text = str(error)
        for source in ("torchscript", "export"):
            if f"model.source: {source}" in text:
                return Found(path, source, None)
        return Found(path, None, None, said=text)
    return Found(path, None, outputs_of(state))


def _of_transformers(path: Path, config: Path) -> Found:
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
        names = values.get("id2label") or {}
        classes = tuple(str(names[key]) for key in sorted(names, key=int))
    except (OSError, ValueError, AttributeError, TypeError):
        return Found(path, None, None, said=f"{config} cannot be read.")
    return Found(path.parent, "transformers", len(classes) or None, classes)


def outputs_of(state: Mapping[str, torch.Tensor]) -> int | None:
    """How many outputs the head of a state dict has: of the last matrix, or of one that is named like a head."""
    matrices = [(key, tensor) for key, tensor in state.items() if tensor.ndim == 2 and key.endswith("weight")]
    named = [tensor for key, tensor in matrices if key.split(".")[-2:-1] and key.split(".")[-2] in _HEADS]
    last = named or [tensor for _, tensor in matrices]
    return int(last[-1].shape[0]) if last else None
