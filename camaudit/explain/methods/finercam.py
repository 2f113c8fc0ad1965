"""Finer-CAM: what speaks for a class rather than for the classes like it (Zhang et al. 2025, eq. 5 and 8).

The engine hands over as `rival_gradient` the derivative, by the activation, of the mean score of the target's rivals: the
three classes (all others, where there are fewer) whose scores lie nearest to the target's own, |y_d - y_c|, the target
left out; (batch, targets, channels, h, w). The scores decide who the rivals are and take no part in the graph beyond
that. The comparison's strength stays with the method, so it is an option.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "finercam",
    needs={"activation", "gradient", "rival_gradient"},
    class_discriminative=True,
    source="arXiv:2501.11309",
    randomisation="passes",
)
def finercam(
    activation: Tensor, gradient: Tensor, rival_gradient: Tensor, *, strength: float = 0.6
) -> Tensor:
    """Grad-CAM of a class minus the classes that are most like it.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).
        rival_gradient: the same of the mean of the three classes whose scores are nearest to the target's.
        strength: the paper's γ, how much of the rivals is taken away; 0 gives Grad-CAM, 0.6 is the paper's choice.

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The rivals are averaged before the ReLU, as in the
        paper; the authors' code also weights them by their softmax.
    """
    at_least(0, strength=strength)
    weight = (gradient - strength * rival_gradient).mean((-2, -1))
    return torch.einsum("btk,bkhw->bthw", weight, activation).relu()
