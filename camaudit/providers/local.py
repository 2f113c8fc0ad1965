"""Models of transformers from a folder on disk: nothing is fetched, and no code that a folder brings along is run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from camaudit.errors import MissingPartError, ModelError
from camaudit.models.huggingface import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def open_local(folder: Path, kinds: Mapping[str, str], *, what: str, processor: str) -> tuple[Any, Any]:
    """A model in evaluation mode and what prepares its input.

    Args:
        folder: with ``config.json``, weights and the processor's settings.
        kinds: the mappings of transformers that know such models, ``MODEL_FOR_..._MAPPING_NAMES``, to their auto classes.
        what: such models in words, for messages.
        processor: the auto class of the processor.

    Raises:
        MissingPartError: transformers is not installed.
        ModelError: the folder is incomplete, or holds another kind of model.
    """
    try:
        import transformers
        from transformers.models.auto import modeling_auto
    except ImportError:
        msg = (
            f"{what[0].upper()}{what[1:]} needs the package transformers, which is not installed. "
            "Install it: pip install 'camaudit[transformers]'"
        )
        raise MissingPartError(msg) from None
    kind = _kind(folder, what)
    known = {name: auto for name, auto in kinds.items() if kind in getattr(modeling_auto, name, {})}
    # classes that no auto class knows are named themselves
    direct = {name: auto for name, auto in kinds.items() if name == kind}
    auto = next(iter([*direct.values(), *known.values()]), None)
    if auto is None:
        msg = f"{folder / 'config.json'} describes a model of type {kind!r}, which is not {what}. Give a folder of one."
        raise ModelError(msg)
    with quiet(transformers):
        try:
            options = {"local_files_only": True, "trust_remote_code": False}
            prepared = getattr(transformers, processor).from_pretrained(str(folder), **options)
            model, report = getattr(transformers, auto).from_pretrained(
                str(folder), output_loading_info=True, **options
            )
        except Exception as error:  # noqa: BLE001 - a damaged folder fails in every way there is
            msg = f"{folder} cannot be loaded: {_first_line(error)}. Copy the whole folder again, with its processor's settings."
            raise ModelError(msg) from None
    lacking = sorted({*map(str, report["missing_keys"]), *(str(key) for key in report["mismatched_keys"])})
    if lacking:
        msg = (
            f"The weights in {folder} lack {len(lacking)} of what {type(model).__name__} has (such as {lacking[0]}). "
            "Copy the folder again."
        )
        raise ModelError(msg)
    return model.eval(), prepared


def _kind(folder: Path, what: str) -> str:
    path = folder / "config.json"
    if not path.is_file():
        msg = (
            f"{folder} is no folder with a config.json. Give the folder of {what}, as transformers saves it."
        )
        raise ModelError(msg)
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read: {error}. Copy the folder again."
        raise ModelError(msg) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")
