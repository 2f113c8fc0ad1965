"""The middle of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.providers.registry import place
from camaudit.types import Box, Relative

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.config.providers import CentreOptions
    from camaudit.types import Shape


@place("centre")
def centre(options: CentreOptions) -> Mapping[str, Shape]:
    """A rectangle in the middle of every image."""
    rest = (1 - options.share) / 2
    return {"": Relative(Box(rest, rest, options.share, options.share))}
