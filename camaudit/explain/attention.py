"""The attention of a transformer's blocks, as part of the graph: attention is computed step by step while this listens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

import torch
from torch import Tensor, nn
from torch.nn import functional

from camaudit.errors import ExplainError
from camaudit.explain.calls import Listener
from camaudit.models.grids import Grid, grid_of, tensor_of, with_tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from camaudit.explain.calls import Call


@dataclass(frozen=True)
class Block:
    """A block of a transformer.

    Attributes:
        name: of the module.
        weights: of its attention after the softmax, (batch, heads, queries, keys).
        output: its tokens, (batch, tokens, channels), that depend on these weights.
    """

    name: str
    weights: Tensor
    output: Tensor


class Attention(Listener):
    """Entered around a forward pass: keeps the softmax weights of every self-attention, and computes with what it keeps.

    Heard are `scaled_dot_product_attention`, the softmax over the last of four dimensions, and
    `torch.nn.MultiheadAttention`, of which neither takes its fast path then. Their output is the same up to rounding.
    Attention with one query, as of a head that pools, is none of the blocks'.

    Args:
        module: the model.
        inputs: (batch, channels, height, width).
        blocks: keep also what the blocks return.
    """

    def __init__(self, module: nn.Module, inputs: Tensor, *, blocks: bool = False) -> None:
        super().__init__()
        self._module, self._batch, self._with_blocks = module, len(inputs), blocks
        self._frame = (inputs.shape[-2], inputs.shape[-1])
        self._weights: list[Tensor] = []
        self._paths: list[str] = []
        self._open: list[
            tuple[str, int]
        ] = []  # modules that run, and how much had been heard when they began
        self._outputs: dict[str, Tensor] = {}
        self._hooks = ExitStack()

    def __enter__(self) -> Self:
        """Begin to listen."""
        with ExitStack() as hooks:
            for name, part in self._module.named_modules() if self._with_blocks else ():
                hooks.callback(
                    part.register_forward_pre_hook(_Opened(self._open, self._weights, name)).remove
                )
                hooks.callback(part.register_forward_hook(self._closed, always_call=True).remove)
            super().__enter__()  # type: ignore[no-untyped-call]
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, with no hook left."""
        self._hooks.close()
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    @property
    def weights(self) -> list[Tensor]:
        """Of every block in order, (batch, heads, tokens, tokens).

        Raises:
            ExplainError: there is none, or it is not among all tokens of an image, the same in each block.
        """
        kind = type(self._module).__name__
        if not self._weights:
            msg = (
                f"Attention rollout and LeGrad follow a transformer's attention, and none is seen in {kind}. "
                "Use gradcam, which any network has."
            )
            raise ExplainError(msg)
        shapes = {tuple(weights.shape) for weights in self._weights}
        one = next(iter(shapes))
        if any(len(s) != 4 or s[0] != self._batch or s[2:] != (one[-1],) * 2 for s in shapes):
            msg = (
                "Attention rollout and LeGrad need every block to attend among all tokens of the image; "
                f"{kind} attends within windows, or from some tokens to others: its weights, for {self._batch} images, are "
                f"{', '.join(map(str, sorted(shapes)))}. Use gradcam."
            )
            raise ExplainError(msg)
        return self._weights

    @property
    def tokens(self) -> Grid:
        """Where the image's tokens lie among those that attend.

        Raises:
            ExplainError: see `weights`; or their number is that of no grid.
        """
        count = self.weights[0].shape[-1]
        sequence = torch.empty(self._batch, count, 1, device="meta")
        grid = grid_of(self._module, sequence, self._frame)
        if grid is None:
            msg = (
                f"{type(self._module).__name__} attends among {count} tokens, which is no grid on an image of "
                f"{self._frame[1]}x{self._frame[0]}, so their attention makes no map. Use gradcam."
            )
            raise ExplainError(msg)
        return grid

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order, one for each of `weights`: the outermost modules that hold one attention each.

        Raises:
            ExplainError: see `weights`; or there are no such blocks.
        """
        weights = self.weights
        names = _names_of_blocks(self._module, self._paths)
        known = [name for name in dict.fromkeys(names) if name in self._outputs]
        if len(known) < len(weights):
            msg = (
                "LeGrad needs a transformer of blocks that each attend once and return (batch, tokens, channels); "
                f"{type(self._module).__name__} attends in {', '.join(self._paths)}. Use attention_rollout or gradcam."
            )
            raise ExplainError(msg)
        return [Block(*of, self._outputs[of[0]]) for of in zip(names, weights, strict=True)]

    def heard(self, call: Call) -> Any:
        """Attention that keeps its weights, in place of one that does not."""
        if call.function is functional.multi_head_attention_forward:
            return self._multi_head(call)
        if call.name == "scaled_dot_product_attention":
            return self._scaled_dot_product(call)
        output = call.run()
        if call.name == "softmax" and output.ndim == 4 and call.argument(1, "dim") in {-1, 3}:
            self._keep(output)
        return output

    def _keep(self, weights: Tensor) -> None:
        if weights.shape[-2] > 1:
            self._weights.append(weights)
            self._paths.append(self._open[-1][0] if self._open else "")

    def _scaled_dot_product(self, call: Call) -> Tensor:
        query, key, value = (
            call.argument(place, name) for place, name in enumerate(("query", "key", "value"))
        )
        mask, dropout = call.argument(3, "attn_mask"), call.argument(4, "dropout_p", 0.0)
        scale = call.argument(6, "scale")
        if call.argument(7, "enable_gqa", default=False):
            key, value = (
                of.repeat_interleave(query.shape[-3] // of.shape[-3], dim=-3) for of in (key, value)
            )
        scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.mT
        if call.argument(5, "is_causal", default=False):
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        # in half precision as exact as the kernels that do all of this at once
        exact = torch.float64 if scores.dtype == torch.float64 else torch.float32
        weights = scores.softmax(-1, dtype=exact)
        self._keep(weights)
        return functional.dropout(weights, dropout).to(value.dtype) @ value  # type: ignore[no-any-return]

    def _multi_head(self, call: Call) -> tuple[Tensor, Tensor | None]:
        signature = inspect.signature(functional.multi_head_attention_forward)
        bound = signature.bind(*call.args, **call.kwargs)
        bound.apply_defaults()
        given = bound.arguments
        wanted, averaged = given["need_weights"], given["average_attn_weights"]
        listened = {**given, "need_weights": True, "average_attn_weights": False}
        output, weights = call.function(**listened)
        self._keep(weights)
        if weights.ndim == 4 and weights.shape[-2] == weights.shape[-1]:
            # torch's own output is made of weights that it does not give away
            output = _with_weights(weights, given)
        if not wanted:
            return output, None
        return output, weights.mean(-3) if averaged else weights

    def _closed(self, _module: nn.Module, _inputs: object, output: object) -> object:
        name, before = self._open.pop()
        tensor = tensor_of(output)
        if len(self._weights) == before or tensor is None or tensor.ndim != 3:
            return output
        if tensor.shape[:2] != (self._batch, self._weights[-1].shape[-1]):
            return output
        self._outputs[name] = tensor
        return with_tensor(output, tensor.clone())  # what comes after may work in place


class _Opened:
    """Writes down that a module begins to run."""

    def __init__(self, running: list[tuple[str, int]], weights: list[Tensor], name: str) -> None:
        self._running, self._weights, self._name = running, weights, name

    def __call__(self, _module: nn.Module, _inputs: object) -> None:
        self._running.append((self._name, len(self._weights)))


def _with_weights(weights: Tensor, given: dict[str, Any]) -> Tensor:
    """What `torch.nn.functional.multi_head_attention_forward` returns, (queries, batch, channels), of these weights."""
    weight, bias = given["v_proj_weight"], given["in_proj_bias"]
    if not given["use_separate_proj_weight"]:
        weight = given["in_proj_weight"].chunk(3)[2]
    value = functional.linear(given["value"], weight, None if bias is None else bias.chunk(3)[2])
    split = value.reshape(*value.shape[:2], weights.shape[1], -1)
    heads = split.permute(1, 2, 0, 3)  # (batch, heads, keys, channels)
    mixed = (weights.to(heads.dtype) @ heads).permute(2, 0, 1, 3).flatten(2)
    return functional.linear(mixed, given["out_proj_weight"], given["out_proj_bias"])


def _names_of_blocks(module: nn.Module, paths: list[str]) -> list[str]:
    """The modules where the ways to the attention part; of one attention, the item of a list of modules on the way."""
    ways = [path.split(".") for path in paths]
    levels = list(zip(*ways, strict=False))  # down to the shortest way's end
    shared = next((depth for depth, names in enumerate(levels) if len(set(names)) > 1), len(levels) - 1)
    if len(ways) == 1:
        lists = [
            depth
            for depth in range(len(ways[0]))
            if isinstance(module.get_submodule(".".join(ways[0][:depth])), (nn.ModuleList, nn.Sequential))
        ]
        shared = lists[0] if lists else shared
    return [".".join(way[: shared + 1]) for way in ways]


class OfBlocks(Sequence[Tensor]):
    """One tensor a block, made whenever it is looked at: attention is large, and a sum over blocks needs one at a time."""

    def __init__(self, blocks: Sequence[Block], make: Callable[[Block], Tensor]) -> None:
        self._blocks, self._make = blocks, make

    def __len__(self) -> int:
        """The number of blocks."""
        return len(self._blocks)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...
    @overload
    def __getitem__(self, place: slice) -> OfBlocks: ...
    def __getitem__(self, place: int | slice) -> Tensor | OfBlocks:
        """Of one block, or of some of them."""
        if isinstance(place, slice):
            return OfBlocks(self._blocks[place], self._make)
        return self._make(self._blocks[place])
