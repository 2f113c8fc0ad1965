"""A model by name or by hand, checked before an audit begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from camaudit.errors import CamauditError, ModelError
from camaudit.models import load_model, open_model
from camaudit.models.recipes import timm_recipe, torchvision_recipe
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ["doctor", "nurse"]
SMALL = Preprocessing(resize=64, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _net(outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs)
    )


def _saved(module: nn.Module, path: Path) -> Path:
    save_file(dict(module.state_dict()), path)
    return path


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = torchvision_models.get_model("squeezenet1_1", weights=None, num_classes=2)
    return _saved(module, tmp_path_factory.mktemp("weights") / "squeezenet.safetensors")


def test_a_torchvision_name_with_weights_and_their_recipe(squeezenet: Path) -> None:
    loaded = load_model("squeezenet1_1", weights=squeezenet, classes=CLASSES)
    assert loaded.name == "squeezenet1_1"
    assert loaded.target_layer == "classifier.2"
    assert loaded.config.source == "torchvision"
    assert not loaded.module.training
    assert loaded.preprocessing == Preprocessing(256, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    again = open_model(loaded.config)
    assert again.fingerprint() == loaded.fingerprint()
    assert again.preprocessing == loaded.preprocessing


def test_a_timm_name_is_found_by_itself_also_with_the_tag_of_its_weights(tmp_path: Path) -> None:
    weights = _saved(timm.create_model("lcnet_050", num_classes=2), tmp_path / "a.safetensors")
    for name in ("lcnet_050", "lcnet_050.ra2_in1k"):
        loaded = load_model(name, weights=weights, classes=CLASSES, preprocessing=SMALL)
        assert loaded.config.source == "timm"
        assert loaded.preprocessing == SMALL
        assert loaded.target_layer == "blocks"


def test_googlenet_is_loaded_with_and_without_its_auxiliary_heads(tmp_path: Path) -> None:
    module: Any = torchvision_models.get_model("googlenet", weights=None, num_classes=2, init_weights=False)
    for _ in range(2):
        weights = _saved(module, tmp_path / "googlenet.safetensors")
        loaded = load_model("googlenet", weights=weights, classes=CLASSES, preprocessing=SMALL)
        assert loaded.target_layer == "inception5b"
        module.aux1 = module.aux2 = None  # as torchvision's own weights come


def test_recipes_are_the_libraries_own() -> None:
    recipe = torchvision_recipe("efficientnet_b1")
    assert (recipe.resize, recipe.crop, recipe.interpolation) == (255, 240, "bilinear")
    cases = {"lcnet_050": (256, 224), "tf_efficientnet_lite0": (256, 224)}
    for name, (resize, crop) in cases.items():
        module = timm.create_model(name)
        recipe = timm_recipe(module)
        assert (recipe.resize, recipe.crop, recipe.interpolation) == (resize, crop, "bicubic")
        assert recipe.mean == tuple(module.pretrained_cfg["mean"])
        assert recipe.std == tuple(module.pretrained_cfg["std"])


@pytest.mark.parametrize(
    ("settings", "resize", "crop"),
    [
        ({"input_size": (3, 224, 224), "crop_pct": 0.9}, 248, 224),
        ({"input_size": (3, 128, 256), "crop_pct": 1.0}, (128, 256), (128, 256)),
        ({"input_size": (3, 384, 384), "crop_pct": 1.0, "crop_mode": "squash"}, (384, 384), 384),
    ],
)
def test_timm_recipes_of_other_shapes(settings: dict[str, Any], resize: object, crop: object) -> None:
    module = _net()
    module.pretrained_cfg = settings  # type: ignore[assignment]  # as timm attaches it
    recipe = timm_recipe(module)
    assert (recipe.resize, recipe.crop) == (resize, crop)


@pytest.mark.parametrize(
    ("name", "meant"), [("squeezenet11", "squeezenet1_1"), ("tf_efficientnet_lite", "tf_efficientnet_lite4")]
)
def test_an_unknown_name_gets_a_suggestion(squeezenet: Path, name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"There is no model '{name}'\. Did you mean .*{meant}"):
        load_model(name, weights=squeezenet, classes=CLASSES)


def test_a_name_without_weights_is_refused() -> None:
    with pytest.raises(CamauditError, match="Nothing is downloaded"):
        load_model("squeezenet1_1", classes=CLASSES)


@pytest.mark.parametrize("classes", [["doctor"], ["doctor", "doctor"]])
def test_classes_are_two_or_more_and_distinct(classes: list[str]) -> None:
    with pytest.raises(CamauditError, match="classes"):
        load_model(_net(), classes=classes, preprocessing=SMALL)


def test_a_module_of_ones_own() -> None:
    module = _net()
    module.train()
    module[1].eval()
    loaded = load_model(module, classes=CLASSES, preprocessing=SMALL)
    assert loaded.module is module
    assert (loaded.name, loaded.target_layer) == ("Sequential", "1")
    assert [part.training for part in module] == [True, False, True, True, True]
    with pytest.raises(ModelError, match="cannot be loaded again"):
        open_model(loaded.config)


def test_classes_that_do_not_fit_the_head_are_named() -> None:
    with pytest.raises(
        ModelError,
        match=r"The head of Sequential has 5 outputs but 2 classes are named \(doctor, nurse\)\. Name every",
    ):
        load_model(_net(5), classes=CLASSES, preprocessing=SMALL)


def test_a_module_needs_its_preprocessing() -> None:
    with pytest.raises(ModelError, match=r"preprocessing=camaudit\.Preprocessing"):
        load_model(_net(), classes=CLASSES)


def test_a_named_layer_must_exist() -> None:
    assert load_model(_net(), classes=CLASSES, preprocessing=SMALL, layer="0").target_layer == "0"
    with pytest.raises(ModelError, match="has no layer 'layer4'"):
        load_model(_net(), classes=CLASSES, preprocessing=SMALL, layer="layer4")


@pytest.mark.parametrize(
    ("layer", "words"),
    [("2", r"'2' returns \(1, 4, 1, 1\); a map needs"), ("4", r"'4' returns \(1, 2\); a map needs")],
)
def test_a_named_layer_must_be_a_grid(layer: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(_net(), classes=CLASSES, preprocessing=SMALL, layer=layer)


def test_swins_channels_are_last() -> None:
    net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=2, depths=(1, 1, 1, 1), embed_dim=24)
    recipe = Preprocessing(224, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert load_model(net, classes=CLASSES, preprocessing=recipe, layer="norm").target_layer == "norm"


@pytest.mark.parametrize("given", [{"weights": "x.safetensors"}, {"source": "timm"}])
def test_a_module_of_ones_own_has_its_weights(given: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="are for a model by name; this Sequential was handed over"):
        load_model(_net(), classes=CLASSES, preprocessing=SMALL, **given)


def test_an_input_that_the_model_does_not_take_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(), nn.Linear(30 * 30, 2))
    with pytest.raises(ModelError, match=r"does not take an input of 64x64: .*model\.preprocessing"):
        load_model(module, classes=CLASSES, preprocessing=SMALL)


def test_an_output_that_is_no_scores_is_named() -> None:
    with pytest.raises(ModelError, match=r"Sequential returns \(1, 4, 62, 62\); a classifier returns scores"):
        load_model(_net()[:2], classes=CLASSES, preprocessing=SMALL)


def test_the_fingerprint_follows_every_weight() -> None:
    module = _net()
    first = load_model(module, classes=CLASSES, preprocessing=SMALL).fingerprint()
    with torch.no_grad():
        module[4].bias[1] += 1e-6
    assert load_model(module, classes=CLASSES, preprocessing=SMALL).fingerprint() != first
