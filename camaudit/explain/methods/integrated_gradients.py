"""Integrated gradients: the gradient along the way from an empty image (Sundararajan et al. 2017, eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Rerun = Callable[..., dict[Any, Tensor]]


@method(
    "integrated_gradients",
    needs={"inputs", "rerun"},
    class_discriminative=True,
    source="arXiv:1703.01365",
    cost="50",
    grid="input",
)
def integrated_gradients(inputs: Tensor, rerun: Rerun, *, steps: int = 50) -> Tensor:
    """What each pixel adds to the score on the straight way from an image of zeros.

    Args:
        inputs: (batch, channels, height, width).
        rerun: the derivative at other inputs.
        steps: points of the Gauss-Legendre rule.

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width): the sum over the channels, of which, as for
        every other method here, only what speaks for the target is kept. After the usual preprocessing an image of zeros
        has the mean colour; pixels of that colour get nothing.
    """
    return contributions(inputs, rerun, steps).sum(2).relu()


def contributions(inputs: Tensor, rerun: Rerun, steps: int) -> Tensor:
    """Signed, (batch, targets, channels, height, width); the sum is the score minus that of an image of zeros."""
    at_least(1, steps=steps)
    places, weights = np.polynomial.legendre.leggauss(steps)  # between -1 and 1
    mean = sum(
        weight / 2 * rerun((1 + place) / 2 * inputs, "input_gradient")["input_gradient"]
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True)
    )
    return mean * inputs[:, None]
