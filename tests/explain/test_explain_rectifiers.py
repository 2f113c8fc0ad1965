"""Gradients under the rules of guided backpropagation and of the deconvnet."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import torch
import torchvision
from captum.attr import Deconvolution, GuidedBackprop
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack
from torch.testing import assert_close

from camaudit.errors import ExplainError
from camaudit.explain import explain
from camaudit.explain.rectifiers import Rectifiers, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: tuple[Rule, ...] = ("plain", "guided", "deconvnet")
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": functional.relu,
    "functional in place": lambda x: functional.relu(x, inplace=True),
    "by name": lambda x: functional.relu(input=x),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "tensor": Tensor.relu,
    "operator": torch.ops.aten.relu.default,
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": lambda x: torch.clamp_min_(x, 0),
    "clip": lambda x: torch.clip(x, 0),
    "threshold": nn.Threshold(0, 0),
    "threshold in place": nn.Threshold(0, 0, inplace=True),
}
WAYS_TO_6: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU6(),
    "module in place": nn.ReLU6(inplace=True),
    "functional": functional.relu6,
    "hardtanh": nn.Hardtanh(0, 6),
    "hardtanh in place": lambda x: functional.hardtanh_(x, 0.0, 6.0),
}


class Twice(nn.Module):
    """Two layers that share a rectifier."""

    def __init__(self, rectifier: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rectifier = rectifier
        self.first, self.second, self.last = nn.Linear(12, 9), nn.Linear(9, 7), nn.Linear(7, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden: Tensor = self.rectifier(self.first(inputs.flatten(1)))
        return self.last(self.rectifier(self.second(hidden)))  # type: ignore[no-any-return]


def of_twice(rectifier: Callable[[Tensor], Tensor]) -> tuple[Twice, Tensor]:
    torch.manual_seed(0)
    net = Twice(rectifier).double().requires_grad_(requires_grad=False)
    return net, torch.randn(12, 3, 2, 2, dtype=torch.float64) * 12


def literal(net: Twice, image: Tensor, target: int, rule: Rule, high: float) -> Tensor:
    """One image and one neuron at a time, by the chain rule."""
    first = net.first.weight @ image.flatten() + net.first.bias
    second = net.second.weight @ first.clamp(0, high) + net.second.bias
    gradient = net.last.weight[target]
    for before, layer in ((second, net.second), (first, net.first)):
        passed = torch.zeros_like(before)
        for j in range(len(before)):
            active, positive = bool(0 < before[j] < high), bool(gradient[j] > 0)
            passes = {"plain": active, "guided": active and positive, "deconvnet": positive}[rule]
            passed[j] = gradient[j] if passes else 0.0
        gradient = layer.weight.T @ passed
    return gradient.reshape(image.shape)


def under(rule: Rule, net: nn.Module, inputs: Tensor, target: int) -> Tensor:
    inputs, rectifiers = inputs.clone().requires_grad_(), Rectifiers()
    with rectifiers:
        output = net(inputs.clone())
    with rectifiers.rule(rule):
        (gradient,) = torch.autograd.grad(output[:, target].sum(), inputs)
    return gradient


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("rectifier", "high"),
    [*((of, torch.inf) for of in WAYS.values()), *((of, 6.0) for of in WAYS_TO_6.values())],
    ids=[*WAYS, *(f"{name} to 6" for name in WAYS_TO_6)],
)
def test_a_rectifier_follows_the_rule_however_it_is_called(
    rectifier: Callable[[Tensor], Tensor], high: float, rule: Rule
) -> None:
    net, inputs = of_twice(rectifier)
    expected = torch.stack([literal(net, image, 1, rule, high) for image in inputs])
    assert_close(under(rule, net, inputs, 1), expected, rtol=1e-12, atol=1e-14)


def test_the_rules_differ_where_they_are_tested() -> None:
    net, inputs = of_twice(nn.ReLU6())
    made = [
        torch.stack([literal(net, image, 1, rule, high) for image in inputs])
        for rule, high in (
            ("plain", 6),
            ("plain", torch.inf),
            ("guided", 6),
            ("guided", torch.inf),
            ("deconvnet", 6),
        )
    ]
    assert all(not torch.allclose(one, other) for i, one in enumerate(made) for other in made[:i])


@pytest.mark.parametrize(
    ("name", "memory", "precision"),
    [
        ("resnet18", torch.contiguous_format, torch.float32),
        ("resnet18", torch.contiguous_format, torch.float64),
        ("resnet18", torch.channels_last, torch.float32),
        ("resnet18", torch.channels_last, torch.bfloat16),
        ("mobilenet_v2", torch.contiguous_format, torch.float32),
        ("mobilenet_v2", torch.channels_last, torch.float32),
    ],
)
def test_the_plain_rule_is_bitwise_the_ordinary_gradient(
    name: str, memory: torch.memory_format, precision: torch.dtype
) -> None:
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, num_classes=4).eval().requires_grad_(requires_grad=False)
    net = net.to(precision, memory_format=memory)
    inputs = torch.randn(2, 3, 32, 32).to(precision, memory_format=memory).requires_grad_()
    output = net(inputs.clone())
    (ordinary,) = torch.autograd.grad(output[:, 1].sum(), inputs)
    rectifiers = Rectifiers()
    with rectifiers:
        heard = net(inputs.clone())
    assert torch.equal(heard, output)
    for rule in ("guided", "plain", "deconvnet", "plain"):  # one forward pass serves them all, in any order
        with rectifiers.rule(rule):
            (gradient,) = torch.autograd.grad(heard[:, 1].sum(), inputs, retain_graph=True)
        assert torch.equal(gradient, ordinary) == (rule == "plain")


def test_gradient_and_both_rules_come_of_one_call() -> None:
    net = torchvision.models.resnet18(num_classes=4)
    inputs = torch.randn(2, 3, 32, 32)
    together = explain(net, inputs, methods=["gradient", "guided_backprop", "deconvnet"], targets=[0, 3])
    for name in together:
        assert torch.equal(together[name], explain(net, inputs, methods=[name], targets=[0, 3])[name]), name
    for column, target in enumerate((0, 3)):
        expected = under("guided", net.eval(), inputs, target).abs().amax(1)
        assert torch.equal(together["guided_backprop"][:, column], expected)


def test_what_is_rectified_in_place_is_changed_for_everybody() -> None:
    class Reads(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            hidden = inputs.flatten(1) * 2
            functional.relu(hidden, inplace=True)
            return hidden[:, :2]

    inputs = torch.tensor([[-1.0, 2.0], [3.0, -4.0]]).requires_grad_()
    with Rectifiers() as rectifiers:
        output = Reads()(inputs)
    assert output.tolist() == [[0, 4], [6, 0]]
    with rectifiers.rule("guided"):
        (gradient,) = torch.autograd.grad(-output.sum(), inputs, retain_graph=True)
    assert gradient.abs().max() == 0
    with rectifiers.rule("deconvnet"):
        (gradient,) = torch.autograd.grad(output.sum(), inputs)
    assert gradient.tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("peer", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_captum_agrees_where_every_rectifier_is_a_relu_module(name: str, peer: Rule) -> None:
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, num_classes=4).eval()
    inputs = torch.randn(2, 3, 32, 32)
    assert_close(under(peer, net, inputs, 2), of_captum(peer, net, inputs, 2), rtol=1e-6, atol=0)


@pytest.mark.parametrize("peer", ["guided", "deconvnet"])
@pytest.mark.parametrize("rectifier", [functional.relu, nn.ReLU6()], ids=["functional", "to 6"])
def test_captum_gives_the_plain_gradient_where_a_rectifier_is_no_relu_module(
    rectifier: Callable[[Tensor], Tensor], peer: Rule
) -> None:
    net, inputs = of_twice(rectifier)
    assert_close(of_captum(peer, net, inputs, 1), under("plain", net, inputs, 1), rtol=1e-12, atol=0)
    high = 6.0 if isinstance(rectifier, nn.ReLU6) else torch.inf
    expected = torch.stack([literal(net, image, 1, peer, high) for image in inputs])
    ours = under(peer, net, inputs, 1)
    assert_close(ours, expected, rtol=1e-12, atol=1e-14)
    assert (of_captum(peer, net, inputs, 1) - ours).abs().max() > 0.1 * ours.abs().max()


def of_captum(rule: Rule, net: nn.Module, inputs: Tensor, target: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        peer = {"guided": GuidedBackprop, "deconvnet": Deconvolution}[rule](net)
        found: Tensor = peer.attribute(inputs.clone().requires_grad_(), target=target)
    return found


@pytest.mark.parametrize(
    "activation", [nn.GELU(), nn.SiLU(), nn.LeakyReLU(), nn.Hardtanh(), nn.Threshold(0.5, 0)], ids=str
)
def test_a_network_without_rectifiers_is_refused(activation: nn.Module) -> None:
    net, inputs = of_twice(activation)
    with pytest.raises(ExplainError, match="none can be seen in this model"):
        explain(net, inputs, methods=["guided_backprop"], targets=0)


def test_a_rectifier_that_the_input_does_not_reach_does_not_count() -> None:
    net, inputs = of_twice(lambda x: functional.gelu(x) + torch.zeros(1).relu())
    with pytest.raises(ExplainError, match="none can be seen in this model"):
        explain(net, inputs, methods=["deconvnet"], targets=0)


def test_other_activations_keep_their_derivative() -> None:
    calls = iter([functional.relu, functional.gelu])
    net, inputs = of_twice(lambda x: next(calls)(x))  # noqa: PLW0108 - another one at each call
    gradient = under("guided", net, inputs[:1], 1)
    first = net.first(inputs[:1].flatten(1))
    second = net.second(first.relu()).requires_grad_()
    (behind,) = torch.autograd.grad(net.last(functional.gelu(second))[0, 1], second)
    passed = (behind @ net.second.weight).clamp(min=0) * (first > 0)
    assert_close(gradient.flatten(1), passed @ net.first.weight, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", ["guided_backprop", "deconvnet"])
def test_an_image_does_not_depend_on_its_neighbours(rule: str) -> None:
    torch.manual_seed(0)
    net, inputs = torchvision.models.resnet18(num_classes=4).double(), torch.randn(3, 3, 32, 32).double()
    together = explain(net, inputs, methods=[rule], targets="predicted")[rule]
    alone = torch.cat([explain(net, of[None], methods=[rule], targets="predicted")[rule] for of in inputs])
    assert_close(together, alone, rtol=1e-9, atol=1e-14)


def test_a_compiled_network_is_heard_too() -> None:
    net, inputs = of_twice(nn.ReLU())
    expected = explain(net, inputs, methods=["guided_backprop"], targets=1)["guided_backprop"]
    compiled = torch.compile(net, backend="eager")
    assert torch.equal(
        explain(compiled, inputs, methods=["guided_backprop"], targets=1)["guided_backprop"], expected
    )


def test_half_precision_is_close() -> None:
    torch.manual_seed(0)
    net, inputs = torchvision.models.resnet18(num_classes=4), torch.randn(2, 3, 32, 32)
    exact = explain(net, inputs, methods=["guided_backprop"], targets=1)["guided_backprop"]
    with torch.autocast("cpu", torch.bfloat16):
        half = explain(net, inputs, methods=["guided_backprop"], targets=1)["guided_backprop"]
    assert half.dtype == torch.float32
    assert torch.corrcoef(torch.stack([half.flatten(), exact.flatten()]))[0, 1] > 0.99


def test_nothing_is_left_behind_by_an_exception() -> None:
    net, inputs = of_twice(nn.ReLU())
    expected = under("plain", net, inputs, 1)

    class Fails(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            raise ArithmeticError(values.shape)

    net.second, second = Fails(), net.second
    with pytest.raises(ArithmeticError):
        explain(net, inputs, methods=["guided_backprop"], targets=1)
    assert not _get_current_function_mode_stack()
    net.second = second
    with Rectifiers() as rectifiers:
        output = net(inputs.requires_grad_())
    with pytest.raises(ArithmeticError), rectifiers.rule("guided"):
        Fails()(inputs)
    (gradient,) = torch.autograd.grad(output[:, 1].sum(), inputs)
    assert torch.equal(gradient, expected)  # outside of any rule, the plain one
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
