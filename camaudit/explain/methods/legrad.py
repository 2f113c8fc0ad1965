"""LeGrad: how the attention of every block would raise the target (Bousselham et al. 2025).

The engine hands over, block by block, the derivative of a score of that block's own by that block's softmax weights. The
block's own score is the target's value where the last block's output is replaced by this block's: every token by the mean
of all of this block's output tokens, class and register tokens included. After that comes what the model itself has after
its last block: final norm, pooling, head. With all tokens alike, pooling by class token and by mean are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.explain.options import at_least
from camaudit.explain.registry import method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from camaudit.models.grids import Grid


@method(
    "legrad", needs={"attention_gradient", "tokens"}, class_discriminative=True, source="arXiv:2404.03214"
)
def legrad(attention_gradient: Sequence[Tensor], tokens: Grid, *, blocks: int | None = None) -> Tensor:
    """Positive gradients of a transformer's attention, averaged over heads, queries and blocks.

    Args:
        attention_gradient: of every block in order, the derivative of the block's own score by its attention, (batch,
            targets, heads, queries, keys).
        tokens: where the image's tokens lie.
        blocks: how many of the last blocks take part; all of them if not given.

    Returns:
        Non-negative maps on the tokens' grid, (batch, targets, h, w): for each image token as a key, the mean over blocks,
        heads and all queries of the positive part of the gradient. Class and register tokens are dropped as keys. The
        paper's last step, min-max, is left out.
    """
    if blocks is not None:
        at_least(1, blocks=blocks)
        attention_gradient = attention_gradient[-blocks:]
    received = torch.stack([gradient.relu().mean((-3, -2)) for gradient in attention_gradient]).mean(0)
    return tokens.split(received.transpose(1, 2))
