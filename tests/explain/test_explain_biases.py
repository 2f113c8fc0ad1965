"""What biases add to a score: input and biases make it up to the last digit, or a layer was missed."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

import pytest
import timm
import torch
import torchvision
from pytorch_grad_cam import FullGrad
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import _get_current_function_mode_stack
from torch.testing import assert_close
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vgg import cfgs, make_layers

from camaudit.errors import ExplainError
from camaudit.explain import explain
from camaudit.explain.biases import Bias, Biases
from camaudit.explain.methods.fullgrad import rescaled

if TYPE_CHECKING:
    from collections.abc import Callable


class Everything(nn.Module):
    """Every kind of layer that is linear in pieces, in place wherever it can be."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6)
        self.bare = nn.BatchNorm2d(6, affine=False)
        self.grouped = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.weight, self.bias = nn.Parameter(torch.randn(4, 6, 1, 1)), nn.Parameter(torch.randn(4))
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.line = nn.Conv1d(4, 5, 3)
        self.mixed = nn.Linear(5, 6)  # of (batch, places, channels): a view, that is worked on in place
        self.hidden, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.hardtanh(self.norm(self.first(inputs)), -0.3, 0.7, inplace=True)
        hidden = hidden + self.relu(self.bare(self.grouped(hidden)))
        hidden = functional.leaky_relu_(functional.conv2d(hidden, self.weight, bias=self.bias), 0.1)
        hidden = functional.avg_pool2d(functional.max_pool2d(self.up(hidden), 2), 2)
        hidden = self.mixed(self.line(hidden.flatten(2)).transpose(1, 2))
        hidden.mul_(2).relu_()
        hidden = functional.relu6(self.hidden(hidden.mean(1)) * 20)
        return self.last(self.relu(hidden * 1))  # type: ignore[no-any-return]


def randomised(net: nn.Module) -> nn.Module:
    """With statistics and biases that matter, in float64."""
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, _BatchNorm):
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.5, 2)
        if isinstance(part, _BatchNorm) and part.affine:
            nn.init.normal_(part.weight, 1, 0.3)
        if isinstance(getattr(part, "bias", None), Tensor):
            nn.init.normal_(part.bias, 0, 0.3)
    return net.double().eval().requires_grad_(requires_grad=False)


def images(count: int = 2, side: int = 48) -> Tensor:
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def products(net: nn.Module, inputs: Tensor, target: int) -> tuple[Tensor, Tensor, list[tuple[Bias, Tensor]]]:
    """Score, input times gradient, and the product of each bias."""
    inputs = inputs.clone().requires_grad_()
    found: list[tuple[Bias, Tensor]] = []
    with Biases(net, inputs) as biases:
        score = net(inputs.clone())[:, target]
    with biases.products(lambda bias, product: found.append((bias, product))):
        (gradient,) = torch.autograd.grad(score.sum(), inputs)
    return score.detach(), (gradient * inputs.detach()).sum((1, 2, 3)), found


NETS: dict[str, Callable[[], nn.Module]] = {
    "everything": Everything,
    "resnet18": partial(torchvision.models.resnet18, num_classes=4),
    "vgg11_bn": lambda: make_layers(cfgs["A"], batch_norm=True)[:-2].append(nn.Flatten()),
    "mobilenet_v2": partial(torchvision.models.mobilenet_v2, num_classes=4),
    "shufflenet": partial(torchvision.models.shufflenet_v2_x0_5, num_classes=4),
    "lite0": partial(
        timm.create_model, "tf_efficientnet_lite0", num_classes=4
    ),  # norm and activation are one module
}


@pytest.mark.parametrize("name", NETS)
def test_input_and_biases_make_the_score(name: str) -> None:
    net, inputs = randomised(NETS[name]()), images()
    score, of_input, found = products(net, inputs, 2)
    of_biases = torch.stack([product.sum((1, 2, 3)) for _, product in found]).sum(0)
    assert of_biases.abs().min() > 1e-3 * score.abs().max()  # they matter
    assert_close(of_input + of_biases, score, rtol=1e-10, atol=0)


