"""Deconvnet: only positive gradients pass a rectifier (Zeiler and Fergus 2013, section 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from torch import Tensor


@method(
    "deconvnet",
    needs={"deconv_gradient"},
    class_discriminative=False,
    source="arXiv:1311.2901",
    grid="input",
    randomisation="fails",
)
def deconvnet(deconv_gradient: Tensor) -> Tensor:
    """Largest magnitude, over the channels, of a derivative that flows back through a rectifier where the gradient is positive.

    Args:
        deconv_gradient: derivative of each target by the input under the rule of the deconvnet, (batch, targets, channels, height, width).

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width). The paper shows the three channels as an
        image; they are reduced as the vanilla gradient's are.
    """
    return deconv_gradient.abs().amax(2)
