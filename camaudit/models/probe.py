"""What one forward pass and one gradient show of a model: which layers' places its output depends on, and how."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from camaudit.errors import ModelError
from camaudit.models.grids import grid_of, tensor_of, with_tensor
from camaudit.models.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch.autograd.graph import Node

    from camaudit.models.grids import Grid

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
_PROJECTIONS = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Place:
    """A layer that returned a grid.

    Attributes:
        name: of the layer.
        grid: how its output lies on the image.
        root: calls that handed on the very same tensor (a block and its last activation) share this number.
        bare: its output is the tensor itself, not one in a tuple, dict or dataclass.
        passive: what it returns was only moved or pooled by the last layer that worked on it, or it is itself of that kind.
        norm: it normalises, and not what a projection just made (queries, keys).
        block: it has parts, a norm among them, and does not end in a projection.
        weights: its rows are positive and add up to one, as attention weights do.
        felt: the model's output depends on the grid's places through it.
    """

    name: str
    grid: Grid
    root: int
    bare: bool
    passive: bool
    norm: bool
    block: bool
    weights: bool
    felt: bool

    @property
    def active(self) -> bool:
        """A map at it shows what decides."""
        return self.felt and not self.passive and not self.weights


@dataclass(frozen=True)
class Probe:
    """What a forward pass showed.

    Attributes:
        places: the layers that returned a grid, in the order in which their last call ended.
        outputs: what every layer returned last, as shape or type; in the order in which their last call ended.
        unplaced: number of tokens that a norm made of the image and that lie on no grid, by the norm's name.
        trunk: root of the last active place that every path from the image to the output goes through.
    """

    places: tuple[Place, ...]
    outputs: Mapping[str, str]
    unplaced: Mapping[str, int]
    trunk: int | None


def probe(
    module: nn.Module,
    example: Tensor,
    *,
    score: Callable[[object], Tensor] | None = None,
    context: Mapping[str, Tensor] | None = None,
) -> Probe:
    """Run the model on one random image and see what its output depends on; arguments as `find_target_layer`."""
    context = {name: value[:1] for name, value in (context or {}).items()}
    with undisturbed(module):
        seen = _look(module, example, {}, score, context)
        if seen.places and not any(place.felt for place in seen.places):
            # an untrained head of zeros hides what it would read
            zero = {name: _noise(part) for name, part in module.named_parameters() if not part.any()}
            if zero:
                seen = _look(module, example, zero, score, context)
    return seen


def _look(
    module: nn.Module,
    example: Tensor,
    instead: dict[str, Tensor],
    score: Callable[[object], Tensor] | None,
    context: dict[str, Tensor],
) -> Probe:
    watch = _Watch(module, (example.shape[-2], example.shape[-1]))
    image = _noise(example[:1]).requires_grad_()
    with ExitStack() as hooks:
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.ScriptModule):  # which takes no hooks
                hooks.callback(part.register_forward_hook(watch.hook(name)).remove)
        inputs = (image * 1,)  # a model may work in place on its input
        output = functional_call(module, instead, inputs, context) if instead else module(*inputs, **context)
    watch.check_order(image)
    return watch.seen(_scalar(output, score))


@dataclass(frozen=True)
class _Root:
    """What is known of a tensor from the call that made it; kept with it, so that its id is not used again."""

    tensor: Tensor
    number: int
    passive: bool
    projected: bool


@dataclass(frozen=True)
class _Call:
    """A call that returned a grid; `tensor` is the alias that went on in place of what was returned."""

    tensor: Tensor
    grid: Grid
    root: _Root
    bare: bool
    passive: bool
    norm: bool
    weights: bool


class _Watch:
    """Hooks that give every grid an alias of its own, so that a gradient shows what went on from that very layer."""

    def __init__(self, module: nn.Module, frame: tuple[int, int]) -> None:
        self._module, self._frame = module, frame
        self._calls: dict[str, _Call] = {}  # by name: of a layer that is used again the last call counts
        self._roots: dict[int, _Root] = {}  # by the alias's id
        self._projected: dict[int, Tensor] = {}  # what projections made, by storage; kept likewise
        self._outputs: dict[str, str] = {}
        self._unplaced: dict[str, int] = {}

    def hook(self, name: str) -> Callable[[nn.Module, tuple[object, ...], object], object]:
        def hear(called: nn.Module, inputs: tuple[object, ...], output: object) -> object:
            torch.set_grad_enabled(True)  # a frozen trunk may run without
            tensor = tensor_of(output)
            for record in (self._outputs, self._unplaced, self._calls):
                record.pop(name, None)
            self._outputs[name] = type(output).__name__ if tensor is None else str(tuple(tensor.shape))
            if tensor is None or not tensor.is_floating_point():
                return None
            given = next((part for part in inputs if isinstance(part, Tensor)), None)
            after_projection = given is not None and _storage(given) in self._projected
            projects = _is_a(called, _PROJECTIONS) or (_is_norm(called) and after_projection)
            if projects:
                self._projected[_storage(tensor)] = tensor
            grid = grid_of(self._module, output, self._frame, batch=1)
            if grid is None:
                if _is_norm(called) and tensor.ndim == 3 and len(tensor) == 1 and tensor.requires_grad:
                    self._unplaced[name] = tensor.shape[1]
                return None
            alias = (tensor if tensor.requires_grad else tensor.detach().requires_grad_()).clone()
            if projects:
                self._projected[_storage(alias)] = alias
            norm = _is_norm(called) and not after_projection
            passive = _is_a(called, _PASSIVE) or (
                id(given) in self._roots and _is_view(called, given, tensor)
            )
            made = self._roots.get(id(tensor))
            root = _Root(
                alias,
                made.number if made else len(self._roots),
                made.passive if made else passive and tensor is not given,
                made.projected if made else _storage(tensor) in self._projected,
            )
            self._roots[id(alias)] = root
            bare = isinstance(output, Tensor)
            self._calls[name] = _Call(
                alias, grid, root, bare, passive or root.passive, norm, _adds_up(tensor)
            )
            return with_tensor(output, alias)

        return hear

    def check_order(self, image: Tensor) -> None:
        """The last of the tokens that were taken for patches comes from the image; `image`: with a graph.

        Raises:
            ModelError: it does not, as where detection tokens follow the patches.
        """
        looked_at: set[Grid] = set()
        for call in self._calls.values():
            grid, tokens = call.grid, call.tensor[0]
            if grid.layout != "tokens" or not grid.prefix or grid in looked_at:
                continue
            if not _comes_from(image, tokens):  # such as position embeddings
                continue
            looked_at.add(grid)  # later ones have mixed the tokens
            if not _comes_from(image, tokens[-1]):
                msg = (
                    f"The order of the tokens of {type(self._module).__name__} is not understood: the last of its "
                    f"{len(tokens)} tokens is none of {grid.size[0]}x{grid.size[1]} patches. No map can be made of them."
                )
                raise ModelError(msg)

    def seen(self, scalar: Tensor | None) -> Probe:
        """What was heard, held against the output.

        Args:
            scalar: of the output; None where the output has no gradient.
        """
        calls = self._calls
        gradients: list[Tensor | None] = [None] * len(calls)
        if scalar is not None and calls:
            tensors = [call.tensor for call in calls.values()]
            gradients = list(torch.autograd.grad(scalar, tensors, retain_graph=True, allow_unused=True))
        places = tuple(
            Place(
                name,
                call.grid,
                call.root.number,
                bare=call.bare,
                passive=call.passive or call.root.passive,
                norm=call.norm,
                block=not call.root.projected and _has_norm(self._module.get_submodule(name)),
                weights=call.weights,
                felt=gradient is not None and bool((call.grid.split(gradient) != 0).any()),
            )
            for (name, call), gradient in zip(calls.items(), gradients, strict=True)
        )
        trunk = (
            place.root
            for place in reversed(places)
            if place.active and scalar is not None and _passes_all(scalar, calls[place.name].tensor)
        )
        return Probe(places, self._outputs, self._unplaced, next(trunk, None))


def _comes_from(image: Tensor, tensor: Tensor) -> bool:
    gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
        (tensor * _noise(tensor)).sum(), image, retain_graph=True, allow_unused=True
    )
    return any(gradient is not None and bool(gradient.any()) for gradient in gradients)


def _passes_all(scalar: Tensor, tensor: Tensor) -> bool:
    """Whether no path leads from the scalar back to the image but through the tensor."""
    start, barred = scalar.grad_fn, tensor.grad_fn
    seen: set[Node | None] = {None, barred}
    ahead = [start]
    while ahead:
        node = ahead.pop()
        if node in seen or node is None:
            continue
        if hasattr(node, "variable"):  # a leaf: the parameters are frozen, so it is the image
            return False
        seen.add(node)
        ahead.extend(before for before, _ in node.next_functions)
    return True


def _scalar(output: object, score: Callable[[object], Tensor] | None) -> Tensor | None:
    """A random mix of the output's numbers: their plain sum can be constant, as after a softmax."""
    found = score(output) if score is not None else tensor_of(output)
    if found is None or not found.requires_grad:
        return None
    return (found * _noise(found)).sum()


