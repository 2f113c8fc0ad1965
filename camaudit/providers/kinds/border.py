"""The edges of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.providers.registry import place
from camaudit.types import Box, Combined, Relative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.config.providers import BorderOptions
    from camaudit.types import Shape


@place("border")
def border(options: BorderOptions) -> Mapping[str, Shape]:
    """A frame along the edges of every image; its width is a share of each side."""
    inner = Relative(Box(options.share, options.share, 1 - 2 * options.share, 1 - 2 * options.share))
    return {"": Combined("not", (inner,))}
