"""What the engine hands to a method: each need computed once, when it is first asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from camaudit.errors import ExplainError
from camaudit.explain.attention import Attention, OfBlocks
from camaudit.explain.biases import Biases
from camaudit.explain.calls import check_can_be_heard
from camaudit.explain.forward import forward
from camaudit.explain.head import is_pooling_and_linear
from camaudit.explain.rectifiers import Rectifiers
from camaudit.explain.registry import OF_LAYER
from camaudit.explain.replay import Replay
from camaudit.explain.reruns import ablated_scores, masked_scores
from camaudit.explain.targets import rivals, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from camaudit.explain.attention import Block
    from camaudit.explain.forward import Graph, Network, Pass, Tap
    from camaudit.explain.rectifiers import Rule
    from camaudit.explain.registry import Method, Need
    from camaudit.explain.targets import Target
    from camaudit.models.grids import Grid

_FROM_INPUT: frozenset[Need] = frozenset(
    {"attention_gradient", "deconv_gradient", "full_gradients", "guided_gradient", "input_gradient"}
)
_FUNCTIONS: frozenset[Need] = frozenset(
    {"ablated_scores", "attention_gradient", "full_gradients", "masked_scores", "rerun"}
)
_FROM_LAYER: frozenset[Need] = frozenset({"gradient", "head_gradient", "rival_gradient"})
_OF_ATTENTION: frozenset[Need] = frozenset({"attention", "attention_gradient", "tokens"})
_OF_BIASES: frozenset[Need] = frozenset({"full_gradients"})
_OF_RECTIFIERS: frozenset[Need] = frozenset({"deconv_gradient", "guided_gradient"})


class Parts:
    """The needs of one forward pass.

    Args:
        network: what is explained.
        targets: of the scalars to explain.
        needs: all that will be asked for.
        inputs: (batch, channels, height, width).
        memory: bytes that running the model again may take.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[Target],
        needs: frozenset[Need],
        inputs: Tensor,
        *,
        memory: int,
    ) -> None:
        self._network, self._needs, self._memory = network, needs, memory
        self._rectifiers, self._biases = Rectifiers(), Biases(network.module, inputs)
        self._attending = Attention(network.module, inputs, blocks="attention_gradient" in needs)
        # what is entered last hears first: the attention's own calls are not for the biases
        heard = {self._rectifiers: _OF_RECTIFIERS, self._attending: _OF_ATTENTION, self._biases: _OF_BIASES}
        listeners = [listener for listener, of in heard.items() if needs & of]
        if listeners:
            check_can_be_heard(network.module)
        self._pass: Pass = forward(network, inputs, graph=_graph(needs), listeners=listeners)
        # what was predicted here stays what is explained wherever the model runs again
        self._targets = tuple(target.fixed(self._pass.seen) for target in targets)
        self._values = values(self._targets, self._pass.seen)
        self._found: dict[tuple[Need, str], Any] = {}

    @property
    def passed(self) -> Pass:
        """The forward pass."""
        return self._pass

    def maps(self, method: Method, layer: str, options: Mapping[str, object]) -> Tensor:
        """What a method makes of its needs; `layer` is where its maps lie, empty for a method on the input's grid."""
        needs = {need: self.of(need, layer) for need in method.needs}
        return method.function(**needs, **options)

    def of(self, need: Need, layer: str) -> Any:
        """One need; `layer` where it is of a layer."""
        layered = need in OF_LAYER or need == "rerun"
        make = getattr(self, f"_{need}")
        if need in _FUNCTIONS:  # not kept: they hold this object, and it would hold them
            return make(layer) if layered else make()
        key = (need, layer if layered else "")
        if key not in self._found:
            self._found[key] = make(layer) if layered else make()
        return self._found[key]

    def _activation(self, layer: str) -> Tensor:
        tap = self._pass.taps[layer]
        return _exact(tap.grid.split(tap.tensor.detach()))

    def _gradient(self, layer: str) -> Tensor:
        return self._on_grid(self._by_all()[layer], self._pass.taps[layer])

    def _head_gradient(self, layer: str) -> Tensor:
        tap = self._pass.taps[layer]
        if not is_pooling_and_linear(self._pass.seen.scores, tap):
            msg = (
                f"CAM needs a head of global average pooling and one linear layer after {layer!r}; "
                "this model has another. Use gradcam, which equals it where both exist."
            )
            raise ExplainError(msg)
        return self._gradient(layer).sum((-2, -1))

    def _rival_gradient(self, layer: str) -> Tensor:
        tap = self._pass.taps[layer]
        scores = torch.stack([rivals(target, self._pass.seen) for target in self._targets], dim=1)
        (gradient,) = derivatives(scores, [tap.tensor], [layer])
        return self._on_grid(gradient, tap)

    def _score(self) -> Tensor:
        return _exact(self._values.detach())

    def _inputs(self) -> Tensor:
        return _exact(self._pass.inputs.detach())

    def _ablated_scores(self, layer: str) -> Any:
        def scores() -> Tensor:
            found = ablated_scores(self._network, self._pass, layer, self._targets, memory=self._memory)
            return _exact(found)

        return scores

    def _masked_scores(self) -> Any:
        def scores(count: int, masks: Any) -> Tensor:
            found = masked_scores(
                self._network, self._pass, self._targets, memory=self._memory, count=count, masks=masks
            )
            return _exact(found)

        return scores

    def _input_gradient(self) -> Tensor:
        return _exact(self._by_all()[""])

    def _guided_gradient(self) -> Tensor:
        return self._under("guided")

    def _deconv_gradient(self) -> Tensor:
        return self._under("deconvnet")

    def _under(self, rule: Rule) -> Tensor:
        with self._rectifiers.rule(rule):
            (gradient,) = derivatives(self._values, [self._pass.inputs], [""])
        return _exact(gradient)

    def _full_gradients(self) -> Any:
        def full_gradients(reduce: Callable[[Tensor], Tensor]) -> list[Tensor]:
            of_input: list[Tensor] = []

            def run(target: int) -> None:
                (gradient,) = derivatives(self._values[:, target, None], [self._pass.inputs], [""])
                of_input.append(reduce(_exact(gradient.squeeze(1)) * self._inputs()))

            passes = [partial(run, target) for target in range(self._values.shape[1])]
            of_biases = self._biases.reduced(reduce, passes)
            return [torch.stack(of_input, dim=1), *of_biases]

        return full_gradients

    def _attention(self) -> list[Tensor]:
        return [_exact(weights.detach()) for weights in self._attending.weights]

    def _tokens(self) -> Grid:
        return self._attending.tokens

    def _attention_gradient(self) -> Sequence[Tensor]:
        blocks = self._attending.blocks
        replay = Replay(self._network, blocks[-1].name, self._pass.inputs)

        def of_block(block: Block) -> Tensor:
            tokens = block.output.mean(1, keepdim=True).expand_as(block.output)
            own = values(self._targets, replay(tokens))
            return _exact(derivatives(own, [block.weights], [block.name])[0])

        return OfBlocks(blocks, of_block)

    def _rerun(self, layer: str) -> Any:
        def rerun(inputs: Tensor, *needs: Need) -> dict[Need, Any]:
            given = inputs.to(self._pass.inputs.dtype)
            again = Parts(self._network, self._targets, frozenset(needs), given, memory=self._memory)
            return {need: again.of(need, layer) for need in needs}

        return rerun

    def _by_all(self) -> dict[str, Tensor]:
        """The derivative of every target by whatever is asked for, in one traversal of the graph a target."""
        key: tuple[Need, str] = ("gradient", "all of them")
        if key not in self._found:
            by = {layer: tap.tensor for layer, tap in self._pass.taps.items() if self._needs & _FROM_LAYER}
            if "input_gradient" in self._needs:
                by[""] = self._pass.inputs
            found = derivatives(self._values, list(by.values()), list(by))
            self._found[key] = dict(zip(by, found, strict=True))
        return self._found[key]  # type: ignore[no-any-return]

    def _on_grid(self, gradient: Tensor, tap: Tap) -> Tensor:
        batch, targets = gradient.shape[:2]
        grid = tap.grid.split(gradient.flatten(0, 1))
        return _exact(grid.reshape(batch, targets, *grid.shape[1:]))


