"""FullGrad: input and every bias, each times its gradient (Srinivas and Fleuret 2019).

The engine hands over as `full_gradients` a function that takes another, `reduce`. It calls ``reduce(product)`` for the input
and for every layer with a bias whose output lies on a grid, and every target, with ``product`` = input or bias times the
derivative of the target, by the input or the layer's output, signed, (batch, channels, h_l, w_l), as the backward pass comes
by, so that no two need be held. It returns a list, the input first, of the results, stacked to (batch, targets, h_l, w_l).
Which biases there are: `camaudit.explain.biases.Biases`. Layers without places (the linear head) are left out, as by the
authors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method
from camaudit.explain.upsampling import upsample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@method(
    "fullgrad",
    needs={"full_gradients"},
    class_discriminative=False,
    source="arXiv:1905.00780",
    grid="input",
)
def fullgrad(full_gradients: Callable[[Callable[[Tensor], Tensor]], Sequence[Tensor]]) -> Tensor:
    """Input times gradient, and bias times gradient of every layer, each rescaled to [0, 1] and added up.

    Args:
        full_gradients: applies a function to input times gradient and to each bias times its gradient, (batch, channels, h,
            w), of every target, before softmax; returns a list, the input first, of (batch, targets, h, w).

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width): the sum over layers and channels of the
        paper's ψ, bilinear upsampling of the rescaled absolute value. Rescaled is a layer as a whole, over channels and
        places, as by the authors: rescaling each channel would make a bias that does nothing count like any other.
        Upsampling aligns the pixels' borders, as everywhere here; the authors align the corners' centres.
    """
    total, *layers = full_gradients(rescaled)
    for layer in layers:
        total = total + upsample(layer, (total.shape[-2], total.shape[-1]))
    return total


def rescaled(product: Tensor) -> Tensor:
    """Absolute values, minus their minimum, over their range, summed over the channels.

    Args:
        product: (batch, channels, h, w).

    Returns:
        (batch, h, w); zero where all values are alike.
    """
    size = product.abs()
    low, high = size.amin((1, 2, 3), keepdim=True), size.amax((1, 2, 3), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (size - low) / spread, 0).sum(1)
