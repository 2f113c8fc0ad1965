"""The sections `data` and `roles`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from camaudit.config.base import Name, RegionName, Section, once

if TYPE_CHECKING:
    from camaudit.types import Role


class ColumnsConfig(Section):
    """Which column of the table holds what."""

    image: str = "image"
    label: str | None = "label"
    id: str | None = None
    groups: list[Name] = Field(default=[])
    split: str | None = None
    subject: str | None = None

    @model_validator(mode="after")
    def _distinct(self) -> ColumnsConfig:
        once("groups", self.groups)
        return self


PixelValue = Annotated[int, Field(ge=0, le=65535)]


class LegendConfig(Section):
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


class DataConfig(Section):
    """The dataset: a table, a folder with one sub-folder a class, or samples that were handed over in Python."""

    format: Literal["table", "folder", "memory"]
    path: Path = Path()
    columns: ColumnsConfig = ColumnsConfig()
    regions: Regions | None = None
    split: str | None = None


class RolesConfig(Section):
    """Which regions the model should use (object), should not use (attribute), or may see (context)."""

    object: list[RegionName] = Field(default=[])
    attribute: list[RegionName] = Field(default=[])
    context: list[RegionName] = Field(default=[])

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
