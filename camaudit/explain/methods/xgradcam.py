"""XGrad-CAM: channels weighted by gradient times activation, relative to the activation (Fu et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "xgradcam",
    needs={"activation", "gradient"},
    class_discriminative=True,
    source="arXiv:2008.02312",
    randomisation="passes",
)
def xgradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels of the target layer, weighted by their mean gradient, where each place counts by its activation.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The paper's formula assumes activations after a ReLU;
        a channel whose sum is zero, or cannot be told from zero because its values cancel, counts nothing.
    """
    mass, size = activation.sum((-2, -1)), activation.abs().sum((-2, -1))
    rounding = torch.finfo(activation.dtype).eps * size
    evidence = torch.einsum("btkhw,bkhw->btk", gradient, activation)
    weight = torch.where((mass.abs() > rounding)[:, None], evidence / mass[:, None], 0)
    return torch.einsum("btk,bkhw->bthw", weight, activation).relu()
