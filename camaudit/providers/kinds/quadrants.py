"""The quarters of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.providers.registry import place
from camaudit.types import Box, Relative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.config.providers import QuadrantsOptions
    from camaudit.types import Shape


@place("quadrants")
def quadrants(_: QuadrantsOptions) -> Mapping[str, Shape]:
    """The four quarters of every image."""
    return {
        f"_{row}_{column}": Relative(Box(left, top, 0.5, 0.5))
        for row, top in (("top", 0.0), ("bottom", 0.5))
        for column, left in (("left", 0.0), ("right", 0.5))
    }