def derivatives(scores: Tensor, by: Sequence[Tensor], names: Sequence[str]) -> list[Tensor]:
    """Of each target by each of several tensors, (batch, targets, *by.shape[1:]).

    Each sample's scores depend on that sample alone, so the sum over the batch gives every sample its own.

    Args:
        scores: (batch, targets), with a graph.
        by: each (batch, ...).
        names: of them, for messages; empty for the input.

    Raises:
        ExplainError: a score does not depend on one of them.
    """
    found: list[list[Tensor]] = [[] for _ in by]
    for target in range(scores.shape[1]):
        gradients: Sequence[Tensor | None] = [None] * len(by)
        # without a graph, or with one that comes from elsewhere, nothing leads back
        if scores.requires_grad:
            total = scores[:, target].sum()
            gradients = torch.autograd.grad(total, by, retain_graph=True, allow_unused=True)
        for column, gradient, name in zip(found, gradients, names, strict=True):
            if gradient is None:
                where = f"the layer {name!r}. Name another target layer" if name else "the input"
                msg = f"The output does not depend on {where}."
                raise ExplainError(msg)
            column.append(gradient)
    return [torch.stack(column, dim=1) for column in found]


def _graph(needs: Iterable[Need]) -> Graph:
    asked = frozenset(needs)
    if asked & _FROM_INPUT:
        return "input"
    return "layer" if asked & _FROM_LAYER else "none"


def _exact(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
