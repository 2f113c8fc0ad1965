"""Many methods and targets from one forward pass.

The trunk runs without a graph. At the target layer a new graph begins, so that a gradient costs only the head; the
parameters take no part in it, and the model comes back as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from camaudit.errors import ExplainError
from camaudit.explain.registry import get_method
from camaudit.models.layers import evaluating, find_target_layer, is_grid, module_at, no_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from camaudit.explain.registry import Need


@dataclass(frozen=True)
class Explanation:
    """What one forward pass gave.

    Attributes:
        maps: raw maps by method, each (batch, targets, h, w), float32 (float64 of a float64 model), on the inputs'
            device.
        logits: the model's output, (batch, classes), without a graph.
        layer: name of the target layer.
    """

    maps: Mapping[str, Tensor]
    logits: Tensor
    layer: str

    def __getitem__(self, method: str) -> Tensor:
        """The maps of one method."""
        return self.maps[method]

    def __iter__(self) -> Iterator[str]:
        """The methods' ids."""
        return iter(self.maps)


def explain(
    model: nn.Module,
    inputs: Tensor,
    *,
    methods: Sequence[str] = ("gradcam",),
    targets: Sequence[int] | Callable[[Tensor], Tensor],
    layer: str = "auto",
) -> Explanation:
    """Attribution maps of a batch.

    Args:
        model: any network that returns scores before softmax, (batch, classes).
        inputs: preprocessed images, (batch, 3, height, width), on the model's device.
        methods: ids of attribution methods.
        targets: classes by index, each explained for every image; or a function from the scores (batch, classes) to
            the scalars to explain (batch, targets).
        layer: name of the target layer; the last one with a place in the image for ``auto``.

    Raises:
        ExplainError: a method is unknown or does not fit the model, a class is out of range, or the scalars do not
            depend on the layer.
        ModelError: there is no such layer.
    """
    chosen = [get_method(name) for name in methods]
    needs: frozenset[Need] = frozenset().union(*(method.needs for method in chosen))
    at = find_target_layer(model, inputs[:1]) if layer == "auto" else layer
    score = targets if callable(targets) else _by_index(targets)
    with evaluating(model), torch.inference_mode(mode=False):
        given = inputs.clone() if inputs.is_inference() else inputs
        tap = _forward(model, given, at, head="head_gradient" in needs)
        scores = score(tap.logits)
        if scores.ndim != 2 or len(scores) != len(inputs) or not scores.shape[1]:
            msg = f"targets gives scores of shape {tuple(scores.shape)}; it must be (batch, targets), at least one target."
            raise ExplainError(msg)
        parts = _parts(tap, scores, needs, at)
        maps = {
            method.id: method.function(**{need: parts[need] for need in method.needs}) for method in chosen
        }
    return Explanation(maps, tap.logits.detach(), at)


@dataclass(frozen=True)
class _Tap:
    activation: Tensor
    logits: Tensor
    head: tuple[Tensor, Tensor] | None  # what the last linear layer took and gave


def _forward(model: nn.Module, inputs: Tensor, layer: str, *, head: bool) -> _Tap:
    frame = (inputs.shape[-2], inputs.shape[-1])
    activations: list[Tensor] = []
    heads: list[tuple[Tensor, Tensor]] = []

    def cut(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not is_grid(output, frame):
            raise ExplainError(no_grid(layer, output, frame))
        activation = output.detach().requires_grad_()
        activations.append(activation)
        torch.set_grad_enabled(True)
        return activation.clone()  # a head that works in place must not change the leaf

    def remember(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if activations and inputs:
            heads.append((inputs[0], output))

    with ExitStack() as hooks, torch.no_grad():
        hooks.callback(module_at(model, layer).register_forward_hook(cut).remove)
        if head:
            for part in model.modules():
                if isinstance(part, nn.Linear):
                    hooks.callback(part.register_forward_hook(remember).remove)
        logits = model(inputs)
    if not activations:
        msg = f"The layer {layer!r} is not used in a forward pass of {type(model).__name__}. Name another target layer."
        raise ExplainError(msg)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        msg = f"{type(model).__name__} returns {got}; a classifier returns scores of shape (batch, classes)."
        raise ExplainError(msg)
    return _Tap(activations[-1], logits, heads[-1] if heads else None)


def _parts(tap: _Tap, scores: Tensor, needs: frozenset[Need], layer: str) -> dict[Need, Tensor]:
    activation = tap.activation
    exact = torch.float64 if activation.dtype == torch.float64 else torch.float32
    parts: dict[Need, Tensor] = {"activation": activation.detach().to(exact)}
    if "gradient" in needs:
        parts["gradient"] = _gradients(scores, activation, layer, again="head_gradient" in needs).to(exact)
    if "head_gradient" in needs:
        if tap.head is None or not _is_pooling_and_linear(tap.head, tap):
            msg = (
                f"CAM needs a head of global average pooling and one linear layer after {layer!r}; "
                "this model has another. Use gradcam, which equals it where both exist."
            )
            raise ExplainError(msg)
        parts["head_gradient"] = _gradients(scores, tap.head[0], layer, again=False).to(exact)
    return parts


def _is_pooling_and_linear(head: tuple[Tensor, Tensor], tap: _Tap) -> bool:
    pooled, output = (part.detach() for part in head)
    mean = tap.activation.detach().mean((-2, -1))
    return (
        pooled.shape == mean.shape
        and torch.allclose(pooled, mean, rtol=1e-3, atol=1e-5)
        and torch.equal(output, tap.logits.detach())  # nothing comes after the linear layer
    )


def _gradients(scores: Tensor, by: Tensor, layer: str, *, again: bool) -> Tensor:
    """(batch, targets, *by.shape[1:]): each sample's scores depend on that sample alone, so sums over the batch do."""
    count = scores.shape[1]
    found = []
    for target in range(count):
        keep = again or target < count - 1
        # without a graph, or with one of the head's parameters alone, nothing leads back to the layer
        gradient = None
        if scores.requires_grad:
            total = scores[:, target].sum()
            (gradient,) = torch.autograd.grad(total, by, retain_graph=keep, allow_unused=True)
        if gradient is None:
            msg = f"The output does not depend on the layer {layer!r}. Name another target layer."
            raise ExplainError(msg)
        found.append(gradient)
    return torch.stack(found, dim=1)


def _by_index(targets: Sequence[int]) -> Callable[[Tensor], Tensor]:
    def scores(logits: Tensor) -> Tensor:
        classes = logits.shape[1]
        for target in targets:
            if not 0 <= target < classes:
                msg = f"Class {target} does not exist: the model has {classes} outputs, 0 to {classes - 1}."
                raise ExplainError(msg)
        return logits[:, list(targets)]

    return scores
