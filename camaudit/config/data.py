"""The sections `data` and `roles`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from camaudit.config.base import Name, Options, RegionName, Section, once
from camaudit.config.formats import FORMATS, AnyOptions, Format, NoOptions
from camaudit.config.providers import AnyProvider

if TYPE_CHECKING:
    from camaudit.types import Role


class ColumnsConfig(Section):
    """Which column of the table holds what.

    Where a sample can have several labels, `label` is a column with ``|`` between them, or `labels` are columns that are each
    named as a class and hold 1 or 0.
    """

    image: str = "image"
    label: str | None = "label"
    labels: list[Name] = Field(default=[])
    id: str | None = None
    groups: list[Name] = Field(default=[])
    split: str | None = None
    subject: str | None = None

    @model_validator(mode="after")
    def _distinct(self) -> ColumnsConfig:
        once("groups", self.groups)
        once("labels", self.labels)
        if self.labels and self.label not in {"label", None}:
            msg = "label and labels are two ways to say the same; leave one out"
            raise ValueError(msg)
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


# one mask column or category, or several categories
Origin = Annotated[
    Annotated[Name, Tag("region[name]")] | Annotated[list[Name], Tag("region[names]")],
    Discriminator(lambda of: "region[names]" if isinstance(of, (list, tuple)) else "region[name]"),
]

# a mapping with a legend is an indexed mask, any other maps regions to mask columns or categories
Regions = Annotated[
    Annotated[LegendConfig, Tag("legend")] | Annotated[dict[RegionName, Origin], Tag("columns")],
    Discriminator(_regions_tag),
]

LabelSource = Literal["table", "folder", "largest", "only", "none"]
# YAML reads `0: doctor` as a number
_Text = Annotated[str, BeforeValidator(lambda key: str(key) if type(key) is int else key)]
AnyOption = TypeVar("AnyOption", bound=Options)


class DataConfig(Section):
    """The dataset: its format, where it lies, what its columns and regions are called.

    Attributes:
        format: one word.
        path: the table, the folder or the annotation file.
        images: folder that the annotations' image names are relative to, where it is not the usual one of the format.
        table: a table beside the annotations with labels, groups, splits or subjects; its column `columns.image` holds
            an image's name as the format spells it, or its id.
        columns: the columns of the table.
        label: where the label of an image comes from in a format that labels instances or nothing: ``table``,
            ``folder`` (the first folder below `images`), ``largest`` or ``only`` (the category of the largest, or of the
            only instance), ``none``; the format's own way where left out.
        label_names: label as the data spells it to the class's name; every label must be in it.
        regions: where regions come from: a legend of indexed masks, or region name to mask column (tables), or to one
            or several categories (formats with categories; every category where left out).
        derive: region name to an expression of other regions, such as ``not (bird or "tall grass")``.
        provide: region name to what makes it where nobody annotated it, see `camaudit.config.providers`.
        split: audit only the samples of this split.
        allow_outside: whether images and masks may lie outside the dataset's folder.
        options: the keys that only this format has.
    """

    format: Format
    path: Path = Path()
    images: Path | None = None
    table: Path | None = None
    columns: ColumnsConfig = ColumnsConfig()
    label: LabelSource | None = None
    label_names: dict[_Text, Name] | None = None
    regions: Regions | None = None
    derive: dict[RegionName, str] = Field(default={})
    provide: dict[RegionName, AnyProvider] = Field(default={})
    split: str | None = None
    allow_outside: bool = False
    options: AnyOptions = NoOptions(format="memory")

    @model_validator(mode="before")
    @classmethod
    def _tell_options_their_format(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("format") not in FORMATS:
            return values
        options = values.get("options") or {}
        if isinstance(options, dict):
            options = {**options, "format": values["format"]}
        return {**values, "options": options}

    def options_as(self, kind: type[AnyOption]) -> AnyOption:
        """The options, of the kind that belongs to the format."""
        if not isinstance(self.options, kind):
            msg = f"the options of {self.format} are no {kind.__name__}"
            raise TypeError(msg)
        return self.options


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
