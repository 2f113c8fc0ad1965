"""What the sections are made of: names, numbers and the section itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def once(key: str, names: Sequence[str]) -> None:
    """Refuse names that stand twice in a list (ValueError)."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{key} names {', '.join(map(repr, twice))} more than once"
        raise ValueError(msg)


class Section(BaseModel):
    """A mapping of known keys; any other is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Options(Section):
    """The keys that only one format of datasets has."""

    format: str = Field(exclude=True)
