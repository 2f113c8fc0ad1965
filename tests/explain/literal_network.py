"""Slow twins of the methods that run a network: one image at a time, layer by layer, full autograd, float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from tests.explain import literal

if TYPE_CHECKING:
    from collections.abc import Sequence


def score(model: nn.Module, image: Tensor, target: int) -> float:
    """The target's score of one image, (3, height, width)."""
    with torch.no_grad():
        return float(model(image[None])[0, target])


def gradient(model: nn.Module, image: Tensor, target: int) -> Tensor:
    """Derivative by the image, (3, height, width)."""
    leaf = image[None].clone().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(model(leaf)[0, target], leaf)
    return found[0]


def noise(image: Tensor, samples: int, sigma: float, seed: int) -> list[Tensor]:
    """Copies of one image with Gaussian noise."""
    draw = torch.Generator().manual_seed(seed)
    spread = sigma * float(image.max() - image.min())
    return [
        image + spread * torch.randn(image.shape, generator=draw, dtype=image.dtype) for _ in range(samples)
    ]


def smoothgrad(model: nn.Module, copies: Sequence[Tensor], target: int) -> Tensor:
    """SmoothGrad: the mean gradient over noisy copies."""
    total = torch.zeros_like(copies[0])
    for copy in copies:
        total += gradient(model, copy, target)
    return literal.largest(total / len(copies))


def integrated_gradients(model: nn.Module, image: Tensor, target: int, steps: int) -> Tensor:
    """Equation 1 of integrated gradients by the midpoint rule, signed, (3, height, width)."""
    total = torch.zeros_like(image)
    for step in range(steps):
        total += gradient(model, image * ((step + 0.5) / steps), target)
    return image * total / steps


def modified_gradient(
    model: nn.Sequential, image: Tensor, target: int, rule: Literal["plain", "guided", "deconv"]
) -> Tensor:
    """Back through a sequence layer by layer; at a ReLU by the rule."""
    outputs = [image[None]]
    with torch.no_grad():
        for part in model:
            outputs.append(part(outputs[-1].clone()))
    flow = torch.zeros_like(outputs[-1])
    flow[0, target] = 1
    for part, given in zip(reversed(model), reversed(outputs[:-1]), strict=True):
        if isinstance(part, nn.ReLU) and rule != "plain":
            open_to = flow > 0
            if rule == "guided":
                open_to = open_to & (given > 0)
            flow = torch.where(open_to, flow, 0)
        else:
            leaf = given.clone().requires_grad_()
            with torch.enable_grad():
                (flow,) = torch.autograd.grad(part(leaf.clone()), leaf, flow)
    return flow[0]


def biases(part: nn.Module) -> Tensor | None:
    """What a layer adds to each channel of its output whatever the input."""
    if isinstance(part, nn.BatchNorm2d):
        assert part.running_mean is not None
        assert part.running_var is not None
        slope = part.weight / (part.running_var + part.eps).sqrt()
        return (part.bias - slope * part.running_mean).detach()
    if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
        return part.bias.detach()
    return None


def full_gradients(model: nn.Sequential, image: Tensor, target: int) -> tuple[Tensor, list[Tensor]]:
    """Input times gradient, (3, height, width), and of every layer bias times gradient, (channels, ...)."""
    leaf = image[None].clone().requires_grad_()
    outputs = [leaf]
    with torch.enable_grad():
        for part in model:
            outputs.append(part(outputs[-1]))
        found = torch.autograd.grad(outputs[-1][0, target], outputs[:-1], retain_graph=True)
        slopes = [*found[1:], torch.nn.functional.one_hot(torch.tensor([target]), outputs[-1].shape[1])]
    products = []
    for part, slope in zip(model, slopes, strict=True):
        bias = biases(part)
        if bias is not None:
            products.append((slope * bias.reshape(1, -1, *([1] * (slope.ndim - 2))))[0])
    return image * found[0][0], products


def fullgrad(model: nn.Sequential, image: Tensor, target: int) -> Tensor:
    """FullGrad: every layer rescaled as a whole, every channel upsampled by itself."""
    of_input, of_biases = full_gradients(model, image, target)
    height, width = image.shape[1:]
    total = torch.zeros(height, width, dtype=torch.float64)
    for product in [of_input, *of_biases]:
        if product.ndim < 3:
            continue
        low, high = float(product.abs().min()), float(product.abs().max())
        for channel in product.abs():
            scaled = (channel - low) / (high - low) if high > low else torch.zeros_like(channel)
            total += literal.upsample(scaled, height, width)
    return total


