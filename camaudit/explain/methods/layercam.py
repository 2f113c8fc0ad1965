"""LayerCAM: activations weighted by their own positive gradient (Jiang et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "layercam",
    needs={"activation", "gradient"},
    class_discriminative=False,
    source="doi:10.1109/TIP.2021.3089943",
    randomisation="fails",
)
def layercam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Positive gradient times activation, summed over the channels.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The paper's tanh scaling, for fusing shallow layers,
        is left out.
    """
    return torch.einsum("btkhw,bkhw->bthw", gradient.relu(), activation).relu()
