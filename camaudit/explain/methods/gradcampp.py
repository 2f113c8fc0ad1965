"""Grad-CAM++: positive gradients, each weighted by how much it explains (Chattopadhay et al. 2018, eq. 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "gradcampp",
    needs={"activation", "gradient"},
    class_discriminative=False,
    source="arXiv:1710.11063",
    randomisation="fails",
)
def gradcampp(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels of the target layer, weighted by their positive gradients, which are weighted by the ++ formula.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The paper's factor exp(S) is constant over a map and
        left out. A gradient counts nothing where the formula's denominator is not positive, as it can be of a channel
        whose sum is negative.
    """
    mass = activation.sum((-2, -1))[:, None, :, None, None]
    denominator = 2 + gradient * mass  # eq. 19 divided by the gradient squared: no epsilon needed
    alpha = torch.where((gradient > 0) & (denominator > 0), 1 / denominator, 0)
    weight = (alpha * gradient.relu()).sum((-2, -1))
    return torch.einsum("btk,bkhw->bthw", weight, activation).relu()
