"""Noisy linear imputation: missing pixels that give away nothing of where they were (Rong et al. 2022, arXiv:2202.00449)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Applied = Callable[[Tensor], Tensor]

_MOST_STEPS = 500
_COARSEST = 8  # pixels of the shorter side
_GUESS = 1e-2  # tolerance where the solution is only a first guess
_NEIGHBOURS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))


def impute(images: Tensor, missing: Tensor, *, tolerance: float = 1e-3) -> Tensor:
    """Each missing pixel becomes the weighted mean of its eight neighbours, missing ones included.

    Neighbours by a side weigh twice as much as those by a corner; at the border the weights of those that there are count.
    That is one linear system an image, solved by conjugate gradients from the solution at half the size.

    Args:
        images: (batch, channels, height, width).
        missing: (batch, height, width); of an image of which nothing is known nothing changes.
        tolerance: share of the system's right side that the solution may miss it by.

    Returns:
        (batch, channels, height, width).
    """
    unknown = (missing & ~missing.all(-1).all(-1)[:, None, None])[:, None].to(images.dtype)
    known = 1 - unknown
    start = images * known + _coarse(images, known, tolerance) * unknown
    weight = _around(torch.ones_like(unknown))
    target = _around(images * known) * unknown

    def applied(values: Tensor) -> Tensor:
        return (weight * values - _around(values * unknown)) * unknown

    return images * known + _solved(applied, target, start * unknown, tolerance)


def noisily(images: Tensor, missing: Tensor, *, seed: int, deviation: float = 0.01) -> Tensor:
    """`impute`, with Gaussian noise on what was missing: a smooth patch would be seen as one.

    Args:
        images: (batch, channels, height, width).
        missing: (batch, height, width).
        seed: of the noise, the same for all images; another kind of device draws another.
        deviation: of the noise, as a share of each image's range.
    """
    draw = torch.Generator(images.device).manual_seed(seed)
    noise = torch.randn(images.shape[1:], generator=draw, device=images.device, dtype=images.dtype)
    spread = images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)
    return impute(images, missing) + deviation * spread * noise * missing[:, None]


def _around(values: Tensor) -> Tensor:
    """Weighted sum over the eight neighbours, channel by channel; nothing lies beyond the border."""
    kernel = values.new_tensor(_NEIGHBOURS)[None, None]
    flat = values.flatten(0, 1)[:, None]
    return functional.conv2d(flat, kernel, padding=1).reshape(values.shape)


def _coarse(images: Tensor, known: Tensor, tolerance: float) -> Tensor:
    """A first guess: the solution at half the size, enlarged; at the coarsest the mean of what is known."""
    size = (images.shape[-2], images.shape[-1])
    if min(size) <= _COARSEST:
        count = known.sum((-2, -1), keepdim=True)
        mean = (images * known).sum((-2, -1), keepdim=True) / count.clamp(min=1)
        return mean.expand_as(images)
    share = functional.avg_pool2d(known, 2, ceil_mode=True)
    small = functional.avg_pool2d(images * known, 2, ceil_mode=True) / share.clamp(min=1e-6)
    solved = impute(small, share[:, 0] <= 0, tolerance=max(tolerance, _GUESS))
    return functional.interpolate(solved, size=size, mode="bilinear", align_corners=False)


def _solved(applied: Applied, target: Tensor, start: Tensor, tolerance: float) -> Tensor:
    """Conjugate gradients, every channel of every image for itself."""
    over = (-2, -1)
    found = start
    rest = target - applied(found)
    direction, size = rest, (rest * rest).sum(over, keepdim=True)
    enough = tolerance**2 * (target * target).sum(over, keepdim=True)
    for _ in range(_MOST_STEPS):
        if bool((size <= enough).all()):
            break
        moved = applied(direction)
        bend = (direction * moved).sum(over, keepdim=True)
        step = torch.where(size > enough, size / bend.clamp(min=torch.finfo(bend.dtype).tiny), 0)
        found, rest = found + step * direction, rest - step * moved
        before, size = size, (rest * rest).sum(over, keepdim=True)
        direction = rest + size / before.clamp(min=torch.finfo(before.dtype).tiny) * direction
    return found
