"""SmoothGrad over any method: the mean of its raw maps over noisy copies of the image (Smilkov et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camaudit.explain.noise import noisy
from camaudit.explain.options import at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import Tensor


def smoothed(
    function: Callable[..., Tensor], needs: Collection[str], own: Mapping[str, object]
) -> Callable[..., Tensor]:
    """The method that averages another's maps.

    Args:
        function: the other method.
        needs: its needs.
        own: its options, which the new method has too.

    Returns:
        A method with the needs ``inputs`` and ``rerun``.
    """

    def smooth(  # noqa: D417
        inputs: Tensor, rerun: Any, *, samples: int = 25, sigma: float = 0.1, seed: int = 0, **options: object
    ) -> Tensor:
        """The mean raw map over noisy copies.

        Args:
            samples: number of noisy copies.
            sigma: of the noise, as a share of each image's range.
            seed: of the noise.
        """
        at_least(1, samples=samples)
        at_least(0, sigma=sigma)
        passed_on = {name: value for name, value in options.items() if name in own}
        total = inputs.new_zeros(())
        for copy in noisy(inputs, samples, sigma, seed):
            total = total + function(**rerun(copy, *needs), **passed_on)
        return total / samples

    return smooth
