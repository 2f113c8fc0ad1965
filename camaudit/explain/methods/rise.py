"""RISE: the mean score of the random masks that leave a pixel visible (Petsiuk et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.errors import ExplainError
from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Masks = Callable[[int, int], Tensor]

_AT_ONCE = 64  # masks of the image's size that are summed in one product


@method(
    "rise",
    needs={"inputs", "masked_scores"},
    class_discriminative=True,
    source="arXiv:1806.07421",
    cost="4000",
    grid="input",
)
def rise(
    inputs: Tensor,
    masked_scores: Callable[[int, Masks], Tensor],
    *,
    masks: int = 4000,
    cells: int = 7,
    keep: float = 0.5,
    seed: int = 0,
) -> Tensor:
    """Random masks, weighted by the score of the image masked by each, over a mask's expectation.

    Args:
        inputs: (batch, channels, height, width).
        masked_scores: the targets' values of the inputs times masks, (batch, masks, targets).
        masks: how many; the paper: 4000 for a VGG-16, 8000 for a ResNet-50.
        cells: of a mask's coarse grid, a side.
        keep: probability of a cell to be visible.
        seed: of the masks; another kind of device draws others.

    Returns:
        Non-negative maps on the input's grid, (batch, targets, height, width). The paper's score is a probability, so the
        map is one where the model is sure whatever is hidden. Of scores before softmax only what is positive is kept.
    """
    at_least(1, masks=masks, cells=cells)
    if not 0 < keep < 1:
        msg = f"keep is {keep}; it must be between 0 and 1, both excluded."
        raise ExplainError(msg)
    drawn = random_masks(inputs, masks, cells, keep, seed)
    scores = masked_scores(masks, drawn)
    total = inputs.new_zeros(())
    for start in range(0, masks, _AT_ONCE):
        part = drawn(start, start + _AT_ONCE)[0]
        total = total + torch.einsum("bnt,nhw->bthw", scores[:, start : start + _AT_ONCE], part)
    return (total / (masks * keep)).relu()


def random_masks(inputs: Tensor, masks: int, cells: int, keep: float, seed: int) -> Masks:
    """Binary grids, upsampled bilinearly to one cell more than the image, cropped at a random place.

    The grid has cells of ceil(size / cells) pixels and is upsampled to cells + 1 of them a side, as by the authors.

    Returns:
        Masks from start to stop, (1, stop - start, height, width), between 0 and 1. Which they are does not depend on how
        they are asked for, nor on the batch.
    """
    device, dtype = inputs.device, inputs.dtype
    draw = torch.Generator(device).manual_seed(seed)
    grids = (torch.rand(masks, cells, cells, generator=draw, device=device) < keep).to(dtype)
    sides = []
    for size in inputs.shape[-2:]:
        cell = -(-size // cells)
        shift = torch.randint(cell, (masks, 1), generator=draw, device=device)
        eye = torch.eye(cells, device=device, dtype=dtype)[None]
        whole = torch.nn.functional.interpolate(eye, size=(cells + 1) * cell, mode="linear")[0]
        sides.append((whole.T, shift + torch.arange(size, device=device)))
    (rows, y), (columns, x) = sides

    def drawn(start: int, stop: int) -> Tensor:
        # bilinear upsampling is a product of matrices, and so is that of a crop
        return (rows[y[start:stop]] @ grids[start:stop] @ columns[x[start:stop]].mT)[None]

    return drawn
