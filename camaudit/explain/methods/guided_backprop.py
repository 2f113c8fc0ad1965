"""Guided backpropagation: only positive gradients pass an active rectifier (Springenberg et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "guided_backprop",
    needs={"guided_gradient"},
    class_discriminative=False,
    source="arXiv:1412.6806",
    grid="input",
    randomisation="fails",
)
def guided_backprop(guided_gradient: Tensor) -> Tensor:
    """Largest magnitude, over the channels, of a derivative that flows back through a rectifier where input and gradient are positive.

    Args:
        guided_gradient: derivative of each target by the input under the rule of guided backpropagation, (batch, targets, channels, height, width).

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width). The paper shows the three channels as an
        image; they are reduced as the vanilla gradient's are.
    """
    return guided_gradient.abs().amax(2)
