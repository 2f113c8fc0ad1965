"""One forward pass that is listened to: where the graph begins, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from camaudit.errors import ExplainError
from camaudit.explain.targets import Seen
from camaudit.models.grids import grid_of, tensor_of, with_tensor
from camaudit.models.layers import module_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from camaudit.models.grids import Grid

Graph = Literal["none", "layer", "input"]
Hook = Callable[["nn.Module", object, object], object]


@dataclass(frozen=True)
class Network:
    """A model, and what it is given beside the images.

    Attributes:
        module: the model, in the state of `camaudit.models.undisturbed.undisturbed`.
        context: further arguments by name, each (batch, ...).
        layers: names of the layers that maps are made at, in the order they were asked for.
        watched: names of the layers that targets look at.
        autocast: whether the caller's autocast is on, and its type: the model runs under it, the methods do not.
    """

    module: nn.Module
    context: Mapping[str, Tensor]
    layers: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    autocast: tuple[bool, torch.dtype] = (False, torch.float32)

    def __call__(self, inputs: Tensor, rows: Tensor | None = None) -> object:
        """What the model returns.

        Args:
            inputs: (rows, channels, height, width).
            rows: (rows,) which sample of the batch each is; None: the batch as it is.
        """
        context = self.context
        if rows is not None:
            context = {name: value[rows] for name, value in context.items()}
        enabled, dtype = self.autocast
        if not enabled:
            return self.module(inputs, **context)
        with torch.autocast(inputs.device.type, dtype=dtype):
            return self.module(inputs, **context)


@dataclass(frozen=True)
class Tap:
    """What a layer returned: the tensor that has the graph, and how it lies on the image."""

    tensor: Tensor
    grid: Grid


@dataclass(frozen=True)
class Pass:
    """What is kept of a forward pass.

    Attributes:
        inputs: what went in; the leaf of the graph where that begins at the input.
        seen: what a target may look at.
        taps: by layer.
    """

    inputs: Tensor
    seen: Seen
    taps: Mapping[str, Tap]


def forward(
    network: Network,
    inputs: Tensor,
    *,
    graph: Graph,
    rows: Tensor | None = None,
    listeners: Sequence[AbstractContextManager[object]] = (),
) -> Pass:
    """Run the model once.

    Args:
        network: the model.
        inputs: (rows, channels, height, width).
        graph: where it begins: nowhere, at the first of the network's layers, or at the input.
        rows: see `Network`.
        listeners: entered around the pass.

    Raises:
        ExplainError: a layer is not used, or what it returns is no grid.
    """
    inputs = inputs.detach()
    if graph == "input":
        inputs = inputs.clone().requires_grad_()
    heard = _Heard(network.module, inputs.shape, cut=graph == "layer")
    with ExitStack() as stack:
        for name in network.layers:
            stack.callback(module_at(network.module, name).register_forward_hook(heard.tap(name)).remove)
        for name in network.watched:
            stack.callback(module_at(network.module, name).register_forward_hook(heard.watch(name)).remove)
        for listener in listeners:
            stack.enter_context(listener)
        # a model may work in place on what it is given
        output = network(inputs.clone(), rows)
    for name in (*network.layers, *network.watched):
        if name not in heard.taps and name not in heard.watched:
            kind = type(network.module).__name__
            msg = f"The layer {name!r} is not used in a forward pass of {kind}. Name another target layer."
            raise ExplainError(msg)
    if rows is None:
        rows = torch.arange(len(inputs), device=inputs.device)
    return Pass(inputs, Seen(output, rows, heard.watched), heard.taps)


class _Heard:
    """What the hooks of one forward pass took down."""

    def __init__(self, module: nn.Module, shape: torch.Size, *, cut: bool) -> None:
        self.taps: dict[str, Tap] = {}
        self.watched: dict[str, Tensor] = {}
        self._module, self._cut = module, cut
        self._batch, self._frame = shape[0], (shape[-2], shape[-1])

    def tap(self, name: str) -> Hook:
        def hook(_module: nn.Module, _inputs: object, output: object) -> object:
            torch.set_grad_enabled(True)  # a model may run its trunk without
            tensor, grid = tensor_of(output), grid_of(self._module, output, self._frame, batch=self._batch)
            if tensor is None or grid is None:
                raise ExplainError(_no_grid(name, tensor, output, self._frame))
            if self._cut and not tensor.requires_grad:
                tensor = tensor.detach().requires_grad_()  # the trunk ends here, the graph begins
            self.taps[name] = Tap(tensor, grid)
            return with_tensor(output, tensor.clone())  # what comes after may work in place

        return hook

    def watch(self, name: str) -> Hook:
        def hook(_module: nn.Module, _inputs: object, output: object) -> object:
            tensor = tensor_of(output)
            if tensor is None:
                msg = f"The layer {name!r} returns {type(output).__name__}, in which there is no tensor to explain."
                raise ExplainError(msg)
            self.watched[name] = tensor
            return with_tensor(output, tensor.clone())

        return hook


def _no_grid(name: str, tensor: Tensor | None, output: object, frame: tuple[int, int]) -> str:
    got = type(output).__name__ if tensor is None else str(tuple(tensor.shape))
    return (
        f"The layer {name!r} returns {got}, which is no grid of places: a map needs (batch, channels, h, w), "
        "(batch, h, w, channels) or (batch, tokens, channels) with more than one place, in the proportions of the input of "
        f"{frame[1]}x{frame[0]} and no larger. Name another target layer, or leave it to be found."
    )
