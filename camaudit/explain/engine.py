"""Many methods and targets from one forward pass.

The trunk runs without a graph. At the target layer a graph begins, so that a gradient costs only the head; the parameters
take no part in it, and the model comes back as it was. Methods on the input's grid need the graph from there; then it
serves the others too.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from camaudit.errors import ExplainError
from camaudit.explain.arguments import check_arguments, options_of
from camaudit.explain.budget import is_out_of_memory
from camaudit.explain.forward import Network
from camaudit.explain.fuse import fused
from camaudit.explain.parts import Parts
from camaudit.explain.registry import get_method
from camaudit.explain.targets import OF_SCORES, parse_targets, scores_of
from camaudit.models.grids import tensor_of
from camaudit.models.layers import find_target_layer, target_layer
from camaudit.models.undisturbed import uncompiled, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from camaudit.explain.registry import Need
    from camaudit.explain.targets import Target, Targets


@dataclass(frozen=True)
class Explanation:
    """What one forward pass gave.

    Attributes:
        maps: raw maps by method, each (batch, targets, h, w), float32 (float64 of a float64 model), on the inputs'
            device; by ``METHOD@LAYER`` where several layers were asked for and not fused.
        output: what the model returned, its class scores without a graph where it returned such: (batch, classes).
        layers: names of the target layers; empty where no method needs one.
    """

    maps: Mapping[str, Tensor]
    output: object
    layers: tuple[str, ...]

    @property
    def logits(self) -> Tensor:
        """The class scores, (batch, classes).

        Raises:
            ExplainError: the model returns none.
        """
        return scores_of(self.output)

    @property
    def layer(self) -> str:
        """The target layer, the first of several; empty where no method needs one."""
        return self.layers[0] if self.layers else ""

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
    targets: Targets = "predicted",
    layer: str | Sequence[str] = "auto",
    fuse: Literal["mean", "max"] | None = None,
    context: Mapping[str, Tensor] | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
    memory: int = 2**30,
) -> Explanation:
    """Attribution maps of a batch.

    Args:
        model: any network, in any state; it comes back in that state.
        inputs: preprocessed images, (batch, channels, height, width), on the model's device and of its type; all of an
            image's maps are NaN where the image has a value that is not finite.
        methods: ids of attribution methods.
        targets: what is explained, for every image or image by image; see `camaudit.explain.targets.Targets`.
        layer: name of the target layer, or of several; found by itself for ``auto``.
        fuse: makes one map of the maps of several layers: each divided by its maximum, brought to the finest grid, then
            their mean or maximum. Raw values end there. None: each layer's maps by themselves.
        context: further arguments of the model by name, each (batch, ...), such as the tokens of a question.
        options: of methods, by id: ``{"rise": {"masks": 4000}}``.
        memory: bytes that methods which run the model again may take for it; more makes larger batches.

    Raises:
        ExplainError: an argument is of the wrong kind, a method is unknown or does not fit the model, a target does not
            exist or is not given for every image, or does not depend on the layer.
        ModelError: there is no such layer.
    """
    check_arguments(model, inputs, methods=methods, layer=layer, fuse=fuse, context=context, memory=memory)
    chosen = [get_method(name) for name in methods]
    chosen_options = options_of(options, chosen)
    needs: frozenset[Need] = frozenset().union(*(of.needs for of in chosen))
    wanted = parse_targets(targets)
    watched = dict.fromkeys(name for target in wanted for name in target.layers)
    module = uncompiled(model)
    device = inputs.device.type
    autocast = (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
    with undisturbed(module), torch.autocast(device, enabled=False), _said_where_it_differs(module, inputs):
        given = inputs.clone() if inputs.is_inference() else inputs
        layers = _layers(module, given, layer, context, wanted) if any(of.at_layer for of in chosen) else ()
        network = Network(module, context or {}, layers, tuple(watched), autocast)
        parts = Parts(network, wanted, needs, given, memory=memory)
        unknown = _unknown(given)
        maps: dict[str, Tensor] = {}
        for of in chosen:
            at = layers if of.at_layer else ("",)
            made = [parts.maps(of, name, chosen_options[of.id]) + unknown for name in at]
            if fuse and len(made) > 1:
                maps[of.id] = fused(made, fuse)
            elif len(made) > 1:
                maps |= {f"{of.id}@{name}": of_layer for name, of_layer in zip(at, made, strict=True)}
            else:
                maps[of.id] = made[0]
        output = _without_graph(parts.passed.seen.output)
    return Explanation(maps, output, layers)


_found_layers: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()


def _layers(
    module: nn.Module,
    inputs: Tensor,
    layer: str | Sequence[str],
    context: Mapping[str, Tensor] | None,
    targets: Sequence[Target],
) -> tuple[str, ...]:
    named = (layer,) if isinstance(layer, str) else tuple(dict.fromkeys(layer))
    # of a target that looks elsewhere than at the scores, whether it depends on the layer is seen when it is explained
    of_scores = all(isinstance(target, OF_SCORES) and not target.layers for target in targets)
    # looked at once: to look is to run the model
    known = _found_layers.setdefault(module, {})
    kinds = tuple(type(part) for part in module.modules())
    found = []
    for name in named:
        key = (name, *inputs.shape[1:], *kinds)
        if key not in known and name == "auto":
            known[key] = find_target_layer(module, inputs[:1], score=_explained, context=context).name
        elif key not in known and of_scores:
            known[key] = target_layer(module, name, inputs[:1], score=_explained, context=context).name
        found.append(known.get(key, name))
    return tuple(dict.fromkeys(found))


def _explained(output: object) -> Tensor:
    try:
        return scores_of(output)
    except ExplainError:
        first = tensor_of(output)
        if first is None:
            raise
        return first


@contextmanager
def _said_where_it_differs(module: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Where a model fails that has another device or type than its inputs, that is said; some models convert them."""
    try:
        yield
    except RuntimeError as error:
        own = next(module.parameters(), inputs)
        if is_out_of_memory(error) or (own.device, own.dtype) == (inputs.device, inputs.dtype):
            raise
        msg = (
            f"The model failed: {error}. The inputs are {inputs.dtype} on {inputs.device}, the model is {own.dtype} on "
            f"{own.device}: bring the one to the other."
        )
        raise ExplainError(msg) from error


def _unknown(inputs: Tensor) -> Tensor:
    """NaN for images with values that are not finite, which some methods would pass over, else 0; (batch, 1, 1, 1)."""
    ends = [inputs.amax((1, 2, 3), keepdim=True), inputs.amin((1, 2, 3), keepdim=True)]
    return (ends[0] * 0 + ends[1] * 0).to(inputs.dtype if inputs.dtype == torch.float64 else torch.float32)


def _without_graph(output: object) -> object:
    try:
        return scores_of(output).detach()
    except ExplainError:
        return tree_map(lambda part: part.detach() if isinstance(part, Tensor) else part, output)
