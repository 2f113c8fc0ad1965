"""A resolved recipe gives what the library's own transform gives, on photographs; one that cannot be repeated is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn
from torchvision import models as torchvision_models

from camaudit.data import Frame
from camaudit.errors import ModelError
from camaudit.models.load import LoadedModel
from camaudit.models.recipes import (
    check_repeats,
    processor_recipe,
    processor_transform,
    repeats,
    timm_recipe,
    timm_transform,
    torchvision_recipe,
    torchvision_transform,
)

# of values in [0, 1]: transformers resizes tensors, Pillow rounds to 8 bits in between
ROUNDING = 1 / 255


def photographs() -> list[Image.Image]:
    """Two photographs of 640 x 427, and parts of them that are square and tall."""
    wide = [Image.fromarray(picture) for picture in load_sample_images().images]
    return [*wide, wide[0].crop((100, 20, 501, 421)), wide[1].crop((40, 0, 301, 427))]


def ours(picture: Image.Image, recipe: Any) -> torch.Tensor:
    """What an audit gives the model."""
    preprocessing = recipe.value()
    frame = Frame.of((picture.height, picture.width), preprocessing).image(picture)
    model = LoadedModel(nn.Identity(), (), preprocessing, "", SimpleNamespace())  # type: ignore[arg-type]
    return model.inputs(torch.from_numpy(frame.copy())[None])[0]


def difference(picture: Image.Image, recipe: Any, theirs: torch.Tensor) -> float:
    """Mean absolute difference of values in [0, 1]; libraries round half a pixel of a crop one way or the other."""
    found = ours(picture, recipe)
    assert found.shape == theirs.shape
    scale = torch.tensor(recipe.std)[:, None, None]
    apart = [
        ((torch.roll(found, (y, x), (1, 2)) - theirs) * scale)[:, 1:-1, 1:-1].abs().mean().item()
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    ]
    return min(apart)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet50", "IMAGENET1K_V1"),
        ("resnet50", "IMAGENET1K_V2"),
        ("efficientnet_b3", None),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"),
        ("inception_v3", None),
        ("swin_v2_t", None),
    ],
)
def test_torchvision(name: str, weights: str | None) -> None:
    recipe, transform = torchvision_recipe(name, weights), torchvision_transform(name, weights)
    for picture in photographs():
        assert difference(picture, recipe, transform(picture)) < 1e-6


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.a1_in1k",
        "resnet50.tv_in1k",
        "tf_efficientnet_lite0.in1k",
        "convnext_tiny.fb_in22k_ft_in1k_384",
        "vit_base_patch16_clip_224.openai",
        "beit_base_patch16_384.in22k_ft_in22k_in1k",
    ],
)
def test_timm(name: str) -> None:
    module: Any = SimpleNamespace(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
    recipe, transform = timm_recipe(module), timm_transform(module)
    for picture in photographs():
        assert difference(picture, recipe, transform(picture)) < 1e-6


PROCESSORS: dict[str, tuple[str, dict[str, Any], object, object]] = {
    "ViT": ("ViTImageProcessor", {}, (224, 224), None),
    "CLIP": ("CLIPImageProcessor", {}, 224, 224),
    "ConvNeXt at 224": (
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 224}, "crop_pct": 0.875},
        256,
        224,
    ),
    "ConvNeXt at 384": ("ConvNextImageProcessor", {}, (384, 384), None),
    "DeiT": ("DeiTImageProcessor", {}, (256, 256), 224),
    "DINOv2": ("BitImageProcessor", {"size": {"shortest_edge": 256}}, 256, 224),
    "LeViT": ("LevitImageProcessor", {}, 256, 224),
    "PoolFormer": ("PoolFormerImageProcessor", {}, 248, 224),
    "EfficientNet": (
        "EfficientNetImageProcessor",
        {"rescale_factor": 1 / 127.5, "rescale_offset": True},
        (346, 346),
        None,
    ),
    "nearest": ("ViTImageProcessor", {"resample": 0}, (224, 224), None),
    "not normalised": ("ViTImageProcessor", {"do_normalize": False}, (224, 224), None),
    "not rescaled": (
        "ViTImageProcessor",
        {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3},
        (224, 224),
        None,
    ),
}


@pytest.mark.parametrize("which", PROCESSORS)
def test_processors_of_transformers(which: str) -> None:
    import transformers

    kind, settings, resize, crop = PROCESSORS[which]
    processor = getattr(transformers, kind)(**settings)
    recipe = processor_recipe(processor)
    assert recipe is not None
    assert (recipe.resize, recipe.crop) == (resize, crop)
    transform = processor_transform(processor)
    for picture in photographs():
        # which pixel is the nearest, tensors and Pillow round differently
        tolerance = 2 * ROUNDING if which == "nearest" else ROUNDING
        assert difference(picture, recipe, transform(picture)) < tolerance


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("MobileViTImageProcessor", {}),  # blue comes first
        ("PerceiverImageProcessor", {}),  # crops before it resizes
        ("ViTImageProcessor", {"do_pad": True, "pad_size": {"height": 300, "width": 300}}),
    ],
)
def test_a_processor_that_does_more_is_not_approximated(kind: str, settings: dict[str, Any]) -> None:
    import transformers

    assert processor_recipe(getattr(transformers, kind)(**settings)) is None


def test_timms_borders_are_refused() -> None:
    config = {"input_size": (3, 64, 64), "crop_mode": "border", "crop_pct": 1.0}
    module: Any = SimpleNamespace(pretrained_cfg=config)
    with pytest.raises(
        ModelError, match=r"The preprocessing of timm's deep cannot be repeated.*model\.preprocessing"
    ):
        check_repeats(timm_recipe(module), timm_transform(module), of="timm's deep")


def test_a_recipe_that_is_off_by_one_pixel_or_by_its_filter_is_told_apart() -> None:
    recipe, transform = torchvision_recipe("resnet50", "IMAGENET1K_V2"), torchvision_transform("resnet50")
    assert repeats(recipe, transform)
    for change in (
        {"resize": 233},
        {"resize": (232, 232)},
        {"crop": 223},
        {"interpolation": "bicubic"},
        {"interpolation": "nearest"},
        {"mean": (0.5, 0.5, 0.5)},
        {"std": (0.5, 0.5, 0.5)},
    ):
        assert not repeats(recipe.model_copy(update=change), transform), change


def test_every_recipe_of_torchvision_has_its_own_numbers() -> None:
    for name in ("resnet18", "mobilenet_v3_large", "vit_b_32"):
        for weights in torchvision_models.get_model_weights(name):
            recipe = torchvision_recipe(name, weights.name)
            preset = weights.transforms()
            assert recipe.resize == preset.resize_size[0]
            assert np.allclose(recipe.mean, preset.mean)