def test_an_exported_program_calls_operators_and_is_heard_too() -> None:
    net, inputs = randomised(NETS["resnet18"]()), images()
    program = torch.export.export(net, (inputs,)).module()
    score, of_input, found = products(program, inputs, 2)
    assert len(found) == 21
    assert_close(of_input + sum(product.sum((1, 2, 3)) for _, product in found), score, rtol=1e-10, atol=0)


def test_units_that_are_cut_off_add_the_constant() -> None:
    net, inputs = randomised(NETS["mobilenet_v2"]()), images() * 4
    score, of_input, found = products(net, inputs, 2)
    cut_off = [product for bias, product in found if bias.edge.node.name().startswith("Hardtanh")]
    total = sum(product.sum((1, 2, 3)) for _, product in found)
    assert len(cut_off) == 35
    assert torch.stack([of.abs().sum() for of in cut_off]).max() > 0
    assert_close(of_input + total, score, rtol=1e-10, atol=0)


def test_each_product_is_bias_times_gradient() -> None:
    net, inputs = (
        randomised(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2))
        ),
        images(side=12),
    )
    _, _, found = products(net, inputs, 1)
    convolution, norm, _, _, linear = net
    for image in range(len(inputs)):
        # zeros that are added behind a layer have the gradient of its output
        zeros = [torch.zeros(1, 4, 10, 10, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        hidden = norm(convolution(inputs[image : image + 1]) + zeros[0]) + zeros[1]
        gradients = torch.autograd.grad(linear(hidden.relu().flatten(1))[0, 1], zeros)
        implicit = norm.bias - norm.running_mean * norm.weight / (norm.running_var + norm.eps) ** 0.5
        for (bias, product), gradient, values in zip(
            found[:0:-1], gradients, (convolution.bias, implicit), strict=True
        ):
            assert bias.grid is not None
            expected = torch.stack([values[k] * gradient[0, k] for k in range(4)])
            assert_close(product[image], expected, rtol=1e-12, atol=1e-14)
    head, product = found[0]
    assert head.grid is None
    assert_close(product, linear.bias[1] * torch.tensor([0.0, 1.0]).double().expand(2, 2)[..., None, None])


def test_layers_come_first_to_last_with_a_column_for_each_target() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.side, self.late = nn.Conv2d(3, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 5)

        def forward(self, inputs: Tensor) -> list[Tensor]:
            stem = self.stem(inputs)
            return [of(stem).sum() for of in (nn.Identity(), self.side, self.late)]

    net, inputs = randomised(Forked()), images(side=12).requires_grad_()
    with Biases(net, inputs) as biases:
        scores = net(inputs)
    passes = [partial(torch.autograd.grad, score, inputs, retain_graph=True) for score in scores[:2]]
    found = biases.reduced(lambda product: product.sum(1), passes)
    # neither depends on the last layer
    assert [tuple(of.shape) for of in found] == [(2, 2, 10, 10), (2, 2, 8, 8)]
    assert_close(found[0][:, 0], net.stem.bias.sum().expand(2, 10, 10))
    assert found[1][:, 0].abs().max() == 0  # the first target does not depend on it
    assert_close(found[1][:, 1], net.side.bias.sum().expand(2, 8, 8))


def test_fullgrad_is_the_papers_sum() -> None:
    net, inputs = (
        randomised(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2))
        ),
        images(side=12),
    )
    maps = explain(net, inputs, methods=["fullgrad"], targets=[0, 1])["fullgrad"]
    for target in (0, 1):
        _, _, found = products(net, inputs, target)
        copy = inputs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(copy)[:, target].sum(), copy)
        expected = rescaled(gradient * inputs)
        for _, product in reversed(found[1:]):
            layer = rescaled(product)[:, None]
            expected = expected + functional.interpolate(layer, size=12, mode="bilinear")[:, 0]
        assert_close(maps[:, target], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("net", "side", "without_places"),
    [
        (lambda: ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=4), 64, 2),
        (partial(timm.create_model, "vit_tiny_patch16_224", img_size=64, depth=2, num_classes=4), 64, 1),
        (
            partial(torchvision.models.SwinTransformer, [4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=4),
            64,
            5,
        ),
    ],
    ids=["convnext", "vit", "swin"],
)
def test_layers_of_transformers_lie_on_the_image_or_have_no_places(
    net: Callable[[], nn.Module], side: int, without_places: int
) -> None:
    module, inputs = randomised(net()), images(side=side)
    _, _, found = products(module, inputs, 1)
    sizes = [bias.grid.size if bias.grid else None for bias, _ in found]
    assert sizes.count(None) == without_places  # the head, what is pooled, and linear layers within windows
    assert {product.shape[2:] for bias, product in found if bias.grid} <= {(4, 4), (8, 8), (16, 16), (2, 2)}
    maps = explain(module, inputs, methods=["fullgrad"], targets=1)["fullgrad"]
    assert maps.shape == (2, 1, side, side)
    assert maps.isfinite().all()
    assert maps.amin() >= 0


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    net, inputs = randomised(NETS["mobilenet_v2"]()), images(3, 32)
    together = explain(net, inputs, methods=["fullgrad"], targets="predicted")["fullgrad"]
    alone = torch.cat(
        [explain(net, of[None], methods=["fullgrad"], targets="predicted")["fullgrad"] for of in inputs]
    )
    assert_close(together, alone, rtol=1e-9, atol=1e-12)


