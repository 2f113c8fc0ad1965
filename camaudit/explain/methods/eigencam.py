"""Eigen-CAM: the first principal component of a layer's output (Muhammad and Yeasin 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor

_SQUARINGS = 20  # the second component is down by (λ2/λ1) to the power of 2^20


@method(
    "eigencam",
    needs={"activation", "score"},
    class_discriminative=False,
    source="arXiv:2008.00299",
    randomisation="fails",
)
def eigencam(activation: Tensor, score: Tensor) -> Tensor:
    """The activation's projection on its first right singular vector; the same for every class.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        score: the targets' values, (batch, targets): only their number counts.

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w), of one image all alike; see `first_component`. The
        sign that a singular vector does not have is the one that leaves the map the most: its sum is not negative before
        what is below zero is cut off.
    """
    component = first_component(activation)
    component = torch.where(component.sum((-2, -1), keepdim=True) < 0, -component, component)
    return component.relu()[:, None].repeat(1, score.shape[1], 1, 1)


def first_component(maps: Tensor) -> Tensor:
    """The weighted sum of the channels that holds the most of them: projection on the first singular vector.

    Channels are not centred, as in the paper. Of activations after a ReLU every weight is then non-negative. Otherwise the
    sign is the one that goes with the channels' plain sum: the weights' sum is not negative.

    The smaller Gram matrix (channels or places) is squared again and again, until only the direction of its largest
    eigenvalue is left: unlike an eigenvalue solver this waits for no device. Exact to 1e-6 where the largest eigenvalue
    exceeds the second by one part in 10^5; where two are nearer to each other, there is no one first component.

    Args:
        maps: (batch, channels, h, w).

    Returns:
        Signed maps, (batch, h, w), of the layer's scale; zero where all maps are.
    """
    flat = maps.flatten(2)
    if maps.device.type != "mps":  # which has no float64
        flat = flat.double()
    flat, scale = _scaled(flat)
    over_places = flat.shape[2] <= flat.shape[1]
    power = flat.mT @ flat if over_places else flat @ flat.mT
    for _ in range(_SQUARINGS):
        power, _ = _scaled(power)
        power = power @ power.mT
    # of a matrix of rank one, any column that is not zero has its direction; the largest is the most exact
    column = power.diagonal(dim1=1, dim2=2).argmax(1)[:, None, None].expand(-1, len(power[0]), 1)
    vector = power.gather(2, column)
    weight = flat @ vector if over_places else vector
    weight, _ = _scaled(weight)
    length = weight.norm(dim=1, keepdim=True)
    weight = torch.where(length > 0, weight / length, 0)
    weight = torch.where(weight.sum(1, keepdim=True) < 0, -weight, weight)
    component = (flat.mT @ weight * scale).squeeze(2)
    return component.reshape(len(maps), *maps.shape[2:]).to(maps.dtype)


def _scaled(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A batch of matrices, each divided by its largest magnitude; and that."""
    size = matrix.abs().amax((1, 2), keepdim=True)
    return torch.where(size > 0, matrix / size, 0), size
