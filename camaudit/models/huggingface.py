"""Image classifiers of transformers, from a folder on disk or by the name of an architecture. Nothing is fetched."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from camaudit.errors import MissingPartError, ModelError
from camaudit.models.architectures import built
from camaudit.models.fitting import fit_weights
from camaudit.models.opened import Opened, check_name
from camaudit.models.recipes import processor_recipe
from camaudit.models.weights import read_checkpoint, weights_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from camaudit.config import ModelConfig, PreprocessingConfig

_PROCESSOR = "preprocessor_config.json"


def open_transformers(config: ModelConfig, weights: Path) -> Opened:
    """An image classifier of transformers.

    ``weights`` is a folder with ``config.json`` and weights, or the weights file in it. Where there is no ``config.json``,
    ``name`` is an architecture (``resnet`` or ``ResNetForImageClassification``) and ``arguments`` are its settings. Code that
    a folder brings along is never run.

    Raises:
        MissingPartError: transformers is not installed.
        ModelError: the folder is incomplete or its parts do not fit each other.
    """
    try:
        import transformers
    except ImportError:
        msg = (
            "A model of source: transformers needs the package transformers, which is not installed. "
            "Install it: pip install 'camaudit[transformers]'"
        )
        raise MissingPartError(msg) from None
    folder = weights if weights.is_dir() else weights.parent
    with quiet(transformers):
        if (folder / "config.json").is_file():
            settings = _settings(folder, transformers)
            classes = _classes(config, settings, folder)
            module, notes = _from_folder(config, settings, weights, classes, transformers)
        else:
            settings, classes = _by_name(config, folder, transformers), tuple(config.classes)
            module, notes = _by_hand(config, settings, weights, classes, transformers)
        recipe, of = None, f"{folder} has no {_PROCESSOR}"
        if config.preprocessing is None and (folder / _PROCESSOR).is_file():
            recipe, of = _recipe(folder, transformers), f"transformers, {folder / _PROCESSOR}"
    return Opened(module, classes, recipe, of, notes)


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """No network, no progress bars and no reports on standard error while a model is opened."""
    from huggingface_hub import constants

    logging, offline = transformers.utils.logging, constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True  # a config.json can name a timm architecture of the hub
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _known() -> dict[str, tuple[str, ...]]:
    """Names of the classes that classify images, by the model type in config.json."""
    from transformers.models.auto import modeling_auto

    known = modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    return {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in known.items()}


def _settings(folder: Path, transformers: Any) -> Any:
    path = folder / "config.json"
    try:
        written: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} cannot be read: {error}. Copy the folder again."
        raise ModelError(msg) from None
    kind = written.get("model_type")
    if kind not in _known():
        own = " The folder brings code of its own, which is never run." if written.get("auto_map") else ""
        msg = (
            f"{path} describes a model of type {kind!r}, which is no image classifier of transformers "
            f"{transformers.__version__}.{own} Give a folder of a ...ForImageClassification, or use source: python."
        )
        raise ModelError(msg)
    try:
        return transformers.AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - settings are somebody else's and fail in every way there is
        msg = f"{path} cannot be used: {_first_line(error)}. Copy the folder again."
        raise ModelError(msg) from None


def _classes(config: ModelConfig, settings: Any, folder: Path) -> tuple[str, ...]:
    """The classes in the order of the head; those of config.json where none are named.

    Raises:
        ModelError: config.json has the same names in another order, or none.
    """
    listed = [str(name) for _, name in sorted(dict(settings.id2label or {}).items())]
    unnamed = all(name == f"LABEL_{index}" for index, name in enumerate(listed))
    if config.classes:
        if not unnamed and sorted(listed) == sorted(config.classes) and listed != config.classes:
            msg = (
                f"{folder / 'config.json'} has the classes in the order {', '.join(listed[:6])}, and model.classes in the order "
                f"{', '.join(config.classes[:6])}. Take its order, or leave model.classes out."
            )
            raise ModelError(msg)
        return tuple(config.classes)
    if unnamed or config.task == "binary":
        msg = f"{folder / 'config.json'} does not name the classes. Name them in model.classes, in the order of the outputs."
        raise ModelError(msg)
    return tuple(listed)


def _from_folder(
    config: ModelConfig, settings: Any, weights: Path, classes: tuple[str, ...], transformers: Any
) -> tuple[nn.Module, tuple[str, ...]]:
    folder = weights if weights.is_dir() else weights.parent
    own = settings.num_labels
    wanted = 1 if config.task == "binary" else len(classes)
    if own != wanted:
        msg = (
            f"{folder} has a head of {own} outputs (config.json) but model.classes names {len(classes)}: "
            f"{', '.join(classes[:6])}. Name every class, in the order of the outputs."
        )
        raise ModelError(msg)
    if weights_file(folder) == folder or (weights.is_file() and weights != weights_file(folder)):
        return _by_hand(config, settings, weights, classes, transformers)
    read_checkpoint(weights_file(folder))  # says what is wrong with it in its own words
    try:
        # transformers renames what older versions of an architecture called otherwise
        module, report = _class_of(settings, transformers).from_pretrained(
            str(folder),
            config=settings,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
            attn_implementation="eager",  # the only one that gives attention weights
        )
    except Exception as error:  # noqa: BLE001 - a damaged folder fails in every way there is
        msg = f"{folder} cannot be loaded: {_first_line(error)}. Copy the folder again."
        raise ModelError(msg) from None
    wrong = [
        f"{len(names)} {what} (such as {min(map(str, names))})"
        for names, what in (
            (report["missing_keys"], "missing"),
            (report["unexpected_keys"], "unknown"),
            (report["mismatched_keys"], "of another shape"),
        )
        if names
    ]
    if wrong:
        msg = f"{weights_file(folder)} does not fit {type(module).__name__} of config.json: {', '.join(wrong)}. Copy the folder again."
        raise ModelError(msg)
    return module, ()


def _by_name(config: ModelConfig, folder: Path, transformers: Any) -> Any:
    if not config.name:
        msg = f"{folder} has no config.json. Give a folder that has one, or the architecture in model.name and its settings in model.arguments."
        raise ModelError(msg)
    if not config.classes:
        msg = f"{folder} has no config.json that names the classes. Name them in model.classes."
        raise ModelError(msg)
    known = _known()
    kinds = {name: kind for kind, names in known.items() for name in names}
    check_name(config.name, [*known, *kinds], "image classifier of transformers")
    kind = kinds.get(config.name, config.name)
    made: list[Any] = []

    def make() -> nn.Module:
        settings = transformers.AutoConfig.for_model(kind, **config.arguments)
        settings.num_labels = config.outputs
        settings.architectures = [config.name if config.name in kinds else known[kind][0]]
        made.append(settings)
        return torch.nn.Identity()

    built(config, make)
    return made[0]


def _by_hand(
    config: ModelConfig, settings: Any, weights: Path, classes: tuple[str, ...], transformers: Any
) -> tuple[nn.Module, tuple[str, ...]]:
    found = read_checkpoint(weights)
    settings._attn_implementation = "eager"  # noqa: SLF001 - the only way that takes every version
    module = built(config, lambda: _class_of(settings, transformers)(settings))
    return module, (*found.notes, *fit_weights(module, found.state, where=weights, classes=classes))


def _class_of(settings: Any, transformers: Any) -> Any:
    names = _known()[settings.model_type]
    wanted = [name for name in settings.architectures or () if name in names]
    return getattr(transformers, (wanted or names)[0])


def _recipe(folder: Path, transformers: Any) -> PreprocessingConfig:
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - settings are somebody else's and fail in every way there is
        msg = f"{folder / _PROCESSOR} cannot be used: {_first_line(error)}. Give model.preprocessing."
        raise ModelError(msg) from None
    recipe = processor_recipe(processor)
    if recipe is None:
        msg = (
            f"What {type(processor).__name__} does by {folder / _PROCESSOR} cannot be repeated: it is more than resize, crop in "
            "the centre and normalise (such as padding, or another order of channels). Give model.preprocessing."
        )
        raise ModelError(msg)
    return recipe


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
