"""What the outputs of a head mean: class scores, the scalar a target stands for, and what was decided.

Scores are always before the softmax or the sigmoid. What follows from a task:

=============  ==========================  =========================  ==========================
task           scores                      predicted                  margin of a class
=============  ==========================  =========================  ==========================
multiclass     the outputs                 the highest                score minus the best other
binary         −z/2 and z/2 of an output z the highest: z above 0?    z or −z, as multiclass
multilabel     the outputs                 the highest                its own score: 0 decides
regression     the outputs                 nothing                    its own output
=============  ==========================  =========================  ==========================

The softmax of −z/2 and z/2 is the sigmoid of z, so everything that holds of two classes holds of a single-logit head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from camaudit.config.model import SEPARATOR
from camaudit.errors import ExplainError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.config.model import Task
    from camaudit.types import OutputTarget

# what the fields of transformers' and torchvision's outputs are called; image_embeds: of a vision tower
_FIELDS = ("logits", "out", "image_embeds")


def output_scores(output: object, name: str) -> torch.Tensor:
    """The scores in what a model returned.

    A tensor; the entry ``logits``, ``out`` or ``image_embeds`` of a mapping or a dataclass; the first tensor of a tuple.

    Args:
        output: of the model.
        name: of the model, for the message.

    Returns:
        (batch, outputs); a vector of one output a sample, (batch,), gets its second axis.

    Raises:
        ModelError: there is no such tensor.
    """
    found: Any = output
    if isinstance(output, Mapping):
        found = next((output[field] for field in _FIELDS if output.get(field) is not None), output)
    elif isinstance(output, (tuple, list)) and not hasattr(output, "_fields"):
        found = next((part for part in output if isinstance(part, torch.Tensor)), output)
    elif not isinstance(output, torch.Tensor):
        values = (getattr(output, field, None) for field in _FIELDS)
        found = next((value for value in values if value is not None), output)
    if isinstance(found, torch.Tensor) and found.ndim == 1:
        return found[:, None]
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        msg = f"{name} returns {got}; a classifier returns scores of shape (batch, classes)."
        raise ModelError(msg)
    return found


def class_scores(output: torch.Tensor, task: Task) -> torch.Tensor:
    """One score a class, (batch, classes), of the head's outputs, (batch, outputs)."""
    return torch.cat([-output / 2, output / 2], dim=1) if task == "binary" else output


def class_indices(
    target: OutputTarget,
    logits: torch.Tensor,
    labels: Sequence[str | None],
    classes: Sequence[str],
    *,
    task: Task = "multiclass",
) -> torch.Tensor:
    """The class a target stands for in each sample; of a contrast the first.

    Of several labels of a sample the target ``label`` stands for the one with the highest score.

    Args:
        target: predicted, label, class, contrast or output.
        logits: one score a class, (batch, classes).
        labels: the true class of each sample; of multilabel the classes with `SEPARATOR` between them.
        classes: names in the order of the logits.
        task: what the outputs mean.

    Returns:
        (batch,) int64 on the device of the logits.

    Raises:
        ExplainError: a label is missing or is not one of the classes, or regression is asked for a class.
    """
    if task == "regression" and target.kind in {"predicted", "label"}:
        msg = f"A regression has no class to be {target.id}; name an output, such as output:{classes[0]}."
        raise ExplainError(msg)
    if target.kind == "predicted":
        return logits.argmax(dim=1)
    if target.kind == "label" and task == "multilabel":
        known = [
            [_index(name, classes) for name in labels_of(label)] or [_index(label, classes)]
            for label in labels
        ]
        best = [int(row[its].argmax()) for row, its in zip(logits, known, strict=True)]
        return torch.tensor(
            [its[at] for its, at in zip(known, best, strict=True)], dtype=torch.int64, device=logits.device
        )
    names = labels if target.kind == "label" else [target.classes[0]] * len(logits)
    return torch.tensor([_index(name, classes) for name in names], dtype=torch.int64, device=logits.device)


def target_scores(
    target: OutputTarget,
    logits: torch.Tensor,
    labels: Sequence[str | None],
    classes: Sequence[str],
    *,
    task: Task = "multiclass",
) -> torch.Tensor:
    """The scalar that is explained, before the softmax: (batch,); arguments as `class_indices`."""
    chosen = class_indices(target, logits.detach(), labels, classes, task=task)
    scores = logits.gather(1, chosen[:, None]).squeeze(1)
    if target.kind == "contrast":
        scores = scores - logits[:, _index(target.classes[1], classes)]
    return scores


def labels_of(label: str | None) -> tuple[str, ...]:
    """The classes in the label of a multilabel sample; none where it has none."""
    return tuple(name for part in (label or "").split(SEPARATOR) if (name := part.strip()))


def values_of(label: str | None, outputs: int) -> tuple[float, ...] | None:
    """The true value of each output in the label of a regression's sample; None where it is not that many numbers.

    An empty part between separators is a value that is not known: NaN.
    """
    if label is None:
        return (float("nan"),) * outputs
    try:
        values = tuple(float(part) if part.strip() else float("nan") for part in label.split(SEPARATOR))
    except ValueError:
        return None
    return values if len(values) == outputs and not any(map(_infinite, values)) else None


def confidence(scores: torch.Tensor, task: Task) -> torch.Tensor:
    """The probability of what is predicted, (batch,) float64: softmax, or sigmoid of multilabel; NaN of regression.

    Args:
        scores: one a class, (batch, classes).
        task: what they mean.
    """
    exact = scores.double()
    if task == "regression":
        return torch.full((len(scores),), torch.nan, dtype=torch.float64)
    probabilities = exact.sigmoid() if task == "multilabel" else exact.softmax(1)
    return probabilities.amax(1)


def is_right(predicted: str, label: str | None, task: Task) -> bool | None:
    """Whether a prediction is right; of multilabel whether it is among the sample's labels. None where it cannot be said."""
    if label is None or task == "regression":
        return None
    return predicted in labels_of(label) if task == "multilabel" else predicted == label


def _infinite(value: float) -> bool:
    return value in {float("inf"), float("-inf")}


def _index(name: str | None, classes: Sequence[str]) -> int:
    if name is None or name not in classes:
        msg = f"{name!r} is not one of the model's classes: {', '.join(classes)}."
        raise ExplainError(msg)
    return list(classes).index(name)
