"""Architectures of torchvision and timm by name, with weights from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camaudit.errors import ModelError
from camaudit.models.fitting import fit_weights
from camaudit.models.opened import Opened, check_name
from camaudit.models.recipes import (
    check_repeats,
    timm_recipe,
    timm_transform,
    torchvision_recipe,
    torchvision_transform,
)
from camaudit.models.weights import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from camaudit.config import ModelConfig

# arguments by which a library would fetch or open weights, or make something else than a classifier
_FOREIGN = frozenset(
    (
        *(
            "cache_dir",
            "checkpoint_path",
            "features_only",
            "id2label",
            "num_classes",
            "num_labels",
            "pretrained",
        ),
        *(
            "pretrained_cfg",
            "pretrained_cfg_overlay",
            "progress",
            "use_pretrained_backbone",
            "weights",
            "weights_backbone",
        ),
    )
)


def open_torchvision(config: ModelConfig, weights: Path) -> Opened:
    """An architecture of torchvision, and the recipe of the weights that are named, or of its default ones."""
    from torchvision import models

    check_name(config.name, models.list_models(module=models))
    found = read_checkpoint(weights)
    arguments: dict[str, Any] = dict(config.arguments)
    if config.name in {"googlenet", "inception_v3"}:
        # the auxiliary heads serve training alone; torchvision's own weights leave them out
        has_heads = any(".aux" in f".{key.lower()}" for key in found.state)
        arguments = {"init_weights": False, "aux_logits": has_heads} | arguments
    module = built(
        config, lambda: models.get_model(config.name, weights=None, num_classes=config.outputs, **arguments)
    )
    notes = fit_weights(module, found.state, where=weights, classes=config.classes)
    recipe = None
    if config.preprocessing is None:
        recipe = torchvision_recipe(config.name, config.weights_recipe)
        transform = torchvision_transform(config.name, config.weights_recipe)
        check_repeats(recipe, transform, of=f"torchvision's {config.name}")
    named = (config.weights_recipe or "its default weights").rpartition(".")[2]
    return Opened(
        module, tuple(config.classes), recipe, f"torchvision, {config.name}, {named}", (*found.notes, *notes)
    )


def open_timm(config: ModelConfig, weights: Path) -> Opened:
    """An architecture of timm, and the recipe of the tag in its name, of the one that is named, or of its default."""
    import timm

    architecture, _, tag = config.name.partition(".")
    check_name(architecture, timm.list_models())
    tag = config.weights_recipe or tag
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        msg = f"timm has no weights {tag!r} of {architecture}; it has {', '.join(tags) or 'none'}. Correct the name, or leave the tag out."
        raise ModelError(msg)
    found = read_checkpoint(weights)
    name = f"{architecture}.{tag}" if tag else architecture
    arguments: dict[str, Any] = dict(config.arguments)
    module = built(
        config, lambda: timm.create_model(name, pretrained=False, num_classes=config.outputs, **arguments)
    )
    notes = fit_weights(module, found.state, where=weights, classes=config.classes)
    recipe = None
    if config.preprocessing is None:
        recipe = timm_recipe(module)
        check_repeats(recipe, timm_transform(module), of=f"timm's {name}")
    of = f"timm, {name}" + ("" if tag else ", its default weights")
    return Opened(module, tuple(config.classes), recipe, of, (*found.notes, *notes))


def built(config: ModelConfig, make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose making took the configuration's arguments.

    Raises:
        ModelError: it did not take them, or they would fetch or open other weights.
    """
    foreign = sorted(_FOREIGN & config.arguments.keys())
    if foreign:
        msg = (
            f"model.arguments names {', '.join(foreign)}. Weights come from model.weights alone, and the number of outputs from "
            "model.classes. Leave it out."
        )
        raise ModelError(msg)
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - a library's architectures fail in every way there is
        given = ", ".join(f"{key}={value!r}" for key, value in config.arguments.items()) or "no arguments"
        msg = f"{config.name} cannot be made with {given}: {error}. Correct model.arguments."
        raise ModelError(msg) from None
