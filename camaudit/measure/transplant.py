"""An attribute of other samples, put into images that lack it: does the score follow?

Editing an attribute away asks only the images that have it. Here its pixels, in the place and size they have in a donor,
are pasted into an image without it. Held against it is what a donor without the attribute shows in that very place: real
pixels, of the same shape, and nothing of the attribute.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from camaudit.measure.donors import Donors
    from camaudit.types import Sample

CONTROLS = 2
"""Pieces of donors without the attribute, for each that is pasted."""
DONORS = 2
"""Donors whose attribute a sample is given."""
LEAST_WITHOUT = 5
"""Donors without the attribute; with fewer the same pieces would stand for all images."""
_FREE = 0.05  # of a piece that may lie on a control's own object


class Attributes:
    """The donors that have an attribute, and those that lack it.

    Args:
        donors: the pool.
        column: of the attribute among its regions.
        taken: what is annotated in the donors as object or attribute, (donors, height, width).
    """

    def __init__(self, donors: Donors, column: int, taken: Tensor) -> None:
        self._donors = donors
        self._column = column
        self._taken = taken

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Which donors have the attribute, (donors,)."""
        found: NDArray[np.bool_] = self._most > _HALF
        return found

    @cached_property
    def lacking(self) -> NDArray[np.bool_]:
        """Which donors are annotated as not having it, (donors,)."""
        found: NDArray[np.bool_] = self._donors.annotated[:, self._column] & (self._most == 0)
        return found

    @cached_property
    def _most(self) -> NDArray[np.uint8]:
        """The most that each donor's attribute takes of a pixel, of 255, (donors,)."""
        found: NDArray[np.uint8] = self._donors.coverage[:, self._column].max((1, 2))
        return found

    def chosen(self, sample: Sample) -> list[tuple[int, list[int]]]:
        """Donors that give their attribute to a sample, each with the donors of its controls; none where too few lack it.

        Controls are the first that show nothing annotated in the place, or those that show the least.
        """
        without = self._donors.order(sample, self.lacking)
        if len(without) < LEAST_WITHOUT:
            return []
        found = []
        for place in self._donors.order(sample, self.there)[:DONORS]:
            share = torch.from_numpy(self.share(place))
            most = _FREE * float(share.sum())
            controls: list[int] = []
            covered: dict[int, float] = {}
            for other in without:
                covered[other] = float((self._taken[other] * share).sum())
                controls += [other] if covered[other] <= most else []
                if len(controls) == CONTROLS:
                    break
            others = sorted(set(without) - set(controls), key=lambda of: covered.get(of, 0.0))
            found.append((place, [*controls, *others][:CONTROLS]))
        return found

    def name(self, place: int) -> str:
        """The id of a donor."""
        return self._donors.samples[place].id

    def share(self, place: int) -> NDArray[np.float32]:
        """How much of each pixel a donor's attribute takes, (height, width)."""
        covered: NDArray[np.float32] = self._donors.coverage[place, self._column].astype(np.float32) / 255
        return covered

    def frames(self, place: int, controls: list[int]) -> NDArray[np.uint8]:
        """The frames of a donor and of its controls, (1 + controls, height, width, 3) uint8."""
        return self._donors.frames[[place, *controls]]


def pasted_scores(
    images: Tensor,
    rows: Tensor,
    pieces: Tensor,
    shares: Tensor,
    scores: Callable[[Tensor], Tensor],
    *,
    encode: Callable[[Tensor], Tensor],
    chunk: int,
) -> Tensor:
    """The scores of images that a piece was pasted into.

    Args:
        images: as the model takes them, (batch, 3, height, width).
        rows: the image that each of the n pieces is pasted into, (n,).
        pieces: frames, (n, height, width, 3) uint8.
        shares: how much of each pixel the piece takes, (n, height, width).
        scores: from images to the model's scores (n, classes).
        encode: from frames to what the model takes.
        chunk: images in one call of the model.

    Returns:
        (n, classes).
    """
    found = []
    parts = (torch.split(of, chunk) for of in (rows, pieces, shares))
    for mine, shown, share in zip(*parts, strict=True):
        pasted = torch.lerp(images[mine], encode(shown.to(images.device)), share[:, None].to(images))
        found.append(scores(pasted.contiguous(memory_format=torch.channels_last)))
    return torch.cat(found)


_HALF = 127  # of 255: covered by more than a half
