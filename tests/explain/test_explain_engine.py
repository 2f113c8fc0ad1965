"""The engine: one forward pass, a model that comes back as it was, and errors that say what to do."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from timm import create_model
from torch import Tensor, nn
from torchvision import models as torchvision_models

from camaudit.errors import ExplainError, ModelError
from camaudit.explain import all_methods, explain, get_method, method
from camaudit.explain import registry as methods_registry

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
METHODS = ["cam", "gradcam"]


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


class _Trace:
    """All of a model that must come back as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.state = {name: value.clone() for name, value in model.state_dict().items()}
        self.frozen = [parameter.requires_grad for parameter in model.parameters()]
        self.modes = [part.training for part in model.modules()]

    def assert_untouched(self) -> None:
        model = self.model
        for name, value in model.state_dict().items():
            assert torch.equal(value, self.state[name]), name
        assert [parameter.requires_grad for parameter in model.parameters()] == self.frozen
        assert [part.training for part in model.modules()] == self.modes
        assert all(parameter.grad is None for parameter in model.parameters())
        for part in model.modules():
            assert not part._forward_hooks
            assert not part._forward_pre_hooks
            assert not part._backward_hooks


# ------------------------------------------------------------------ the model comes back as it was


@pytest.mark.parametrize("layer", ["auto", "0"])
def test_the_model_is_untouched(layer: str) -> None:
    model = _net().train()
    model[1].eval()
    model[6].weight.requires_grad_(requires_grad=False)
    trace = _Trace(model)
    explain(model, IMAGES, methods=["gradcam"], targets=[0, 1], layer=layer)
    trace.assert_untouched()
    assert torch.is_grad_enabled()


class _Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.armed = False

    def forward(self, values: Tensor) -> Tensor:
        if self.armed:
            msg = "out of memory"
            raise MemoryError(msg)
        return values


def test_the_model_is_untouched_after_an_exception_inside_the_forward() -> None:
    breaks = _Breaks()
    model = nn.Sequential(*_net(), breaks).train()
    model[1].eval()
    trace = _Trace(model)
    for layer in ("2", "auto"):
        breaks.armed = True
        with pytest.raises(MemoryError):
            explain(model, IMAGES, methods=METHODS, targets=[0], layer=layer)
        trace.assert_untouched()
        assert torch.is_grad_enabled()
        breaks.armed = False
    with pytest.raises(ExplainError):
        explain(model, IMAGES, targets=[7], layer="2")
    trace.assert_untouched()


@pytest.mark.parametrize("methods", [["gradcam"], ["eigencam", "rise"], ["gradient"]])
def test_a_model_that_works_in_place_on_its_input_does_not_change_it(methods: list[str]) -> None:
    model = nn.Sequential(nn.Hardtanh(inplace=True), *_net())
    images = IMAGES.clone()
    options = {"rise": {"masks": 8}} if "rise" in methods else None
    explain(model, images, methods=methods, targets=[0], options=options)
    assert torch.equal(images, IMAGES)


def test_the_inputs_are_untouched() -> None:
    images = IMAGES.clone().requires_grad_()
    explain(_net(), images, methods=METHODS, targets=[0])
    assert images.grad is None
    assert torch.equal(images, IMAGES)


# ------------------------------------------------------------------ wherever it is called


@pytest.mark.parametrize("around", [nullcontext, torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [False, True])
def test_maps_are_the_same_in_every_mode(
    around: Callable[[], AbstractContextManager[object]], frozen: bool
) -> None:
    model = _net().eval()
    expected = explain(model, IMAGES, methods=METHODS, targets=[0, 2])
    if frozen:
        model.requires_grad_(requires_grad=False)
    with around():
        images = IMAGES * 1  # an inference tensor, where the mode makes them
        found = explain(model, images, methods=METHODS, targets=[0, 2])
    for name in METHODS:
        assert torch.equal(found[name], expected[name])
        assert not found[name].requires_grad
        assert not found[name].is_inference()
    assert not found.logits.requires_grad


def test_a_model_in_training_mode_is_explained_in_evaluation_mode() -> None:
    model = _net()
    found = explain(model.train(), IMAGES, targets=[0])
    assert torch.equal(found["gradcam"], explain(model.eval(), IMAGES, targets=[0])["gradcam"])
    with torch.no_grad():
        torch.testing.assert_close(found.logits, model(IMAGES))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_maps_are_float32_unless_the_model_is_float64(dtype: torch.dtype) -> None:
    found = explain(_net().to(dtype), IMAGES.to(dtype), targets=[0])
    assert found["gradcam"].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert bool(torch.isfinite(found["gradcam"]).all())


def test_an_activation_in_place_after_the_layer_does_not_change_it() -> None:
    """Densenet's own forward applies an in-place ReLU to what the target layer returned."""
    torch.manual_seed(0)
    model = torchvision_models.densenet121(weights=None, num_classes=3).eval()
    images = torch.randn(1, 3, 64, 64)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output.detach().clone())

    with torch.no_grad():
        handle = model.features.register_forward_hook(keep)
        logits = model(images)
        handle.remove()
    found = explain(model, images, targets=[0, 1])
    torch.testing.assert_close(found.logits, logits)
    # pooled after a ReLU: the gradient is the row where the activation is positive, else zero
    positive = (kept[0] > 0).double().mean((-2, -1))
    weights = model.classifier.weight[:2].double() * positive / 4
    expected = torch.einsum("tk,bkhw->bthw", weights, kept[0].double()).relu()
    torch.testing.assert_close(found["gradcam"], expected.float().detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_a_head_that_works_in_place_is_explained_at_any_layer(layer: str) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3),
        nn.Hardswish(inplace=True),
        nn.Flatten(),
        nn.Linear(3136, 2),
    )
    plain = nn.Sequential(model[0], nn.ReLU(), model[2], nn.Hardswish(), *model[4:])
    found, expected = (explain(net, IMAGES, targets=[0, 1], layer=layer)["gradcam"] for net in (model, plain))
    torch.testing.assert_close(found, expected)


