"""What the pixels of an edited region become: four fills, because a score may follow the fill and not the region.

``blur`` keeps the colours and takes the detail, ``mean`` paints one colour, ``inpaint`` continues what is around
(Telea 2004), ``swap`` shows the same place of another sample's image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_INPAINT_SIDE = (
    112  # an inpainted patch is smooth: half the usual side shows all of it, in a tenth of the time
)
_INPAINT_RADIUS = 3  # pixels of that size, the usual choice
_MARGIN = 0.01  # of the side: the region's own edge must not be what is continued
_TOUCHED = 1 / 255  # coverage of a pixel from which on eight bits can show something of the region


@dataclass(frozen=True)
class Pictures:
    """The images of one batch, as the fills need them.

    Attributes:
        images: as the model takes them, (batch, 3, height, width).
        frames: the same before normalising, (batch, height, width, 3) uint8.
        valid: true on the image, false on padding, (batch, height, width).
        encode: from frames (n, height, width, 3) uint8 to what the model takes.
        sigma: of ``blur``, as a share of the shorter side.
        others: for ``swap``, other samples' frames, (donors, height, width, 3) uint8.
        taken: what is annotated in them as object or attribute, (donors, height, width) in [0, 1], in main memory.
        order: the donors of each image, the preferred one first, (batch, choices), in main memory.
    """

    images: Tensor
    frames: NDArray[np.uint8]
    valid: Tensor
    encode: Callable[[Tensor], Tensor]
    sigma: float
    others: NDArray[np.uint8] | None = None
    taken: Tensor | None = None
    order: Tensor | None = None

    @cached_property
    def blurred(self) -> Tensor:
        """The images, blurred."""
        return blur(self.images, self.sigma)


def edited_scores(
    pictures: Pictures,
    fill: str,
    rows: Tensor,
    edits: Tensor,
    scores: Callable[[Tensor], Tensor],
    *,
    chunk: int,
) -> Tensor:
    """The scores after each edit.

    An edit takes every pixel that the region touches: filled only as far as they are covered, the pixels of its rim would still
    show its outline (of 46 by 15 pixels brought to 23 by 8 that was a tenth of what a model made of them).

    Args:
        pictures: the images.
        fill: a key of `FILLS`.
        rows: the image that each of the n edits is of, (n,).
        edits: coverage of each edit, (n, height, width).
        scores: from images to the model's scores (n, classes).
        chunk: images in one call of it; bounds the memory.

    Returns:
        (n, classes).
    """
    found = []
    for mine, covered in zip(torch.split(rows, chunk), torch.split(edits, chunk), strict=True):
        images, touched = pictures.images[mine], (covered >= _TOUCHED).to(pictures.images)
        filled = FILLS[fill](pictures, mine, touched)
        # convolutions on a CPU are half as fast in the usual layout
        edited = torch.lerp(images, filled, touched[:, None]).contiguous(memory_format=torch.channels_last)
        found.append(scores(edited))
    return torch.cat(found)


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with mirrored borders.

    Args:
        images: (batch, channels, height, width).
        sigma: standard deviation as a share of the shorter side.
    """
    height, width = images.shape[-2:]
    deviation = sigma * min(height, width)
    # two products with dense matrices: faster than a long depthwise convolution, on a CPU by far
    return _gaussian(height, deviation).to(images) @ images @ _gaussian(width, deviation).to(images).T


@lru_cache(maxsize=8)
def _gaussian(side: int, deviation: float) -> Tensor:
    """Blur along one axis as a matrix (side, side); weight that falls outside is mirrored back in."""
    radius = int(4 * deviation + 0.5)  # as scipy.ndimage truncates
    matrix = torch.zeros(side, side, dtype=torch.float64)
    place = torch.arange(side)
    for step in range(-radius, radius + 1):
        source = (place + step) % (2 * side)
        source = torch.minimum(source, 2 * side - 1 - source)
        matrix[place, source] += math.exp(-(step**2) / (2 * deviation**2))
    return matrix / matrix.sum(1, keepdim=True)


