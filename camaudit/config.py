"""One YAML file describes one audit. Unknown keys are refused; paths are relative to the file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from camaudit.errors import ConfigError
from camaudit.types import OutputTarget, Preprocessing, Role

Side = int | tuple[int, int]
Positive = Annotated[int, Field(gt=0)]


def parse_target(text: str) -> OutputTarget:
    """The output target that a name stands for.

    Args:
        text: ``predicted``, ``label``, ``class:NAME`` or ``contrast:NAME,NAME``.

    Raises:
        ValueError: the text is none of these.
    """
    kind, colon, names = text.partition(":")
    classes = tuple(name.strip() for name in names.split(",")) if colon else ()
    wanted = {"predicted": 0, "label": 0, "class": 1, "contrast": 2}
    if kind == "class" and colon:
        return OutputTarget("class", (names.strip(),))
    if kind not in wanted or len(classes) != wanted[kind] or not all(classes):
        msg = f"{text!r} is no output target; use predicted, label, class:NAME or contrast:NAME,NAME"
        raise ValueError(msg)
    return OutputTarget(kind, classes)  # type: ignore[arg-type]  # checked against `wanted`


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PreprocessingConfig(_Section):
    """How an image becomes the model's input; see `camaudit.types.Preprocessing`."""

    resize: Side | None = None
    crop: Side | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"

    @model_validator(mode="after")
    def _usable(self) -> PreprocessingConfig:
        if min(self.std) <= 0:
            msg = f"std must be above 0 in every channel, not {list(self.std)}"
            raise ValueError(msg)
        for name in ("resize", "crop"):
            side = getattr(self, name)
            if side is not None and min(side if isinstance(side, tuple) else (side,)) < 1:
                msg = f"{name} must be at least 1 pixel, not {side}"
                raise ValueError(msg)
        return self

    def value(self) -> Preprocessing:
        """The frozen value that the other rooms use."""
        return Preprocessing(self.resize, self.crop, self.mean, self.std, self.interpolation)


class ModelConfig(_Section):
    """The model: an architecture by name with weights on disk, or a module that was handed over in Python."""

    source: Literal["torchvision", "timm", "module"]
    name: str
    weights: Path | None = None
    classes: list[str] = Field(min_length=2)
    preprocessing: PreprocessingConfig | None = None
    target_layer: str = "auto"

    @model_validator(mode="after")
    def _distinct(self) -> ModelConfig:
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            msg = f"classes names {', '.join(map(repr, twice))} more than once"
            raise ValueError(msg)
        if self.source != "module" and self.weights is None:
            msg = "weights is missing; give the path of a safetensors file or a state dict. Nothing is downloaded."
            raise ValueError(msg)
        return self


class ColumnsConfig(_Section):
    """Which column of the table holds what."""

    image: str = "image"
    label: str | None = "label"
    id: str | None = None
    groups: list[str] = []
    split: str | None = None
    subject: str | None = None


PixelValue = Annotated[int, Field(ge=0, le=65535)]


class LegendConfig(_Section):
    """Regions from one indexed mask image a sample: a legend says which pixel value is which region."""

    column: str | None = None
    folder: Path | None = None
    legend: dict[PixelValue, str] = Field(min_length=1)


def _regions_tag(value: object) -> str:
    legend = isinstance(value, LegendConfig) or (isinstance(value, dict) and "legend" in value)
    return "legend" if legend else "columns"


# a mapping with a legend is an indexed mask, any other maps regions to mask columns
Regions = Annotated[
    Annotated[LegendConfig, Tag("legend")] | Annotated[dict[str, str], Tag("columns")],
    Discriminator(_regions_tag),
]


class DataConfig(_Section):
    """The dataset: a table, a folder with one sub-folder a class, or samples that were handed over in Python."""

    format: Literal["table", "folder", "memory"]
    path: Path = Path()
    columns: ColumnsConfig = ColumnsConfig()
    regions: Regions | None = None
    split: str | None = None


class RolesConfig(_Section):
    """Which regions the model should use (object), should not use (attribute), or may see (context)."""

    object: list[str] = []
    attribute: list[str] = []
    context: list[str] = []

    @model_validator(mode="after")
    def _once(self) -> RolesConfig:
        names = [*self.object, *self.attribute, *self.context]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"{', '.join(map(repr, twice))} has more than one role; give each region one"
            raise ValueError(msg)
        return self

    def by_region(self) -> dict[str, Role]:
        """The role of each named region."""
        pairs: list[tuple[Role, list[str]]] = [
            ("object", self.object),
            ("attribute", self.attribute),
            ("context", self.context),
        ]
        return {name: role for role, names in pairs for name in names}


