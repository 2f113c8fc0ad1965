"""Models that are programs: TorchScript, torch.export, and a factory in Python. They run only where they are trusted.

A TorchScript program is code that runs in each forward pass, and its operators can read and write files. torch.export's
loader falls back to an unrestricted pickle and evaluates text. Neither can be made safe from outside, so neither is opened
because a configuration names it: the person who starts the audit must say that the program is trusted.
"""

from __future__ import annotations

import importlib
import sys
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from camaudit.errors import ModelError
from camaudit.models.fitting import fit_weights
from camaudit.models.opened import Opened
from camaudit.models.weights import program_kind, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from camaudit.config import ModelConfig

_NO_RECIPE = "a program says nothing about its preprocessing"


def check_trusted(config: ModelConfig, *, trust_code: bool) -> None:
    """A model that is code is opened only where its user said so.

    Raises:
        ModelError: they did not.
    """
    if trust_code or config.source not in {"torchscript", "export", "python"}:
        return
    what = {
        "torchscript": f"{config.weights} is a TorchScript program, whose code can read and write files here",
        "export": f"{config.weights} is a program of torch.export, and opening it can run code here",
        "python": f"{config.name} is a function that would run here",
    }[config.source]
    msg = (
        f"{what}. Nothing of it was run. If you trust where it comes from, say --trust-code "
        "(in Python: trust_code=True)."
    )
    raise ModelError(msg)


def open_torchscript(config: ModelConfig, path: Path) -> Opened:
    """A TorchScript program. Its layers cannot be hooked; the gradient by its input can be had."""
    _check_kind(path, "torchscript")
    with _as_program(path, "TorchScript"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
        module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return Opened(module, tuple(config.classes), None, _NO_RECIPE, gives=frozenset(("forward", "gradient")))


def open_export(config: ModelConfig, path: Path) -> Opened:
    """A program of torch.export, with its modules as they were before the export, so that its layers can be hooked."""
    _check_kind(path, "export")
    with _as_program(path, "torch.export"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.unflatten(torch.export.load(path))
    return Opened(module, tuple(config.classes), None, _NO_RECIPE)


def open_python(config: ModelConfig) -> Opened:
    """What a factory ``package.module:function`` returns, with weights where there are any.

    The module is looked for where Python looks, and in the working directory.
    """
    home, colon, function = config.name.partition(":")
    if not colon or not home or not function:
        msg = f"model.name {config.name!r} names no function; write it as package.module:function."
        raise ModelError(msg)
    make = _function(home, function)
    try:
        module = make(**config.arguments)
    except Exception as error:  # noqa: BLE001 - somebody else's code fails in every way there is
        msg = f"{config.name} ended with {type(error).__name__}: {error}. Correct model.arguments, or the function."
        raise ModelError(msg) from None
    if not isinstance(module, nn.Module):
        msg = f"{config.name} returned {type(module).__name__}; a factory returns a torch.nn.Module."
        raise ModelError(msg)
    notes: tuple[str, ...] = ()
    if config.weights is not None:
        found = read_checkpoint(config.weights)
        notes = (
            *found.notes,
            *fit_weights(module, found.state, where=config.weights, classes=config.classes),
        )
    return Opened(
        module, tuple(config.classes), None, "a factory says nothing about its preprocessing", notes
    )


def _function(home: str, name: str) -> Any:
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))
    try:
        found: Any = importlib.import_module(home)
        for part in name.split("."):
            found = getattr(found, part)
    except ImportError as error:
        msg = f"The module {home} of model.name cannot be imported: {error}. Install it, or start where it lies."
        raise ModelError(msg) from None
    except AttributeError:
        msg = f"The module {home} has no {name!r}. Correct model.name."
        raise ModelError(msg) from None
    except Exception as error:  # noqa: BLE001 - somebody else's code fails in every way there is
        msg = f"The module {home} of model.name ended with {type(error).__name__} when it was imported: {error}."
        raise ModelError(msg) from None
    finally:
        sys.path[:] = before
    if not callable(found):
        msg = f"{home}:{name} is {type(found).__name__}; a factory is a function that returns a torch.nn.Module."
        raise ModelError(msg)
    return found


def _check_kind(path: Path, source: str) -> None:
    if not path.is_file():
        msg = f"{path} does not exist or is a folder. Give the program's file in model.weights."
        raise ModelError(msg)
    kind = program_kind(path)
    if kind != source:
        is_what = {
            "torchscript": "a TorchScript program",
            "export": "a program of torch.export",
            "": "no program but, where it is sound, weights",
        }[kind]
        how = f"model.source: {kind}" if kind else "the source that its architecture comes from"
        if not path.stat().st_size:
            is_what, how = "empty (0 bytes)", "a whole file"
        msg = f"{path} is {is_what}, and model.source says {source}. Give {how}."
        raise ModelError(msg)


@contextmanager
def _as_program(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a damaged program fails in every way there is
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = (lines[0] if lines else type(error).__name__).rstrip(".")
        if isinstance(error, zipfile.BadZipFile):
            reason = "it is damaged"
        msg = f"{path} cannot be opened as a program of {kind}: {reason}. Save the program again, with this torch ({torch.__version__})."
        raise ModelError(msg) from None
