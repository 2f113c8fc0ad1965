"""How a layer's output lies on the image: a grid of channels, channels last, or a sequence of tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# class, distillation and register tokens before the patches; more is no image's sequence
_MOST_PREFIX = 16
_HALVINGS = 6


@dataclass(frozen=True)
class Grid:
    """How a layer's output lies on the image.

    Attributes:
        layout: ``channels_first`` (batch, channels, h, w), ``channels_last`` (batch, h, w, channels), or ``tokens``
            (batch, prefix + h·w, channels), row by row.
        size: (h, w).
        prefix: number of tokens before the grid (class, register, distillation tokens).
    """

    layout: Literal["channels_first", "channels_last", "tokens"]
    size: tuple[int, int]
    prefix: int = 0

    def split(self, output: Tensor) -> Tensor:
        """The places of an output as (batch, channels, h, w), without a copy."""
        if self.layout == "channels_first":
            return output
        if self.layout == "channels_last":
            return output.movedim(-1, 1)
        places = output[:, self.prefix :].transpose(1, 2)
        return places.view(*places.shape[:2], *self.size)

    def put(self, output: Tensor, grid: Tensor) -> Tensor:
        """The output with its places replaced; tokens before the grid are kept.

        Args:
            output: of the layer.
            grid: (batch, channels, h, w).
        """
        if self.layout == "channels_first":
            return grid
        if self.layout == "channels_last":
            return grid.movedim(1, -1).contiguous()  # the model may view it
        return torch.cat([output[:, : self.prefix], grid.flatten(2).transpose(1, 2)], dim=1).contiguous()


def grid_of(
    module: nn.Module, output: object, frame: tuple[int, int], *, batch: int | None = None
) -> Grid | None:
    """How an output of one of the model's layers lies on the image; None where it is no grid of more than one place.

    The sides decide, and the patch embedding where there is one: no forward pass, no look at the values. A grid has the
    image's proportions up to one cell of rounding and is no larger. Attention weights (batch, heads, n, n) and queries
    (batch, heads, n, channels) are refused where n can be the patch embedding's number of tokens; where a model has none,
    only their values tell weights from a grid (`camaudit.models.layers.target_layer` looks at them). Where
    (batch, n, n, n) fits both ways, channels are last in a model whose only convolutions make patches, else first.

    Args:
        module: the model.
        output: of one of its layers; of a tuple, dict or dataclass the first tensor counts.
        frame: (height, width) of the model's input.
        batch: number of images, where known: windows in the batch dimension are then told apart.
    """
    tensor = tensor_of(output)
    if tensor is None or tensor.ndim not in {3, 4} or (batch is not None and len(tensor) != batch):
        return None
    stem = _stem_of(module)
    if tensor.ndim == 3:
        return _token_grid(tensor.shape[1], stem.patches, frame)
    if _counts_tokens(tensor.shape[2], stem.patches, frame):
        return None
    first, last = (tensor.shape[2], tensor.shape[3]), (tensor.shape[1], tensor.shape[2])
    ways: list[Grid] = []
    if _lies_on(first, frame):
        ways.append(Grid("channels_first", first))
    if _lies_on(last, frame):
        ways.append(Grid("channels_last", last))
    if not ways:
        return None
    return ways[-1 if stem.only_patches else 0]


def tensor_of(output: object) -> Tensor | None:
    """The tensor in a layer's output: itself, or a tuple's, dict's or dataclass's first."""
    if isinstance(output, Tensor):
        return output
    return next((found for _, part in _parts(output) if (found := tensor_of(part)) is not None), None)


def with_tensor(output: object, tensor: Tensor) -> object:
    """The same output with the tensor that `tensor_of` finds replaced; what was handed in stays as it is."""
    if isinstance(output, Tensor):
        return tensor
    for key, part in _parts(output):
        if tensor_of(part) is not None:
            return _replaced(output, key, with_tensor(part, tensor))
    return output


@dataclass(frozen=True)
class _Stem:
    """What a model does to the image first.

    Attributes:
        patches: (height, width) of each patch embedding: a convolution of the image whose kernel equals its stride.
        only_patches: there is a patch embedding, and every convolution's kernel equals its stride.
    """

    patches: tuple[tuple[int, int], ...]
    only_patches: bool


_stems: WeakKeyDictionary[nn.Module, _Stem] = WeakKeyDictionary()


def _stem_of(module: nn.Module) -> _Stem:
    if module not in _stems:
        convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
        cutting = [part for part in convolutions if tuple(part.kernel_size) == tuple(part.stride)]
        patches = {
            (int(part.stride[0]), int(part.stride[1]))
            for part in cutting
            if part.in_channels <= 4 and max(part.stride) > 1  # channels of an image
        }
        _stems[module] = _Stem(tuple(sorted(patches)), bool(patches) and len(cutting) == len(convolutions))
    return _stems[module]


def _lies_on(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    height, width = size
    if height * width <= 1 or height > frame[0] or width > frame[1]:
        return False
    return abs(height * frame[1] - width * frame[0]) <= max(frame)


def _sizes(patches: Sequence[tuple[int, int]], frame: tuple[int, int]) -> list[tuple[int, int]]:
    """Grids of more than one place: of whole patches first, then of the patches of a padded frame."""
    rounds = (
        [(frame[0] // height, frame[1] // width) for height, width in patches],
        [(frame[0] // height, -(-frame[1] // width)) for height, width in patches],
        [(-(-frame[0] // height), frame[1] // width) for height, width in patches],
        [(-(-frame[0] // height), -(-frame[1] // width)) for height, width in patches],
    )
    return [size for size in dict.fromkeys(chain.from_iterable(rounds)) if size[0] * size[1] > 1]


def _token_grid(count: int, patches: tuple[tuple[int, int], ...], frame: tuple[int, int]) -> Grid | None:
    """The grid of so many tokens: of a patch embedding, halved any number of times; best without tokens before it."""
    halved = [(h << step, w << step) for h, w in patches or ((4, 4),) for step in range(_HALVINGS)]
    spare = {size: count - size[0] * size[1] for size in _sizes(halved, frame)}
    exact = [size for size, prefix in spare.items() if not prefix]
    whole = {(frame[0] // h, frame[1] // w) for h, w in halved}
    close = sorted(
        (size for size, prefix in spare.items() if 0 < prefix <= _MOST_PREFIX),
        key=lambda size: (size not in whole, spare[size]),
    )
    return next((Grid("tokens", size, spare[size]) for size in (*exact, *close)), None)


def _counts_tokens(side: int, patches: tuple[tuple[int, int], ...], frame: tuple[int, int]) -> bool:
    return any(0 <= side - height * width <= _MOST_PREFIX for height, width in _sizes(patches, frame))


def _parts(output: object) -> Iterator[tuple[object, object]]:
    """What an output holds, with the key it is held under."""
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        yield from ((field.name, getattr(output, field.name)) for field in dataclasses.fields(output))
    elif isinstance(output, Mapping):
        yield from output.items()
    elif isinstance(output, (tuple, list)):
        yield from enumerate(output)


def _replaced(output: object, key: object, part: object) -> object:
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return dataclasses.replace(output, **{str(key): part})
    if isinstance(output, Mapping):
        items = {name: part if name == key else value for name, value in output.items()}
        return items if type(output) is dict else type(output)(items)  # type: ignore[call-arg]
    if isinstance(output, (tuple, list)):
        values = [part if place == key else value for place, value in enumerate(output)]
        return output._make(values) if hasattr(output, "_make") else type(output)(values)
    return output
