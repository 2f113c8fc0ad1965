"""Slow twins of the formulas: one image and one target at a time, double loops, float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor, nn


def activation_and_gradient(
    model: nn.Module, layer: nn.Module, image: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    """(channels, h, w) each, of one image (3, height, width), by full autograd through the whole network."""
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


# ------------------------------------------------------------------ loops that the formulas share


def _places(maps: Tensor) -> Iterator[tuple[int, int]]:
    height, width = maps.shape[-2:]
    return ((i, j) for i in range(height) for j in range(width))


def _total(values: Iterable[float]) -> float:
    return math.fsum(float(value) for value in values)


def weighted(weights: Sequence[float], activation: Tensor) -> Tensor:
    """The positive part of the channels' weighted sum."""
    found = torch.zeros(activation.shape[1:], dtype=torch.float64)
    for i, j in _places(activation):
        found[i, j] = max(_total(w * float(of[i, j]) for w, of in zip(weights, activation, strict=True)), 0.0)
    return found


def upsample(plane: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, half-pixel centres, the border repeated: one plane (h, w)."""
    rows, columns = plane.shape
    found = torch.zeros(height, width, dtype=torch.float64)
    for i in range(height):
        y = min(max((i + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
        top = min(int(y), rows - 1)
        bottom = min(top + 1, rows - 1)
        for j in range(width):
            x = min(max((j + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            left = min(int(x), columns - 1)
            right = min(left + 1, columns - 1)
            down, across = y - top, x - left
            upper = (1 - across) * float(plane[top, left]) + across * float(plane[top, right])
            lower = (1 - across) * float(plane[bottom, left]) + across * float(plane[bottom, right])
            found[i, j] = (1 - down) * upper + down * lower
    return found


def largest(channels: Tensor) -> Tensor:
    """The largest magnitude over the channels of (channels, height, width)."""
    found = torch.zeros(channels.shape[1:], dtype=torch.float64)
    for i, j in _places(channels):
        found[i, j] = max(abs(float(channel[i, j])) for channel in channels)
    return found


# ------------------------------------------------------------------ of a layer's activation and gradient


def cam(activation: Tensor, row: Tensor) -> Tensor:
    """Equation 2 of CAM, of what speaks for the class; `row` of the linear layer."""
    return weighted([float(value) for value in row], activation)


def mean_gradient(gradient: Tensor) -> list[float]:
    """Equation 1 of Grad-CAM."""
    height, width = gradient.shape[-2:]
    return [_total(channel[i, j] for i, j in _places(gradient)) / (height * width) for channel in gradient]


def gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Equations 1 and 2 of Grad-CAM."""
    return weighted(mean_gradient(gradient), activation)


def counterfactual_gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM of the negative score."""
    return weighted([-weight for weight in mean_gradient(gradient)], activation)


def gradcampp(activation: Tensor, gradient: Tensor) -> Tensor:
    """Equation 19 of Grad-CAM++ as printed, with second and third powers."""
    return smooth_gradcampp(activation, [gradient])


def smooth_gradcampp(activation: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Grad-CAM++ with the mean of the first three powers of the noisy images' gradients."""
    weights = []
    for k, channel in enumerate(activation):
        mass = _total(channel[i, j] for i, j in _places(activation))
        weight = 0.0
        for i, j in _places(activation):
            of_place = [float(gradient[k, i, j]) for gradient in gradients]
            first, second, third = (
                _total(g**power for g in of_place) / len(gradients) for power in (1, 2, 3)
            )
            denominator = 2 * second + mass * third
            if second > 0 and denominator > 0:
                weight += second / denominator * max(first, 0.0)
        weights.append(weight)
    return weighted(weights, activation)


def xgradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """XGrad-CAM: gradient times activation, over the activation's sum."""
    weights = []
    for values, slopes in zip(activation, gradient, strict=True):
        mass = _total(values[i, j] for i, j in _places(activation))
        evidence = _total(float(slopes[i, j]) * float(values[i, j]) for i, j in _places(activation))
        weights.append(evidence / mass if mass else 0.0)
    return weighted(weights, activation)


def _product(activation: Tensor, gradient: Tensor, *, positive: bool) -> Tensor:
    found = torch.zeros(activation.shape[1:], dtype=torch.float64)
    for i, j in _places(activation):
        slopes = [max(float(of[i, j]), 0.0) if positive else float(of[i, j]) for of in gradient]
        found[i, j] = max(_total(g * float(of[i, j]) for g, of in zip(slopes, activation, strict=True)), 0.0)
    return found


def hirescam(activation: Tensor, gradient: Tensor) -> Tensor:
    """HiResCAM: gradient times activation, place by place."""
    return _product(activation, gradient, positive=False)


def layercam(activation: Tensor, gradient: Tensor) -> Tensor:
    """LayerCAM: the same of positive gradients."""
    return _product(activation, gradient, positive=True)


def eigencam(activation: Tensor) -> Tensor:
    """Projection on the first right singular vector of places × channels; its sum is not negative."""
    component, _ = _first_component(activation)
    return (-component if component.sum() < 0 else component).clamp(min=0)


def _first_component(activation: Tensor) -> tuple[Tensor, float]:
    channels, height, width = activation.shape
    places = activation.double().numpy().reshape(channels, height * width).T
    first = np.linalg.svd(places)[2][0]
    return torch.from_numpy((places @ first).reshape(height, width)), float(first.sum())


def eigen_gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """The same of gradient times activation; the weights' sum is not negative."""
    component, weights = _first_component(activation * gradient)
    return (-component if weights < 0 else component).clamp(min=0)


def finercam(activation: Tensor, gradient: Tensor, rivals: Sequence[Tensor], strength: float) -> Tensor:
    """Equations 5 and 8 of Finer-CAM: the mean, over rivals, of the weights of y_c - γ y_d."""
    against = [mean_gradient(gradient - strength * rival) for rival in rivals]
    return weighted([_total(of) / len(rivals) for of in zip(*against, strict=True)], activation)


def ablationcam(activation: Tensor, score: float, without: Sequence[float]) -> Tensor:
    """Ablation-CAM: what the score loses, over its magnitude."""
    return weighted([(score - one) / abs(score) for one in without], activation)


# ------------------------------------------------------------------ of a transformer's attention


def attention_rollout(attention: Sequence[Tensor], prefix: int, height: int, width: int) -> Tensor:
    """The whole product of the matrices, (heads, tokens, tokens) a block; the class token's row, or the mean of all."""
    tokens = attention[0].shape[-1]
    flow = torch.eye(tokens, dtype=torch.float64)
    for block in attention:
        mixed = torch.zeros(tokens, tokens, dtype=torch.float64)
        for query in range(tokens):
            for key in range(tokens):
                mean = _total(head[query, key] for head in block) / len(block)
                mixed[query, key] = 0.5 * mean + 0.5 * (query == key)
        flow = mixed @ flow
    row = flow[0] if prefix else flow.sum(0) / tokens
    return _places_of(row, prefix, height, width)


def legrad(gradients: Sequence[Tensor], prefix: int, height: int, width: int) -> Tensor:
    """Mean over blocks, heads and queries of the positive part of (heads, tokens, tokens) a block."""
    heads, tokens, _ = gradients[0].shape
    row = torch.zeros(tokens, dtype=torch.float64)
    for key in range(tokens):
        row[key] = _total(
            max(float(head[query, key]), 0.0)
            for block in gradients
            for head in block
            for query in range(tokens)
        ) / (len(gradients) * heads * tokens)
    return _places_of(row, prefix, height, width)


def _places_of(row: Tensor, prefix: int, height: int, width: int) -> Tensor:
    found = torch.zeros(height, width, dtype=torch.float64)
    for i, j in _places(found):
        found[i, j] = row[prefix + i * width + j]
    return found
