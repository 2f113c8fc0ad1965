"""What the outputs of a head mean for each task, against what the tasks say in their own words."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from camaudit.config import parse_target
from camaudit.config.model import ModelConfig
from camaudit.errors import ExplainError
from camaudit.measure import margins
from camaudit.models import class_indices, target_scores
from camaudit.models.outputs import (
    class_scores,
    confidence,
    is_right,
    labels_of,
    output_scores,
    values_of,
)
from camaudit.types import OutputTarget

logit = st.floats(-30, 30, allow_nan=False, width=32)
Pair = namedtuple("Pair", ["loss", "logits"])  # noqa: PYI024 - as libraries return it


@given(logit)
def test_a_single_logit_is_two_classes(z: float) -> None:
    scores = class_scores(torch.tensor([[z]], dtype=torch.float64), "binary")
    probability = 1 / (1 + math.exp(-z))
    assert scores.shape == (1, 2)
    assert scores.softmax(1)[0, 1].item() == pytest.approx(probability)
    assert confidence(scores, "binary").item() == pytest.approx(max(probability, 1 - probability))
    assert margins(scores, torch.tensor([1]), "binary").item() == pytest.approx(z)
    assert margins(scores, torch.tensor([0]), "binary").item() == pytest.approx(-z)
    if z:
        predicted = class_indices(OutputTarget("predicted"), scores, [None], ["no", "yes"], task="binary")
        assert predicted.item() == int(z > 0)


def test_a_single_logit_speaks_against_the_first_class() -> None:
    z = torch.tensor([[3.0]], requires_grad=True)
    for name, slope in (("no", -0.5), ("yes", 0.5)):
        target = OutputTarget("class", (name,))
        score = target_scores(target, class_scores(z, "binary"), [None], ["no", "yes"], task="binary")
        (gradient,) = torch.autograd.grad(score.sum(), z)
        assert gradient.item() == slope


@given(st.lists(logit, min_size=3, max_size=3))
def test_labels_do_not_compete(values: list[float]) -> None:
    scores = torch.tensor([values], dtype=torch.float64)
    for index in range(3):
        assert margins(scores, torch.tensor([index]), "multilabel").item() == scores[0, index].item()
    assert confidence(scores, "multilabel").item() == pytest.approx(1 / (1 + math.exp(-max(values))))
    chosen = class_indices(OutputTarget("label"), scores, ["a|c"], ["a", "b", "c"], task="multilabel")
    assert scores[0, int(chosen)] == max(scores[0, 0], scores[0, 2])


def test_right_is_among_the_labels() -> None:
    assert labels_of(" a | c|") == ("a", "c")
    assert labels_of(None) == labels_of("") == ()
    assert is_right("c", "a|c", "multilabel") is True
    assert is_right("b", "a|c", "multilabel") is False
    assert is_right("a|c", "a|c", "multiclass") is True  # there a name may hold what it likes
    assert is_right("c", "a|c", "multiclass") is False
    assert is_right("a", None, "multilabel") is None
    assert is_right("a", "3.5", "regression") is None


@pytest.mark.parametrize("label", [None, "", "fox", "a|fox"])
def test_a_label_of_several_that_is_missing_or_no_class_is_named(label: str | None) -> None:
    with pytest.raises(ExplainError, match=r"is not one of the model's classes: a, b"):
        class_indices(OutputTarget("label"), torch.zeros(1, 2), [label], ["a", "b"], task="multilabel")


@pytest.mark.parametrize(
    ("label", "outputs", "values"),
    [
        ("3.5", 1, (3.5,)),
        ("3|-1e2", 2, (3.0, -100.0)),
        ("3||1", 3, (3.0, math.nan, 1.0)),
        (None, 2, (math.nan, math.nan)),
        ("3", 2, None),
        ("3|4", 1, None),
        ("three", 1, None),
        ("inf", 1, None),
    ],
)
def test_values_of_a_regression(label: str | None, outputs: int, values: tuple[float, ...] | None) -> None:
    found = values_of(label, outputs)
    assert (found is None) == (values is None)
    assert found is None or str(found) == str(values)


@pytest.mark.parametrize("kind", ["predicted", "label"])
def test_a_regression_has_no_class(kind: Any) -> None:
    with pytest.raises(ExplainError, match="name an output, such as output:age"):
        class_indices(OutputTarget(kind), torch.zeros(1, 1), ["3"], ["age"], task="regression")
    scores = torch.tensor([[3.0, 4.0]])
    target = OutputTarget("output", ("weight",))
    assert target_scores(target, scores, ["1|2"], ["age", "weight"], task="regression").tolist() == [4.0]
    assert confidence(scores, "regression").isnan().all()


def test_an_output_is_a_target() -> None:
    assert parse_target("output: age") == OutputTarget("output", ("age",))
    assert parse_target("output:age").id == "output:age"
    for wrong in ("output", "output:", "class:", "outputs:age"):
        with pytest.raises(ValueError, match="is no output target"):
            parse_target(wrong)


@dataclass
class Output:
    loss: None
    logits: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None


@pytest.mark.parametrize(
    "wrap", ["tensor", "dict", "out", "dataclass", "embedding", "tuple", "namedtuple", "vector"]
)
def test_scores_are_found_in_what_a_model_returns(wrap: str) -> None:
    scores = torch.tensor([[1.0, 2.0]])
    returned: dict[str, object] = {
        "tensor": scores,
        "dict": {"logits": scores, "hidden": torch.zeros(3)},
        "out": {"out": scores, "aux": torch.zeros(3)},
        "dataclass": Output(None, scores),
        "embedding": Output(None, None, scores),
        "tuple": (None, scores, torch.zeros(1)),
        "namedtuple": Pair(None, scores),
        "vector": scores[0],
    }
    found = output_scores(returned[wrap], "net")
    assert found.tolist() == ([[1.0], [2.0]] if wrap == "vector" else [[1.0, 2.0]])


def test_how_many_outputs_a_head_has() -> None:
    def outputs(task: Any, *classes: str) -> int:
        return ModelConfig(source="timm", name="a", weights="w", classes=list(classes), task=task).outputs  # type: ignore[arg-type]

    assert outputs("binary", "a", "b") == 1
    assert [outputs(task, "a", "b") for task in ("multiclass", "multilabel", "regression")] == [2, 2, 2]
    assert outputs("regression", "age") == 1
