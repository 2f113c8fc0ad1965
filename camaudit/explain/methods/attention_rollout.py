"""Attention rollout: attention followed through all blocks, with the residual connections (Abnar and Zuidema 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from camaudit.models.grids import Grid


@method(
    "attention_rollout",
    needs={"attention", "score", "tokens"},
    class_discriminative=False,
    source="arXiv:2005.00928",
)
def attention_rollout(attention: Sequence[Tensor], score: Tensor, tokens: Grid) -> Tensor:
    """How much of each image token is in the class token after the last block; the same for every class.

    Args:
        attention: softmax weights of every block in order, (batch, heads, queries, keys).
        score: the targets' values, (batch, targets): only their number counts.
        tokens: where the image's tokens lie.

    Returns:
        Non-negative maps on the tokens' grid, (batch, targets, h, w), of one image all alike: the first token's row of the
        product over blocks of half the heads' mean and half the identity. Where no token comes before the image's there is
        no class token: then the mean over all rows.
    """
    queries = attention[-1].shape[-2]
    identity = torch.eye(queries, dtype=attention[-1].dtype, device=attention[-1].device)
    flow = identity[:1] if tokens.prefix else identity.mean(0, keepdim=True)
    for weights in reversed(attention):
        flow = (flow @ weights.mean(1) + flow) / 2  # only the rows that are asked for go through the blocks
    return tokens.split(flow.mT).repeat(1, score.shape[1], 1, 1)
