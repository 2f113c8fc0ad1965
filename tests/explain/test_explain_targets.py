"""Targets: whatever scalar of the output is asked for, sample by sample, each against plain autograd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import camaudit as ca
from camaudit.errors import ExplainError
from camaudit.explain import explain
from camaudit.explain.targets import Classes, Contrast, Neuron, Predicted, Probability, Scalar, Similarity

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = torch.randn(3, 3, 20, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
EXACT = {"rtol": 1e-10, "atol": 1e-12}


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.trunk = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU())
        self.top = nn.Conv2d(5, 4, 3)
        self.head = nn.Linear(4, 6)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.top(self.trunk(images)).tanh().mean((-2, -1)))


@pytest.fixture(scope="module")
def net() -> _Net:
    return _Net().eval()


def by_autograd(net: _Net, scalar: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Grad-CAM at `trunk`, image by image; the scalar is one of (scores, output of `top`) of a single image."""
    maps = []
    for row in range(len(IMAGES)):
        activation = net.trunk(IMAGES[row : row + 1]).detach().requires_grad_()
        top = net.top(activation)
        scores = net.head(top.tanh().mean((-2, -1)))
        (gradient,) = torch.autograd.grad(scalar(scores[0], top[0]), activation)
        weight = gradient[0].mean((-2, -1))
        maps.append(torch.einsum("k,khw->hw", weight, activation[0].detach()).relu())
    return torch.stack(maps)


REFERENCE = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

CASES: dict[str, tuple[Any, Callable[[Tensor, Tensor], Tensor]]] = {
    "class": (2, lambda scores, _: scores[2]),
    "predicted": ("predicted", lambda scores, _: scores.max()),
    "contrast": (Contrast(Classes(4), Classes(1)), lambda scores, _: scores[4] - scores[1]),
    "probability": (Probability(Classes(3)), lambda scores, _: scores.softmax(0)[3]),
    "probability of the predicted": (Probability(Predicted()), lambda scores, _: scores.softmax(0).max()),
    "similarity": (
        Similarity(REFERENCE),
        lambda scores, _: torch.nn.functional.cosine_similarity(scores, REFERENCE, dim=0),
    ),
    "feature map": (Neuron("top", 1), lambda _, top: top[1].mean()),
    "neuron": (Neuron("top", 3, (2, 4)), lambda _, top: top[3, 2, 4]),
    "function": (lambda scores: scores[:, 0].exp(), lambda scores, _: scores[0].exp()),
    "function of rows": (lambda scores, rows: scores[rows, 0] * 2, lambda scores, _: scores[0] * 2),
}


@pytest.mark.parametrize("case", CASES)
def test_a_target_is_the_scalar_it_says(net: _Net, case: str) -> None:
    target, scalar = CASES[case]
    found = explain(net, IMAGES, targets=[target], layer="trunk")["gradcam"][:, 0]
    expected = by_autograd(net, scalar)
    assert expected.count_nonzero() > 5
    torch.testing.assert_close(found, expected, **EXACT)


def test_all_of_them_come_from_one_pass(net: _Net) -> None:
    calls: list[int] = []
    targets = [target for target, _ in CASES.values()]
    handle = net.trunk.register_forward_hook(lambda _m, _i, _o: calls.append(1))
    together = explain(net, IMAGES, targets=targets, layer="trunk")["gradcam"]
    handle.remove()
    assert len(calls) == 1
    for column, target in enumerate(targets):
        alone = explain(net, IMAGES, targets=target, layer="trunk")["gradcam"][:, 0]
        torch.testing.assert_close(together[:, column], alone, **EXACT)


def test_every_image_may_have_its_own_class(net: _Net) -> None:
    every = explain(net, IMAGES, targets=list(range(6)), layer="trunk")["gradcam"]
    own = [4, 0, 2]
    expected = every[torch.arange(3), own]
    for target in ([own], [torch.tensor(own)], torch.tensor(own)):
        found = explain(net, IMAGES, targets=target, layer="trunk")["gradcam"]
        torch.testing.assert_close(found[:, 0], expected, **EXACT)
    two = explain(net, IMAGES, targets=torch.tensor([[4, 1], [0, 1], [2, 5]]), layer="trunk")["gradcam"]
    torch.testing.assert_close(two[:, 0], expected, **EXACT)
    torch.testing.assert_close(two[:, 1], every[torch.arange(3), [1, 1, 5]], **EXACT)


