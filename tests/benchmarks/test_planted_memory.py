from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from benchmarks.planted.memory import Memory, Remembered

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def trunk() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval().requires_grad_(False)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_what_is_remembered_is_what_the_trunk_says_in_half_precision(
    trunk: nn.Module, images: torch.Tensor
) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    first = remembered(images)
    torch.testing.assert_close(first, trunk(images).half().float(), rtol=0, atol=0)
    again = remembered(images.flip(0))
    assert torch.equal(again.flip(0), first)
    assert (remembered.memory.hits, remembered.memory.misses) == (5, 5)


def test_one_changed_pixel_is_another_image(trunk: nn.Module, images: torch.Tensor) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    remembered(images)
    changed = images.clone()
    changed[2, 0, 3, 3] += 0.5
    torch.testing.assert_close(remembered(changed), trunk(changed).half().float(), rtol=0, atol=0)
    assert remembered.memory.misses == 6


def test_a_copy_with_other_weights_does_not_answer_from_memory(
    trunk: nn.Module, images: torch.Tensor
) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    remembered(images)
    other = copy.deepcopy(remembered)
    assert other.memory is remembered.memory
    nn.init.normal_(other.trunk[0].weight)
    torch.testing.assert_close(other(images), other.trunk(images).half().float(), rtol=0, atol=0)
    assert not torch.equal(other(images), remembered(images))


def test_weights_that_are_changed_in_place_and_put_back_are_told_apart(
    trunk: nn.Module, images: torch.Tensor
) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    before = remembered(images)
    kept = {name: value.clone() for name, value in trunk.state_dict().items()}
    trunk[1].running_mean.add_(1)
    assert not torch.equal(remembered(images), before)
    trunk.load_state_dict(kept)
    assert torch.equal(remembered(images), before)
    assert remembered.memory.misses == 10


def test_a_gradient_goes_through_the_trunk(trunk: nn.Module, images: torch.Tensor) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    images.requires_grad_()
    remembered(images).sum().backward()
    assert images.grad is not None
    assert remembered.memory.misses == 0


def test_a_saved_memory_answers_as_it_did(trunk: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    remembered = Remembered(trunk, Memory()).eval()
    first = remembered(images)
    remembered.memory.save(tmp_path / "work" / "memory.npz")
    again = Remembered(trunk, Memory.load(tmp_path / "work" / "memory.npz")).eval()
    assert torch.equal(again(images), first)
    assert (again.memory.hits, again.memory.misses) == (5, 0)
    assert not Memory.load(tmp_path / "none.npz").found


def test_what_is_saved_is_of_the_usual_size(trunk: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    """A model is probed with an image of another size before it is audited."""
    remembered = Remembered(trunk, Memory()).eval()
    remembered(images)
    remembered(torch.zeros(1, *images.shape[1:-2], 2 * images.shape[-2], 2 * images.shape[-1]))
    remembered.memory.save(tmp_path / "memory.npz")
    assert len(Memory.load(tmp_path / "memory.npz").found) == len(images)
