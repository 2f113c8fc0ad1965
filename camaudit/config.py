"""One YAML file describes one audit. Unknown keys are refused; paths are relative to the file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _named(name: str) -> str:
    if not name.strip():
        msg = "a name must not be empty"
        raise ValueError(msg)
    return name


def _region(name: str) -> str:
    if "+" in name:
        msg = f"the region name {name!r} holds a +, which joins the names of a union; rename the region"
        raise ValueError(msg)
    return _named(name)


Whole = Annotated[int, Field(strict=True)]  # neither true nor "32" is a number
Side = Whole | tuple[Whole, Whole]
Positive = Annotated[int, Field(gt=0, strict=True)]
Name = Annotated[str, AfterValidator(_named)]
RegionName = Annotated[str, AfterValidator(_region)]


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


def _once(key: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{key} names {', '.join(map(repr, twice))} more than once"
        raise ValueError(msg)


# spelled in one way, since tables and folders are named by it
Target = Annotated[str, AfterValidator(lambda text: parse_target(text).id)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    classes: list[Name] = Field(min_length=2)
    preprocessing: PreprocessingConfig | None = None
    target_layer: str = "auto"

    @model_validator(mode="after")
    def _distinct(self) -> ModelConfig:
        _once("classes", self.classes)
        if self.source != "module" and self.weights is None:
            msg = "weights is missing; give the path of a safetensors file or a state dict. Nothing is downloaded."
            raise ValueError(msg)
        return self


class ColumnsConfig(_Section):
    """Which column of the table holds what."""

    image: str = "image"
    label: str | None = "label"
    id: str | None = None
    groups: list[Name] = []
    split: str | None = None
    subject: str | None = None

    @model_validator(mode="after")
    def _distinct(self) -> ColumnsConfig:
        _once("groups", self.groups)
        return self


PixelValue = Annotated[int, Field(ge=0, le=65535)]


class LegendConfig(_Section):
    """Regions from one indexed mask image a sample: a legend says which pixel value is which region."""

    column: str | None = None
    folder: Path | None = None
    legend: dict[PixelValue, RegionName] = Field(min_length=1)


def _regions_tag(value: object) -> str:
    if isinstance(value, dict):
        named = {"legend", "column", "folder"} & value.keys()
        return "legend" if named or any(isinstance(of, dict) for of in value.values()) else "columns"
    return "legend" if isinstance(value, LegendConfig) else "columns"


# a mapping with a legend is an indexed mask, any other maps regions to mask columns
Regions = Annotated[
    Annotated[LegendConfig, Tag("legend")] | Annotated[dict[RegionName, str], Tag("columns")],
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

    object: list[RegionName] = []
    attribute: list[RegionName] = []
    context: list[RegionName] = []

    @model_validator(mode="after")
    def _distinct(self) -> RolesConfig:
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
    controls: Annotated[int, Field(ge=5, le=50, strict=True)] = 5
    sigma: Annotated[float, Field(gt=0)] = 0.08


class AuditSettings(_Section):
    """What is explained and measured, on what, with which seed."""

    methods: list[str] = Field(default=["gradcam"], min_length=1)
    targets: list[Target] = Field(default=["predicted", "label"], min_length=1)
    device: str = "auto"
    precision: Literal["float32"] = "float32"
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    batch_size: Positive | Literal["auto"] = "auto"
    resamples: Annotated[int, Field(ge=2000, strict=True)] = 2000
    intervention: InterventionConfig = InterventionConfig()

    @model_validator(mode="after")
    def _distinct(self) -> AuditSettings:
        _once("methods", self.methods)
        _once("targets", self.targets)
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
        values = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        msg = f"{path} is not valid YAML: {error}"
        raise ConfigError(msg) from None
    if not isinstance(values, dict):
        msg = f"{path} holds no settings. An audit's file has the sections model, data, roles and audit."
        raise ConfigError(msg)
    return resolve_paths(parse_config(values, where=str(path)), path.parent)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML would let the last one win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the base's signature
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        seen: set[str] = set()
        for key in scalars:
            if key.value in seen:
                problem = f"the key {key.value!r} stands here twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Section = TypeVar("Section", bound=BaseModel)


def parse_config(values: Mapping[str, Any], *, where: str) -> AuditConfig:
    """An `AuditConfig` from plain values; see `parse_section`."""
    return parse_section(AuditConfig, values, where=where)


def parse_section(section: type[Section], values: Mapping[str, Any], *, where: str) -> Section:
    """One section of a configuration from plain values.

    Raises:
        ConfigError: naming every key that cannot be used, as `where: key: problem`.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems: dict[str, list[str]] = {}
        for detail in error.errors():
            key, problem = _problem(detail, section)
            problems.setdefault(key, []).append(problem)
        lines = [f"{where}: {key}{', or '.join(of)}" for key, of in problems.items()]
        raise ConfigError("\n".join(lines)) from None


def resolve_paths(config: AuditConfig, base: Path) -> AuditConfig:
    """The same configuration with its relative paths joined to `base`."""
    return _map_paths(config, lambda path: path if path.is_absolute() else base / path)


def dump_config(config: AuditConfig, base: Path) -> str:
    """YAML text of a configuration that lies in `base`: its paths become relative to that folder."""
    home = os.path.realpath(base)
    relative = _map_paths(config, lambda path: Path(os.path.relpath(_real(path), home)))
    return yaml.safe_dump(relative.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _real(path: Path) -> Path:
    # ".." leads elsewhere behind a symbolic link; a linked file itself keeps its place among its neighbours
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - unlike absolute(), it takes ".." away
    return Path(os.path.realpath(absolute.parent)) / absolute.name


def _map_paths(config: AuditConfig, change: Callable[[Path], Path]) -> AuditConfig:
    weights = config.model.weights
    model = config.model.model_copy(update={"weights": weights and change(weights)})
    # samples that were handed over in Python lie at no path
    updates: dict[str, Any] = {} if config.data.format == "memory" else {"path": change(config.data.path)}
    regions = config.data.regions
    if isinstance(regions, LegendConfig) and regions.folder is not None:
        updates["regions"] = regions.model_copy(update={"folder": change(regions.folder)})
    return config.model_copy(update={"model": model, "data": config.data.model_copy(update=updates)})


# what pydantic adds to a key to say which member of a union was tried
_TAGS = ("constrained-int", "literal[", "tuple[")


def _problem(detail: Any, section: type[BaseModel]) -> tuple[str, str]:
    """The key, with what separates it from the problem, and the problem."""
    location = detail["loc"]
    if "regions" in location[:2]:  # followed by which kind of regions was tried
        at = location.index("regions") + 1
        location = (*location[:at], *location[at + 1 :])
    parts = [str(part) for part in location if part != "[key]" and not str(part).startswith(_TAGS)]
    key = ".".join(parts)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], section)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known)}."
        return key, f" is not a key of an audit; {hint}"
    if detail["type"] == "missing":
        return key, " is missing; add it."
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    if detail["type"].endswith(("_type", "_parsing")) and isinstance(given, (str, int, float)):
        message += f", not {given!r}" + ("; put it in quotes" if detail["type"] == "string_type" else "")
    return (f"{key}: " if key else ""), message


def _known_keys(location: tuple[int | str, ...], section: type[BaseModel]) -> list[str]:
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
