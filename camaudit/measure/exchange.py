"""The object on other samples' backgrounds: whether the score follows a background, which has no matched control.

A background takes most of an image, so nothing as large can be edited elsewhere, and what an edit of it does is mostly
that the picture is a strange one. A real background of another sample is not (Xiao et al. 2021, "Mixed-Same" and
"Mixed-Rand"); what one kind of backgrounds does is compared with what the others do.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from camaudit.measure.fills import blur, inpainted

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from camaudit.measure.donors import Donors
    from camaudit.types import Sample

SMALLEST, LARGEST = 0.002, 0.7
"""Share of the image that an object may take to be cut out of it, or to be painted over in a donor."""
_EDGE = 0.006  # of the side: an object that is cut out sharply carries its outline along
_MOST_SHARED = 0.5  # of the object that may belong to the attribute: it would come along with the object


class Backgrounds:
    """The donors without their objects.

    Args:
        donors: the pool.
        column: of the object among its regions.
    """

    def __init__(self, donors: Donors, column: int) -> None:
        self._donors = donors
        self._column = column

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which donors have a background to give, (donors,): the object is annotated and leaves enough of it."""
        covered = self._donors.coverage[:, self._column].astype(np.float64).mean((-2, -1)) / 255
        found: NDArray[np.bool_] = self._donors.annotated[:, self._column] & (covered <= LARGEST)
        return found

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """(donors, height, width, 3) uint8, each object painted over with what is around it."""
        painted = self._donors.frames.copy()
        for place in np.flatnonzero(self.usable):
            covered = self._donors.coverage[place, self._column].astype(np.float32) / 255
            painted[place] = inpainted(painted[place], covered, self._donors.valid[place])
        return painted

    def name(self, place: int) -> str:
        """The id of the sample that a background is of."""
        return self._donors.samples[place].id

    def chosen(self, sample: Sample, count: int) -> list[int]:
        """Places of the donors that a sample is put on."""
        return self._donors.order(sample, self.usable)[:count]


def exchangeable(region: Tensor, item: Tensor) -> bool:
    """Whether the object can be taken out of its surroundings, and leaves the attribute behind.

    Args:
        region: coverage of the attribute, (height, width).
        item: coverage of the object, (height, width).
    """
    area = float(item.mean())
    shared = float(torch.minimum(region, item).sum()) / max(float(item.sum()), 1e-9)
    return SMALLEST <= area <= LARGEST and shared <= _MOST_SHARED


def exchanged_scores(
    images: Tensor,
    items: Tensor,
    rows: Tensor,
    backgrounds: Tensor,
    scores: Callable[[Tensor], Tensor],
    *,
    encode: Callable[[Tensor], Tensor],
    chunk: int,
) -> Tensor:
    """The scores of objects on other backgrounds.

    Args:
        images: as the model takes them, (batch, 3, height, width).
        items: coverage of the object, (batch, height, width).
        rows: the image whose object each of the n composites has, (n,).
        backgrounds: (n, height, width, 3) uint8.
        scores: from images to the model's scores (n, classes).
        encode: from frames, uint8, to what the model takes.
        chunk: images in one call of the model.

    Returns:
        (n, classes).
    """
    soft = blur(items[:, None].to(images), _EDGE)
    found = []
    for mine, behind in zip(torch.split(rows, chunk), torch.split(backgrounds, chunk), strict=True):
        composed = torch.lerp(encode(behind.to(images.device)), images[mine], soft[mine])
        found.append(scores(composed.contiguous(memory_format=torch.channels_last)))
    return torch.cat(found)
