"""What the maps must be where the answer is known: a head of pooling and one linear layer, linear nets, symmetric nets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

from camaudit.explain import explain
from camaudit.explain.methods.ablationcam import ablationcam
from camaudit.explain.methods.eigen_gradcam import eigen_gradcam
from camaudit.explain.methods.integrated_gradients import integrated_gradients
from camaudit.explain.methods.scorecam import scorecam
from tests.explain import literal
from tests.explain.literal_needs import Needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from camaudit.explain import Explanation

TIGHT = {"rtol": 1e-10, "atol": 1e-10}
CLASSES = [0, 1, 2, 3]
OF_GRADIENT = [
    "counterfactual_gradcam",
    "eigen_gradcam",
    "gradcam",
    "gradcampp",
    "hirescam",
    "layercam",
    "smooth_gradcampp",
    "xgradcam",
]
OF_INPUT = ["gradient", "integrated_gradients", "smoothgrad"]
FEW = {
    "integrated_gradients": {"steps": 3},
    "smooth_gradcampp": {"samples": 2},
    "smoothgrad": {"samples": 2},
}


@pytest.fixture(scope="module", params=["tanh", "relu"])  # also below zero, and never
def net(request: pytest.FixtureRequest) -> nn.Sequential:
    """Convolution, pooling, one linear layer: CAM's own architecture."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(5, 6, 3, padding=1),
        {"tanh": nn.Tanh(), "relu": nn.ReLU()}[request.param],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    ).double()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 32, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def activation(net: nn.Sequential, images: Tensor) -> Tensor:
    return net[:5](images).detach()


@pytest.fixture(scope="module")
def rows(net: nn.Sequential) -> Tensor:
    """Of the linear layer, (classes, channels)."""
    return net[7].weight.detach()


@pytest.fixture(scope="module")
def found(net: nn.Sequential, images: Tensor) -> Explanation:
    """Every method of the layer's gradient for every class, from one pass."""
    methods = ["cam", "finercam", *OF_GRADIENT]
    return explain(net, images, methods=methods, targets=CLASSES, layer="4", options=_few(methods))


def _few(methods: list[str]) -> dict[str, dict[str, object]]:
    return {name: options for name, options in FEW.items() if name in methods}


def maps_of(weights: Tensor, activation: Tensor) -> Tensor:
    """Signed; weights (classes, channels), or (batch, classes, channels)."""
    return torch.einsum("...tk,...khw->...thw", weights, activation)


# ------------------------------------------------------------------ pooling and one linear layer


