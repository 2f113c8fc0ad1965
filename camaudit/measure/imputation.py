"""Noisy linear imputation: missing pixels that give away nothing of where they were (Rong et al. 2022, arXiv:2202.00449)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csc_array, csr_array
    from torch import Tensor

EXACT = 128
"""Pixels of the longer side up to which the linear system is solved as it stands."""
_SWEEPS = 4
_RIDGE = 1e-9  # where pixels are missing one by one, several corners may mean the same pixel


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Each missing pixel becomes the weighted mean of its eight neighbours, missing ones included.

    Neighbours by a side weigh twice as much as those by a corner; at the border the weights of those that there are count.
    That is one linear system a mask, factorised once for all channels of all images that lack the same pixels.

    Up to `EXACT` pixels a side the solution is exact. In a larger image it is the one of least energy among those that are
    bilinear between every second pixel, and then four times each missing pixel becomes the mean of its neighbours: a quarter
    of the time, and off by less than 0.5 % of the image's standard deviation (root mean square over the missing pixels; a
    tenth of the noise that `noisily` adds).

    It is done on the CPU in double precision wherever the images are, some 0.03 s for an image of 224 pixels a side.

    Args:
        images: (batch, channels, height, width).
        missing: (batch, height, width); of an image of which nothing is known nothing changes.

    Returns:
        (batch, channels, height, width).
    """
    height, width = images.shape[-2:]
    found: NDArray[np.float64] = np.array(images.detach().cpu().double().flatten(2).numpy())
    masks: NDArray[np.bool_] = missing.cpu().flatten(1).numpy()
    alike: dict[bytes, list[int]] = {}
    for place, mask in enumerate(masks):
        if mask.any() and not mask.all():
            alike.setdefault(mask.tobytes(), []).append(place)
    for places in alike.values():
        gone = np.flatnonzero(masks[places[0]])
        values = found[places]
        values[..., gone] = 0
        solved = _solved(values.reshape(-1, height * width).T, gone, (height, width))
        values[..., gone] = solved.T.reshape(*values.shape[:2], len(gone))
        found[places] = values
    return torch.from_numpy(found).reshape(images.shape).to(images)


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


def _solved(
    known: NDArray[np.float64], gone: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """The missing pixels' values.

    Args:
        known: the pixels, 0 where they are missing, (pixels, columns).
        gone: places of the missing ones, (n,).
        size: (height, width) of the image.

    Returns:
        (n, columns).
    """
    from scipy.sparse import diags_array

    around, weight = _around(*size)
    rows, weight = around[gone], weight[gone]
    right = rows @ known
    among = rows[:, gone]
    system = diags_array(weight, format="csr") - among
    if max(size) <= EXACT:
        return _factorised(system.tocsc(), right)
    corners = _bilinear(*size)[gone]
    corners = corners[:, np.unique(corners.indices)]
    energy = (corners.T @ (system @ corners)).tocsc()
    energy += diags_array(np.full(energy.shape[0], _RIDGE), format="csc")
    found = corners @ _factorised(energy, corners.T @ right)
    for _ in range(_SWEEPS):
        found = (right + among @ found) / weight[:, None]
    return found


def _factorised(matrix: csc_array, right: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.sparse.linalg import splu

    # symmetric and positive definite: no pivoting, and an order for that
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})
    solved: NDArray[np.float64] = factor.solve(right)
    return solved


@lru_cache(maxsize=1)
def _around(height: int, width: int) -> tuple[csr_array, NDArray[np.float64]]:
    """Weights of each pixel's neighbours, (pixels, pixels), 1/6 by a side and 1/12 by a corner; and their sums, (pixels,)."""
    from scipy.sparse import csr_array, eye_array, kron

    down, across = (
        eye_array(side, k=-1) + 2 * eye_array(side) + eye_array(side, k=1) for side in (height, width)
    )
    weights = csr_array((kron(down, across) - 4 * eye_array(height * width)) / 12)
    weights.eliminate_zeros()
    return weights, weights.sum(1)


@lru_cache(maxsize=1)
def _bilinear(height: int, width: int) -> csr_array:
    """From values at every second pixel down and across to all pixels, bilinearly: (pixels, corners)."""
    from scipy.sparse import csr_array, kron

    def between(side: int) -> csr_array:
        place = np.arange(side)
        corner = np.concatenate([place // 2, (place + 1) // 2])
        halves = np.full(2 * side, 0.5)
        return csr_array((halves, (np.tile(place, 2), corner)), shape=(side, side // 2 + 1))

    return kron(between(height), between(width), format="csr")
