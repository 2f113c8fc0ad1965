"""Counterfactual Grad-CAM: what would lower the score (Selvaraju et al. 2017, section 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "counterfactual_gradcam",
    needs={"activation", "gradient"},
    class_discriminative=True,
    source="arXiv:1610.02391",
    randomisation="passes",
)
def counterfactual_gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels of the target layer, weighted by their mean gradient with the sign turned.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w): the negative part of what Grad-CAM keeps the
        positive part of.
    """
    return torch.einsum("btk,bkhw->bthw", -gradient.mean((-2, -1)), activation).relu()
