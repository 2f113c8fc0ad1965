"""Against pytorch-grad-cam, torchcam and captum: where they are the paper's formula we are theirs, and else what they do."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pytorch_grad_cam as pgc
import torch
from captum import attr as captum
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget, FinerWeightedTarget
from torch import Tensor, nn
from torchcam import methods as torchcam
from torchvision.models import VisionTransformer

from benchmarks.networks import BUILT, Case, case, lively
from benchmarks.peers import PEERS
from benchmarks.peers.torchcam import legrad as torchcam_legrad
from benchmarks.twins import Rest
from camaudit.errors import ExplainError
from camaudit.explain import explain
from tests.explain import literal, literal_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOKENS = {"ViT", "Swin"}
RECTIFIED = {"ResNet", "VGG", "MobileNetV3", "RegNet", "ShuffleNetV2"}  # DenseNet's last one is no module
NEGATIVE = {"DenseNet", "MobileNetV3", "EfficientNet", "ConvNeXt", "ViT", "Swin"}  # what their layer returns
OVERWRITTEN = {"DenseNet"}  # a ReLU in place follows the layer
NAMES = tuple(BUILT)


@functools.cache
def prepared(name: str) -> tuple[Case, Tensor, Tensor]:
    """A case, activation and gradient (batch, channels, h, w) by full autograd."""
    of = case(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [
            literal.activation_and_gradient(of.model, of.module, image, target)
            for image, target in zip(of.images, of.classes, strict=True)
        ]
    activation, gradient = (of.grid.split(torch.stack(parts)) for parts in zip(*pairs, strict=True))
    return of, activation, gradient


def ours(of: Case, method: str, **options: object) -> Tensor:
    """(batch, h, w)."""
    found = explain(
        of.model,
        of.images,
        methods=[method],
        targets=[of.classes],
        layer=of.layer,
        options={method: options},
    )
    return found[method][:, 0]


def distance(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def weighted(weight: Tensor, activation: Tensor) -> Tensor:
    return torch.einsum("bk,bkhw->bhw", weight, activation).relu()


def mass(maps: Tensor) -> Tensor:
    return maps.sum((-2, -1), keepdim=True)


# ------------------------------------------------------------------ the same formula


SAME = [
    *(("pytorch-grad-cam", method) for method in ("gradcam", "hirescam", "layercam")),
    *(("torchcam", method) for method in ("gradcam", "layercam", "finercam")),
    *(("captum", method) for method in ("gradcam", "hirescam")),
]


@pytest.mark.parametrize(("peer", "method"), SAME)
@pytest.mark.parametrize("name", NAMES)
def test_a_peer_with_the_papers_formula_agrees(name: str, peer: str, method: str) -> None:
    of, activation, _ = prepared(name)
    if (peer, method) == ("captum", "gradcam") and name in TOKENS:
        return  # see test_captum_takes_tokens_for_channels
    if peer != "captum" and name in OVERWRITTEN:
        return  # see test_peers_explain_what_the_next_layer_wrote
    found = ours(of, method)
    assert found.shape == (len(of.images), *activation.shape[2:])
    assert found.amax() > 0
    assert distance(PEERS[peer][method](of), found) < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_input_gradients_agree_with_captum(name: str) -> None:
    of, _, _ = prepared(name)
    assert distance(PEERS["captum"]["gradient"](of).abs().amax(1), ours(of, "gradient")) < 1e-9
    theirs = PEERS["captum"]["integrated_gradients"](of).sum(1).relu()
    assert distance(theirs, ours(of, "integrated_gradients", steps=8)) < 1e-6  # their steps are float32


@pytest.mark.parametrize("method", ["deconvnet", "guided_backprop"])
@pytest.mark.parametrize("name", sorted(RECTIFIED))
def test_rectifiers_rules_agree_where_every_rectifier_is_a_module(name: str, method: str) -> None:
    of = case(name)  # of its own: pytorch-grad-cam does not give back the model it was given
    found = ours(of, method)
    assert distance(PEERS["captum"][method](of).abs().amax(1), found) < 1e-9
    if method == "guided_backprop":
        assert distance(PEERS["pytorch-grad-cam"][method](of).abs().amax(1), found) < 1e-9


def test_legrad_agrees_with_torchcam() -> None:
    torch.manual_seed(0)
    model = lively(VisionTransformer(32, 8, 3, 4, 32, 48, num_classes=5)).double().eval()
    nn.init.normal_(model.heads.head.weight)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    found = explain(model, images, methods=["legrad"], targets=[[1, 3]])["legrad"][:, 0]
    assert distance(torchcam_legrad(model, images, [1, 3]), found) < 1e-9


# ------------------------------------------------------------------ another formula

Formula = "Callable[[Tensor, Tensor], Tensor]"


def pgc_gradcampp(activation: Tensor, gradient: Tensor) -> Tensor:
    alpha = gradient**2 / (2 * gradient**2 + mass(activation) * gradient**3 + 1e-6)
    return weighted((alpha * gradient.relu()).sum((-2, -1)), activation)


def torchcam_gradcampp(activation: Tensor, gradient: Tensor) -> Tensor:
    # the division by the denominator changes a copy: alpha stays the squared gradient
    return weighted((gradient**2 * gradient.relu()).sum((-2, -1)), activation)


def torchcam_smooth_gradcampp(activation: Tensor, gradient: Tensor) -> Tensor:
    alpha = gradient**2 / (2 * gradient**2 + mass(gradient**3 * activation) + 1e-8)
    return weighted((alpha * gradient.relu()).sum((-2, -1)), activation)


def xgradcam_with(epsilon: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda activation, gradient: weighted(
        ((gradient * activation) / (mass(activation) + epsilon)).sum((-2, -1)), activation
    )


FORMULAS: Mapping[tuple[str, str], tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    ("pytorch-grad-cam", "gradcampp"): (pgc_gradcampp, 1e-2),
    ("torchcam", "gradcampp"): (torchcam_gradcampp, 0.5),
    ("torchcam", "smooth_gradcampp"): (torchcam_smooth_gradcampp, 1e-4),
    ("pytorch-grad-cam", "xgradcam"): (xgradcam_with(1e-7), 1e-12),
    ("torchcam", "xgradcam"): (xgradcam_with(1e-8), 1e-13),
}
"""What they compute, and by how much it differs from ours at least."""


@pytest.mark.parametrize(("peer", "method"), FORMULAS)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OVERWRITTEN])
def test_another_formula_is_theirs_and_the_papers_is_ours(name: str, peer: str, method: str) -> None:
    of, activation, gradient = prepared(name)
    formula, apart = FORMULAS[peer, method]
    theirs = PEERS[peer][method](of)
    torch.testing.assert_close(theirs, formula(activation, gradient), rtol=1e-6, atol=1e-14)
    found = ours(of, method, **({"sigma": 0.0, "samples": 1} if "smooth" in method else {}))
    twin = getattr(literal, "gradcampp" if "smooth" in method else method)
    expected = torch.stack([twin(*pair) for pair in zip(activation, gradient, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-14)
    assert float((theirs - found).abs().max()) > apart * float(found.max())


def centred(maps: Tensor) -> Tensor:
    """Projection of (batch, places, channels minus their means) on the first singular vector; of unknown sign."""
    places = maps.flatten(2).mT
    places = places - places.mean(1, keepdim=True)
    first = torch.linalg.svd(places).Vh[:, :1]
    return (places * first).sum(2).reshape(len(maps), *maps.shape[2:])


@pytest.mark.parametrize("method", ["eigencam", "eigen_gradcam"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in OVERWRITTEN])
def test_eigencam_of_pytorch_grad_cam_is_centred_and_of_any_sign(name: str, method: str) -> None:
    of, activation, gradient = prepared(name)
    maps = activation if method == "eigencam" else activation * gradient
    theirs, expected = PEERS["pytorch-grad-cam"][method](of), centred(maps)
    for one, either in zip(theirs, expected, strict=True):
        assert min(distance(one, either.relu()), distance(one, (-either).relu())) < 1e-5  # theirs is float32
    twin = [literal.eigencam(of_image) for of_image in maps]
    if method == "eigen_gradcam":
        twin = [literal.eigen_gradcam(*pair) for pair in zip(activation, gradient, strict=True)]
    torch.testing.assert_close(
        ours(of, method), torch.stack(twin), rtol=1e-6, atol=1e-9 * float(maps.abs().max())
    )


def test_cam_of_torchcam_has_no_relu() -> None:
    of = case("ResNet", layer="layer4")
    theirs, found = PEERS["torchcam"]["cam"](of), ours(of, "cam")
    assert theirs.min() < 0
    assert distance(theirs.relu(), found) < 1e-12


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OVERWRITTEN])
def test_finercam_of_pytorch_grad_cam_weights_rivals_by_their_softmax(name: str) -> None:
    of, activation, _ = prepared(name)
    theirs = PEERS["pytorch-grad-cam"]["finercam"](of)
    kept: list[Tensor] = []
    handle = of.module.register_forward_hook(lambda _m, _i, output: kept.append(output))
    scores = of.model(of.images)
    handle.remove()
    total = torch.zeros(())
    for row, target in zip(scores, of.classes, strict=True):
        rivals = (row - row[target]).abs().argsort()[1:4]
        share = row.softmax(0)[rivals]  # with a gradient of its own
        total = total + (share * (row[target] - row[rivals])).sum() / (share.sum() + 1e-9)
    (slope,) = torch.autograd.grad(total, kept)
    expected = weighted(of.grid.split(slope).mean((-2, -1)), activation)
    torch.testing.assert_close(theirs, expected, rtol=1e-6, atol=1e-12)
    assert float((theirs - ours(of, "finercam")).abs().max()) > 1e-3 * float(theirs.max())


# ------------------------------------------------------------------ methods that run the network again


def ablated(of: Case, activation: Tensor, value: Callable[[Tensor, int], Tensor | float]) -> Tensor:
    """(score minus the score with channel k set to a value) / score, (batch, channels)."""
    weights = []
    for image, of_image, target in zip(of.images, activation, of.classes, strict=True):
        rest = Rest(of, image)
        score = rest(of_image[None])[0, target]
        row = []
        for k in range(len(of_image)):
            without = of_image[None].clone()
            without[0, k] = value(of_image, k)
            row.append((score - rest(without)[0, target]) / score)
        weights.append(torch.stack(row))
    return torch.stack(weights)


@pytest.mark.parametrize("name", ["ResNet", "VGG", "RegNet", "ShuffleNetV2"])
def test_ablationcam_of_pytorch_grad_cam_turns_around_where_the_score_is_negative(name: str) -> None:
    of, activation, _ = prepared(name)
    weight = ablated(of, activation, lambda _of_image, _k: 0.0)
    theirs = PEERS["pytorch-grad-cam"]["ablationcam"](of)
    torch.testing.assert_close(
        theirs, weighted(weight, activation), rtol=1e-3, atol=1e-5 * float(activation.max())
    )
    with torch.no_grad():
        score = of.model(of.images)[range(len(of.images)), of.classes]
    expected = weighted(weight * score.sign()[:, None], activation)
    torch.testing.assert_close(ours(of, "ablationcam"), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["EfficientNet", "ConvNeXt"])
def test_ablationcam_of_pytorch_grad_cam_sets_channels_far_below_zero(name: str) -> None:
    of, activation, _ = prepared(name)
    # each channel of a batch of 32 is set below what the channel before it was set to
    weight = ablated(of, activation, lambda of_image, k: of_image.min() - 1e7 * (k % 32 + 1))
    theirs = PEERS["pytorch-grad-cam"]["ablationcam"](of)
    torch.testing.assert_close(
        theirs, weighted(weight, activation), rtol=1e-3, atol=1e-4 * float(theirs.max())
    )
    twin = []
    for image, of_image, target in zip(of.images, activation, of.classes, strict=True):
        rest = Rest(of, image)
        without = literal_network.ablated_scores(rest, of_image, target)
        twin.append(literal.ablationcam(of_image, float(rest(of_image[None])[0, target]), without))
    found = ours(of, "ablationcam")
    torch.testing.assert_close(found, torch.stack(twin), rtol=1e-6, atol=1e-12)
    assert found.amax() > 0
    assert distance(theirs, found) > 10


@pytest.mark.parametrize("name", ["VGG", "RegNet", "ShuffleNetV2", "ViT"])
def test_scorecams_masks_differ_by_corners_and_by_the_order_of_minmax_and_upsampling(name: str) -> None:
    of, activation, _ = prepared(name)

    def scored(masks: Tensor) -> Tensor:
        with torch.no_grad():
            scores = of.model((of.images[:, None] * masks[:, :, None]).flatten(0, 1))
        rows = scores.unflatten(0, masks.shape[:2])
        return torch.stack([row[:, target] for row, target in zip(rows, of.classes, strict=True)]).softmax(1)

    def spread(maps: Tensor) -> Tensor:
        low = maps.amin((-2, -1), keepdim=True)
        return (maps - low) / ((maps - low).amax((-2, -1), keepdim=True) + 1e-8)

    def large(maps: Tensor, *, corners: bool) -> Tensor:
        size = (of.images.shape[-2], of.images.shape[-1])
        return nn.functional.interpolate(maps, size, mode="bilinear", align_corners=corners)

    corners = weighted(scored(spread(large(activation, corners=True))), activation)
    torch.testing.assert_close(PEERS["pytorch-grad-cam"]["scorecam"](of), corners, rtol=1e-3, atol=1e-5)
    early = weighted(scored(large(spread(activation), corners=False)), activation)
    torch.testing.assert_close(PEERS["torchcam"]["scorecam"](of), early, rtol=1e-3, atol=1e-5)
    # a channel without contrast is no mask: it takes no share of the softmax, as it does in theirs
    share = scored(spread(large(activation, corners=False)))
    share = torch.where(activation.amax((2, 3)) > activation.amin((2, 3)), share, 0)
    twin = weighted(share / share.sum(1, keepdim=True), activation)
    found = ours(of, "scorecam")
    torch.testing.assert_close(found, twin, rtol=1e-4, atol=1e-6)
    assert found.amax() > 0


@pytest.mark.parametrize("name", ["VGG", "ResNet"])
def test_fullgrad_of_pytorch_grad_cam_rescales_every_channel_by_itself(name: str) -> None:
    of = case(name, batch=1)
    layers = [
        part
        for part in of.model.modules()
        if isinstance(part, (nn.Conv2d, nn.BatchNorm2d)) and part.bias is not None
    ]
    outputs: list[Tensor] = []
    handles = [part.register_forward_hook(lambda _m, _i, output: _kept(outputs, output)) for part in layers]
    image = of.images.clone().requires_grad_()
    score = of.model(image)[0, of.classes[0]]
    for handle in handles:
        handle.remove()
    slope, *slopes = torch.autograd.grad(score, [image, *outputs])
    products = [slope * image.detach()]
    for part, of_layer in zip(layers, slopes, strict=True):
        bias = literal_network.biases(part)
        assert bias is not None
        products.append(of_layer * bias[:, None, None])
    total = sum(_rescaled_and_large(product.abs(), (96, 96)).sum(1) for product in products)
    expected = (total - total.min()) / (total.max() - total.min())
    theirs = PEERS["pytorch-grad-cam"]["fullgrad"](of)
    torch.testing.assert_close(theirs.double(), expected, rtol=1e-3, atol=1e-3)
    found = ours(of, "fullgrad")
    scaled = (found - found.min()) / (found.max() - found.min())
    assert distance(theirs.double(), scaled) > 0.05


def test_fullgrad_of_pytorch_grad_cam_leaves_out_the_batch_norms_of_timm() -> None:
    model = case("EfficientNet").model
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in pgc.FullGrad(model, []).target_layers)


def _kept(outputs: list[Tensor], output: Tensor) -> Tensor:
    outputs.append(output)
    return output.clone()  # a ReLU in place may follow


def _rescaled_and_large(maps: Tensor, size: tuple[int, int]) -> Tensor:
    low = maps.amin((-2, -1), keepdim=True)
    share = (maps - low) / ((maps - low).amax((-2, -1), keepdim=True) + 1e-7)
    return nn.functional.interpolate(share, size, mode="bilinear", align_corners=False)


# ------------------------------------------------------------------ what they do to layers and models


def small(*, inplace: bool = False, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    first = activation() if activation is not nn.ReLU else nn.ReLU(inplace=inplace)
    return (
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            first,
            nn.Conv2d(6, 6, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(54, 4),
        )
        .double()
        .eval()
    )


def noise(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def small_case(model: nn.Sequential, layer: int, images: Tensor) -> Case:
    from camaudit.models.grids import Grid

    return Case(
        "small",
        model,
        str(layer),
        model[layer],
        Grid("channels_first", (12, 12)),
        images,
        [1, 2][: len(images)],
    )


def target(index: int) -> Any:
    return ClassifierOutputTarget(index)


def test_peers_explain_what_the_next_layer_wrote() -> None:
    of = small_case(small(inplace=True), 0, noise())
    pairs = [
        [
            literal.activation_and_gradient(of.model, of.model.get_submodule(at), image, index)
            for image, index in zip(of.images, of.classes, strict=True)
        ]
        for at in ("0", "1")
    ]
    (before, slope), (after, slope_after) = (
        map(torch.stack, zip(*of_layer, strict=True)) for of_layer in pairs
    )
    assert distance(ours(of, "gradcam"), weighted(slope.mean((-2, -1)), before)) < 1e-9
    assert distance(PEERS["captum"]["gradcam"](of), weighted(slope.mean((-2, -1)), before)) < 1e-9
    # the gradient of the convolution, the activation of the ReLU that overwrote it (on a CPU; on a GPU it was copied before)
    mixed = weighted(slope.mean((-2, -1)), after)
    assert distance(PEERS["pytorch-grad-cam"]["gradcam"](of), mixed) < 1e-9
    assert distance(PEERS["torchcam"]["gradcam"](of), weighted(slope_after.mean((-2, -1)), after)) < 1e-9


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_captum_takes_tokens_for_channels(name: str) -> None:
    of, _, _ = prepared(name)
    pairs = [
        literal.activation_and_gradient(of.model, of.module, image, index)
        for image, index in zip(of.images, of.classes, strict=True)
    ]
    activation, gradient = map(torch.stack, zip(*pairs, strict=True))
    over = tuple(range(2, gradient.ndim))
    expected = (gradient.mean(over, keepdim=True) * activation).sum(1).relu()
    assert distance(PEERS["captum"]["gradcam"](of), expected) < 1e-9
    assert expected.shape[-1] == activation.shape[-1]  # a "map" over the channels


class _Functional(nn.Module):
    """A ReLU that is no module."""

    def forward(self, values: Tensor) -> Tensor:
        return values.relu()


def test_peers_miss_a_rectifier_that_is_no_module() -> None:
    plain, hidden = small(), small(activation=_Functional)
    hidden.load_state_dict(plain.state_dict())
    expected = literal_network.modified_gradient(plain, noise()[0], 1, "guided")
    found = explain(hidden, noise()[:1], methods=["guided_backprop"], targets=1)["guided_backprop"][0, 0]
    assert distance(found, expected.abs().amax(0)) < 1e-9
    of = small_case(hidden, 2, noise(1))
    for peer in ("captum", "pytorch-grad-cam"):
        assert distance(PEERS[peer]["guided_backprop"](of)[0], expected) > 0.1


def test_pytorch_grad_cam_keeps_a_batch_blank_and_camaudit_refuses() -> None:
    model = small()
    with pgc.GradCAM(model, [model[2]]) as cam:
        maps = cam(noise(3), [target(1)])
    assert maps[0].max() > 0
    assert not maps[1:].any()
    with pytest.raises(ExplainError, match="1 class indices are given for 3 images"):
        explain(model, noise(3), targets=[[1]])


def test_pytorch_grad_cam_overwrites_gradients_and_the_training_mode() -> None:
    model = small().train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    explain(model, noise())
    assert model.training
    assert all(
        bool((parameter.grad == 1).all()) for parameter in model.parameters() if parameter.grad is not None
    )
    with pgc.GradCAM(model, [model[2]]) as cam:
        cam(noise(), [target(1), target(2)])
    assert not model.training
    assert not any(
        bool((parameter.grad == 1).all()) for parameter in model.parameters() if parameter.grad is not None
    )


def test_frozen_models_are_refused_by_two_peers() -> None:
    model = small().requires_grad_(requires_grad=False)
    of = small_case(model, 2, noise())
    found = ours(of, "gradcam")
    assert distance(PEERS["captum"]["gradcam"](of), found) < 1e-9
    for peer in ("pytorch-grad-cam", "torchcam"):
        with pytest.raises(RuntimeError):
            PEERS[peer]["gradcam"](of)


def test_pytorch_grad_cam_has_no_bfloat16() -> None:
    model = small().bfloat16()
    assert explain(model, noise().bfloat16(), targets=1)["gradcam"].dtype == torch.float32
    with pgc.GradCAM(model, [model[2]]) as cam, pytest.raises(TypeError, match="BFloat16"):
        cam(noise().bfloat16(), [target(1), target(2)])


def test_guided_backprop_of_pytorch_grad_cam_adds_up_and_leaves_another_model() -> None:
    model, image = small(inplace=True), noise(1)
    guided = pgc.GuidedBackpropReLUModel(model)
    first, second = guided(image, 1).copy(), guided(image, 1).copy()
    np.testing.assert_allclose(
        second, 2 * first
    )  # gradients of the caller's own tensor, which now asks for them
    assert image.requires_grad
    assert model[1] is model[3]
    assert not model[1].inplace
    both = explain(model, noise(1), methods=["guided_backprop"], targets=[1, 1])["guided_backprop"][0]
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=0)


def test_guided_backprop_of_pytorch_grad_cam_is_of_the_first_image() -> None:
    model = small()
    assert pgc.GuidedBackpropReLUModel(model)(noise(3), 1).shape == (12, 12, 3)
    assert explain(model, noise(3), methods=["guided_backprop"], targets=1)["guided_backprop"].shape == (
        3,
        1,
        12,
        12,
    )


def test_scorecam_of_pytorch_grad_cam_keeps_every_masked_activation() -> None:
    model = small()
    with pgc.ScoreCAM(model, [model[2]]) as cam:
        cam.batch_size = 2
        cam(noise(1), [target(1)])
        assert len(cam.activations_and_grads.activations) == 1 + 6 / 2  # grows with channels and images


def test_ablationcam_of_pytorch_grad_cam_depends_on_its_batch_size() -> None:
    model = small(activation=nn.SiLU)
    maps = []
    for size in (1, 6):
        with pgc.AblationCAM(
            model, [model[1]], ablation_layer=pgc.ablation_layer.AblationLayer(), batch_size=size
        ) as cam:
            weights = cam.get_cam_weights
            seen: list[Any] = []
            cam.get_cam_weights = lambda *args, of=weights, to=seen: to.append(of(*args)) or to[-1]
            cam(noise(1), [target(1)])
        maps.append(seen[0][0])
    np.testing.assert_allclose(maps[1][1:] / maps[0][1:], np.arange(2, 7), rtol=1e-3)
    few, many = (
        explain(model, noise(1), methods=["ablationcam"], layer="1", targets=1, memory=memory)["ablationcam"]
        for memory in (1, 2**30)
    )
    torch.testing.assert_close(few, many, rtol=1e-12, atol=1e-15)


def test_ablationcam_of_pytorch_grad_cam_leaves_its_layer_in_the_model_after_an_error() -> None:
    model = small()
    layer = model[2]

    def fails(_output: Tensor) -> Tensor:
        raise ValueError

    with pgc.AblationCAM(model, [layer], ablation_layer=pgc.ablation_layer.AblationLayer()) as cam:
        calls = iter([target(1)] + [fails] * 9)
        with pytest.raises(ValueError, match=r"^$"):
            cam(noise(1), [lambda output: next(calls)(output)])  # noqa: PLW0108 - another at every call
    assert model[2] is not layer


def test_ablationcam_of_pytorch_grad_cam_needs_another_layer_for_tokens_and_shares_its_own() -> None:
    of = case("ViT")  # of its own: the model does not come back
    layers = [pgc.AblationCAM(of.model, [of.module]).ablation_layer for _ in range(2)]
    assert layers[0] is layers[1]
    cam = pgc.AblationCAM(of.model, [of.module], of.grid.split)
    with pytest.raises(IndexError):
        cam(of.images, [target(index) for index in of.classes])
    assert of.model.get_submodule(of.layer) is cam.ablation_layer


def test_ablationcam_of_pytorch_grad_cam_ablates_the_class_token_too() -> None:
    of, activation, _ = prepared("ViT")
    theirs = PEERS["pytorch-grad-cam"]["ablationcam"](of)
    weights = []
    for image, index in zip(of.images, of.classes, strict=True):
        kept: list[Tensor] = []
        handle = of.module.register_forward_hook(
            lambda _m, _i, output, kept=kept: kept.append(output.detach())
        )
        with torch.no_grad():
            score = of.model(image[None])[0, index]
        handle.remove()
        row = []
        for k in range(kept[0].shape[2]):
            without = kept[0].clone()
            without[..., k] = kept[0].min() - 1e7 * (
                k % 32 + 1
            )  # of every token; see the test of convolutions
            handle = of.module.register_forward_hook(lambda _m, _i, _output, to=without: to)
            with torch.no_grad():
                row.append((score - of.model(image[None])[0, index]) / score)
            handle.remove()
        weights.append(torch.stack(row))
    expected = weighted(torch.stack(weights), activation)
    torch.testing.assert_close(theirs, expected, rtol=1e-3, atol=1e-4 * float(theirs.max()))


def test_pytorch_grad_cam_swallows_an_index_error(capsys: pytest.CaptureFixture[str]) -> None:
    model = small()
    with pgc.GradCAM(model, [model[2]]) as cam:
        cam(noise(1), [target(99)])  # there are four classes
    assert "An exception occurred in CAM" in capsys.readouterr().out
    with pytest.raises(ExplainError, match="Class 99 does not exist"):
        explain(model, noise(1), targets=99)


def test_smooth_gradcampp_of_torchcam_takes_the_last_noisy_images_activation_and_absolute_noise() -> None:
    model, images = small(), noise(1)
    torch.manual_seed(3)
    with torchcam.SmoothGradCAMpp(model, model[2], num_samples=3, std=0.5) as extractor:
        model(images)
        (theirs,) = extractor(1, normalized=False)
    torch.manual_seed(3)
    copies = [images + torch.normal(torch.zeros(images.shape), 0.5) for _ in range(3)]
    pairs = [literal.activation_and_gradient(model, model[2], copy[0], 1) for copy in copies]
    clean = literal.activation_and_gradient(model, model[2], images[0], 1)[0]
    second, third = (torch.stack([slope**power for _, slope in pairs]).mean(0) for power in (2, 3))
    alpha = second / (2 * second + (third * clean).sum((-2, -1), keepdim=True) + 1e-8)
    last, slope = pairs[-1]
    weight = (alpha * slope.relu()).sum((-2, -1))
    torch.testing.assert_close(theirs.detach(), weighted(weight[None], last[None]), rtol=1e-5, atol=1e-9)


def test_subtracting_the_minimum_moves_mass_and_only_peers_do_it() -> None:
    of, _, _ = prepared("MobileNetV3")
    raw = ours(of, "gradcam")
    with torchcam.GradCAM(of.model, of.module) as extractor:
        (theirs,) = extractor(of.classes, of.model(of.images))
    assert raw.amin() > 0
    low, high = raw.amin((1, 2), keepdim=True), raw.amax((1, 2), keepdim=True)
    torch.testing.assert_close(theirs.detach(), (raw - low) / (high - low), rtol=1e-2, atol=1e-3)
    share, moved = ((maps[:, 0].sum(1) / maps.sum((1, 2))).detach() for maps in (raw, theirs))
    assert (share - moved).abs().amax() > 0.02  # of the map, in its upper row


def test_guided_gradcam_of_captum_is_signed_guided_backprop_times_our_gradcam() -> None:
    model, images = small(), noise(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = captum.GuidedGradCam(model, model[2]).attribute(images.clone().requires_grad_(), 1)
        guided = captum.GuidedBackprop(model).attribute(images.clone().requires_grad_(), 1)
    cam = explain(model, images, layer="2", targets=1)["gradcam"][0]
    torch.testing.assert_close(theirs.detach(), (guided * cam[:, None]).detach(), rtol=1e-9, atol=1e-15)


def test_finer_target_of_pytorch_grad_cam_has_a_gradient_through_its_weights() -> None:
    scores = torch.tensor([1.0, 0.5, -0.2], requires_grad=True)
    FinerWeightedTarget(0, [1, 2], 1)(scores).backward()
    assert scores.grad is not None
    fixed = torch.softmax(scores.detach(), 0)[1:] / torch.softmax(scores.detach(), 0)[1:].sum()
    assert not torch.allclose(scores.grad[1:], -fixed, atol=1e-3)