def _noise(like: Tensor) -> Tensor:
    draw = torch.randn(like.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return draw.to(like.device, like.dtype)


def _kind(part: nn.Module) -> str:
    """The name of its class; a module of an exported program remembers what it was."""
    remembered = getattr(part, "type_name", None)
    name = (remembered() if callable(remembered) else None) or type(part).__name__
    return str(name).rpartition(".")[2]


def _is_a(part: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    return isinstance(part, kinds) or _kind(part) in {kind.__name__ for kind in kinds}


def _is_norm(part: nn.Module) -> bool:
    return "Norm" in _kind(part)


def _has_norm(part: nn.Module) -> bool:
    return any(_is_norm(inner) for inner in part.modules() if inner is not part)


def _is_view(part: nn.Module, given: Tensor | None, output: Tensor) -> bool:
    """Whether a layer without parameters or parts hands on what it was given in another shape, as a permutation does."""
    is_leaf = next(part.children(), None) is None and next(part.parameters(), None) is None
    return is_leaf and given is not None and output is not given and _storage(output) == _storage(given)


def _adds_up(tensor: Tensor) -> bool:
    if tensor.shape[-1] != tensor.shape[-2]:
        return False
    rows = tensor.detach().float()
    return bool((rows >= 0).all()) and bool(((rows.sum(-1) - 1).abs() < 0.02).all())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
