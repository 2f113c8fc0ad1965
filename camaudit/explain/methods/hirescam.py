"""HiResCAM: gradient times activation, place by place (Draelos and Carin 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "hirescam",
    needs={"activation", "gradient"},
    class_discriminative=True,
    source="arXiv:2011.08891",
    randomisation="passes",
)
def hirescam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Gradient times activation, summed over the channels.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The paper shows signed maps; as for every other
        method here only what speaks for the target is kept.
    """
    return torch.einsum("btkhw,bkhw->bthw", gradient, activation).relu()
