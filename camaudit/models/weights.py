"""Read weights from disk without executing anything."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from camaudit.errors import ModelError
from camaudit.models.fitting import fit_weights

__all__ = ["Checkpoint", "fit_weights", "read_checkpoint", "read_weights", "weights_file"]

_SHARDED = ".index.json"
_IN_A_FOLDER = (
    "model.safetensors",
    f"model.safetensors{_SHARDED}",
    "pytorch_model.bin",
    f"pytorch_model.bin{_SHARDED}",
)
# where training code keeps the weights in a checkpoint; averaged ones first, as timm does
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_KEPT = ("state_dict", "model_state_dict", "model", "model_state", "net", "weights")
# what trainers write beside the weights; each becomes an empty stand-in and is never used
_BESIDE = (
    *(
        "argparse.",
        "collections.",
        "datetime.",
        "easydict.",
        "enum.",
        "lightning",
        "ml_collections.",
        "numpy.",
    ),
    *("omegaconf.", "pathlib.", "pytorch_lightning.", "torch.optim.", "types.SimpleNamespace"),
)


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        state: names and tensors.
        notes: what was understood beyond a plain state dict, one phrase each.
    """

    state: dict[str, torch.Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file; see `read_checkpoint`."""
    return read_checkpoint(path).state


def read_checkpoint(path: Path) -> Checkpoint:
    """The state dict in a file, with what lay around it taken off.

    Safetensors, an index of safetensors or pickle shards (``*.index.json``), a folder that holds one of these, a state dict,
    or a checkpoint that keeps one beside other things: Lightning's, timm's, torchvision's; averaged (EMA) weights where
    there are any.

    Raises:
        ModelError: the file is missing, damaged or no state dict, or is a program or a pickle that wants to run code.
    """
    file = path
    try:
        file = weights_file(path)
        if file.name.endswith(_SHARDED):
            return _sharded(file)
        if file.suffix == ".safetensors":
            return Checkpoint(_safetensors(file))
        kept, beside = _pickled(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        msg = f"{path} does not exist or is a folder without weights. Give the weights file in model.weights."
        raise ModelError(msg) from None
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file fails in every way there is
        reason = str(error).split(". ")[0].strip() or "it ends too early"
        msg = f"{file} cannot be read as weights: {reason}. Save the state dict again."
        raise ModelError(msg) from None
    return _unpacked(kept, file, beside)


def weights_file(path: Path) -> Path:
    """The weights file in a folder; the path itself where it is no folder, or holds none."""
    if not path.is_dir():
        return path
    return next((path / name for name in _IN_A_FOLDER if (path / name).is_file()), path)


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, torch.Tensor] = load_file(path)
    except SafetensorError as error:
        size = path.stat().st_size
        if not size:
            reason = "it is empty (0 bytes)"
        elif zipfile.is_zipfile(path):
            reason = "it is a file of torch.save; rename it to end in .pt"
        else:
            reason = str(error).rstrip(".")
        msg = f"{path} is not a safetensors file: {reason}. Save or copy the weights again."
        raise ModelError(msg) from None
    return state


def _sharded(index: Path) -> Checkpoint:
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = list(dict.fromkeys(places.values()))
        outside = next((name for name in names if Path(name).name != name), None)
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{index} is no index of shards: it needs a weight_map of tensor names to file names."
        raise ModelError(msg) from None
    if outside is not None:
        msg = f"{index} names the shard {outside!r}, which is not a file beside it. Shards must lie beside their index."
        raise ModelError(msg)
    state: dict[str, torch.Tensor] = {}
    for name in names:
        shard = index.with_name(name)
        if not shard.is_file():
            msg = f"{index} names the shard {name}, which is not there. Copy every shard."
            raise ModelError(msg)
        state |= read_checkpoint(shard).state
    missing = sorted(places.keys() - state.keys())
    if missing:
        msg = f"{index} names {len(missing)} tensor(s) that its shards do not hold, such as {missing[0]}. Copy the shards again."
        raise ModelError(msg)
    return Checkpoint(state, (f"read from {len(names)} shards",))


class _StandIn:
    """Takes the place of an object that is not needed; remembers nothing and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass

    def __setitem__(self, _: object, __: object) -> None:
        pass


def _pickled(path: Path) -> tuple[object, tuple[str, ...]]:
    """What a file of torch.save holds, and which objects in it were replaced by stand-ins."""
    if path.is_file() and not path.stat().st_size:
        msg = f"{path} cannot be read as weights: it is empty (0 bytes). Copy the file again."
        raise ModelError(msg)
    _refuse_programs(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange pickles; they are refused or read
        try:
            return torch.load(path, map_location="cpu", weights_only=True), ()
        except pickle.UnpicklingError:
            beside = _beside(path)
        if not beside:
            raise ModelError(_would_run_code(path))
        try:
            with torch.serialization.safe_globals([(_StandIn, name) for name in beside]):
                return torch.load(path, map_location="cpu", weights_only=True), beside
        except pickle.UnpicklingError:
            raise ModelError(_would_run_code(path)) from None


def _beside(path: Path) -> tuple[str, ...]:
    """The names a checkpoint refers to that torch does not know, where all are of kinds that trainers write."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # noqa: BLE001 - a damaged pickle fails in every way there is
        return ()
    return tuple(names) if all(name.startswith(_BESIDE) for name in names) else ()


def _would_run_code(path: Path) -> str:
    return (
        f"{path} is damaged, or holds more than weights: loading it could run code, so it was refused and nothing was run. "
        "Save the state dict alone: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
    )


def _refuse_programs(path: Path) -> None:
    """A TorchScript or torch.export program is not a state dict, though all are zip files of the same ending."""
    kind = program_kind(path)
    if kind:
        whole = {"torchscript": "a TorchScript program", "export": "a program of torch.export"}[kind]
        msg = (
            f"{path} cannot be read as weights: it is {whole}, code and weights together. Set model.source: {kind}, or save "
            "the state dict."
        )
        raise ModelError(msg)


def program_kind(path: Path) -> str:
    """``torchscript`` or ``export`` where a file is such a program; empty where it is neither."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name.partition("/")[2] or name for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "torchscript"
    exported = any(name.startswith("models/") and name.endswith(".json") for name in inside)
    return "export" if exported or "serialized_exported_program.json" in inside else ""


def _unpacked(kept: Any, path: Path, beside: tuple[str, ...]) -> Checkpoint:
    notes = [f"{', '.join(beside)} beside the weights was left out"] if beside else []
    averaged = [name for name in _AVERAGED if isinstance(kept, dict) and _is_nested(kept.get(name))]
    plain = [name for name in _KEPT if isinstance(kept, dict) and _is_nested(kept.get(name))]
    if averaged or plain:
        taken = (averaged or plain)[0]
        kept = kept[taken]
        if averaged:
            notes.append(f"the averaged weights ({taken}) were taken")
        elif taken != "state_dict":
            notes.append(f"the weights were taken from {taken!r}")
        if taken in _AVERAGED and _is_nested(kept.get("module")):
            kept = kept["module"]
    if not _is_state(kept):
        what = type(kept).__name__
        if isinstance(kept, dict):
            what = f"a mapping with {', '.join(map(repr, list(kept)[:4])) or 'nothing in it'}"
        msg = (
            f"{path} is not a state dict (a mapping of names to tensors) but {what}. Save model.state_dict()."
        )
        raise ModelError(msg)
    return Checkpoint(dict(kept), tuple(notes))


def _is_nested(value: object) -> bool:
    return isinstance(value, dict) and bool(value)


def _is_state(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str) and isinstance(of, torch.Tensor) for key, of in value.items()
    )