def test_a_contrast_with_itself_is_zero(net: _Net) -> None:
    methods = ["gradcam", "hirescam", "gradcampp", "layercam", "xgradcam"]
    same = Contrast(Classes(2), Classes(2))
    found = explain(net, IMAGES, methods=methods, targets=[same], layer="trunk")
    assert not any(found[method].any() for method in methods)


def test_a_neuron_may_lie_among_tokens() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.patch, self.norm, self.head = nn.Conv2d(3, 4, 4, stride=4), nn.LayerNorm(4), nn.Linear(4, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.norm(self.patch(images).flatten(2).mT).mean(1))

    net = Tokens().double()
    found = explain(net, IMAGES, targets=[Neuron("norm", 2, (7,), channels_last=True)], layer="patch")[
        "gradcam"
    ]
    activation = net.patch(IMAGES).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.norm(activation.flatten(2).mT)[:, 7, 2].sum(), activation)
    weight = gradient.mean((-2, -1))
    expected = torch.einsum("bk,bkhw->bhw", weight, activation.detach()).relu()
    assert expected.any()
    torch.testing.assert_close(found[:, 0], expected, **EXACT)


@dataclass
class _Output:
    logits: Tensor
    hidden: Tensor


@pytest.mark.parametrize("kind", ["tuple", "dict", "dataclass"])
def test_scores_are_found_in_what_the_model_returns(net: _Net, kind: str) -> None:
    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: Tensor) -> object:
            scores = self.net(images)
            hidden = torch.zeros(len(images), 2, 2, 2)
            return {
                "tuple": (scores, hidden),
                "dict": {"hidden": hidden, "logits": scores},
                "dataclass": _Output(scores, hidden),
            }[kind]

    found = explain(Returns(), IMAGES, targets=[1, "predicted"], layer="net.trunk")
    expected = explain(net, IMAGES, targets=[1, "predicted"], layer="trunk")
    torch.testing.assert_close(found["gradcam"], expected["gradcam"], **EXACT)
    torch.testing.assert_close(found.logits, expected.logits)


def test_a_regression_output_is_a_class_without_a_name() -> None:
    class Regression(_Net):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)[:, 0]

    net = Regression().eval()
    found = explain(net, IMAGES, targets=lambda output: output, layer="trunk")["gradcam"]
    torch.testing.assert_close(found[:, 0], by_autograd(net, lambda scores, _: scores[0]), **EXACT)


WRONG: list[tuple[Any, str]] = [
    ([], "targets is empty; name at least one"),
    ([[0, 1]], "2 class indices are given for 3 images. Give one an image"),
    (torch.tensor([0, 1]), "2 class indices are given for 3 images"),
    (torch.tensor([0.5]), "class indices are integers"),
    ([6], "Class 6 does not exist: the model has 6 outputs, 0 to 5"),
    ([[0, -1, 0]], "Class -1 does not exist"),
    (["nurse"], "'nurse' is no target; use a class index"),
    ([None], "None is no target"),
    ([True], "True is no target"),
    ([Neuron("top", 4)], "has 4 channels .*there is no neuron of channel 4"),
    ([Neuron("top", 0, (99, 0))], r"no neuron of channel 0 at \(99, 0\)"),
    ([Neuron("top", 0, (1,))], r"no neuron of channel 0 at \(1,\)"),
    ([Similarity(torch.zeros(5))], r"embeddings of 3 images of this model need \(6,\) or \(3, 6\)"),
    ([Scalar(lambda scores: scores.mean())], "must be .batch,. or"),
]


@pytest.mark.parametrize(("targets", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_cannot_be_explained_is_refused(net: _Net, targets: Any, message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(net, IMAGES, targets=targets, layer="trunk")


def test_a_neuron_before_the_layer_does_not_depend_on_it(net: _Net) -> None:
    with pytest.raises(ExplainError, match="does not depend on the layer 'top'"):
        explain(net, IMAGES, targets=[Neuron("trunk", 0)], layer="top")


def test_targets_are_public() -> None:
    assert ca.targets.Contrast is Contrast
