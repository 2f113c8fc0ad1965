"""Single images through a model: their scores, their maps, and pictures of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from camaudit.config import load_config, parse_target
from camaudit.data import Frame, open_image
from camaudit.errors import RunError
from camaudit.explain import explain
from camaudit.models import find_target_layer, open_model
from camaudit.models.layers import candidate_layers
from camaudit.models.untrained import untrained
from camaudit.report.drawing import overlay
from camaudit.runs.device import full_precision
from camaudit.runs.fit import find_device
from camaudit.runs.targets import OfAudit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.config import AuditConfig
    from camaudit.models import LoadedModel
    from camaudit.models.layers import TargetLayer
    from camaudit.types import OutputTarget


@dataclass(frozen=True)
class ExplainedImage:
    """What was written of one image.

    Attributes:
        image: its path.
        scores: by class, before the softmax.
        overlays: the picture of each map, by (method, target).
        maps: the file of raw maps, NumPy's .npz with one array METHOD|TARGET each.
    """

    image: Path
    scores: Mapping[str, float]
    overlays: Mapping[tuple[str, str], Path]
    maps: Path


def explain_config(
    config: AuditConfig,
    images: Sequence[Path],
    out: Path,
    *,
    methods: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    device: str = "auto",
    trust_code: bool = False,
) -> list[ExplainedImage]:
    """Explain images by the model of an audit's configuration; see `explain_images`.

    Args:
        config: the audit's.
        images: paths.
        out: folder for what is written.
        methods: ids; the audit's where left out.
        targets: by name; ``predicted`` where left out.
        device: by name.
        trust_code: see `camaudit.models.load_model`.
    """
    try:
        wanted = [parse_target(target) for target in targets or ["predicted"]]
    except ValueError as error:
        raise RunError(str(error)) from None
    found = find_device(device)
    with full_precision():
        return explain_images(
            open_model(config.model, trust_code=trust_code),
            images,
            out,
            methods=methods or config.audit.methods,
            targets=wanted,
            device=found,
        )


def layers_of(model: str, *, trust_code: bool = False) -> tuple[str, list[TargetLayer]]:
    """The layers that maps can be made at, and the name of the one that is found by itself.

    Args:
        model: path of an audit's YAML file, or a name of torchvision or timm.
        trust_code: see `camaudit.models.load_model`.
    """
    if model.endswith((".yaml", ".yml")):
        loaded = open_model(load_config(Path(model)).model, trust_code=trust_code)
        side = loaded.preprocessing.crop or loaded.preprocessing.resize or 224
        height, width = (side, side) if isinstance(side, int) else side
        module, example = loaded.module, loaded.inputs(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    else:
        module, example = untrained(model)
    return find_target_layer(module, example).name, candidate_layers(module, example)


def explain_images(
    model: LoadedModel,
    images: Sequence[Path],
    out: Path,
    *,
    methods: Sequence[str],
    targets: Sequence[OutputTarget],
    device: torch.device,
) -> list[ExplainedImage]:
    """Explain images one by one and write what was found into a folder.

    Raises:
        RunError: a target needs a label or names no class, or the folder cannot be written.
        DataError: an image cannot be read.
    """
    missing = [str(path) for path in images if not path.is_file()]
    if missing:
        msg = f"{', '.join(missing[:3])} is no file. Give the paths of images."
        raise RunError(msg)
    for target in targets:
        _check_target(target, model.classes)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out} cannot be made a folder: {error.strerror}. Name another one."
        raise RunError(msg) from None
    model.module.to(device)
    return [
        _one(model, path, out / _stem(path, images), methods=methods, targets=targets, device=device)
        for path in images
    ]


def _one(
    model: LoadedModel,
    path: Path,
    place: Path,
    *,
    methods: Sequence[str],
    targets: Sequence[OutputTarget],
    device: torch.device,
) -> ExplainedImage:
    image = open_image(path)
    picture = Frame.of((image.height, image.width), model.preprocessing).image(image)
    found = explain(
        model.module,
        model.inputs(torch.from_numpy(picture.copy())[None].to(device)),
        methods=methods,
        targets=[OfAudit(target, [None], model) for target in targets],
        layer=model.target_layer or "auto",  # a TorchScript program has none to name
    )
    overlays: dict[tuple[str, str], Path] = {}
    raw: dict[str, Any] = {}
    for method in methods:
        for column, target in enumerate(targets):
            values = found[method][0, column].float().cpu().numpy()
            raw[f"{method}|{target.id}"] = values
            drawn = place.with_name(f"{place.name}.{_safe(method)}.{_safe(target.id)}.png")
            overlay(picture, values).save(drawn)
            overlays[method, target.id] = drawn
    maps = place.with_name(f"{place.name}.maps.npz")
    np.savez_compressed(maps, **raw)
    scores = dict(zip(model.classes, model.scores(found.output)[0].tolist(), strict=True))
    return ExplainedImage(path, scores, overlays, maps)


def _check_target(target: OutputTarget, classes: Sequence[str]) -> None:
    unknown = [name for name in target.classes if name not in classes]
    if unknown or target.kind == "label":
        why = "an image by itself has no label" if not unknown else f"{unknown[0]!r} is no class of the model"
        msg = f"The target {target.id!r} cannot be explained: {why}. The classes are {', '.join(classes)}."
        raise RunError(msg)


def _stem(path: Path, images: Sequence[Path]) -> str:
    """The file's name; with its folder's where two images share it."""
    alike = sum(other.stem == path.stem for other in images) > 1
    return _safe(f"{path.parent.name}-{path.stem}{path.suffix}" if alike else path.stem)


def _safe(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name)
