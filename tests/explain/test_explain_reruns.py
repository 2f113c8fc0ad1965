"""Scores without a channel, and scores of masked images, against loops over one image and one channel at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from camaudit.explain.forward import Network, forward
from camaudit.explain.reruns import ablated_scores, masked_scores
from camaudit.explain.targets import Classes, Contrast, Neuron, Predicted, Probability, Scalar, values
from camaudit.models.layers import module_at
from camaudit.models.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.explain.targets import Target

GIB = 2**30


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.layer = nn.Conv2d(8, 5, 3)
        self.head = nn.Linear(5, 4)
        self.pool: Any = lambda places: places.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.pool(self.layer(self.norm(self.stem(images)).relu())))
        return out


class _Maximum(_Pooled):
    def __init__(self) -> None:
        super().__init__()
        self.pool = lambda places: places.relu().amax((2, 3))


class _Skip(_Pooled):
    def forward(self, images: Tensor) -> Tensor:
        before = self.norm(self.stem(images)).relu()
        places = self.layer(before).relu() + before[:, :5, 1:-1, 1:-1]
        out: Tensor = self.head(places.square().mean((2, 3)))
        return out


class _Views(_Pooled):
    """Cannot work on channels last."""

    def forward(self, images: Tensor) -> Tensor:
        places = self.layer(self.norm(self.stem(images)).relu())
        out: Tensor = self.head(places.view(len(images), 5, -1).tanh().mean(2))
        return out


def _model(kind: type[_Pooled]) -> _Pooled:
    torch.manual_seed(0)
    model = kind()
    nn.init.uniform_(model.norm.running_mean)  # type: ignore[arg-type]
    return model.double().eval()


def _images(count: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 15, 15, generator=draw, dtype=torch.float64)


TARGETS: list[Target] = [
    Classes(torch.tensor([0, 2, 1])),
    Contrast(Classes(1), Predicted()),
    Probability(Classes(3)),
    Scalar(lambda output: output.square().sum(1)),
    Scalar(lambda output, rows: output[:, :2] * rows[:, None]),
]


def _literal(model: nn.Module, image: Tensor, index: int, fixed: Sequence[Target]) -> Tensor:
    """(targets,) of one image as the model is now."""
    with undisturbed(model), torch.no_grad():
        network = Network(model, {}, (), tuple(name for target in fixed for name in target.layers))
        seen = forward(network, image[None], graph="none", rows=torch.tensor([index])).seen
        return values(fixed, seen)[0]


@pytest.mark.parametrize("memory", [1, GIB])
@pytest.mark.parametrize("targets", [TARGETS[:2], TARGETS], ids=["linear", "any"])
@pytest.mark.parametrize("kind", [_Pooled, _Maximum, _Skip])
def test_ablated_scores_are_those_of_a_loop(kind: Any, targets: list[Target], memory: int) -> None:
    model, images = _model(kind), _images()
    with undisturbed(model):
        network = Network(model, {}, ("layer",))
        passed = forward(network, images, graph="none")
        fixed = [target.fixed(passed.seen) for target in targets]
        found = ablated_scores(network, passed, "layer", fixed, memory=memory)
    for i, image in enumerate(images):
        for k in range(5):

            def without(_module: nn.Module, _inputs: object, output: Tensor, k: int = k) -> Tensor:
                ablated = output.clone()
                ablated[:, k] = 0
                return ablated

            handle = module_at(model, "layer").register_forward_hook(without)
            expected = _literal(model, image, i, fixed)
            handle.remove()
            torch.testing.assert_close(found[i, k], expected, rtol=1e-10, atol=1e-12)


def test_a_closed_form_runs_nothing_for_a_channel() -> None:
    model, images = _model(_Pooled), _images()
    calls: list[int] = []
    with undisturbed(model):
        network = Network(model, {}, ("layer",))
        passed = forward(network, images, graph="none")
        ablated_scores(network, passed, "layer", [Classes(0)], memory=GIB)  # finds out how
        model.head.register_forward_hook(lambda _m, _i, output: calls.append(len(output)))
        ablated_scores(network, passed, "layer", [Classes(0)], memory=GIB)
        closed, calls[:] = list(calls), []
        ablated_scores(network, passed, "layer", [Probability(Classes(0))], memory=GIB)
    assert sum(closed) == 1 + 3  # one image to see what the head is, then the batch
    assert sum(calls) == 3 * 5


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("memory", [1, GIB])
@pytest.mark.parametrize("kind", [_Pooled, _Skip, _Views])
def test_masked_scores_are_those_of_a_loop(kind: Any, memory: int, *, shared: bool) -> None:
    model, images, count = _model(kind), _images(), 7
    draw = torch.Generator().manual_seed(2)
    drawn = torch.rand(1 if shared else 3, count, 15, 15, generator=draw, dtype=torch.float64)
    drawn[:, 2], drawn[:1, 3], drawn[:, 5] = 0, 0, 1
    drawn[-1, 4] = 0
    targets = [*TARGETS, Neuron("stem", 2)]
    with undisturbed(model):
        network = Network(model, {}, ("layer",), ("stem",))
        passed = forward(network, images, graph="none")
        fixed = [target.fixed(passed.seen) for target in targets]
        found = masked_scores(
            network,
            passed,
            fixed,
            memory=memory,
            count=count,
            masks=lambda start, stop: drawn[:, start:stop],
        )
    assert found.shape == (3, count, 7)
    for i, image in enumerate(images):
        for k in range(count):
            expected = _literal(model, image * drawn[0 if shared else i, k], i, fixed)
            torch.testing.assert_close(found[i, k], expected, rtol=1e-10, atol=1e-12)


def test_empty_masks_run_once_an_image() -> None:
    model, images = _model(_Pooled), _images(2)
    drawn = torch.zeros(2, 40, 15, 15, dtype=torch.float64)
    drawn[0, 7] = drawn[0, 30] = drawn[1, 39] = 1
    rows: list[int] = []
    with undisturbed(model):
        network = Network(model, {}, ())
        passed = forward(network, images, graph="none")
        model.head.register_forward_hook(lambda _m, _i, output: rows.append(len(output)))
        masked_scores(
            network,
            passed,
            [Classes(0)],
            memory=GIB,
            count=40,
            masks=lambda start, stop: drawn[:, start:stop],
        )
    assert sum(rows) == 3 + 2
