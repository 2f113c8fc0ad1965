"""Ablation-CAM: channels weighted by what the score loses without them (Desai and Ramaswamy 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@method(
    "ablationcam",
    needs={"ablated_scores", "activation", "score"},
    class_discriminative=True,
    source="doi:10.1109/WACV45572.2020.9093360",
    cost="channels of the layer × head",
    randomisation="passes",
)
def ablationcam(ablated_scores: Callable[[], Tensor], activation: Tensor, score: Tensor) -> Tensor:
    """Channels of the target layer, weighted by the share of the score that is lost when they are set to zero.

    Args:
        ablated_scores: the targets' values without each channel, (batch, channels, targets).
        activation: output of the target layer, (batch, channels, h, w).
        score: the targets' values, (batch, targets).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). The loss is divided by the score's magnitude: by a
        negative score itself, as scores before softmax are at will, what speaks for the target would turn into what
        speaks against it. Of a score of zero the loss is not divided.
    """
    size = score.abs()
    size = torch.where(size > torch.finfo(score.dtype).tiny, size, 1)
    weight = (score[:, None] - ablated_scores()) / size[:, None]
    return torch.einsum("bkt,bkhw->bthw", weight, activation).relu()
