"""Does the score follow the pixels that a map calls important?

Pixels are ranked by the map at the size of the image, and taken away or given back from the highest rank down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from camaudit.explain.upsampling import upsample
from camaudit.measure.fills import blur
from camaudit.measure.imputation import noisily

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

CURVES = ("deletion", "insertion", "road")
MASKED = ("average_drop", "increase")
STEPS = 10
"""Of the deletion and the insertion curve."""
_ROAD = (0.2, 0.4, 0.6, 0.8)
_BLUR = 0.05  # standard deviation, as a share of the shorter side: RISE's 11 pixels of 224

PASSES = 2 * STEPS + len(_ROAD)
"""Forward passes of one image that the curves of one ranking take."""


@dataclass(frozen=True)
class Asking:
    """A batch, and how it is asked.

    Attributes:
        images: as the model takes them, (batch, channels, height, width).
        confidence: from images, and for each the place in the batch of the sample it is of, to the probability of what is
            explained: (n,) float64.
        seed: of the imputation's noise.
        chunk: images in one call of the model.
    """

    images: Tensor
    confidence: Callable[[Tensor, Tensor], Tensor]
    seed: int
    chunk: int

    def of(self, variants: Tensor) -> Tensor:
        """The probabilities of variants of the batch, (variants, batch, channels, height, width): (variants, batch)."""
        count, batch = variants.shape[:2]
        rows = torch.arange(batch, device=variants.device).repeat(count)
        # convolutions on a CPU are half as fast in the usual layout
        flat = variants.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        pairs = zip(torch.split(flat, self.chunk), torch.split(rows, self.chunk), strict=True)
        return torch.cat([self.confidence(images, of) for images, of in pairs]).reshape(count, batch)


def shares_before(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Of each pixel the share of the image's pixels that rank above it, in [0, 1): (batch, height, width).

    Args:
        maps: (batch, h, w); brought to the image bilinearly. Of equal pixels the first in reading order ranks higher.
        size: (height, width) of the image.
    """
    pixels = upsample(maps[:, None].double(), size)[:, 0].flatten(1)
    place = pixels.argsort(dim=1, descending=True, stable=True)
    count = pixels.shape[1]
    rank = torch.empty_like(place)
    rank.scatter_(1, place, torch.arange(count, device=maps.device).expand_as(place))
    return (rank.double() / count).reshape(len(maps), *size)


def curves(before: Tensor, asking: Asking, own: Tensor) -> dict[str, Tensor]:
    """What happens to the probability of what is explained while pixels go or come, the highest first.

    - ``deletion``: area under the curve while they become the image's mean; low is good (Petsiuk et al. 2018, RISE; who
      take the mean over the dataset, 0 after normalising).
    - ``insertion``: area while they come back into the blurred image; high is good (the same).
    - ``road``: mean probability when 20, 40, 60 and 80 % of them are imputed; low is good (Rong et al. 2022, most
      relevant first).

    Args:
        before: of each pixel the share that ranks above it, (batch, height, width); see `shares_before`.
        asking: the batch.
        own: probabilities of the images as they are, (batch,).

    Returns:
        Each as (batch,) float64.
    """
    images = asking.images
    shares = torch.linspace(0, 1, STEPS + 1, device=images.device, dtype=before.dtype)
    gone = (before[None] < shares[1:, None, None, None])[:, :, None]
    mean = images.mean((-2, -1), keepdim=True)
    blurred = blur(images, _BLUR)
    deleted = torch.cat([own[None], asking.of(torch.where(gone, mean, images))])
    # nothing, then ever more of the image; the whole of it is known
    come = torch.cat([torch.zeros_like(gone[:1]), gone[:-1]])
    inserted = torch.cat([asking.of(torch.where(come, images, blurred)), own[None]])
    times = len(_ROAD)
    missing = torch.cat([before < share for share in _ROAD])
    levels = noisily(images.repeat(times, 1, 1, 1), missing, seed=asking.seed).reshape(times, *images.shape)
    return {
        "deletion": torch.trapezoid(deleted, shares, dim=0),
        "insertion": torch.trapezoid(inserted, shares, dim=0),
        "road": asking.of(levels).mean(0),
    }


def masked(maps: Tensor, asking: Asking, own: Tensor) -> dict[str, Tensor]:
    """What is left of the probability where the image is multiplied by its map (Chattopadhay et al. 2018, section 4.1).

    - ``average_drop``: what it loses, as a share of what it was; 0 where it rises.
    - ``increase``: 1 where it rises, else 0: increase in confidence.

    Args:
        maps: (batch, h, w); scaled to [0, 1] by their own minimum and maximum for this.
        asking: the batch.
        own: probabilities of the images as they are, (batch,).

    Returns:
        Each as (batch,) float64; NaN where a map is constant and has no scale.
    """
    large = upsample(maps[:, None], (asking.images.shape[-2], asking.images.shape[-1]))
    low, high = (of((-2, -1), keepdim=True) for of in (large.amin, large.amax))
    left = asking.of((asking.images * ((large - low) / (high - low)).to(asking.images))[None])[0]
    known = ((high > low) & left.isfinite()[:, None, None, None]).flatten()
    return {
        "average_drop": torch.where(known, (own - left).clamp(min=0) / own, torch.nan),
        "increase": torch.where(known, (left > own).double(), torch.nan),
    }
