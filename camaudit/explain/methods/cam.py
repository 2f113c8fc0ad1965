"""CAM: channels weighted by the class's row of the linear layer after pooling (Zhou et al. 2016, eq. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "cam",
    needs={"activation", "head_gradient"},
    class_discriminative=True,
    source="arXiv:1512.04150",
    randomisation="passes",
)
def cam(activation: Tensor, head_gradient: Tensor) -> Tensor:
    """Channels of the target layer, weighted by the rows of the linear layer that follows global average pooling.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        head_gradient: derivative of each target by the pooled channels, (batch, targets, channels); for a class the
            row of the linear layer.

    Returns:
        Maps on the layer's grid, (batch, targets, h, w). The paper draws signed maps; as for every other method here
        only what speaks for the target is kept.
    """
    return torch.einsum("btk,bkhw->bthw", head_gradient, activation).relu()
