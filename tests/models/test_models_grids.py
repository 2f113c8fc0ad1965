"""A layer's output becomes a grid and comes back; what lies on no image is none."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from camaudit.models.grids import Grid, grid_of, tensor_of, with_tensor

SIDES = st.integers(1, 5)


class _Patches(nn.Module):
    """Nothing but a patch embedding: what `grid_of` looks for in a model. It has no values, hence draws none."""

    def __init__(self, patch: int | tuple[int, int], *more: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, patch, patch, device="meta")
        self.more = nn.ModuleList(more)


PLAIN = nn.Sequential(nn.Conv2d(3, 4, 3, device="meta"))


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 3))
def test_putting_back_what_was_split_changes_nothing(
    batch: int, channels: int, height: int, width: int, prefix: int
) -> None:
    outputs = {
        Grid("channels_first", (height, width)): (batch, channels, height, width),
        Grid("channels_last", (height, width)): (batch, height, width, channels),
        Grid("tokens", (height, width), prefix): (batch, prefix + height * width, channels),
    }
    for grid, shape in outputs.items():
        output = torch.randn(shape)
        places = grid.split(output)
        assert places.shape == (batch, channels, height, width)
        assert torch.equal(grid.put(output, places), output)
        assert grid.put(output, places).is_contiguous()


@given(SIDES, SIDES, st.integers(0, 3))
def test_tokens_lie_row_by_row_behind_the_prefix(height: int, width: int, prefix: int) -> None:
    grid = Grid("tokens", (height, width), prefix)
    output = torch.randn(2, prefix + height * width, 3)
    places = grid.split(output)
    for row in range(height):
        for column in range(width):
            assert torch.equal(places[:, :, row, column], output[:, prefix + row * width + column])
    other = grid.put(output, torch.zeros(2, 3, height, width))
    assert torch.equal(other[:, :prefix], output[:, :prefix])
    assert not other[:, prefix:].any()


@pytest.mark.parametrize("layout", ["channels_first", "channels_last", "tokens"])
def test_a_split_is_a_view(layout: str) -> None:
    output = torch.zeros(1, 7, 4) if layout == "tokens" else torch.zeros(1, 2, 3, 2)
    places = Grid(layout, (2, 3), prefix=int(layout == "tokens")).split(output)  # type: ignore[arg-type]
    assert places.untyped_storage().data_ptr() == output.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("model", "shape", "frame", "grid"),
    [
        (PLAIN, (2, 9, 7, 7), (224, 224), Grid("channels_first", (7, 7))),
        (PLAIN, (2, 9, 7, 14), (224, 448), Grid("channels_first", (7, 14))),
        (PLAIN, (2, 7, 14, 9), (224, 448), Grid("channels_last", (7, 14))),
        (PLAIN, (2, 8, 6, 40), (230, 180), Grid("channels_last", (8, 6))),
        (PLAIN, (2, 49, 9), (224, 224), Grid("tokens", (7, 7))),
        (PLAIN, (2, 8, 8, 8), (64, 64), Grid("channels_first", (8, 8))),
        (_Patches(4), (2, 8, 8, 8), (64, 64), Grid("channels_last", (8, 8))),
        (
            _Patches(4, nn.Conv2d(4, 4, 7, device="meta")),
            (2, 8, 8, 8),
            (64, 64),
            Grid("channels_first", (8, 8)),
        ),
        (_Patches(16), (2, 196, 9), (224, 224), Grid("tokens", (14, 14))),
        (_Patches(16), (2, 197, 9), (224, 224), Grid("tokens", (14, 14), 1)),
        (_Patches(14), (2, 261, 9), (224, 224), Grid("tokens", (16, 16), 5)),
        (_Patches(14), (2, 21, 9), (64, 64), Grid("tokens", (4, 4), 5)),
        (_Patches(16), (2, 73, 9), (96, 192), Grid("tokens", (6, 12), 1)),
        (_Patches((8, 16)), (2, 33, 9), (64, 64), Grid("tokens", (8, 4), 1)),
        (_Patches(4), (2, 24 * 18, 9), (189, 143), Grid("tokens", (24, 18))),  # padded, halved
    ],
)
def test_the_sides_and_the_patch_embedding_decide(
    model: nn.Module, shape: tuple[int, ...], frame: tuple[int, int], grid: Grid
) -> None:
    output = torch.zeros(shape)
    assert grid_of(model, output, frame) == grid
    assert grid_of(model, {"hidden": output}, frame, batch=2) == grid


@pytest.mark.parametrize(
    ("model", "shape", "frame", "why"),
    [
        (PLAIN, (2, 9), (64, 64), "no places"),
        (PLAIN, (2, 9, 1, 1), (64, 64), "one place"),
        (PLAIN, (2, 9, 7, 3), (64, 64), "other proportions"),
        (PLAIN, (2, 9, 65, 65), (64, 64), "larger than the image"),
        (PLAIN, (2, 3, 4, 4, 4), (64, 64), "a dimension too many"),
        (_Patches(16), (2, 51, 9), (64, 64), "a number of tokens that fits no grid"),
        (_Patches(16), (2, 4, 17, 17), (64, 64), "attention weights"),
        (_Patches(16), (2, 4, 17, 16), (64, 64), "queries"),
        (_Patches(4), (8, 49, 9), (224, 224), "windows in the batch dimension"),
    ],
)
def test_what_lies_on_no_image_is_no_grid(
    model: nn.Module, shape: tuple[int, ...], frame: tuple[int, int], why: str
) -> None:
    assert grid_of(model, torch.zeros(shape), frame, batch=2) is None, why


def test_nothing_is_kept_of_a_model_that_is_gone() -> None:
    from camaudit.models import grids

    before = len(grids._stems)
    model = _Patches(2)
    grid_of(model, torch.zeros(1, 4, 5), (4, 4))
    assert len(grids._stems) == before + 1
    del model
    assert len(grids._stems) == before


@dataclass(frozen=True)
class _Frozen:
    count: int
    features: Tensor


class _Named(NamedTuple):
    count: int
    features: Tensor


TENSOR = torch.zeros(1, 2)


@pytest.mark.parametrize(
    "output",
    [
        TENSOR,
        (TENSOR, torch.ones(3)),
        [None, TENSOR],
        {"count": 3, "features": TENSOR},
        OrderedDict(features=TENSOR, more=torch.ones(3)),
        _Frozen(3, TENSOR),
        _Named(3, TENSOR),
        BaseModelOutput(last_hidden_state=TENSOR, hidden_states=(torch.ones(3),)),
        ({"inner": (5, TENSOR)}, 7),
    ],
    ids=lambda output: type(output).__name__,
)
def test_the_first_tensor_of_an_output_is_found_and_replaced(output: object) -> None:
    new = torch.ones(1, 2)
    assert tensor_of(output) is TENSOR
    other = with_tensor(output, new)
    assert type(other) is type(output)
    assert tensor_of(other) is new
    assert tensor_of(output) is TENSOR


def test_an_output_without_a_tensor_stays_as_it_is() -> None:
    output = {"count": 3}
    assert tensor_of(output) is None
    assert with_tensor(output, TENSOR) is output
    assert grid_of(PLAIN, output, (8, 8)) is None


def test_what_stands_beside_the_tensor_stays() -> None:
    beside = torch.ones(3)
    given = BaseModelOutput(last_hidden_state=TENSOR, hidden_states=(beside,))
    other = with_tensor(given, torch.ones(1, 2))
    assert isinstance(other, BaseModelOutput)
    assert other.hidden_states is not None
    assert other.hidden_states[0] is beside
    assert with_tensor((TENSOR, 5), beside) == (beside, 5)
