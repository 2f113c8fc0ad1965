"""Which scalar of the output an output target stands for."""

from __future__ import annotations

import pytest
import torch

from camaudit.errors import ExplainError
from camaudit.models import class_indices, target_scores
from camaudit.types import OutputTarget

CLASSES = ("cat", "dog", "owl")
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]])
LABELS = ("dog", "owl")


@pytest.mark.parametrize(
    ("target", "indices", "scores"),
    [
        (OutputTarget("predicted"), [2, 0], [3.0, 6.0]),
        (OutputTarget("label"), [1, 2], [2.0, 4.0]),
        (OutputTarget("class", ("dog",)), [1, 1], [2.0, 5.0]),
        (OutputTarget("contrast", ("dog", "cat")), [1, 1], [1.0, -1.0]),
        (OutputTarget("contrast", ("dog", "dog")), [1, 1], [0.0, 0.0]),
    ],
)
def test_targets(target: OutputTarget, indices: list[int], scores: list[float]) -> None:
    assert class_indices(target, LOGITS, LABELS, CLASSES).tolist() == indices
    assert target_scores(target, LOGITS, LABELS, CLASSES).tolist() == scores


def test_a_score_keeps_its_graph() -> None:
    logits = LOGITS.clone().requires_grad_()
    target_scores(OutputTarget("contrast", ("dog", "cat")), logits, LABELS, CLASSES).sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]]


@pytest.mark.parametrize("labels", [(None, "dog"), ("fox", "dog")])
def test_a_label_that_is_no_class_is_named(labels: tuple[str | None, ...]) -> None:
    with pytest.raises(ExplainError, match=r"is not one of the model's classes: cat, dog, owl"):
        class_indices(OutputTarget("label"), LOGITS, labels, CLASSES)
    with pytest.raises(ExplainError, match="'fox' is not one"):
        target_scores(OutputTarget("contrast", ("dog", "fox")), LOGITS, LABELS, CLASSES)
