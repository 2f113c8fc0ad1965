"""The demo's models: the ImageNet weights arrive whole, and training is repeatable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from timm import create_model

from camaudit.demo.compose import ASSETS, ComposedDemo, compose
from camaudit.demo.train import (
    ARCHITECTURE,
    FIRST_TRAINED,
    load_imagenet,
    pixels,
    timm_key,
    train,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ComposedDemo:
    return compose(tmp_path_factory.mktemp("demo") / "d", per_class=8, test_per_cell=2)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small batches, and other tests run beside this one
    yield
    torch.set_num_threads(before)


def test_imagenet_weights_fill_every_tensor_of_timms_model() -> None:
    names = set(create_model(ARCHITECTURE, pretrained=False).state_dict())
    assert names == set(load_imagenet().state_dict())
    assert timm_key("_conv_stem.weight") == "conv_stem.weight"
    assert timm_key("_blocks.0._bn2.bias") == "blocks.0.0.bn2.bias"
    assert timm_key("_blocks.3._expand_conv.weight") == "blocks.2.0.conv_pw.weight"
    assert timm_key("_blocks.15._bn2.running_var") == "blocks.6.0.bn3.running_var"


def test_imagenet_model_knows_what_it_knew() -> None:
    # class and logit, seen once the whole way was checked by hand: 17 of 20 labelled ImageNet photographs are right
    scenes = {
        "mountain-path": (970, 9.76),  # alp
        "great-wall": (979, 8.54),  # valley
        "neuschwanstein": (483, 9.87),  # castle
        "schwerin-palace": (698, 9.93),  # palace
        "living-room": (541, 6.59),  # drum
    }
    images = torch.stack([pixels(ASSETS / "scenes" / f"{name}.jpg") for name in scenes])
    with torch.inference_mode():
        scores = load_imagenet()(images)
    assert scores.argmax(1).tolist() == [index for index, _ in scenes.values()]
    np.testing.assert_allclose(scores.amax(1), [logit for _, logit in scenes.values()], atol=0.1)


def test_training_twice_gives_the_same_weights(demo: ComposedDemo, tmp_path: Path) -> None:
    first = train(demo.train_biased, tmp_path / "a.safetensors", epochs=2)
    second = train(demo.train_biased, tmp_path / "b.safetensors", epochs=2)
    assert first.weights.read_bytes() == second.weights.read_bytes()
    assert (first.loss, first.accuracy) == (second.loss, second.accuracy)
    other = train(demo.train_biased, tmp_path / "c.safetensors", epochs=2, seed=1)
    assert other.weights.read_bytes() != first.weights.read_bytes()


def test_training_leaves_the_frozen_part_and_batch_norm_alone(demo: ComposedDemo, tmp_path: Path) -> None:
    state_before = torch.random.get_rng_state()
    result = train(demo.train_balanced, tmp_path / "w.safetensors", epochs=1)
    assert torch.equal(state_before, torch.random.get_rng_state())
    before, after = load_imagenet().state_dict(), load_file(result.weights)
    changed = {
        key for key in after if not key.startswith("classifier") and not torch.equal(before[key], after[key])
    }
    assert changed == {
        key
        for key in after
        if (key.startswith(tuple(f"blocks.{i}" for i in range(FIRST_TRAINED, 7))) and ".conv" in key)
        or key.startswith("conv_head")
    }
    assert not list(tmp_path.glob("*.part"))


def test_trained_model_learns_its_own_table(demo: ComposedDemo, tmp_path: Path) -> None:
    words: list[str] = []
    result = train(demo.train_biased, tmp_path / "w.safetensors", epochs=8, progress=words.append)
    assert result.accuracy > 0.8
    assert result.loss < 0.5
    assert len(words) == 9


def test_pixels_are_bytes_minus_127_over_128() -> None:
    values = pixels(ASSETS / "scenes" / "living-room.jpg")
    assert values.shape == (3, 224, 224)
    assert values.min() >= -127 / 128
    assert values.max() <= 1
