"""SmoothGrad: the gradient's mean over noisy copies of the image (Smilkov et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camaudit.explain.noise import noisy
from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@method(
    "smoothgrad",
    needs={"inputs", "rerun"},
    class_discriminative=False,
    source="arXiv:1706.03825",
    cost="25",
    grid="input",
)
def smoothgrad(
    inputs: Tensor,
    rerun: Callable[..., dict[Any, Tensor]],
    *,
    samples: int = 25,
    sigma: float = 0.15,
    seed: int = 0,
) -> Tensor:
    """Largest magnitude, over the channels, of the mean derivative by noisy copies of the input.

    Args:
        inputs: (batch, channels, height, width).
        rerun: the derivative at other inputs.
        samples: number of noisy copies; the paper sees little change beyond 50.
        sigma: of the noise, as a share of each image's range; 0 gives the vanilla gradient. The paper: 0.1 to 0.2.
        seed: of the noise.

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width). The magnitude is taken after the mean; the
        mean of magnitudes is ``smooth:gradient``.
    """
    at_least(1, samples=samples)
    at_least(0, sigma=sigma)
    total = inputs.new_zeros(())
    for copy in noisy(inputs, samples, sigma, seed):
        total = total + rerun(copy, "input_gradient")["input_gradient"]
    return (total / samples).abs().amax(2)
