"""An attribute of other samples, put into images that lack it: does the score follow?

Editing an attribute away asks only the images that have it. Here its pixels, in the place and size they have in a donor,
are pasted into an image without it, against a piece of the same donor, of the same shape, from elsewhere.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from camaudit.measure.intervention import matched_moves

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from camaudit.measure.donors import Donors
    from camaudit.types import Sample

CONTROLS = 2
"""Pieces of a donor from elsewhere, for each that is pasted."""
DONORS = 2
"""Donors whose attribute a sample is given; one where it is pasted over the sample's own, which is no more than a hint."""


class Attributes:
    """The donors that have an attribute, and their pieces.

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
    def moves(self) -> list[list[tuple[int, int]]]:
        """Where each donor's pieces from elsewhere lie, seen from its attribute; none where it has no attribute to give."""
        coverage = torch.from_numpy(self._donors.coverage[:, self._column].astype(np.float32) / 255)
        valid = torch.from_numpy(self._donors.valid)
        layers = zip(coverage, self._taken, valid, strict=True)
        return [
            matched_moves(own, torch.maximum(own, avoid), image, CONTROLS) for own, avoid, image in layers
        ]

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which donors have the attribute, and room for pieces from elsewhere, (donors,)."""
        return np.array([bool(moves) for moves in self.moves], dtype=bool)

    @cached_property
    def lacked(self) -> bool:
        """Whether images without the attribute are to be met: one in the pool is annotated as not having it."""
        there = self._donors.coverage[:, self._column].reshape(len(self._donors.samples), -1).any(axis=1)
        return bool((self._donors.annotated[:, self._column] & ~there).any())

    def chosen(self, sample: Sample, stratum: tuple[str, ...] | None) -> list[int]:
        """Places of the donors for a sample; none of its own stratum where one is given."""
        usable = self.usable
        if stratum is not None:
            usable = usable & np.array([of != stratum for of in self._donors.strata], dtype=bool)
        return self._donors.order(sample, usable)[: DONORS if stratum is None else 1]

    def name(self, place: int) -> str:
        """The id of a donor."""
        return self._donors.samples[place].id

    def pieces(self, place: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """What a donor gives.

        Returns:
            Its frame, and its frame moved so that a piece from elsewhere lies where the attribute does,
            (1 + controls, height, width, 3) uint8; how much of each pixel the attribute takes, (height, width).
        """
        frame = self._donors.frames[place]
        height, width = frame.shape[:2]
        rows, columns = np.arange(height), np.arange(width)
        shown = [frame] + [
            # what lies outside the image is the pixel at its border
            frame[np.clip(rows + down, 0, height - 1)][:, np.clip(columns + right, 0, width - 1)]
            for down, right in self.moves[place]
        ]
        return np.stack(shown), self._donors.coverage[place, self._column].astype(np.float32) / 255


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
