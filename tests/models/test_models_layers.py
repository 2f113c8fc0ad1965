"""The target layer is found by itself, against a literal list."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn
from torchvision import models as torchvision_models

from camaudit.errors import ModelError
from camaudit.models import find_target_layer, module_at
from camaudit.models.layers import evaluating

TORCHVISION = {
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
    "resnetv2_50": "norm",
}
IMAGE = torch.zeros(1, 3, 64, 64)


@pytest.fixture(autouse=True, scope="module")
def _cheap_init() -> Any:
    """Random weights need no careful distribution here, and drawing them takes longer than using them."""
    patch = pytest.MonkeyPatch()
    for name in ("trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "normal_", "xavier_uniform_"):
        patch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    yield
    patch.undo()


@pytest.mark.parametrize(("name", "layer"), TORCHVISION.items())
def test_torchvision(name: str, layer: str) -> None:
    arguments = {"init_weights": False} if name == "googlenet" else {}
    model = torchvision_models.get_model(name, weights=None, num_classes=3, **arguments)
    assert find_target_layer(model, IMAGE).name == layer


@pytest.mark.parametrize(("name", "layer"), TIMM.items())
def test_timm(name: str, layer: str) -> None:
    assert find_target_layer(timm.create_model(name, pretrained=False, num_classes=3), IMAGE).name == layer


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


def test_no_hook_and_no_mode_is_left_behind() -> None:
    model = _Reused()
    model.train()
    model.second.eval()
    find_target_layer(model, IMAGE)
    assert [part.training for part in model.modules()] == [True, True, False, True, True]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


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


@pytest.mark.parametrize("size", [(97, 64), (65, 130), (230, 331)])
def test_a_grid_has_the_sides_of_the_image(size: tuple[int, int]) -> None:
    net = torchvision_models.get_model("vgg11", weights=None)
    assert find_target_layer(net, torch.zeros(1, 3, *size)).name == "features.19"
