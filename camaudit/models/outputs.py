"""Which scalar of the output an output target stands for, sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.errors import ExplainError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.types import OutputTarget


def class_indices(
    target: OutputTarget, logits: torch.Tensor, labels: Sequence[str | None], classes: Sequence[str]
) -> torch.Tensor:
    """The class a target stands for in each sample; of a contrast the first.

    Args:
        target: predicted, label, class or contrast.
        logits: (batch, classes).
        labels: the true class of each sample.
        classes: names in the order of the logits.

    Returns:
        (batch,) int64 on the device of the logits.

    Raises:
        ExplainError: a label is missing or is not one of the classes.
    """
    if target.kind == "predicted":
        return logits.argmax(dim=1)
    names = labels if target.kind == "label" else [target.classes[0]] * len(logits)
    return torch.tensor([_index(name, classes) for name in names], device=logits.device)


def target_scores(
    target: OutputTarget, logits: torch.Tensor, labels: Sequence[str | None], classes: Sequence[str]
) -> torch.Tensor:
    """The scalar that is explained, before the softmax: (batch,); arguments as `class_indices`."""
    chosen = class_indices(target, logits.detach(), labels, classes)
    scores = logits.gather(1, chosen[:, None]).squeeze(1)
    if target.kind == "contrast":
        scores = scores - logits[:, _index(target.classes[1], classes)]
    return scores


def _index(name: str | None, classes: Sequence[str]) -> int:
    if name is None or name not in classes:
        msg = f"{name!r} is not one of the model's classes: {', '.join(classes)}."
        raise ExplainError(msg)
    return list(classes).index(name)
