"""The cells of a grid over an image."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from camaudit.providers.registry import place
from camaudit.types import Polygon, Relative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.config.providers import GridOptions
    from camaudit.types import Shape


@place("grid")
def grid(options: GridOptions) -> Mapping[str, Shape]:
    """Rows and columns of equal cells over every image."""
    tops, lefts = (
        [at / count for at in range(count + 1)] for count in (options.rows, options.columns)
    )  # neighbours share their edges to the last bit, so that a pixel on one belongs to one cell
    return {
        f"_{row + 1}_{column + 1}": Relative(
            Polygon((((left, top), (right, top), (right, bottom), (left, bottom)),))
        )
        for row, (top, bottom) in enumerate(pairwise(tops))
        for column, (left, right) in enumerate(pairwise(lefts))
    }
