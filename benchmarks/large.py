"""The benchmark's networks, at the size people use them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import timm
import torch
import torchvision

from benchmarks.networks import Case, lively
from camaudit.demo.train import load_imagenet
from camaudit.explain import explain
from camaudit.models.grids import grid_of
from camaudit.models.layers import module_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "ResNet-50": (partial(torchvision.models.resnet50, weights=None), 224),
    "ViT-B/16": (partial(torchvision.models.vit_b_16, weights=None), 224),
    "ConvNeXt-T": (partial(torchvision.models.convnext_tiny, weights=None), 224),
    "EfficientNet-Lite0": (load_imagenet, 224),
    "tiny": (partial(timm.create_model, "resnet18", num_classes=10, channels=(4, 4, 8, 8), stem_width=4), 64),
}
"""How it is made, and the side of its input. EfficientNet-Lite0 has its ImageNet weights, the others random ones."""

BLOCK_IN_HEAD = {"ViT-B/16"}
"""A transformer block lies behind the target layer."""


def large(name: str, *, batch: int, device: torch.device) -> Case:
    """A model of `MODELS` in float32 with the target layer that camaudit finds, and a batch of noise."""
    build, side = MODELS[name]
    torch.manual_seed(0)
    model = build()
    if build is not load_imagenet:
        lively(model)
    model = model.to(device).eval()
    images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1)).to(device)
    layer = explain(model, images[:1]).layer
    module = module_at(model, layer)
    outputs: list[object] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    with torch.inference_mode():
        classes = model(images).shape[1]
    handle.remove()
    grid = grid_of(model, outputs[0], (side, side))
    assert grid is not None
    return Case(
        name, model, layer, module, grid, images, [(7 * image + 3) % classes for image in range(batch)]
    )