def _blur(pictures: Pictures, rows: Tensor, edits: Tensor) -> Tensor:
    del edits
    return pictures.blurred[rows]


def _mean(pictures: Pictures, rows: Tensor, edits: Tensor) -> Tensor:
    """The mean colour of the image outside the edit; of the whole image where the edit leaves nothing."""
    images = pictures.images[rows]
    image = pictures.valid[rows].to(images)
    weights = image * (1 - edits.to(images))
    weights = torch.where(weights.sum((-2, -1), keepdim=True) > 0, weights, image)
    total = weights.sum((-2, -1))[:, None].clamp(min=1e-6)
    colours = (images * weights[:, None]).sum((-2, -1)) / total
    return colours[..., None, None].expand_as(images)


def _inpaint(pictures: Pictures, rows: Tensor, edits: Tensor) -> Tensor:
    frames = [
        inpainted(pictures.frames[row], edit, valid)
        for row, edit, valid in zip(
            rows.tolist(), edits.float().cpu().numpy(), pictures.valid[rows].cpu().numpy(), strict=True
        )
    ]
    return pictures.encode(torch.from_numpy(np.stack(frames)).to(pictures.images.device))


def inpainted(
    frame: NDArray[np.uint8], coverage: NDArray[np.float32], valid: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """An image in which a region continues what is around it (Telea 2004), the rest as it was.

    Args:
        frame: (height, width, 3) uint8.
        coverage: share of each pixel that the region takes, (height, width).
        valid: true on the image, false on padding, which is nothing to continue.

    Returns:
        (height, width, 3) uint8; the frame itself where the region takes nothing of it, or all.
    """
    import cv2

    hole = (coverage > 0).astype(np.uint8)
    if not hole.any():
        return frame
    height, width = hole.shape
    ratio = min(1.0, _INPAINT_SIDE / max(height, width))
    small = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    reach = 2 * max(1, round(_MARGIN * max(small))) + 1
    # every small pixel that the hole touches, and a rim
    touched = cv2.resize(np.maximum(hole, ~valid).astype(np.float32), small, interpolation=cv2.INTER_AREA) > 0
    unknown = cv2.dilate(touched.astype(np.uint8), np.ones((reach, reach), np.uint8))
    if unknown.all():
        return frame
    reduced = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
    patched = cv2.inpaint(reduced, unknown, _INPAINT_RADIUS, cv2.INPAINT_TELEA)
    enlarged = cv2.resize(patched, (width, height), interpolation=cv2.INTER_LINEAR)
    kept: NDArray[np.uint8] = np.where(hole[..., None].astype(bool), enlarged, frame)
    return kept


def _swap(pictures: Pictures, rows: Tensor, edits: Tensor) -> Tensor:
    """The same place of the first donor that has nothing annotated there; of the one with the least where all have."""
    others, taken, order = pictures.others, pictures.taken, pictures.order
    if others is None or taken is None or order is None:
        msg = "the fill `swap` needs donors"
        raise ValueError(msg)
    choices = order[rows.to(order.device)]  # (n, choices)
    overlap = (taken[choices] * edits[:, None].to(taken)).sum((-2, -1))
    free = overlap <= _LEAST_TAKEN * edits.to(taken).sum((-2, -1))[:, None]
    rank = torch.arange(choices.shape[1], device=choices.device).expand_as(choices).to(overlap)
    best = torch.where(free, rank - choices.shape[1], overlap).argmin(1)
    donors = choices.gather(1, best[:, None]).squeeze(1)
    return pictures.encode(torch.from_numpy(others[donors.numpy()]).to(pictures.images.device))


_LEAST_TAKEN = 0.05  # share of an edit that may lie on a donor's object or attribute

FILLS: dict[str, Callable[[Pictures, Tensor, Tensor], Tensor]] = {
    "blur": _blur,
    "mean": _mean,
    "inpaint": _inpaint,
    "swap": _swap,
}
"""From the images, the rows edited and the coverage of each edit to the images filled, (n, 3, height, width)."""
