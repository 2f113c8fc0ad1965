"""What the biases of a network add to a score: each times the derivative by what it is added to, for FullGrad."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn import functional

from camaudit.errors import ExplainError
from camaudit.explain.calls import Listener
from camaudit.models.grids import Grid, grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn
    from torch.autograd.graph import GradientEdge

    from camaudit.explain.calls import Call

_CONVOLUTIONS = {f"conv{way}{dims}d" for way in ("", "_transpose") for dims in (1, 2, 3)}


@dataclass(frozen=True, eq=False)
class Bias:
    """A bias where it is used.

    Attributes:
        times: the bias times a derivative by the output that it is added to.
        edge: where that derivative passes on its way back.
        rows: of the output, for each image.
        channels: the output's dimension of channels.
        grid: how the output lies on the image; None where it has no places.
    """

    times: Callable[[Tensor], Tensor]
    edge: GradientEdge
    rows: int
    channels: int
    grid: Grid | None

    def product(self, gradient: Tensor) -> Tensor:
        """Bias times derivative, (batch, channels, h, w), at least float32; (batch, channels, n, 1) without places."""
        found = self.times(gradient if gradient.dtype == torch.float64 else gradient.float())
        if self.grid is not None:
            return self.grid.split(found)
        of_images = found.reshape(-1, self.rows, *found.shape[1:]).movedim(self.channels + 1, 1)
        return of_images.flatten(2)[..., None]


class Biases(Listener):
    """Entered around a forward pass: backward passes then tell what each bias adds to a score.

    Taken are the biases of convolutions, linear layers and norms, as modules or functions, and two implicit ones: of batch
    norm in evaluation mode β - γ·mean/sqrt(variance + ε), and where ReLU6 or hardtanh cut a unit off the constant it is cut
    off at. Of a network of these, of (leaky) ReLU and of pooling, a score is then exactly input times gradient plus every
    bias times its gradient (Srinivas and Fleuret 2019).

    A network with layer, group or instance norm, GELU, SiLU or attention is not linear in pieces, and the sum is not its
    score: of these norms, which take their statistics from the image, only β counts. Not seen are biases that a model adds
    by itself (``x + bias``, torchvision's frozen batch norm, position embeddings) and those in `torch.nn.MultiheadAttention`.

    Args:
        module: the model.
        inputs: (batch, channels, height, width).
    """

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self._module, self._batch = module, len(inputs)
        self._frame = (inputs.shape[-2], inputs.shape[-1])
        self._found: list[Bias] = []

    @contextmanager
    def products(self, take: Callable[[Bias, Tensor], None]) -> Iterator[None]:
        """Let backward passes inside of this context call ``take(bias, product)`` as they come by; see `Bias.product`."""
        with ExitStack() as hooks:
            for bias in self._found:
                hooks.callback(bias.edge.node.register_prehook(partial(_taken, bias, take)).remove)
            yield

    def reduced(
        self, reduce: Callable[[Tensor], Tensor], passes: Iterable[Callable[[], object]]
    ) -> list[Tensor]:
        """What backward passes tell of every layer that lies on a grid.

        Args:
            reduce: of a product, (batch, channels, h, w), what is kept of it: (batch, ...).
            passes: each runs a backward pass, one a target.

        Returns:
            For each layer, first to last, (batch, targets, ...); zero for a target that does not depend on the layer.
        """
        found: dict[Bias, dict[int, Tensor]] = {bias: {} for bias in self._found if bias.grid is not None}
        targets = 0
        for run in passes:

            def take(bias: Bias, product: Tensor, target: int = targets) -> None:
                if bias in found:
                    found[bias][target] = reduce(product)

            with self.products(take):
                run()
            targets += 1
        stacked = []
        for kept in filter(None, found.values()):
            nothing = torch.zeros_like(next(iter(kept.values())))
            stacked.append(torch.stack([kept.get(target, nothing) for target in range(targets)], dim=1))
        return stacked

    def heard(self, call: Call) -> Any:
        """Remember where the derivative by the call's output will pass."""
        output = call.run()
        if not isinstance(output, Tensor) or not output.requires_grad or output.ndim < 2:
            return output
        times = _bias_of(call, output)
        if times is None:
            return output
        if output._is_view() and output is not call.tensor:  # noqa: SLF001 - the only name it has
            output = output.clone()  # in-place work on a view would take its node out of the graph
        channels, grid = self._lies(call, output)
        if len(output) % self._batch:
            msg = (
                f"FullGrad asks which image a bias belongs to, and {call.name} returns {tuple(output.shape)} for "
                f"{self._batch} images. Use another method, or one image at a time."
            )
            raise ExplainError(msg)
        self._found.append(Bias(times, get_gradient_edge(output), len(output) // self._batch, channels, grid))
        return output

    def _lies(self, call: Call, output: Tensor) -> tuple[int, Grid | None]:
        """The dimension of channels, and the grid where there is more than one place."""
        last = output.ndim - 1
        if call.name in {"linear", "layer_norm"}:
            return last, self._channels_last(output)
        if call.name in {"hardtanh", "relu6"}:
            found = grid_of(self._module, output, self._frame, batch=self._batch)
            return (1 if found is None or found.layout == "channels_first" else last), found
        if output.ndim == 4 and len(output) == self._batch and output[0, 0].numel() > 1:
            return 1, Grid("channels_first", (output.shape[2], output.shape[3]))
        return 1, None

    def _channels_last(self, output: Tensor) -> Grid | None:
        if len(output) != self._batch or output.ndim not in {3, 4}:
            return None
        if output.ndim == 3:
            return grid_of(self._module, output, self._frame)
        size = (output.shape[1], output.shape[2])
        ways = [grid_of(self._module, way, self._frame) for way in (output, output.movedim(-1, 1))]
        return Grid("channels_last", size) if any(way and way.size == size for way in ways) else None


def _taken(bias: Bias, take: Callable[[Bias, Tensor], None], gradients: tuple[Tensor | None, ...]) -> None:
    gradient = gradients[bias.edge.output_nr]
    if gradient is not None:
        take(bias, bias.product(gradient))


def _bias_of(call: Call, output: Tensor) -> Callable[[Tensor], Tensor] | None:
    if call.name in {"hardtanh", "relu6"}:
        low, high = (0.0, 6.0)
        if call.name == "hardtanh":
            low, high = call.argument(1, "min_val", -1.0), call.argument(2, "max_val", 1.0)
        side = (output >= high).to(torch.int8) - (output <= low).to(torch.int8)
        return lambda gradient: torch.where(
            side > 0, gradient * high, torch.where(side < 0, gradient * low, 0)
        )
    bias: Tensor | None = None
    if call.name == "linear" or call.name in _CONVOLUTIONS:
        bias = call.argument(2, "bias")
    elif call.name == "instance_norm":
        bias = call.argument(4 if call.function is functional.instance_norm else 2, "bias")
    elif call.name in {"layer_norm", "group_norm"}:
        bias = call.argument(3, "bias")
    elif call.name == "batch_norm":
        bias = _of_batch_norm(call)
    if bias is None:
        return None
    if call.name not in {"linear", "layer_norm"}:
        bias = bias.reshape(-1, *[1] * (output.ndim - 2))
    return lambda gradient: gradient * bias.to(gradient)


def _of_batch_norm(call: Call) -> Tensor | None:
    places = (1, 2, 3, 4) if call.function is functional.batch_norm else (3, 4, 1, 2)  # those of the operator
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (call.argument(*of) for of in zip(places, names, strict=True))
    if mean is None or variance is None or call.argument(5, "training", default=False):
        return bias  # type: ignore[no-any-return] # statistics of the batch
    scale = torch.rsqrt(variance + call.argument(7, "eps", 1e-5))
    shift = -mean * scale if weight is None else -mean * scale * weight
    return shift if bias is None else shift + bias  # type: ignore[no-any-return]
