"""Guided Grad-CAM: guided backpropagation, where Grad-CAM sees the class (Selvaraju et al. 2017, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.explain.methods.gradcam import gradcam
from camaudit.explain.methods.guided_backprop import guided_backprop
from camaudit.explain.registry import method
from camaudit.explain.upsampling import upsample

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "guided_gradcam",
    needs={"activation", "gradient", "guided_gradient"},
    class_discriminative=True,
    source="arXiv:1610.02391",
    grid="input",
)
def guided_gradcam(activation: Tensor, gradient: Tensor, guided_gradient: Tensor) -> Tensor:
    """Guided backpropagation times Grad-CAM, brought to the image's size bilinearly.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).
        guided_gradient: derivative of each target by the input under the rule of guided backpropagation, (batch, targets,
            channels, height, width).

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width). The paper multiplies every channel of the
        guided gradient; the largest magnitude over the channels is the same before or after, because Grad-CAM has one
        value a place, and none below zero.
    """
    frame = (guided_gradient.shape[-2], guided_gradient.shape[-1])
    return guided_backprop(guided_gradient) * upsample(gradcam(activation, gradient), frame)