def test_the_trunk_runs_once_and_without_a_graph() -> None:
    model = _net()
    calls: list[bool] = []
    model[0].register_forward_hook(lambda _m, _i, output: calls.append(output.requires_grad))
    explain(model, IMAGES, methods=METHODS, targets=[0, 1, 2], layer="2")  # looks at the layer first
    calls.clear()
    explain(model, IMAGES, methods=METHODS, targets=[0, 1, 2], layer="2")
    assert calls == [False]


# ------------------------------------------------------------------ targets


def test_targets_may_be_a_function_of_the_scores() -> None:
    model = _net()
    by_index = explain(model, IMAGES, targets=[1, 0])["gradcam"]
    assert torch.equal(explain(model, IMAGES, targets=lambda logits: logits[:, [1, 0]])["gradcam"], by_index)
    own = torch.tensor([2, 0])
    found = explain(model, IMAGES, targets=lambda logits: logits.gather(1, own[:, None]))["gradcam"]
    every = explain(model, IMAGES, targets=[0, 1, 2])["gradcam"]
    torch.testing.assert_close(found[:, 0], every[torch.arange(2), own])


@pytest.mark.parametrize(
    "targets", [lambda logits: logits.sum(), lambda logits: logits[:1], lambda _logits: 1.0]
)
def test_targets_of_another_shape_are_named(targets: Any) -> None:
    with pytest.raises(ExplainError, match=r"gives scores of .* for 2 images; it must be \(batch,\) or"):
        explain(_net(), IMAGES, targets=targets)


@pytest.mark.parametrize("target", [3, -1])
def test_a_class_out_of_range_is_named(target: int) -> None:
    with pytest.raises(
        ExplainError, match=rf"Class {target} does not exist: the model has 3 outputs, 0 to 2"
    ):
        explain(_net(), IMAGES, targets=[0, target])


# ------------------------------------------------------------------ layers that do not do


def test_a_layer_that_does_not_exist_is_named() -> None:
    with pytest.raises(ModelError, match="has no layer 'layer4'"):
        explain(_net(), IMAGES, targets=[0], layer="layer4")


def test_a_layer_of_another_shape_is_named() -> None:
    with pytest.raises(ModelError, match=r"The layer '5' returns \(1, 4\); a map needs"):
        explain(_net(), IMAGES, targets=[0], layer="5")
    with pytest.raises(ExplainError, match=r"The layer '5' returns \(2, 4\), which is no grid of places"):
        explain(_net(), IMAGES, targets=lambda scores: scores, layer="5")


class _ChannelsLast(nn.Module):
    """As Swin: what the stages return has its channels at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Conv2d(3, 12, 4, stride=4), nn.LayerNorm(12), nn.Linear(12, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(self.stem(images).permute(0, 2, 3, 1)).mean((1, 2)))


def test_a_layer_whose_channels_are_last_is_a_grid() -> None:
    last, first = (explain(_ChannelsLast(), IMAGES, targets=[0], layer=name) for name in ("norm", "stem"))
    assert last["gradcam"].shape == first["gradcam"].shape == (2, 1, 8, 8)


def test_a_grid_larger_than_the_image_is_none() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2), *_net()[4:])
    with pytest.raises(ModelError, match=r"'1' returns \(1, 4, 60, 60\); a map needs .*input of 32x32"):
        explain(model, IMAGES, targets=[0], layer="1")


class _Branches(nn.Module):
    """A branch that is never called, and one whose result is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.useless, self.main = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.pair = nn.ModuleList([nn.Identity()])
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        self.useless(images)
        return self.head(self.main(images).mean((-2, -1)))


