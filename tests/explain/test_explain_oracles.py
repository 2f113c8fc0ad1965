"""CAM and Grad-CAM against closed forms and slow twins, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision import models as torchvision_models

from camaudit.explain import explain
from camaudit.explain.methods.cam import cam
from camaudit.explain.methods.gradcam import gradcam
from tests.explain import literal

TIGHT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def net() -> nn.Sequential:
    """Convolution, pooling, one linear layer: CAM's own architecture."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(5, 6, 3, padding=1),
        nn.Tanh(),  # also below zero
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    ).double()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(3, 3, 32, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_gradcam_is_cam_over_the_grid(net: nn.Sequential, images: Tensor) -> None:
    found = explain(net, images, methods=["cam", "gradcam"], targets=[0, 1, 2, 3])
    assert found.layer == "4"
    assert found["cam"].shape == (3, 4, 8, 6)
    assert list(found) == ["cam", "gradcam"]
    torch.testing.assert_close(found["gradcam"], found["cam"] / (8 * 6), **TIGHT)
    assert found["cam"].amax((-2, -1)).count_nonzero() > 6


def test_cam_is_the_row_of_the_linear_layer(net: nn.Sequential, images: Tensor) -> None:
    head = net[7]
    assert isinstance(head, nn.Linear)
    found = explain(net, images, methods=["cam"], targets=[2, 0])
    activation = net[:5](images).detach()
    for row, image in enumerate(activation):
        for column, target in enumerate([2, 0]):
            expected = literal.cam(image, head.weight[target].detach())
            torch.testing.assert_close(found["cam"][row, column], expected, **TIGHT)


def test_cam_sums_to_the_score_before_the_relu(net: nn.Sequential, images: Tensor) -> None:
    head = net[7]
    assert isinstance(head, nn.Linear)
    activation = net[:5](images).detach()
    signed = torch.einsum("ck,bkhw->bchw", head.weight.detach(), activation)
    scores = explain(net, images, targets=[0]).logits
    torch.testing.assert_close(signed.mean((-2, -1)) + head.bias.detach(), scores, **TIGHT)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "4"])
def test_gradcam_equals_full_autograd_at_every_layer(net: nn.Sequential, images: Tensor, layer: str) -> None:
    found = explain(net, images, targets=[1, 3], layer=layer)
    for row, image in enumerate(images[:2]):
        for column, target in enumerate([1, 3]):
            twin = literal.activation_and_gradient(net, net[int(layer)], image, target)
            torch.testing.assert_close(found["gradcam"][row, column], literal.gradcam(*twin), **TIGHT)


@pytest.mark.parametrize("layer", ["layer4", "layer3.1", "layer3.1.conv1"])
def test_gradcam_equals_full_autograd_on_a_resnet(layer: str) -> None:
    torch.manual_seed(2)
    model = torchvision_models.resnet18(weights=None, num_classes=4).double().eval()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn_like(part.bias) / 10
            part.running_var = torch.rand_like(part.bias) + 0.5
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    found = explain(model, images, targets=[0, 3], layer=layer)
    module = model.get_submodule(layer)
    for row, image in enumerate(images):
        for column, target in enumerate([0, 3]):
            activation, gradient = literal.activation_and_gradient(model, module, image, target)
            expected = torch.einsum("k,khw->hw", gradient.mean((-2, -1)), activation).relu()
            torch.testing.assert_close(found["gradcam"][row, column], expected, **TIGHT)
    if layer == "layer4":
        torch.testing.assert_close(
            explain(model, images, methods=["cam"], targets=[0, 3])["cam"], found["gradcam"] * 4, **TIGHT
        )


def test_a_contrast_is_linear_in_its_classes_and_zero_with_itself(net: nn.Sequential, images: Tensor) -> None:
    def contrasts(logits: Tensor) -> Tensor:
        return torch.stack([logits[:, 1] - logits[:, 1], logits[:, 1] - logits[:, 3]], dim=1)

    found = explain(net, images, methods=["cam", "gradcam"], targets=contrasts)
    head = net[7]
    assert isinstance(head, nn.Linear)
    row = (head.weight[1] - head.weight[3]).detach()
    for method in ("cam", "gradcam"):
        assert not found[method][:, 0].any()
    expected = torch.stack([literal.cam(image, row) for image in net[:5](images).detach()])
    torch.testing.assert_close(found["cam"][:, 1], expected, **TIGHT)


def test_batches_do_not_matter(net: nn.Sequential, images: Tensor) -> None:
    whole = explain(net, images, methods=["cam", "gradcam"], targets=[0, 2])
    order = [2, 0, 1]
    turned = explain(net, images[order], methods=["cam", "gradcam"], targets=[0, 2])
    for method in whole:
        torch.testing.assert_close(turned[method], whole[method][order], rtol=1e-6, atol=1e-9)
        for row in range(3):
            alone = explain(net, images[row : row + 1], methods=[method], targets=[0, 2])
            torch.testing.assert_close(alone[method][0], whole[method][row], rtol=1e-6, atol=1e-9)
    swapped = explain(net, images, targets=[2, 0, 2])["gradcam"]
    torch.testing.assert_close(swapped, whole["gradcam"][:, [1, 0, 1]], **TIGHT)


def test_a_net_that_commutes_with_flips_has_maps_that_do(images: Tensor) -> None:
    torch.manual_seed(3)
    kernel = torch.randn(6, 3, 3, 3, dtype=torch.float64)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    ).double()
    assert isinstance(net[0], nn.Conv2d)
    net[0].weight.data = kernel + kernel.flip(-1)
    straight = explain(net, images, methods=["cam", "gradcam"], targets=[0, 1])
    flipped = explain(net, images.flip(-1), methods=["cam", "gradcam"], targets=[0, 1])
    for method in straight:
        torch.testing.assert_close(flipped[method], straight[method].flip(-1), **TIGHT)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*(st.integers(1, 4) for _ in range(5))),
    wide=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_methods_give_finite_maps_without_negatives(sizes: tuple[int, ...], wide: bool, seed: int) -> None:
    batch, targets, channels, height, width = sizes
    dtype = torch.float64 if wide else torch.float32
    random = torch.Generator().manual_seed(seed)
    activation = torch.randn(batch, channels, height, width, dtype=dtype, generator=random) * 1e3
    gradient = torch.randn(batch, targets, channels, height, width, dtype=dtype, generator=random)
    for found in (gradcam(activation, gradient), cam(activation, gradient.mean((-2, -1)))):
        assert found.shape == (batch, targets, height, width)
        assert found.dtype == dtype
        assert bool(torch.isfinite(found).all())
        assert bool((found >= 0).all())
