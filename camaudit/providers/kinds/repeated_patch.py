"""Patches that repeat, such as a copyright tag (the Clever Hans of Lapuschkin et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.providers.overlays import edges
from camaudit.providers.registry import finder
from camaudit.providers.repeated import repeated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from camaudit.config.providers import RepeatedPatchOptions
    from camaudit.providers.registry import Finder
    from camaudit.types import Sample


@finder("repeated_patch")
def repeated_patch(
    asked: Mapping[str, RepeatedPatchOptions], samples: Sequence[Sample], _: torch.device
) -> Finder:
    """What is the same at the same place in many images of a class; see `camaudit.providers.overlays`."""
    return repeated(asked, samples, edges)
