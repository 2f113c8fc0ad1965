"""Find the layer whose activations still have a place in the image, and are the last to have one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from camaudit.errors import ModelError
from camaudit.models.probe import probe
from camaudit.models.undisturbed import evaluating

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from camaudit.models.grids import Grid
    from camaudit.models.probe import Place, Probe

__all__ = [
    "TargetLayer",
    "candidate_layers",
    "evaluating",
    "find_target_layer",
    "module_at",
    "target_layer",
]


@dataclass(frozen=True)
class TargetLayer:
    """A layer that maps can be made at.

    Attributes:
        name: of the module.
        grid: how its output lies on the image.
    """

    name: str
    grid: Grid


def find_target_layer(
    module: nn.Module,
    example: torch.Tensor,
    *,
    score: Callable[[object], torch.Tensor] | None = None,
    context: Mapping[str, torch.Tensor] | None = None,
) -> TargetLayer:
    """The last layer whose places in the image still decide, as Grad-CAM's section 3 asks for.

    Whether they do is seen from a gradient on one random image. Where the last such grid has its channels first
    (convolutional networks) it is the last layer that every path from the image to the output goes through, so that no inner branch
    is taken for the whole; of modules that return the very same tensor (a block and its last activation) the outermost is
    named. Where it is a sequence of tokens, or has its channels last (transformers, mixers), it is the last norm or block:
    under a head that reads the class token alone, the norm before the last block's attention.

    A function cannot be hooked, only a module: after DenseNet's last norm there is a ReLU in the forward function, so the
    layer is the norm's output, before the ReLU.

    Args:
        module: the model.
        example: an input, (1, 3, height, width); its shape, dtype and device count, not its values.
        score: what of the model's output is explained; the first tensor in it where left out.
        context: further arguments of the model by name, each (batch, ...).

    Raises:
        ModelError: the output depends on no layer with more than one place, or on tokens that lie on no grid.
    """
    seen = probe(module, example, score=score, context=context)
    active = [place for place in seen.places if place.active]
    if not active and any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        msg = (
            f"{type(module).__name__} is a TorchScript program, whose layers cannot be listened to, so a map has no layer to be "
            "made at. Give the network it was made of, or use a method whose maps lie on the input."
        )
        raise ModelError(msg)
    if not active:
        msg = (
            f"No layer of {type(module).__name__} whose output decides returns a grid with more than one place: "
            "(batch, channels, h, w), (batch, h, w, channels) or (batch, tokens, channels) of an input of "
            f"{example.shape[-1]}x{example.shape[-2]}. So a map has no place to be made. Name a target layer, or give larger images."
        )
        raise ModelError(msg)
    if active[-1].grid.layout == "channels_first":
        last = ([place for place in active if place.root == seen.trunk] or active)[-1]
    else:
        last = ([place for place in active if place.norm or place.block] or active)[-1]
    chosen = _outermost([place for place in active if place.root == last.root])
    _check_goes_on(module, chosen, seen, example)
    return TargetLayer(chosen.name, chosen.grid)


def target_layer(
    module: nn.Module,
    name: str,
    example: torch.Tensor,
    *,
    score: Callable[[object], torch.Tensor] | None = None,
    context: Mapping[str, torch.Tensor] | None = None,
) -> TargetLayer:
    """A layer that somebody named; arguments as `find_target_layer`.

    Raises:
        ModelError: there is no such layer, it is not used, what it returns is no grid, or the output does not depend on it.
    """
    module_at(module, name)
    seen = probe(module, example, score=score, context=context)
    if name not in seen.outputs:
        msg = f"The layer {name!r} is not used in a forward pass of {type(module).__name__}. Name another target layer."
        raise ModelError(msg)
    place = next((place for place in seen.places if place.name == name), None)
    if place is None or place.weights:
        what = ", which are attention weights" if place else ""
        msg = (
            f"The layer {name!r} returns {seen.outputs[name]}{what}; a map needs (batch, channels, h, w), "
            "(batch, h, w, channels) or (batch, tokens, channels) with more than one place, in the proportions of the "
            f"input of {example.shape[-1]}x{example.shape[-2]} and no larger. Name another target layer."
        )
        raise ModelError(msg)
    if not place.felt:
        last = find_target_layer(module, example, score=score, context=context).name
        msg = (
            f"The output of {type(module).__name__} does not depend on the places of {name!r}: what follows reads the class "
            f"token alone, or something else. The last layer whose places decide is {last!r}."
        )
        raise ModelError(msg)
    return TargetLayer(name, place.grid)


def candidate_layers(
    module: nn.Module,
    example: torch.Tensor,
    *,
    score: Callable[[object], torch.Tensor] | None = None,
    context: Mapping[str, torch.Tensor] | None = None,
) -> list[TargetLayer]:
    """Every layer that a map can be made at, in the order of the forward pass; arguments as `find_target_layer`.

    Of modules that return the very same tensor the outermost is named; what only pools, moves or drops is left out.
    """
    seen = probe(module, example, score=score, context=context)
    same: dict[int, list[Place]] = {}
    for place in seen.places:
        if place.active:
            same.setdefault(place.root, []).append(place)
    return [TargetLayer(best.name, best.grid) for best in map(_outermost, same.values())]


def _check_goes_on(module: nn.Module, chosen: Place, seen: Probe, example: torch.Tensor) -> None:
    """Refuse a layer before the first norm of tokens that lie on no grid, as with a hundred prompts before the patches."""
    if chosen.grid.layout != "channels_first" and (chosen.norm or chosen.block):
        return
    names = list(seen.outputs)
    height, width = chosen.grid.size
    for name in names[names.index(chosen.name) :]:
        count = seen.unplaced.get(name, 0)
        if count > height * width:
            msg = (
                f"After {chosen.name!r}, {type(module).__name__} goes on with {count} tokens (at {name!r}), which are no grid of "
                f"patches of an input of {example.shape[-1]}x{example.shape[-2]}, nor one with a few class or register "
                "tokens before it. Name a target layer."
            )
            raise ModelError(msg)


def _outermost(same: list[Place]) -> Place:
    # an activation that works in place returns its input: the later of two equally outer names is the finished one.
    # In a dataclass a tensor is easily passed over for another that was made of it
    return min(reversed(same), key=lambda place: (not place.bare, place.name.count(".")))


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
