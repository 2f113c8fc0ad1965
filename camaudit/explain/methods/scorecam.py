"""Score-CAM: channels weighted by the score of the image that they leave visible (Wang et al. 2020, algorithm 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method
from camaudit.explain.upsampling import upsample

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@method(
    "scorecam",
    needs={"activation", "inputs", "masked_scores"},
    class_discriminative=True,
    source="arXiv:1910.01279",
    cost="channels of the layer",
)
def scorecam(
    activation: Tensor,
    inputs: Tensor,
    masked_scores: Callable[[int, Callable[[int, int], Tensor]], Tensor],
) -> Tensor:
    """Channels of the target layer, weighted by the softmax of the scores of the image masked by each.

    Args:
        activation: output of the target layer, (batch, channels, h, w).
        inputs: (batch, channels, height, width).
        masked_scores: the targets' values of the inputs times masks, (batch, masks, targets).

    Returns:
        Non-negative maps on the layer's grid, (batch, targets, h, w). A channel without contrast has no min-max and
        masks nothing: it has no part in the softmax, and weight 0. The paper's baseline, the score of an empty image, is
        the same for every channel and falls out of the softmax: it is not computed.
    """
    channels = activation.shape[1]
    frame = (inputs.shape[-2], inputs.shape[-1])
    flat = (activation.amax((-2, -1)) == activation.amin((-2, -1)))[..., None]

    def masks(start: int, stop: int) -> Tensor:
        large = upsample(activation[:, start:stop], frame)
        low, high = large.amin((-2, -1), keepdim=True), large.amax((-2, -1), keepdim=True)
        contrast = (high > low) & ~flat[:, start:stop, :, None]
        return torch.where(contrast, (large - low) / (high - low), 0)

    scores = masked_scores(channels, masks).masked_fill(flat, -torch.inf)
    weight = scores.softmax(1).masked_fill(
        flat, 0
    )  # of channels that all are flat, the softmax is not defined
    return torch.einsum("bkt,bkhw->bthw", weight, activation).relu()