def test_gradcam_hirescam_and_xgradcam_are_cam_over_the_grid(
    found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    assert found["cam"].shape == (3, 4, 8, 6)
    torch.testing.assert_close(found["cam"], maps_of(rows, activation).relu(), **TIGHT)
    assert found["cam"].amax((-2, -1)).count_nonzero() > 5
    for method in ("gradcam", "hirescam", "xgradcam"):
        torch.testing.assert_close(found[method], found["cam"] / (8 * 6), **TIGHT)


def test_the_counterfactual_is_of_the_negative_row(
    found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    expected = maps_of(-rows, activation).relu() / (8 * 6)
    torch.testing.assert_close(found["counterfactual_gradcam"], expected, **TIGHT)
    assert expected.any()


def test_layercam_is_of_the_positive_part_of_the_row(
    found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    expected = maps_of(rows.relu(), activation).relu() / (8 * 6)
    torch.testing.assert_close(found["layercam"], expected, **TIGHT)
    assert not torch.allclose(expected, found["gradcam"])


def test_gradcampp_weighs_by_the_row_over_two_and_the_mean(
    found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    denominator = 2 + rows * activation.mean((-2, -1))[:, None]
    assert (denominator > 0).all()
    expected = maps_of(rows.relu() / denominator, activation).relu()
    torch.testing.assert_close(found["gradcampp"], expected, **TIGHT)
    # behind the layer everything is linear: noise does not change the gradient
    torch.testing.assert_close(found["smooth_gradcampp"], expected, **TIGHT)


def test_finercam_is_of_the_row_minus_the_other_rows(
    net: nn.Sequential, images: Tensor, found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    others = (rows.sum(0, keepdim=True) - rows) / 3  # of four classes, the three most alike are all others
    torch.testing.assert_close(
        found["finercam"], maps_of(rows - 0.6 * others, activation).relu() / 48, **TIGHT
    )
    alike = explain(
        net, images, methods=["finercam"], targets=CLASSES, layer="4", options={"finercam": {"strength": 0.0}}
    )
    torch.testing.assert_close(alike["finercam"], found["gradcam"], **TIGHT)


def test_eigen_gradcam_is_of_the_channels_times_the_row(
    found: Explanation, activation: Tensor, rows: Tensor
) -> None:
    for image, of_image in zip(activation, found["eigen_gradcam"], strict=True):
        for row, of_class in zip(rows, of_image, strict=True):
            expected = literal.eigen_gradcam(image, (row / 48)[:, None, None].expand_as(image))
            torch.testing.assert_close(of_class, expected, rtol=1e-6, atol=1e-10)


def test_ablationcam_weighs_by_the_row_times_the_mean(
    net: nn.Sequential, images: Tensor, activation: Tensor, rows: Tensor
) -> None:
    needs = Needs(net, 4, images, CLASSES).of("ablated_scores", "activation", "score")
    share = rows * activation.mean((-2, -1))[:, None] / needs["score"].abs()[..., None]
    torch.testing.assert_close(ablationcam(**needs), maps_of(share, activation).relu(), **TIGHT)
    assert (needs["score"] < 0).any()


def test_cam_sums_to_the_score_before_the_relu(
    net: nn.Sequential, images: Tensor, found: Explanation
) -> None:
    signed = maps_of(net[7].weight.detach(), net[:5](images).detach())
    torch.testing.assert_close(signed.mean((-2, -1)) + net[7].bias.detach(), found.logits, **TIGHT)


# ------------------------------------------------------------------ the whole network's gradient


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "4"])
def test_gradcam_equals_full_autograd_at_every_layer(net: nn.Sequential, images: Tensor, layer: str) -> None:
    found = explain(net, images, targets=[1, 3], layer=layer)
    for row, image in enumerate(images[:2]):
        for column, target in enumerate([1, 3]):
            twin = literal.activation_and_gradient(net, net[int(layer)], image, target)
            torch.testing.assert_close(found["gradcam"][row, column], literal.gradcam(*twin), **TIGHT)


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(2)
    model = torchvision_models.resnet18(weights=None, num_classes=4).double().eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn_like(part.bias) / 10
            part.running_var = torch.rand_like(part.bias) + 0.5
    return model


@pytest.mark.parametrize("layer", ["layer4", "layer3.1", "layer3.1.conv1"])
def test_gradcam_equals_full_autograd_on_a_resnet(resnet: nn.Module, layer: str) -> None:
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = explain(resnet, images, methods=["gradcam", "hirescam", "layercam"], targets=[0, 3], layer=layer)
    module = resnet.get_submodule(layer)
    for row, image in enumerate(images):
        for column, target in enumerate([0, 3]):
            activation, gradient = literal.activation_and_gradient(resnet, module, image, target)
            mean = gradient.mean((-2, -1), keepdim=True)
            for method, weight in (("gradcam", mean), ("hirescam", gradient), ("layercam", gradient.relu())):
                expected = (weight * activation).sum(0).relu()
                torch.testing.assert_close(found[method][row, column], expected, **TIGHT)


def test_the_closed_forms_hold_on_a_resnet(resnet: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    methods = ["cam", "gradcam", "gradcampp", "hirescam", "layercam", "xgradcam"]
    found = explain(resnet, images, methods=methods, targets=CLASSES, layer="layer4")
    for method in ("gradcam", "hirescam", "xgradcam"):
        torch.testing.assert_close(found[method], found["cam"] / 4, **TIGHT)
    activation, row = _of_resnet(resnet, images)
    torch.testing.assert_close(found["layercam"], maps_of(row.relu(), activation) / 4, **TIGHT)
    weights = row.relu() / (2 + row * activation.mean((-2, -1))[:, None])
    torch.testing.assert_close(found["gradcampp"], maps_of(weights, activation).relu(), **TIGHT)


def _of_resnet(resnet: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    kept: list[Tensor] = []
    handle = resnet.get_submodule("layer4").register_forward_hook(
        lambda _module, _inputs, output: kept.append(output.detach())
    )
    with torch.no_grad():
        resnet(images)
    handle.remove()
    return kept[0], resnet.get_parameter("fc.weight").detach()


# ------------------------------------------------------------------ linear nets


def test_of_a_linear_net_the_gradient_is_the_weight(images: Tensor) -> None:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 32 * 24, 2)).double()
    weight = net[2].weight.detach()
    of_channel = weight.reshape(2, 4, 32, 24)
    through = torch.einsum("tkhw,kc->tchw", of_channel, net[0].weight.detach()[..., 0, 0])
    found = explain(net, images, methods=OF_INPUT, targets=[0, 1], options=_few(OF_INPUT))
    expected = through.abs().amax(1).expand(3, -1, -1, -1)
    torch.testing.assert_close(found["gradient"], expected, **TIGHT)
    torch.testing.assert_close(found["smoothgrad"], expected, **TIGHT)
    product = (through * images[:, None]).sum(2)
    torch.testing.assert_close(found["integrated_gradients"], product.relu(), **TIGHT)


# ------------------------------------------------------------------ contrasts, batches, flips


def test_a_contrast_of_a_class_with_itself_is_zero(net: nn.Sequential, images: Tensor) -> None:
    def contrasts(logits: Tensor) -> Tensor:
        return torch.stack([logits[:, i] - logits[:, j] for i, j in ((1, 1), (1, 3), (3, 1))], dim=1)

    methods = ["cam", *OF_GRADIENT, *OF_INPUT]
    found = explain(net, images, methods=methods, targets=contrasts, layer="4", options=_few(methods))
    for method in methods:
        assert not found[method][:, 0].any()
        assert found[method][:, 1:].any()


def test_a_contrast_is_linear_in_its_classes(
    net: nn.Sequential, images: Tensor, activation: Tensor, rows: Tensor
) -> None:
    found = explain(net, images, methods=["cam"], targets=lambda logits: logits[:, [1]] - logits[:, [3]])
    expected = maps_of((rows[1] - rows[3])[None], activation).relu()
    torch.testing.assert_close(found["cam"], expected, **TIGHT)


def test_batches_do_not_matter(net: nn.Sequential, images: Tensor) -> None:
    methods = ["cam", "finercam", *OF_GRADIENT, *OF_INPUT]

    def maps(of: Tensor, targets: list[int]) -> Explanation:
        return explain(net, of, methods=methods, targets=targets, layer="4", options=_few(methods))

    whole, order = maps(images, [0, 2]), [2, 0, 1]
    turned, swapped = maps(images[order], [0, 2]), maps(images, [2, 0, 2])
    alone = [maps(images[row : row + 1], [0, 2]) for row in range(3)]
    for method in methods:
        scale = float(whole[method].max()) * 1e-9
        torch.testing.assert_close(turned[method], whole[method][order], rtol=1e-6, atol=scale)
        torch.testing.assert_close(
            torch.cat([one[method] for one in alone]), whole[method], rtol=1e-6, atol=scale
        )
        torch.testing.assert_close(swapped[method], whole[method][:, [1, 0, 1]], rtol=1e-6, atol=scale)


def test_a_net_that_commutes_with_flips_has_maps_that_do(images: Tensor) -> None:
    torch.manual_seed(3)
    kernel = torch.randn(6, 3, 3, 3, dtype=torch.float64)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    ).double()
    assert isinstance(net[0], nn.Conv2d)
    net[0].weight.data = kernel + kernel.flip(-1)
    ordinary: dict[str, Callable[..., Tensor]] = {
        "ablationcam": ablationcam,
        "eigen_gradcam": eigen_gradcam,
        "integrated_gradients": lambda **needs: integrated_gradients(**needs, steps=2),
        "scorecam": scorecam,
    }
    needs = {
        "ablationcam": ("ablated_scores", "activation", "score"),
        "eigen_gradcam": ("activation", "gradient"),
        "integrated_gradients": ("inputs", "rerun"),
        "scorecam": ("activation", "inputs", "masked_scores"),
    }
    for name, function in ordinary.items():
        straight, flipped = (
            function(**Needs(net, 1, of, [0, 1]).of(*needs[name])) for of in (images, images.flip(-1))
        )
        assert straight.any()
        torch.testing.assert_close(flipped, straight.flip(-1), rtol=1e-8, atol=1e-10)
    methods = [
        "cam",
        "counterfactual_gradcam",
        "eigencam",
        "gradcam",
        "gradcampp",
        "gradient",
        "hirescam",
        "layercam",
    ]
    straight, flipped = (
        explain(net, of, methods=methods, targets=[0, 1]) for of in (images, images.flip(-1))
    )
    for name in methods:
        assert straight[name].any()
        torch.testing.assert_close(flipped[name], straight[name].flip(-1), **TIGHT)
