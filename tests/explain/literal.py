"""Slow twins: full autograd through the whole network, one image and one class at a time, double loops."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def activation_and_gradient(
    model: nn.Module, layer: nn.Module, image: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    """(channels, h, w) each, of one image (3, height, width)."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        output.retain_grad()
        kept.append(output)
        return output.clone()

    handle = layer.register_forward_hook(keep)
    with torch.enable_grad():
        model(image[None].clone().requires_grad_())[0, target].backward()
    handle.remove()
    model.zero_grad(set_to_none=True)
    gradient = kept[0].grad
    assert gradient is not None
    return kept[0][0].detach(), gradient[0]


def gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Equations 1 and 2 of Grad-CAM."""
    channels, height, width = activation.shape
    found = torch.zeros(height, width, dtype=activation.dtype)
    for k in range(channels):
        weight = sum(float(gradient[k, i, j]) for i in range(height) for j in range(width)) / (height * width)
        for i in range(height):
            for j in range(width):
                found[i, j] += weight * activation[k, i, j]
    return found.clamp(min=0)


def cam(activation: Tensor, row: Tensor) -> Tensor:
    """Equation 2 of CAM, of what speaks for the class; `row` of the linear layer."""
    channels, height, width = activation.shape
    found = torch.zeros(height, width, dtype=activation.dtype)
    for i in range(height):
        for j in range(width):
            found[i, j] = max(sum(float(row[k]) * float(activation[k, i, j]) for k in range(channels)), 0.0)
    return found