class InterventionConfig(_Section):
    """Editing regions away, and as much elsewhere as a control.

    `regions` says what is edited: for ``roles`` all objects together and all attributes together, for ``each`` also every
    one of them alone; an edit and its controls cost a forward pass each.
    """

    enabled: bool = True
    regions: Literal["roles", "each"] = "roles"
    controls: Annotated[int, Field(ge=5, le=50)] = 5
    sigma: Annotated[float, Field(gt=0)] = 0.08


class AuditSettings(_Section):
    """What is explained and measured, on what, with which seed."""

    methods: list[str] = Field(default=["gradcam"], min_length=1)
    targets: list[str] = Field(default=["predicted", "label"], min_length=1)
    device: str = "auto"
    precision: Literal["float32"] = "float32"
    seed: Annotated[int, Field(ge=0)] = 0
    batch_size: Positive = 32
    resamples: Annotated[int, Field(ge=2000)] = 2000
    intervention: InterventionConfig = InterventionConfig()

    @model_validator(mode="after")
    def _targets(self) -> AuditSettings:
        for name in ("methods", "targets"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                msg = f"{name} names one thing twice: {values}"
                raise ValueError(msg)
        for target in self.targets:
            parse_target(target)
        return self


class AuditConfig(_Section):
    """A whole audit. `load_config` reads it from YAML, `dump_config` writes it."""

    model: ModelConfig
    data: DataConfig
    roles: RolesConfig = RolesConfig()
    audit: AuditSettings = AuditSettings()


def load_config(path: Path) -> AuditConfig:
    """Read an audit's YAML file; paths in it become relative to the working directory.

    Raises:
        ConfigError: the file is missing, is not YAML, or has keys or values that cannot be used; all are named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = f"{path} does not exist. Give the path of an audit's YAML file."
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text: {error}"
        raise ConfigError(msg) from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"{path} is not valid YAML: {error}"
        raise ConfigError(msg) from None
    if not isinstance(values, dict):
        msg = f"{path} holds no settings. An audit's file has the sections model, data, roles and audit."
        raise ConfigError(msg)
    return resolve_paths(parse_config(values, where=str(path)), path.parent)


def parse_config(values: dict[str, Any], *, where: str) -> AuditConfig:
    """An `AuditConfig` from plain values.

    Raises:
        ConfigError: naming every key that cannot be used, as `where: key: problem`.
    """
    try:
        return AuditConfig.model_validate(values)
    except ValidationError as error:
        lines = [f"{where}: {_problem(detail)}" for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def resolve_paths(config: AuditConfig, base: Path) -> AuditConfig:
    """The same configuration with its relative paths joined to `base`."""
    return _map_paths(config, lambda path: path if path.is_absolute() else base / path)


def dump_config(config: AuditConfig, base: Path) -> str:
    """YAML text of a configuration that lies in `base`: its paths become relative to that folder."""
    relative = _map_paths(config, lambda path: Path(os.path.relpath(path, base)))
    return yaml.safe_dump(relative.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _map_paths(config: AuditConfig, change: Any) -> AuditConfig:
    weights = config.model.weights
    model = config.model.model_copy(update={"weights": weights and change(weights)})
    updates: dict[str, Any] = {"path": change(config.data.path)}
    regions = config.data.regions
    if isinstance(regions, LegendConfig) and regions.folder is not None:
        updates["regions"] = regions.model_copy(update={"folder": change(regions.folder)})
    return config.model_copy(update={"model": model, "data": config.data.model_copy(update=updates)})


def _problem(detail: Any) -> str:
    location = detail["loc"]
    if location[:2] == ("data", "regions"):
        location = (*location[:2], *location[3:])  # without the union's tag
    key = ".".join(map(str, location))
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}."
        return f"{key} is not a key of an audit; {hint}"
    if detail["type"] == "missing":
        return f"{key} is missing; add it."
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" if key else message


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = AuditConfig
    sections: dict[str, type[BaseModel]] = {
        "model": ModelConfig,
        "data": DataConfig,
        "roles": RolesConfig,
        "audit": AuditSettings,
        "columns": ColumnsConfig,
        "regions": LegendConfig,
        "preprocessing": PreprocessingConfig,
        "intervention": InterventionConfig,
    }
    for part in location:
        section = sections.get(str(part), section)
    return list(section.model_fields)
