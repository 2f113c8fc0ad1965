"""The target layer is found by itself, against a literal list."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import timm
import torch
from torch import nn
from torchvision import models as torchvision_models

from camaudit.errors import ModelError
from camaudit.models.grids import Grid
from camaudit.models.layers import candidate_layers, evaluating, find_target_layer, module_at, target_layer

TORCHVISION = {
    "alexnet": "features.11",
    "resnet18": "layer4",
    "vgg11": "features.19",
    "densenet121": "features",
    "googlenet": "inception5b",
    "efficientnet_b0": "features",
    "convnext_tiny": "features",
    "mobilenet_v2": "features",
    "mobilenet_v3_small": "features",
    "shufflenet_v2_x0_5": "conv5",
    "regnet_y_400mf": "trunk_output",
    "squeezenet1_0": "classifier.2",
    "mnasnet0_5": "layers",
}
TIMM = {
    "tf_efficientnet_lite0": "bn2",
    "resnet18": "layer4",
    "regnetx_002": "s4",
    "densenet121": "features",
    "repvgg_a0": "stages",
    "resnetv2_18": "norm",
    "convnext_atto": "stages",
    "mobilenetv3_small_050": "blocks",
    "mobilevit_xxs": "final_conv",
}
IMAGE = torch.zeros(1, 3, 64, 64)


@pytest.fixture(autouse=True, scope="module")
def _cheap_init() -> Any:
    """Random weights need no careful distribution here, and drawing them takes longer than using them."""

    def draw(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        bound = math.sqrt(3 / tensor[0].numel())
        with torch.no_grad():
            return tensor.uniform_(-bound, bound)

    patch = pytest.MonkeyPatch()
    for name in ("trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "normal_", "xavier_uniform_"):
        patch.setattr(nn.init, name, draw)
    torch.manual_seed(0)
    yield
    patch.undo()


def _grid(height: int, width: int) -> Grid:
    return Grid("channels_first", (height, width))


@pytest.mark.parametrize(("name", "layer"), TORCHVISION.items())
def test_torchvision(name: str, layer: str) -> None:
    arguments = {"init_weights": False} if name == "googlenet" else {}
    model = torchvision_models.get_model(name, weights=None, num_classes=3, **arguments)
    assert find_target_layer(model, IMAGE).name == layer


@pytest.mark.parametrize(("name", "layer"), TIMM.items())
def test_timm(name: str, layer: str) -> None:
    found = find_target_layer(timm.create_model(name, pretrained=False, num_classes=3), IMAGE)
    assert (found.name, found.grid) == (layer, _grid(2, 2))


def test_an_inner_branch_is_not_the_whole() -> None:
    """Below 128 pixels Inception v3's last blocks end in one place, while branches inside of them begin with several."""
    model = torchvision_models.inception_v3(weights=None, init_weights=False, num_classes=3)
    found = find_target_layer(model, torch.zeros(1, 3, 80, 80))
    assert (found.name, found.grid) == ("Mixed_6e", _grid(3, 3))


class _Reused(nn.Module):
    """One ReLU object, in place, used after both convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.relu(self.second(self.relu(self.first(images))))
        return self.head(features.mean((-2, -1)))


def test_a_reused_in_place_activation_is_the_finished_layer() -> None:
    assert find_target_layer(_Reused(), IMAGE).name == "relu"


def test_pooling_and_dropout_only_pass_on() -> None:
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(), nn.Flatten()]
    assert find_target_layer(nn.Sequential(*parts), IMAGE).name == "1"
    assert find_target_layer(nn.Sequential(*parts[:2], *parts[3:]), IMAGE).name == "1"


def test_a_layer_with_one_position_has_no_place() -> None:
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match=r"No layer of Sequential .* has no place to be made"):
        find_target_layer(model, IMAGE)


class _Failing(_Reused):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        super().forward(images)
        raise RuntimeError


@pytest.mark.parametrize(
    ("kind", "ends"), [(_Reused, nullcontext()), (_Failing, pytest.raises(RuntimeError))]
)
def test_the_model_and_the_random_numbers_come_back_as_they_were(kind: type[_Reused], ends: Any) -> None:
    model = kind()
    model.train()
    model.second.eval()
    model.first.weight.requires_grad_(False)
    model.second.weight.grad = torch.ones_like(model.second.weight)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = torch.random.get_rng_state()
    with ends:
        find_target_layer(model, IMAGE)
    assert [part.training for part in model.modules()] == [True, True, False, True, True]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert [name for name, part in model.named_parameters() if not part.requires_grad] == ["first.weight"]
    assert [name for name, part in model.named_parameters() if part.grad is not None] == ["second.weight"]
    assert model.second.weight.grad.eq(1).all()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_modes_come_back_after_an_exception() -> None:
    model = _Reused()
    model.relu.eval()

    def look() -> None:
        with evaluating(model):
            assert not any(part.training for part in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        look()
    assert [part.training for part in model.modules()] == [True, True, True, False, True]


def test_module_at_suggests_what_is_close() -> None:
    model = _Reused()
    assert module_at(model, "second") is model.second
    with pytest.raises(ModelError, match=r"_Reused has no layer 'secnd'; did you mean 'second'"):
        module_at(model, "secnd")
    with pytest.raises(ModelError, match=r"has no layer ''"):
        module_at(model, "")


@pytest.mark.parametrize(("size", "cells"), [((97, 64), (6, 4)), ((65, 130), (4, 8)), ((230, 331), (14, 20))])
def test_a_grid_has_the_sides_of_the_image(size: tuple[int, int], cells: tuple[int, int]) -> None:
    features = torchvision_models.vgg.make_layers([4, "M", 4, "M", 4, 4, "M", 4, 4, "M", 4, 4, "M"])
    net = nn.Sequential(features, nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(4 * 49, 2))
    found = find_target_layer(net, torch.zeros(1, 3, *size))
    assert (found.name, found.grid) == ("0.19", _grid(*cells))


@dataclass
class _Features:
    maps: torch.Tensor
    count: int


class _Wrapping(nn.Module):
    """A convolution whose output comes in something."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = nn.Conv2d(3, 4, 3), kind

    def forward(self, images: torch.Tensor) -> object:
        maps = self.inner(images).relu()
        return {"tuple": (maps, 4), "dict": {"maps": maps}, "dataclass": _Features(maps, 4)}[self.kind]


