"""Noisy copies of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


def noisy(inputs: Tensor, samples: int, sigma: float, seed: int) -> Iterator[Tensor]:
    """Copies with Gaussian noise, one at a time.

    Every image of a batch gets the same draw, scaled to its own range: a map does not depend on which other images are in
    its batch, nor on their order.

    Args:
        inputs: (batch, channels, height, width).
        samples: number of copies.
        sigma: standard deviation, as a share of (maximum - minimum) of each image.
        seed: of the draws; another kind of device draws others.
    """
    draw = torch.Generator(inputs.device).manual_seed(seed)
    spread = sigma * (inputs.amax((1, 2, 3), keepdim=True) - inputs.amin((1, 2, 3), keepdim=True))
    for _ in range(samples):
        noise = torch.randn(inputs.shape[1:], generator=draw, device=inputs.device, dtype=inputs.dtype)
        yield inputs + spread * noise
