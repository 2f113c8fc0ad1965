"""A model with everything the audit needs to know of it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from camaudit.config import ModelConfig, PreprocessingConfig, parse_section
from camaudit.errors import ModelError
from camaudit.models.layers import evaluating, find_target_layer, target_layer
from camaudit.models.opened import EVERYTHING, Opened, check_name
from camaudit.models.outputs import class_scores, output_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.config.model import Source, Task
    from camaudit.models.opened import Gives
    from camaudit.types import Preprocessing


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be audited.

    Attributes:
        module: the network; takes (batch, 3, height, width), returns scores before softmax (batch, outputs), or a tuple,
            mapping or dataclass that holds them.
        classes: names in the order of the scores.
        preprocessing: how an image becomes its input.
        target_layer: name of the module that maps are made at; empty where its layers cannot be hooked.
        config: how a configuration names this model.
        gives: what can be asked of it.
        preprocessing_of: where the preprocessing was found.
        notes: what was understood of its weights, one phrase each.
    """

    module: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    target_layer: str
    config: ModelConfig
    gives: frozenset[Gives] = EVERYTHING
    preprocessing_of: str = "the configuration"
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The architecture's name, the module's class, or the name of the weights."""
        return self.config.name or (self.config.weights or Path("model")).stem

    @property
    def task(self) -> Task:
        """What the outputs mean."""
        return self.config.task

    def inputs(self, images: torch.Tensor) -> torch.Tensor:
        """Images in the model's frame as the module takes them.

        Args:
            images: (batch, height, width, 3) uint8, on the module's device.

        Returns:
            (batch, 3, height, width), normalised, of the type of the module's parameters.
        """
        recipe = self.preprocessing
        mean = torch.tensor(recipe.mean, device=images.device)[:, None, None]
        std = torch.tensor(recipe.std, device=images.device)[:, None, None]
        pixels = images.permute(0, 3, 1, 2).float() / 255
        return ((pixels - mean) / std).to(next(self.module.parameters(), pixels).dtype)

    def scores(self, output: object) -> torch.Tensor:
        """One score a class, (batch, classes), of what the module returned; see `camaudit.models.outputs`."""
        return class_scores(output_scores(output, self.name), self.task)

    def fingerprint(self) -> str:
        """sha256 of the weights, their names and shapes; of a program also of its file."""
        digest = hashlib.sha256()
        for key, value in self.module.state_dict().items():
            digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        if self.config.source in {"torchscript", "export"} and self.config.weights is not None:
            digest.update(self.config.weights.read_bytes())  # a frozen program keeps its weights as constants
        return digest.hexdigest()


def load_model(
    model: str | nn.Module | Path,
    *,
    classes: Sequence[str] = (),
    weights: str | Path | None = None,
    source: Source | None = None,
    weights_recipe: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    task: Task = "multiclass",
    preprocessing: Preprocessing | None = None,
    layer: str = "auto",
    expect_accuracy: float | None = None,
    trust_code: bool = False,
) -> LoadedModel:
    """Make a model ready for an audit. Nothing is downloaded; code runs only where `trust_code` says so.

    Args:
        model: a torchvision, timm or transformers name; a factory ``package.module:function``; or a network of your own.
        classes: class names in the order of the head's outputs; of binary first what a score below zero means; of
            regression the names of the outputs. May be left out of a transformers folder that names them.
        weights: safetensors, a state dict or a checkpoint; a folder of transformers; a program. Needed for all but a
            factory; refused for a network.
        source: ``torchvision``, ``timm``, ``transformers``, ``torchscript``, ``export`` or ``python``; torchvision and timm are found
            by the name where left out. Refused for a network.
        weights_recipe: whose preprocessing is taken, such as ``IMAGENET1K_V2``.
        arguments: of the architecture or the factory.
        task: what the outputs mean: ``multiclass``, ``binary``, ``multilabel`` or ``regression``.
        preprocessing: how an image becomes the input; the recipe of the named weights where left out.
        layer: name of the target layer, or ``auto``.
        expect_accuracy: share of the audited samples the model should get right.
        trust_code: open programs (TorchScript, torch.export) and call a factory; each can do on this machine what you can.

    Raises:
        ModelError: the name is unknown, the weights do not fit, the head does not fit the classes, the program is not
            trusted, or no map can be made at the layer.
        MissingPartError: a package that the source needs is not installed.
    """
    common: dict[str, Any] = {
        "classes": list(classes),
        "preprocessing": _as_config(preprocessing),
        "target_layer": layer,
        "task": task,
        "expect_accuracy": expect_accuracy,
    }
    if not isinstance(model, nn.Module):
        named: dict[str, Any] = common | {
            "source": source or _source_of(str(model)),
            "name": str(model),
            "weights": weights,
            "weights_recipe": weights_recipe,
            "arguments": dict(arguments or {}),
        }
        config = parse_section(ModelConfig, named, where="camaudit.load_model")
        return open_model(config, trust_code=trust_code)
    if any(given is not None for given in (weights, source, weights_recipe, arguments)):
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
    values = common | {"source": "module", "name": type(model).__name__}
    config = parse_section(ModelConfig, values, where="camaudit.load_model")
    return _checked(Opened(model, tuple(config.classes), None, ""), config)


def open_model(config: ModelConfig, *, trust_code: bool = False) -> LoadedModel:
    """The model of a configuration; see `load_model`."""
    if config.source == "module":
        msg = f"The model {config.name} was handed over in Python and cannot be loaded again; hand it over anew."
        raise ModelError(msg)
    opened = _opened(config, trust_code=trust_code)
    opened.module.eval()
    return _checked(opened, config)


def _opened(config: ModelConfig, *, trust_code: bool) -> Opened:
    from camaudit.models import architectures, huggingface, programs

    programs.check_trusted(config, trust_code=trust_code)
    if config.source == "python":
        return programs.open_python(config)
    if config.weights is None:  # the configuration has checked it
        msg = f"{config.name} needs the path of its weights."
        raise ModelError(msg)
    match config.source:
        case "timm":
            return architectures.open_timm(config, config.weights)
        case "transformers":
            return huggingface.open_transformers(config, config.weights)
        case "torchscript":
            return programs.open_torchscript(config, config.weights)
        case "export":
            return programs.open_export(config, config.weights)
        case _:
            return architectures.open_torchvision(config, config.weights)


def _checked(opened: Opened, config: ModelConfig) -> LoadedModel:
    """The model, tried on an input and made complete."""
    recipe = config.preprocessing or opened.recipe
    if recipe is None:
        msg = (
            f"How an image becomes the input of {_named(config)} is not known: {opened.recipe_of}. Give model.preprocessing: "
            "{resize, crop, mean, std}."
        )
        raise ModelError(msg)
    preprocessing, module = recipe.value(), opened.module
    crop = preprocessing.crop or preprocessing.resize or 224
    side = (crop, crop) if isinstance(crop, int) else crop
    parameter = next(module.parameters(), torch.zeros(()))
    example = torch.zeros(1, 3, *side, device=parameter.device, dtype=parameter.dtype)
    _check_head(_try(module, example, config), opened.classes, config)
    if config.source in {"torchscript", "export"}:
        _check_program(module, example, config)
    layer, scores = "", partial(output_scores, name=_named(config))
    if "hooks" in opened.gives:
        layer = config.target_layer
        if layer == "auto":
            layer = find_target_layer(module, example, score=scores).name
        else:
            target_layer(module, layer, example, score=scores)
    elif config.target_layer not in {"auto", ""}:
        msg = f"The layers of {_named(config)} cannot be looked into: it is a TorchScript program. Leave model.target_layer out."
        raise ModelError(msg)
    complete = config.model_copy(update={"preprocessing": recipe, "classes": list(opened.classes)})
    of = "the configuration" if config.preprocessing else opened.recipe_of
    return LoadedModel(module, opened.classes, preprocessing, layer, complete, opened.gives, of, opened.notes)


def _try(module: nn.Module, example: torch.Tensor, config: ModelConfig) -> torch.Tensor:
    """The scores of an input, (batch, outputs)."""
    height, width = example.shape[-2:]
    try:
        with evaluating(module), torch.inference_mode():
            output = module(example)
    except Exception as error:  # noqa: BLE001 - somebody else's network fails in every way there is
        lines = [line for line in str(error).splitlines() if line.strip()]
        # what a TorchScript program raises ends with the reason
        reason = (
            (lines[-1] if config.source == "torchscript" else str(error)) if lines else type(error).__name__
        )
        msg = f"{_named(config)} does not take an input of {width}x{height}: {reason}. Correct model.preprocessing."
        raise ModelError(msg) from None
    return output_scores(output, _named(config))


def _check_head(scores: torch.Tensor, classes: Sequence[str], config: ModelConfig) -> None:
    wanted = 1 if config.task == "binary" else len(classes)
    if scores.shape[1] == wanted:
        return
    hint = "Name every class, in the order of the outputs."
    if config.task == "binary":
        hint = "binary is for a single output; of two outputs the task is multiclass."
    elif scores.shape[1] == 1 and len(classes) == 2:
        hint = "If its one output tells two classes apart, set model.task: binary."
    msg = (
        f"The head of {_named(config)} has {scores.shape[1]} outputs but {len(classes)} classes are named "
        f"({', '.join(classes[:6])}{', ...' if len(classes) > 6 else ''}). {hint}"
    )
    raise ModelError(msg)


def _check_program(module: nn.Module, example: torch.Tensor, config: ModelConfig) -> None:
    """A program takes batches of any size, and a sample's scores depend on that sample alone.

    Raises:
        ModelError: it was exported for one batch size, or in training mode.
    """
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(3, *example.shape[1:], generator=generator).to(example)
    try:
        with evaluating(module), torch.inference_mode():
            together = output_scores(module(pictures), _named(config))
            alone = output_scores(module(pictures[:1]), _named(config))
    except Exception as error:  # noqa: BLE001 - a program fails in every way there is
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        msg = (
            f"{_named(config)} does not take batches of any size: {lines[-1].strip()}. Export it with a dynamic first dimension: "
            "dynamic_shapes={...: {0: torch.export.Dim('batch')}}."
        )
        raise ModelError(msg) from None
    if not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-3 * float(together.abs().max() + 1e-6)):
        msg = (
            f"{_named(config)} gives an image other scores in a batch than alone: it was saved in training mode. "
            "Call model.eval() before it is exported."
        )
        raise ModelError(msg)


def _named(config: ModelConfig) -> str:
    return config.name or str(config.weights)


def _source_of(name: str) -> str:
    import timm
    from torchvision import models

    ours = models.list_models(module=models)
    if name in ours:
        return "torchvision"
    check_name(name.partition(".")[0], [*ours, *timm.list_models()])
    return "timm"


def _as_config(preprocessing: Preprocessing | None) -> PreprocessingConfig | None:
    if preprocessing is None:
        return None
    return parse_section(PreprocessingConfig, asdict(preprocessing), where="camaudit.Preprocessing")