class _Unwrapping(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body, self.head = _Wrapping(kind), nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        given = self.body(images)
        maps = (
            given[0] if isinstance(given, tuple) else given["maps"] if isinstance(given, dict) else given.maps
        )
        return self.head(maps.mean((-2, -1)))


@pytest.mark.parametrize("kind", ["tuple", "dict", "dataclass"])
def test_a_layer_may_return_more_than_a_tensor(kind: str) -> None:
    model = _Unwrapping(kind)
    assert find_target_layer(model, IMAGE).name == "body"
    assert target_layer(model, "body", IMAGE).grid == _grid(62, 62)


class _Frozen(nn.Module):
    """A trunk that runs without gradients, as in linear probing."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            maps = self.trunk(images)
        return self.head(maps.mean((-2, -1)))


def test_a_trunk_without_gradients_hides_no_layer() -> None:
    assert find_target_layer(_Frozen(), IMAGE).name == "trunk"
    assert [layer.name for layer in candidate_layers(_Frozen(), IMAGE)] == ["trunk.0", "trunk"]


class _Gated(nn.Module):
    """Features times a mask of their own: the mask is computed last, and is not all that decides."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.mask = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)
        self.spare = nn.Conv2d(3, 4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.features(images)
        return self.head((features * self.mask(features).sigmoid()).mean((-2, -1)))


def test_every_path_goes_through_the_target() -> None:
    assert find_target_layer(_Gated(), IMAGE).name == "features"
    assert [layer.name for layer in candidate_layers(_Gated(), IMAGE)] == ["features", "mask"]


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("spare", "'spare' is not used in a forward pass of _Gated"),
        ("head", r"'head' returns \(1, 2\); a map needs"),
        ("heads", "has no layer 'heads'; did you mean 'head'"),
    ],
)
def test_a_named_layer_that_can_carry_no_map_is_refused(layer: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        target_layer(_Gated(), layer, IMAGE)


def test_a_named_layer_may_be_any_that_decides() -> None:
    assert target_layer(_Gated(), "mask", IMAGE).grid == _grid(62, 62)
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 31 * 31, 2))
    assert find_target_layer(pooled, IMAGE).name == "0"
    assert target_layer(pooled, "1", IMAGE).grid == _grid(31, 31)


def test_a_layer_whose_output_is_thrown_away_is_refused() -> None:
    class Throwing(_Gated):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.spare(images)
            return super().forward(images)

    with pytest.raises(ModelError, match=r"does not depend on the places of 'spare'.*decide is 'features'"):
        target_layer(Throwing(), "spare", IMAGE)


def test_a_softmax_over_places_is_taken_for_attention_weights() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.weigh, self.head = nn.Conv2d(3, 4, 3, 8), nn.Softmax(-1), nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            places = self.embed(images).flatten(2)
            weights = self.weigh(places.mT @ places)[:, None]
            return self.head((weights[:, 0] @ places.mT).mean(1))

    model = Attending()
    assert find_target_layer(model, IMAGE).name == "embed"
    with pytest.raises(ModelError, match=r"'weigh' returns \(1, 64, 64\), which are attention weights"):
        target_layer(model, "weigh", IMAGE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_in_any_precision(dtype: torch.dtype) -> None:
    assert find_target_layer(_Reused().to(dtype), IMAGE.to(dtype)).name == "relu"


def test_a_compiled_model_is_looked_into() -> None:
    compiled = torch.compile(_Gated(), backend="eager")
    assert find_target_layer(compiled, IMAGE).name == "_orig_mod.features"


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused() -> None:
    program = torch.jit.trace(_Gated().eval(), IMAGE)
    with pytest.raises(ModelError, match="is a TorchScript program"):
        find_target_layer(program, IMAGE)
