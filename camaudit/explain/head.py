"""What the head of a network is, read off the graph of its output: no numbers are looked at, nothing waits for a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from camaudit.explain.forward import Tap

# what changes the shape or the precision of a tensor and none of its values
_SAME_VALUES = (
    "Alias",
    "AsStrided",  # pooling of channels-last activations
    "Clone",
    "Expand",
    "Permute",
    "ReshapeAlias",
    "Squeeze",
    "T",
    "ToCopy",
    "Transpose",
    "UnsafeView",
    "Unsqueeze",
    "View",
)
_LINEAR = ("Addmm", "Linear", "Mm")


def is_pooling_and_linear(scores: Tensor, tap: Tap) -> bool:
    """Whether class scores are one linear layer over the mean of every channel: where CAM is defined.

    Args:
        scores: the model's output, (batch, classes), with the graph that begins at the tap or before it.
        tap: of the target layer.
    """
    node = _beyond_views(scores.grad_fn)
    if not _is(node, _LINEAR):
        return False
    node = _beyond_views(_only_input(node))
    height, width = tap.grid.size
    if _is(node, ("Mean",)):
        reduced = tuple(getattr(node, "_saved_self_sym_sizes", ()))
        kept = _signed(node._saved_dim) if reduced else []  # noqa: SLF001 - what autograd keeps has no other name
        dims = {dim % len(reduced) for dim in kept}
        if sorted(reduced[dim] for dim in dims) != sorted((height, width)):
            return False
    elif _is(node, ("AvgPool2D",)):
        if tuple(node._saved_kernel_size) != (height, width):  # noqa: SLF001
            return False
    else:
        return False
    node = _beyond_views(_only_input(node))
    return node is not None and (node is tap.tensor.grad_fn or getattr(node, "variable", None) is tap.tensor)


def _is(node: Any, kinds: tuple[str, ...]) -> bool:
    if node is None:
        return False
    return str(node.name()).rstrip("0123456789").removesuffix("Backward") in kinds


def _beyond_views(node: Any) -> Any:
    while _is(node, _SAME_VALUES):
        node = _only_input(node)
    return node


def _only_input(node: Any) -> Any:
    inputs = [of for of, _ in node.next_functions if of is not None]
    return inputs[0] if len(inputs) == 1 else None  # parameters are frozen: they are no inputs


def _signed(dims: tuple[int, ...]) -> list[int]:
    # the graph keeps them as unsigned numbers
    return [dim - 2**64 if dim >= 2**63 else dim for dim in dims]
