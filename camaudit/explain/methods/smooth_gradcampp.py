"""Smooth Grad-CAM++: the derivatives of Grad-CAM++ averaged over noisy images (Omeiza et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from camaudit.explain.noise import noisy
from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@method(
    "smooth_gradcampp",
    needs={"activation", "gradient", "inputs", "rerun"},
    class_discriminative=False,
    source="arXiv:1908.01224",
    cost="25",
    randomisation="fails",
)
def smooth_gradcampp(
    activation: Tensor,
    gradient: Tensor,
    inputs: Tensor,
    rerun: Callable[..., dict[Any, Tensor]],
    *,
    samples: int = 25,
    sigma: float = 0.15,
    seed: int = 0,
) -> Tensor:
    """Grad-CAM++ of the first three derivatives' means over noisy copies of the image.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        gradient: derivative of each target, before softmax, by the activation, (batch, targets, channels, h, w).
        inputs: (batch, channels, height, width).
        rerun: the gradient at other inputs.
        samples: number of noisy copies.
        sigma: of the noise, as a share of each image's range; 0 gives Grad-CAM++.
        seed: of the noise.

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The activation is the image's own. As in Grad-CAM++,
        the derivatives of exp(S) are g, g² and g³ without their factor exp(S). The paper prints D1 over α's fraction; it is
        D2, else the formula would not be Grad-CAM++ without noise.
    """
    at_least(1, samples=samples)
    at_least(0, sigma=sigma)
    # α·D1 is of degree 1 in the gradient: in units of its size, the cube of a small one does not vanish
    size = gradient.abs().amax((-3, -2, -1), keepdim=True)
    unit = torch.where(size > 0, size, 1)
    first, second, third = (torch.zeros_like(gradient) for _ in range(3))
    for copy in noisy(inputs, samples, sigma, seed):
        found = rerun(copy, "gradient")["gradient"] / unit
        square = found * found
        first, second, third = first + found, second + square, third + square * found
    mass = unit * activation.sum((-2, -1))[:, None, :, None, None]
    denominator = 2 * second + mass * third  # of sums: what they are divided by cancels
    alpha = torch.where((second > 0) & (denominator > 0), second / denominator, 0)
    weight = (alpha * first.relu()).sum((-2, -1), keepdim=True) * (unit / samples)
    return torch.einsum("btk,bkhw->bthw", weight[..., 0, 0], activation).relu()
