"""From a file to a configuration and back, and what to say of a file that is none."""

from __future__ import annotations

import difflib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from camaudit.config.audit import AuditConfig, AuditSettings, InterventionConfig
from camaudit.config.base import Options
from camaudit.config.data import ColumnsConfig, DataConfig, LegendConfig, RolesConfig
from camaudit.config.formats import OPTIONS
from camaudit.config.model import ModelConfig, PreprocessingConfig
from camaudit.config.providers import OPTIONS as PROVIDERS
from camaudit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def load_config(path: Path) -> AuditConfig:
    """Read an audit's YAML file; paths in it become relative to the working directory.

    Raises:
        ConfigError: the file is missing, is not YAML, or has keys or values that cannot be used; all are named.
    """
    return resolve_paths(parse_config(_read(path), where=str(path)), path.parent)


def load_sections(path: Path) -> tuple[dict[str, BaseModel], list[str]]:
    """The sections of an audit's YAML file that can be used, by name, and what is wrong with the others.

    A section that may be left out has its defaults; paths are as of `load_config`.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    values = _read(path)
    problems: list[str] = []
    try:
        parse_config(values, where=str(path))
    except ConfigError as error:
        problems = str(error).splitlines()
    sections: dict[str, BaseModel] = {}
    for name, field in AuditConfig.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            with suppress(ConfigError):
                sections[name] = parse_section(kind, values.get(name, {}), where=str(path))
    stand_in: dict[str, Any] = {
        "model": ModelConfig.model_construct(weights=None),
        "data": DataConfig(format="memory"),
    }
    whole = resolve_paths(AuditConfig.model_construct(**stand_in | sections), path.parent)
    return {name: getattr(whole, name) for name in sections}, problems


def _read(path: Path) -> dict[str, Any]:
    """The values in a YAML file (ConfigError)."""
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
    if _size(values, {}) > _LARGEST:
        msg = f"{path} is larger than {_LARGEST:,} values once its aliases (*name) are written out. Write out what is meant."
        raise ConfigError(msg)
    return values


_LARGEST = 100_000


def _size(value: object, known: dict[int, int]) -> int:
    """How many values there are, those behind an alias counted wherever it stands; one that holds itself has no end."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = _LARGEST + 1  # met again before it is counted: it holds itself
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(of, known) for of in parts)
    return known[id(value)]


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
    data = config.data
    updates: dict[str, Any] = {} if data.format == "memory" else {"path": change(data.path)}
    updates |= {key: change(of) for key in ("images", "table") if (of := getattr(data, key)) is not None}
    paths = {key: change(of) for key, of in data.options if isinstance(of, Path)}
    updates["options"] = data.options.model_copy(update=paths)
    regions = data.regions
    if isinstance(regions, LegendConfig) and regions.folder is not None:
        updates["regions"] = regions.model_copy(update={"folder": change(regions.folder)})
    updates["provide"] = {
        name: of.model_copy(update={key: change(path) for key, path in of if isinstance(path, Path)})
        for name, of in data.provide.items()
    }
    training = config.audit.training
    audit = config.audit.model_copy(update={"training": training and change(training)})
    return config.model_copy(update={"model": model, "data": data.model_copy(update=updates), "audit": audit})


# what pydantic adds to a key to say which member of a union was tried
_TAGS = ("constrained-int", "literal[", "provider[", "region[", "tuple[")


def _problem(detail: Any, section: type[BaseModel]) -> tuple[str, str]:
    """The key, with what separates it from the problem, and the problem."""
    location = detail["loc"]
    if "regions" in location[:2]:  # followed by which kind of regions was tried
        at = location.index("regions") + 1
        location = (*location[:at], *location[at + 1 :])
    known_at = location[:-1]
    if "options" in location[:2]:  # followed by the format
        at = location.index("options") + 1
        location = (*location[:at], *location[at + 1 :])
    parts = [str(part) for part in location if part != "[key]" and not str(part).startswith(_TAGS)]
    key = ".".join(parts)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(known_at, section)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the keys here are {', '.join(known) or 'none'}."
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
        section = PROVIDERS.get(str(part).removeprefix("provider[").removesuffix("]"), section)
    if "options" in location[:2]:
        section = OPTIONS.get(str(location[location.index("options") + 1]), Options)
        return [name for name in section.model_fields if name != "format"]
    return list(section.model_fields)
