"""The preprocessing that published weights were trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camaudit.config import PreprocessingConfig

if TYPE_CHECKING:
    from torch import nn


def torchvision_recipe(name: str) -> PreprocessingConfig:
    """The recipe of torchvision's default weights of that architecture."""
    from torchvision import models

    recipe: Any = models.get_model_weights(name).DEFAULT.transforms()
    return PreprocessingConfig(
        resize=_one(recipe.resize_size),
        crop=_one(recipe.crop_size),
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
        interpolation=recipe.interpolation.value,
    )


def timm_recipe(module: nn.Module) -> PreprocessingConfig:
    """The recipe of timm's weights of that architecture."""
    from timm.data import config as timm_config

    recipe: Any = timm_config.resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    _, height, width = recipe["input_size"]
    ratio = recipe["crop_pct"]
    sides = (int(height / ratio), int(width / ratio))
    squashed = height != width or recipe["crop_mode"] == "squash"
    return PreprocessingConfig(
        resize=sides if squashed else sides[0],
        crop=height if height == width else (height, width),
        mean=recipe["mean"],
        std=recipe["std"],
        interpolation="bilinear" if recipe["interpolation"] == "bilinear" else "bicubic",
    )


def _one(sides: list[int]) -> int | tuple[int, int]:
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])
