"""A model with everything the audit needs to know of it."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from camaudit.config import ModelConfig, PreprocessingConfig, parse_section
from camaudit.errors import ModelError
from camaudit.models.layers import evaluating, find_target_layer, target_layer
from camaudit.models.recipes import timm_recipe, torchvision_recipe
from camaudit.models.weights import fit_weights, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from camaudit.types import Preprocessing


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be audited.

    Attributes:
        module: the network; takes (batch, 3, height, width), returns scores before softmax (batch, classes).
        classes: names in the order of the head's outputs.
        preprocessing: how an image becomes its input.
        target_layer: name of the module that maps are made at.
        config: how a configuration names this model.
    """

    module: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    target_layer: str
    config: ModelConfig

    @property
    def name(self) -> str:
        """The architecture's name, or the module's class."""
        return self.config.name

    def fingerprint(self) -> str:
        """sha256 of the weights, their names and shapes."""
        digest = hashlib.sha256()
        for key, value in self.module.state_dict().items():
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def load_model(
    model: str | nn.Module,
    *,
    classes: Sequence[str],
    weights: str | Path | None = None,
    source: str | None = None,
    preprocessing: Preprocessing | None = None,
    layer: str = "auto",
) -> LoadedModel:
    """Make a model ready for an audit. Nothing is downloaded and nothing in a weights file is executed.

    Args:
        model: a torchvision or timm name, or a network of your own.
        classes: class names in the order of the head's outputs.
        weights: safetensors file or state dict; needed for a name, refused for a network.
        source: ``torchvision`` or ``timm``; found by the name where left out, refused for a network.
        preprocessing: how an image becomes the input; the recipe of the named weights where left out.
        layer: name of the target layer, or ``auto``.

    Raises:
        ModelError: the name is unknown, the weights do not fit, the head does not fit the classes, or no map can be made
            at the layer.
    """
    if isinstance(model, str):
        values = {
            "source": source or _source_of(model),
            "name": model,
            "weights": weights,
            "classes": list(classes),
            "preprocessing": _as_config(preprocessing),
            "target_layer": layer,
        }
        return open_model(parse_section(ModelConfig, values, where="camaudit.load_model"))
    if weights is not None or source is not None:
        msg = (
            f"weights and source are for a model by name; this {type(model).__name__} was handed over as it is. "
            "Load its weights yourself (load_state_dict) and leave both out."
        )
        raise ModelError(msg)
    if preprocessing is None:
        msg = (
            f"How an image becomes the input of this {type(model).__name__} is not known. "
            "Give preprocessing=camaudit.Preprocessing(resize, crop, mean, std)."
        )
        raise ModelError(msg)
    values = {
        "source": "module",
        "name": type(model).__name__,
        "classes": list(classes),
        "preprocessing": _as_config(preprocessing),
        "target_layer": layer,
    }
    config = parse_section(ModelConfig, values, where="camaudit.load_model")
    return _checked(model, config, preprocessing)


def open_model(config: ModelConfig) -> LoadedModel:
    """The model of a configuration; see `load_model`."""
    if config.source == "module":
        msg = f"The model {config.name} was handed over in Python and cannot be loaded again; hand it over anew."
        raise ModelError(msg)
    if config.weights is None:  # the configuration has checked it
        msg = f"{config.name} needs the path of its weights."
        raise ModelError(msg)
    state = read_weights(config.weights)
    recipe: PreprocessingConfig
    if config.source == "timm":
        import timm

        _check_name(config.name.partition(".")[0], timm.list_models())  # after the dot: which weights
        module = timm.create_model(config.name, pretrained=False, num_classes=len(config.classes))
        recipe = timm_recipe(module)
    else:
        from torchvision import models

        _check_name(config.name, models.list_models(module=models))
        arguments = {}
        if config.name in {"googlenet", "inception_v3"}:
            # the auxiliary heads serve training alone; torchvision's own weights leave them out
            has_heads = any(key.lower().startswith("aux") for key in state)
            arguments = {"init_weights": False, "aux_logits": has_heads}
        module = models.get_model(config.name, weights=None, num_classes=len(config.classes), **arguments)
        recipe = torchvision_recipe(config.name)
    fit_weights(module, state, where=config.weights, classes=config.classes)
    chosen = config.preprocessing or recipe
    return _checked(module.eval(), config.model_copy(update={"preprocessing": chosen}), chosen.value())


def _checked(module: nn.Module, config: ModelConfig, preprocessing: Preprocessing) -> LoadedModel:
    crop = preprocessing.crop or preprocessing.resize or 224
    side = (crop, crop) if isinstance(crop, int) else crop
    parameter = next(module.parameters(), torch.zeros(()))
    example = torch.zeros(1, 3, *side, device=parameter.device, dtype=parameter.dtype)
    try:
        with evaluating(module), torch.inference_mode():
            scores = module(example)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        msg = f"{config.name} does not take an input of {side[1]}x{side[0]}: {error}. Correct model.preprocessing."
        raise ModelError(msg) from None
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        got = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        msg = f"{config.name} returns {got}; a classifier returns scores of shape (batch, classes)."
        raise ModelError(msg)
    if scores.shape[1] != len(config.classes):
        msg = (
            f"The head of {config.name} has {scores.shape[1]} outputs but {len(config.classes)} classes are named "
            f"({', '.join(config.classes[:6])}{', ...' if len(config.classes) > 6 else ''}). "
            "Name every class, in the order of the outputs."
        )
        raise ModelError(msg)
    if config.target_layer == "auto":
        layer = find_target_layer(module, example).name
    else:
        layer = config.target_layer
        target_layer(module, layer, example)
    return LoadedModel(module, tuple(config.classes), preprocessing, layer, config)


def _source_of(name: str) -> str:
    import timm
    from torchvision import models

    ours = models.list_models(module=models)
    if name in ours:
        return "torchvision"
    _check_name(name.partition(".")[0], [*ours, *timm.list_models()])
    return "timm"


def _check_name(name: str, known: list[str]) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "See the library's list of models."
        msg = f"There is no model {name!r}. {hint}"
        raise ModelError(msg)


def _as_config(preprocessing: Preprocessing | None) -> PreprocessingConfig | None:
    if preprocessing is None:
        return None
    return parse_section(PreprocessingConfig, asdict(preprocessing), where="camaudit.Preprocessing")