def test_a_layer_that_is_not_used_is_named() -> None:
    with pytest.raises(ModelError, match="'unused' is not used in a forward pass of _Branches"):
        explain(_Branches(), IMAGES, targets=[0], layer="unused")


@pytest.mark.parametrize("frozen", [False, True])
def test_an_output_that_does_not_depend_on_the_layer_is_named(frozen: bool) -> None:
    model = _Branches().requires_grad_(requires_grad=not frozen)
    with pytest.raises(ModelError, match=r"does not depend on the places of 'useless'.* is 'main'"):
        explain(model, IMAGES, targets=[0], layer="useless")
    with pytest.raises(ExplainError, match="does not depend on the layer 'useless'"):
        explain(model, IMAGES, targets=lambda scores: scores, layer="useless")


def test_a_layer_behind_which_only_the_class_token_is_read_is_named() -> None:
    net = create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=12, depth=2, num_heads=2)
    with pytest.raises(ModelError, match=r"places of 'blocks.1'.* is 'blocks.1.norm1'"):
        explain(net, IMAGES, layer="blocks.1")


def test_a_model_that_returns_no_scores_is_named() -> None:
    with pytest.raises(
        ExplainError, match=r"The model returns \(2, 4, 15, 15\); a classifier returns scores"
    ):
        explain(_net()[:3], IMAGES, targets=[0], layer="1")


# ------------------------------------------------------------------ methods that do not fit


@pytest.mark.parametrize("name", ["vgg11", "mobilenet_v3_small", "squeezenet1_1"])
def test_cam_is_refused_where_the_head_is_not_pooling_and_one_linear_layer(name: str) -> None:
    with torch.device("meta"):
        model = torchvision_models.get_model(name, weights=None, num_classes=3)
    model = model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.fill_(0.01)
    with pytest.raises(
        ExplainError, match=r"CAM needs a head of global average pooling and one linear layer"
    ):
        explain(model, torch.rand(1, 3, 64, 64), methods=["cam"], targets=[0])


def _alive(*parts: nn.Module) -> list[nn.Module]:
    """A head of which no ReLU blocks all: its input is not negative, and no weight is either."""
    for part in parts:
        if isinstance(part, nn.Linear):
            nn.init.uniform_(part.weight, 0.1, 1)
            nn.init.zeros_(part.bias)
    return list(parts)


@pytest.mark.parametrize(
    "head",
    [
        lambda: _alive(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)),
        lambda: _alive(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3)),
        lambda: _alive(nn.Linear(4, 3), nn.Softmax(1)),
        lambda: _alive(nn.LayerNorm(4), nn.Linear(4, 3)),
    ],
    ids=["hidden", "wide", "softmax", "norm"],
)
def test_cam_is_refused_for_other_heads(head: Callable[[], list[nn.Module]]) -> None:
    model = nn.Sequential(*_net()[:6], *head())
    with pytest.raises(ExplainError, match=r"'2'; this model has another\. Use gradcam"):
        explain(model, IMAGES, methods=["cam"], targets=[0])
    assert explain(model, IMAGES, methods=["gradcam"], targets=[0])["gradcam"].shape == (2, 1, 15, 15)


def test_an_unknown_method_gets_a_suggestion() -> None:
    with pytest.raises(ExplainError, match=r"no attribution method 'grad-cam'; did you mean 'gradcam'\?"):
        explain(_net(), IMAGES, methods=["grad-cam"], targets=[0])
    with pytest.raises(ExplainError, match=r"the methods are .*cam, .*gradcam"):
        get_method("zzz")


def test_every_method_is_described() -> None:
    found = all_methods()
    assert {"cam", "gradcam"} <= found.keys()
    assert list(found) == sorted(found)
    for id_, one in found.items():
        assert one.id == id_
        assert one.summary.endswith(".")
        assert one.source


def test_a_method_is_added_in_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    all_methods()
    monkeypatch.setattr(methods_registry, "_registered", dict(methods_registry._registered))

    @method(
        "hirescam_of_test",
        needs={"activation", "gradient"},
        class_discriminative=True,
        source="arXiv:2011.08891",
    )
    def hirescam(activation: Tensor, gradient: Tensor) -> Tensor:
        """Gradient times activation, summed over channels."""
        return torch.einsum("btkhw,bkhw->bthw", gradient, activation).relu()

    assert get_method("hirescam_of_test").summary == "Gradient times activation, summed over channels."
    found = explain(_net(), IMAGES, methods=["hirescam_of_test", "gradcam"], targets=[0, 1])
    # pooling and a linear layer: both are CAM over the grid
    torch.testing.assert_close(found["hirescam_of_test"], found["gradcam"])
    monkeypatch.undo()
    assert "hirescam_of_test" not in all_methods()
