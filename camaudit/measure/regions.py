"""Which regions are measured: every annotated one, and the union of those with one role."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.types import Role


def measured_regions(roles: Mapping[str, Role]) -> tuple[dict[str, tuple[str, ...]], dict[str, Role]]:
    """The measured regions of a dataset.

    Args:
        roles: role of every annotated region.

    Returns:
        The parts of each measured region, and its role: a single region is its own part; several objects, or several
        attributes, are also measured as one, named ``a+b``.
    """
    parts: dict[str, tuple[str, ...]] = {name: (name,) for name in roles}
    united = dict(roles)
    wanted: tuple[Role, ...] = ("object", "attribute")
    for role in wanted:
        members = tuple(name for name, of in roles.items() if of == role)
        if len(members) > 1:
            parts["+".join(members)] = members
            united["+".join(members)] = role
    return parts, united


def edited_regions(roles: Mapping[str, Role], *, each: bool) -> tuple[str, ...]:
    """The measured regions that an intervention edits: objects and attributes, the widest of each role or all of them.

    Args:
        roles: role of every measured region, unions included.
        each: whether every single region is edited too.
    """
    chosen = []
    wanted: tuple[Role, ...] = ("object", "attribute")
    for role in wanted:
        names = [name for name, of in roles.items() if of == role]
        united = [name for name in names if "+" in name]
        chosen += names if each or not united else united
    return tuple(chosen)
