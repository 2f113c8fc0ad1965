"""Vanilla gradient: how much each pixel would move the score (Simonyan et al. 2013, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "gradient",
    needs={"input_gradient"},
    class_discriminative=False,
    source="arXiv:1312.6034",
    grid="input",
)
def gradient(input_gradient: Tensor) -> Tensor:
    """Largest magnitude, over the channels, of the derivative by the input.

    Args:
        input_gradient: derivative of each target, before softmax, by the input, (batch, targets, channels, height, width).

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width).
    """
    return input_gradient.abs().amax(2)
