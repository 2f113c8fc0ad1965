"""Does the score follow when a region is edited away, more than when as much is edited elsewhere?

The region is filled (`camaudit.measure.fills`), and so are copies of it, moved to places at the same distance from the
centre of the image. What the edit of the region does beyond the copies is what the model used of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from camaudit.config.model import Task

_CELLS = 28  # moves are searched on this many steps a side
_MOST_OVERLAP = 0.5
_MOST_ELSEWHERE = 0.25
_LEAST_INSIDE = 0.9


def controls(region: Tensor, avoid: Tensor, valid: Tensor, count: int) -> Tensor:
    """Copies of a region elsewhere in the image: same shape and area, as far from the centre as the region.

    Args:
        region: coverage of one sample's region, (height, width).
        avoid: coverage of everything annotated as object or attribute, (height, width).
        valid: true on the image, false on padding, (height, width).
        count: number of copies.

    Returns:
        (found, height, width); found is 0 where there are not as many, see `matched_moves`.
    """
    moves = matched_moves(region, avoid, valid, count)
    if not moves:
        return region.new_zeros((0, *region.shape))
    return torch.stack([_moved(region, move) for move in moves]) * valid


def matched_moves(region: Tensor, avoid: Tensor, valid: Tensor, count: int) -> list[tuple[int, int]]:
    """Moves of a region, in (rows, columns) of pixels, to where an edit is a control for an edit of the region.

    Moves are ranked by how far they miss this: by the area pushed out of the image, the overlap with the region and with
    what else is annotated, and the difference of the distances to the centre. The best `count` that lie apart are taken.

    Args:
        region: coverage of one sample's region, (height, width).
        avoid: coverage of everything annotated as object or attribute, (height, width).
        valid: true on the image, false on padding, (height, width).
        count: number of moves.

    Returns:
        The moves; none where the region is empty, or so large that there are not as many (a copy with less than nine
        tenths of it in the image, more than half of it on the region itself, or more than a quarter of it on what else is
        annotated is no control).
    """
    if not bool((region > 0.5).any()):
        return []
    moves, cost = _ranked(region, avoid, valid)
    chosen: list[Tensor] = []
    while len(chosen) < count:
        best = int(cost.argmin())
        if not torch.isfinite(cost[best]):
            return []
        chosen.append(moves[best])
        apart = (moves - moves[best]).abs().amax(1) >= 2
        cost = torch.where(apart, cost, torch.inf)
    pixels = torch.tensor([side / _CELLS for side in region.shape], device=region.device)
    steps = (torch.stack(chosen) * pixels).round().int().tolist()
    return [(int(down), int(right)) for down, right in steps]


def _ranked(region: Tensor, avoid: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Every move by whole cells, (moves, 2), and what it costs, (moves,): infinity where its copy is no control."""
    own, annotated, image = (
        functional.adaptive_avg_pool2d(layer[None].to(region), _CELLS)[0] for layer in (region, avoid, valid)
    )
    share = own / own.sum().clamp(min=1e-12)

    def under_copies(layer: Tensor) -> Tensor:
        """Mean of a layer under the region's copy, for every move by whole cells: (2·28 - 1)²."""
        return functional.conv2d(layer[None, None], share[None, None], padding=_CELLS - 1).flatten()

    inside, onto_itself = under_copies(image), under_copies(own)
    onto_annotated = under_copies(annotated)  # the region included
    onto_else = under_copies((annotated - own).clamp(min=0))
    steps = torch.arange(-(_CELLS - 1), _CELLS, device=region.device)
    # conv2d slides the copy over the padded layer: index i is a move by i - (cells - 1), whatever the copy's place
    moves = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    axis = torch.arange(_CELLS, device=region.device, dtype=region.dtype) - (_CELLS - 1) / 2
    place = torch.stack([(share.sum(1) * axis).sum(), (share.sum(0) * axis).sum()])
    further = ((place + moves).norm(dim=-1) - place.norm()).abs() / (_CELLS / 2)

    cost = 4 * (1 - inside) + 2 * onto_itself + onto_annotated + further
    usable = (inside >= _LEAST_INSIDE) & (onto_itself <= _MOST_OVERLAP) & (onto_else <= _MOST_ELSEWHERE)
    usable &= moves.abs().amax(1) > 0
    return moves, torch.where(usable, cost, torch.inf)


def margins(logits: Tensor, classes: Tensor, task: Task = "multiclass") -> Tensor:
    """Score of a class minus the best other score, (batch,); its own score where classes do not compete.

    Args:
        logits: one score a class, (batch, classes).
        classes: (batch,) the class of each sample.
        task: what the scores mean; of multilabel and regression no score decides about another.
    """
    own = logits.gather(1, classes[:, None]).squeeze(1)
    if task in {"multilabel", "regression"}:
        return own
    others = logits.scatter(1, classes[:, None], -torch.inf)
    return own - others.amax(1)


def _moved(region: Tensor, move: tuple[int, int]) -> Tensor:
    """The region moved by (rows, columns) of pixels; what leaves the image is lost."""
    down, right = move
    height, width = region.shape
    moved = torch.zeros_like(region)
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = region[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved
