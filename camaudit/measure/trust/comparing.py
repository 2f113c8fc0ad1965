"""How alike two maps are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import rankdata
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def rank_correlations(ones: Tensor, others: Tensor) -> NDArray[np.float64]:
    """Spearman's rank correlation of pairs of maps, ties with their mean rank.

    Args:
        ones: (batch, h, w).
        others: (batch, h, w).

    Returns:
        (batch,); 0 where one of two maps is constant and has no order to share; NaN where both are, or where a value is not
        a number.
    """
    flat = [of.detach().flatten(1).double().cpu().numpy() for of in (ones, others)]
    left, right = (_centred_ranks(of) for of in flat)
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    shared = (left * right).sum(1) / np.where(scale > 0, scale, 1)
    constant = [(of == of[:, :1]).all(1) for of in flat]
    unknown = ~(np.isfinite(flat[0]).all(1) & np.isfinite(flat[1]).all(1))
    result: NDArray[np.float64] = np.where((constant[0] & constant[1]) | unknown, np.nan, shared)
    return result


def _centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = rankdata(values, axis=1)
    centred: NDArray[np.float64] = ranks - ranks.mean(1, keepdims=True)
    return centred


def to_common_grid(ones: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of maps on the coarser of their grids: the mean over each of its cells.

    Args:
        ones: (batch, h, w).
        others: (batch, h, w), of another h and w.
    """
    grid = (min(ones.shape[-2], others.shape[-2]), min(ones.shape[-1], others.shape[-1]))
    left, right = (
        functional.adaptive_avg_pool2d(of[:, None].to(torch.float64), grid)[:, 0] for of in (ones, others)
    )
    return left, right
