"""Which role each region plays."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from camaudit.config import RolesConfig, parse_section
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.types import Role


def role_of_each(regions: Sequence[str], roles: RolesConfig, *, where: str) -> dict[str, Role]:
    """The role of every region, objects first; regions without a role are context.

    Raises:
        DataError: a role is given to a region that the data does not have.
    """
    asked = roles.by_region()
    unknown = []
    for name, role in asked.items():
        if name not in regions:
            close = difflib.get_close_matches(name, regions, n=1)
            known = ", ".join(regions) or "none at all"
            hint = f"did you mean {close[0]!r}?" if close else f"the regions are {known}."
            unknown.append(f"roles.{role} names {name!r}, which is no region of {where}; {hint}")
    if unknown:
        raise DataError("\n".join(unknown))
    return asked | {name: "context" for name in regions if name not in asked}


def as_config(by_region: Mapping[str, Role]) -> RolesConfig:
    """The same roles as a configuration spells them.

    Raises:
        ConfigError: a region has no name, or one that a union could have.
    """
    lists: dict[str, list[str]] = {"object": [], "attribute": [], "context": []}
    for name, role in by_region.items():
        lists[role].append(name)
    return parse_section(RolesConfig, lists, where="regions")
