"""Read weights from disk without executing anything, and fit them to an architecture."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING

import torch

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict in a file.

    Raises:
        ModelError: the file is missing, is no state dict, or is a pickle that wants to run code.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                return load_file(path)
            except SafetensorError as error:
                msg = f"{path} is not a safetensors file: {error}. Save the weights again."
                raise ModelError(msg) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles; they are refused or read
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        msg = f"{path} does not exist or is a folder. Give the weights file in model.weights."
        raise ModelError(msg) from None
    except pickle.UnpicklingError:
        msg = (
            f"{path} is damaged, or holds more than weights: loading it could run code, so it was refused and nothing "
            "was run. "
            "Save the state dict alone: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
        )
        raise ModelError(msg) from None
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged pickle fails in every way there is
        msg = f"{path} cannot be read as weights: {str(error) or 'it ends too early'}. Save the state dict again."
        raise ModelError(msg) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        msg = f"{path} is not a state dict (a mapping of names to tensors). Save model.state_dict()."
        raise ModelError(msg)
    return state


def fit_weights(
    module: nn.Module, state: Mapping[str, torch.Tensor], *, where: Path, classes: Sequence[str]
) -> None:
    """Load a state dict into an architecture, strictly.

    Raises:
        ModelError: names or shapes differ; a head of another size is named as such.
    """
    own = module.state_dict()
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    alike = not missing and not unknown
    if alike and shapes and all(own[key].shape[1:] == state[key].shape[1:] for key in shapes):
        msg = (
            f"{where} has a head of {len(state[shapes[0]])} outputs ({shapes[0]}) but model.classes names "
            f"{len(classes)}: {', '.join(classes[:6])}. Name every class, in the order of the outputs."
        )
        raise ModelError(msg)
    if missing or unknown or shapes:
        parts = [
            f"{len(names)} {what} (such as {names[0]})"
            for names, what in ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
            if names
        ]
        msg = f"{where} does not fit {type(module).__name__}: {', '.join(parts)}. Name the architecture it was trained as."
        raise ModelError(msg)
    module.load_state_dict(dict(state))