def test_an_output_of_no_image_is_refused() -> None:
    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.line(inputs.mean((2, 3)).reshape(-1, 4)).reshape(4, 9)[:, :2]  # type: ignore[no-any-return]

    with pytest.raises(ExplainError, match=r"linear returns \(3, 3\) for 4 images"):
        explain(Folded(), torch.randn(4, 3, 8, 8), methods=["fullgrad"], targets=0)


@pytest.mark.parametrize(
    "method", ["fullgrad", "guided_backprop", "deconvnet", "attention_rollout", "legrad"]
)
def test_torchscript_is_refused_where_its_calls_must_be_heard(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has given it up; people have files of it
        inner = torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.zeros(2, 3, 12, 12))
    net = nn.Sequential(inner, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ExplainError, match="Sequential is TorchScript or holds it"):
        explain(net, torch.zeros(2, 3, 12, 12), methods=[method], targets=0)


def test_nothing_is_left_behind() -> None:
    net, inputs = randomised(Everything()), images(side=48).requires_grad_()
    with Biases(net, inputs) as biases:
        score = net(inputs)[:, 0].sum()
    taken: list[Tensor] = []

    def fails(_bias: Bias, product: Tensor) -> None:
        taken.append(product)
        raise ArithmeticError

    with pytest.raises(ArithmeticError), biases.products(fails):
        torch.autograd.grad(score, inputs, retain_graph=True)
    assert len(taken) == 1
    torch.autograd.grad(score, inputs)  # and now nobody listens
    assert len(taken) == 1
    assert not _get_current_function_mode_stack()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_grad_cam_misses_norms_that_are_one_module_with_their_activation() -> None:
    torch.manual_seed(1)  # of the head, which the next line leaves as it was made
    net = randomised(NETS["lite0"]())
    assert len(FullGrad(net, target_layers=[]).bias_data) == 0
    score, of_input, found = products(net, images(), 2)
    norms = [product for bias, product in found if "BatchNorm" in bias.edge.node.name()]
    assert len(norms) == 49
    # input times gradient alone, which is what it draws, is far from the score
    assert ((of_input - score).abs() > 0.5 * score.abs()).all()
