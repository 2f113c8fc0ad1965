"""A batch's maps held against random ones and against the centre: which of them names the pixels that the score follows?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from camaudit.measure.faithfulness import PASSES, curves, masked, shares_before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from camaudit.measure.faithfulness import Asking
    from camaudit.measure.trust.checks import Found

RANDOM, CENTRE = "random", "centre"


def passes_of_faithfulness(methods: int, grids: int) -> int:
    """Forward passes of one image, for some methods on some grids."""
    return 1 + methods * (PASSES + 1) + grids * PASSES + PASSES


def check_faithfulness(maps: Mapping[str, Tensor], asking: Asking) -> Found:
    """The measures of `camaudit.measure.faithfulness`, of every method's maps and of what is no map.

    ``deletion_random``, ``insertion_random`` and ``road_random`` are those of random values on the map's own grid, so that what
    is taken away has the same shapes; ``deletion_centre`` and the like of the distance to the centre, the nearest first.

    Args:
        maps: by method, (batch, h, w).
        asking: the batch.

    Returns:
        By method and measure, (batch,); NaN of a map without mass.
    """
    size = (asking.images.shape[-2], asking.images.shape[-1])
    batch = torch.arange(len(asking.images), device=asking.images.device)
    own = asking.confidence(asking.images, batch)
    centre = {name: _numbers(of) for name, of in curves(_from_centre(asking.images), asking, own).items()}
    random: dict[tuple[int, int], dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]] = {}
    found: Found = {}
    for method, of in maps.items():
        grid = (of.shape[-2], of.shape[-1])
        if grid not in random:
            drawn = shares_before(_random(of, asking.seed), size)
            random[grid] = {name: _numbers(value) for name, value in curves(drawn, asking, own).items()}
        mass = _numbers(of.double().sum((-2, -1)))
        measured = curves(shares_before(of, size), asking, own) | masked(of, asking, own)
        for name, values in measured.items():
            found[method, name] = np.where(mass > 0, _numbers(values), np.nan)
        for kind, values_of in ((RANDOM, random[grid]), (CENTRE, centre)):
            for name, numbers in values_of.items():
                found[method, f"{name}_{kind}"] = numbers
    return found


def _random(maps: Tensor, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(maps.shape, generator=draw, dtype=torch.float64).to(maps.device)


def _from_centre(images: Tensor) -> Tensor:
    """Of each pixel the share of the image's pixels that are nearer to the centre."""
    height, width = images.shape[-2:]
    rows, columns = (torch.arange(side, device=images.device) - (side - 1) / 2 for side in (height, width))
    far = rows[:, None].square() + columns.square()
    return shares_before(-far.expand(len(images), height, width), (height, width))


def _numbers(values: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers: np.ndarray[tuple[int], np.dtype[np.float64]] = values.double().cpu().numpy()
    return numbers
