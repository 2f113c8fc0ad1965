"""How well a region and the brightest part of a map cover each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

OVERLAP_METRICS = ("iou", "iou_25", "iou_50", "iou_75", "box_iou")

THRESHOLD = 0.15
"""Share of the map's maximum from which on a pixel counts (Selvaraju et al. 2017, section 4.1)."""

_THRESHOLDS = {"iou": THRESHOLD, "iou_25": 0.25, "iou_50": 0.5, "iou_75": 0.75}


def overlap(pixels: Tensor, belongs: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Intersection over union of regions with maps at the size of the image.

    - ``iou``: of the region with the pixels that have at least 15 % of the map's maximum; ``iou_25``, ``iou_50`` and ``iou_75``
      with those above 25, 50 and 75 %.
    - ``box_iou``: of the region's box with the box of the largest connected part (by sides, of equal ones the first in reading
      order) of the pixels that have at least 15 %.

    Args:
        pixels: non-negative, (batch, targets, height, width).
        belongs: whether a pixel is the region's, (batch, regions, height, width).
        valid: true where a pixel is image and not padding, (batch, height, width).

    Returns:
        Each as (batch, targets, regions) float64; NaN of a region without pixels and of a map without mass.
    """
    pixels = pixels * valid[:, None]
    regions = (belongs & valid[:, None]).flatten(2).float()
    top = pixels.amax((-2, -1), keepdim=True)
    sizes = regions.sum(2)[:, None]
    defined = (sizes > 0) & (top.flatten(1) > 0)[..., None]
    found = {}
    for name, least in _THRESHOLDS.items():
        bright = (pixels >= least * top).flatten(2).float() * valid.flatten(1)[:, None]
        both = torch.einsum("btp,brp->btr", bright, regions)
        share = both.double() / (bright.sum(2)[..., None] + sizes - both)
        found[name] = torch.where(defined, share, torch.nan)
    bright = (pixels >= THRESHOLD * top) & valid[:, None]
    mine = _boxes(bright.cpu().numpy(), largest=True)
    theirs = _boxes((belongs & valid[:, None]).cpu().numpy(), largest=False)
    boxes = torch.from_numpy(_box_iou(mine[:, :, None], theirs[:, None])).to(pixels.device)
    found["box_iou"] = torch.where(defined, boxes, torch.nan)
    return found


def _boxes(masks: NDArray[np.bool_], *, largest: bool) -> NDArray[np.float64]:
    """(..., 4): first row, first column, and those after the last, of each mask or of its largest connected part."""
    flat = masks.reshape(-1, *masks.shape[-2:])
    boxes = np.full((len(flat), 4), np.nan)
    for place, mask in enumerate(flat):
        part = _largest(mask) if largest else mask
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        if rows.size:
            boxes[place] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return boxes.reshape(*masks.shape[:-2], 4)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())[1:]
    part: NDArray[np.bool_] = labels == 1 + sizes.argmax()
    return part


def _box_iou(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of boxes (..., 4); NaN where one is none."""
    sides = np.minimum(ones[..., 2:], others[..., 2:]) - np.maximum(ones[..., :2], others[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = [(of[..., 2:] - of[..., :2]).prod(-1) for of in (ones, others)]
    share: NDArray[np.float64] = both / (areas[0] + areas[1] - both)
    return share