def ablated_scores(head: nn.Module, activation: Tensor, target: int) -> list[float]:
    """The target's score of (channels, h, w) with one channel after the other set to zero."""
    found = []
    for k in range(len(activation)):
        without = activation.clone()
        without[k] = 0
        found.append(score(head, without, target))
    return found


def scorecam(model: nn.Module, activation: Tensor, image: Tensor, target: int) -> Tensor:
    """Algorithm 1 of Score-CAM, with the baseline; a channel without contrast gets no weight."""
    height, width = image.shape[1:]
    baseline = score(model, torch.zeros_like(image), target)
    gains: dict[int, float] = {}
    for k, channel in enumerate(activation):
        if float(channel.max()) > float(channel.min()):
            mask = literal.upsample(channel, height, width)
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            gains[k] = score(model, image * mask, target) - baseline
    largest = max(gains.values(), default=0.0)
    shares = {k: float(torch.tensor(gain - largest, dtype=torch.float64).exp()) for k, gain in gains.items()}
    return literal.weighted(
        [shares.get(k, 0.0) / sum(shares.values()) if shares else 0.0 for k in range(len(activation))],
        activation,
    )


def rise_masks(size: tuple[int, int], masks: int, cells: int, keep: float, seed: int) -> list[Tensor]:
    """A binary grid, upsampled to one cell more than the image, cropped."""
    draw = torch.Generator().manual_seed(seed)
    grids = (torch.rand(masks, cells, cells, generator=draw) < keep).double()
    cell = [-(-side // cells) for side in size]
    shifts = [torch.randint(side, (masks, 1), generator=draw) for side in cell]
    found = []
    for index, grid in enumerate(grids):
        large = literal.upsample(grid, (cells + 1) * cell[0], (cells + 1) * cell[1])
        top, left = (int(shift[index]) for shift in shifts)
        found.append(large[top : top + size[0], left : left + size[1]])
    return found


def rise(model: nn.Module, image: Tensor, masks: Sequence[Tensor], keep: float, target: int) -> Tensor:
    """RISE: the masks' mean, weighted by the score, over their expectation."""
    total = torch.zeros(image.shape[1:], dtype=torch.float64)
    for mask in masks:
        total += score(model, image * mask, target) * mask
    return (total / (len(masks) * keep)).clamp(min=0)


# ------------------------------------------------------------------ a transformer whose attention lies open


class Transformer(nn.Module):
    """Patches of 4x4 pixels, a class token (or none: then the mean of all tokens), two blocks, three heads."""

    def __init__(self, *, class_token: bool) -> None:
        super().__init__()
        width = 12
        self.class_token = nn.Parameter(torch.randn(1, 1, width)) if class_token else None
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embedded(images)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return self.head(tokens.mean(1) if self.class_token is None else tokens[:, 0])

    def embedded(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).mT
        if self.class_token is None:
            return tokens
        return torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.queries_keys_values(tokens)
        return self.after(tokens, nn.functional.scaled_dot_product_attention(queries, keys, values))

    def queries_keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed = self.mixed(self.before(tokens)).unflatten(2, (3, 3, -1)).permute(2, 0, 3, 1, 4)
        return mixed[0], mixed[1], mixed[2]

    def after(self, tokens: Tensor, attended: Tensor) -> Tensor:
        tokens = tokens + self.out(attended.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.between(tokens))


def attention(model: Transformer, image: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Of every block the softmax weights (heads, tokens, tokens) and the tokens that depend on them, with a graph."""
    found = []
    with torch.enable_grad():
        tokens = model.embedded(image[None])
        for block in model.blocks:
            queries, keys, values = block.queries_keys_values(tokens)
            weights = (queries @ keys.mT / queries.shape[-1] ** 0.5).softmax(-1)[0]
            tokens = block.after(tokens, weights[None] @ values)
            found.append((weights, tokens[0]))
    return found


def attention_gradients(model: Transformer, image: Tensor, target: int) -> list[Tensor]:
    """Of every block, by its weights: the score that the head gives to the mean of the block's own tokens."""
    found = []
    for weights, tokens in attention(model, image):
        with torch.enable_grad():
            own_score = model.head(model.norm(tokens.mean(0)))[target]
            found.append(torch.autograd.grad(own_score, weights, retain_graph=True)[0])
    return found
