"""Eigen-GradCAM: the first principal component of gradient times activation (Eigen-CAM made class-discriminative)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.methods.eigencam import first_component
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "eigen_gradcam",
    needs={"activation", "gradient"},
    class_discriminative=True,
    source="pytorch-grad-cam",
)
def eigen_gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Projection of gradient times activation on its first right singular vector.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The sign that a singular vector does not have is the
        one that goes with HiResCAM, the plain sum over channels (see `first_component`): what is kept speaks for the
        target. Channels are not centred; pytorch-grad-cam, where the method comes from, centres them.
    """
    product = gradient * activation[:, None]
    return torch.stack([first_component(of_target).relu() for of_target in product.unbind(1)], dim=1)
