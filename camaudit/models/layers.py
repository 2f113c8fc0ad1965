"""Find the layer whose activations still have a place in the image, and are the last to have one."""

from __future__ import annotations

import difflib
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import nn

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

# what only moves or thins out an activation is not what computed it
_PASSIVE = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


def find_target_layer(module: nn.Module, example: torch.Tensor) -> str:
    """Name of the last module whose output is a grid of channels, as Grad-CAM's section 3 asks for.

    Of modules that return the very same tensor (a block and its last activation) the outermost is named.

    Args:
        module: the model.
        example: an input, (1, 3, height, width).

    Raises:
        ModelError: no module returns (batch, channels, h, w) with more than one position.
    """
    seen = _Seen((example.shape[-2], example.shape[-1]))
    with ExitStack() as hooks, evaluating(module), torch.inference_mode():
        for name, part in module.named_modules():
            if name:
                hooks.callback(part.register_forward_hook(seen.hook(name)).remove)
        module(example)

    active = [(name, output) for name, output in seen.grids if id(output) not in seen.passed_on]
    if not active:
        msg = (
            f"No layer of {type(module).__name__} returns (batch, channels, h, w) with more than one position, "
            "so a map has no place to be made. Name a target layer."
        )
        raise ModelError(msg)
    if seen.tokens:
        msg = (
            f"After {active[-1][0]!r}, {type(module).__name__} goes on with tokens (such as {seen.tokens!r}), of which this "
            "version makes no grid. Name a target layer that returns (batch, channels, h, w)."
        )
        raise ModelError(msg)
    last = active[-1][1]
    # an activation that works in place returns its input: the later of two equally outer names is the finished one;
    # dropout returns it too, but does nothing
    return min(
        (name for name, output in reversed(active) if output is last),
        key=lambda name: (isinstance(module.get_submodule(name), _PASSIVE), name.count(".")),
    )


def check_target_layer(module: nn.Module, name: str, example: torch.Tensor) -> None:
    """A layer that somebody named can carry a map.

    Args:
        module: the model.
        name: of the layer.
        example: an input, (1, 3, height, width).

    Raises:
        ModelError: there is no such layer, it is not used, or what it returns is no grid of channels.
    """
    outputs: list[object] = []
    handle = module_at(module, name).register_forward_hook(lambda _m, _i, output: outputs.append(output))
    try:
        with evaluating(module), torch.inference_mode():
            module(example)
    finally:
        handle.remove()
    if not outputs:
        msg = f"The layer {name!r} is not used in a forward pass of {type(module).__name__}. Name another target layer."
        raise ModelError(msg)
    frame = (example.shape[-2], example.shape[-1])
    if not is_grid(outputs[-1], frame):
        raise ModelError(no_grid(name, outputs[-1], frame))


def is_grid(output: object, frame: tuple[int, int]) -> TypeGuard[torch.Tensor]:
    """Whether an output is (batch, channels, h, w), of the image's proportions up to one cell of rounding, and no larger.

    Attention weights (batch, heads, places, places) of a square image have such sides too; only where there are more
    places than pixels a side are they told apart.

    Args:
        output: of a module.
        frame: (height, width) of the model's input.
    """
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        return False
    height, width = output.shape[-2:]
    if height * width <= 1 or height > frame[0] or width > frame[1]:
        return False
    return bool(abs(height * frame[1] - width * frame[0]) <= max(frame))


def no_grid(layer: str, output: object, frame: tuple[int, int]) -> str:
    """What to say of a layer whose output is no grid; arguments as `is_grid`."""
    got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    last = isinstance(output, torch.Tensor) and output.ndim == 4 and is_grid(output.movedim(-1, 1), frame)
    return (
        f"The layer {layer!r} returns {got}{', channels last' if last else ''}; a map needs (batch, channels, h, w) with "
        f"more than one place, in the proportions of the input of {frame[1]}x{frame[0]} and no larger. Name another target layer."
    )


class _Seen:
    """What the modules of one forward pass returned.

    Attributes:
        grids: name and output of every call that returned a grid, in order.
        passed_on: ids of grids that were only pooled from others.
        tokens: the last module after the last grid that returned places in another layout; empty where none did.
    """

    def __init__(self, frame: tuple[int, int]) -> None:
        self.grids: list[tuple[str, torch.Tensor]] = []
        self.passed_on: set[int] = set()
        self.tokens = ""
        self._frame = frame

    def hook(self, name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def record(called: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if not isinstance(output, torch.Tensor):
                return
            passive = isinstance(called, _PASSIVE)
            if is_grid(output, self._frame):
                self.grids.append((name, output))
                self.tokens = ""
                if passive and not any(output is given for given in inputs):
                    self.passed_on.add(id(output))
            elif not passive and output.ndim in {3, 4} and output[0].numel() > max(output.shape[1:]):
                self.tokens = name  # more than one place, in no grid

        return record


def module_at(module: nn.Module, name: str) -> nn.Module:
    """The sub-module of that name.

    Raises:
        ModelError: there is none.
    """
    parts = dict(module.named_modules())
    if name not in parts or not name:
        close = difflib.get_close_matches(name, parts, n=3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "print(model) lists them."
        msg = f"{type(module).__name__} has no layer {name!r}; {hint}"
        raise ModelError(msg)
    found: nn.Module = parts[name]
    return found


class evaluating:  # noqa: N801 - a context manager reads as a verb
    """The model in evaluation mode; every part gets its own mode back."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._modes = [(part, part.training) for part in self._module.modules()]
        self._module.eval()

    def __exit__(self, *_: object) -> None:
        for part, training in self._modes:
            part.training = training
