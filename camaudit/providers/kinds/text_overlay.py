"""Writing that repeats, such as a timestamp or a watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.providers.overlays import strokes
from camaudit.providers.registry import finder
from camaudit.providers.repeated import repeated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from camaudit.config.providers import TextOverlayOptions
    from camaudit.providers.registry import Finder
    from camaudit.types import Sample


@finder("text_overlay")
def text_overlay(
    asked: Mapping[str, TextOverlayOptions], samples: Sequence[Sample], _: torch.device
) -> Finder:
    """Thin high-contrast strokes at the same place in many images of a class; see `camaudit.providers.overlays`."""
    return repeated(asked, samples, strokes)
