"""The providers there are. A file in `camaudit.providers.kinds` that decorates a function adds one.

A provider is a word of `camaudit.config.providers.OPTIONS` and a function of the same name, of one of two kinds. A `place`
takes its options and says where its regions lie in any image; nothing is looked at. A `finder` looks at every image: its
function is called once for all regions that differ in their `labels` alone, with their options by name, the samples and the
device, and returns another that is called with one image after the other.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from camaudit.types import Shape


@dataclass(frozen=True)
class Found:
    """A region in one image.

    Attributes:
        mask: (height, width) of the image.
        score: how sure the provider is of what it found, 0 to 1; NaN where it found nothing or does not say.
        entropy: mean over the mask of the entropy of "this pixel belongs to it", in bits; NaN likewise.
    """

    mask: NDArray[np.bool_]
    score: float = float("nan")
    entropy: float = float("nan")


Place = Callable[[Any], "Mapping[str, Shape]"]
Finder = Callable[["Image.Image"], Mapping[str, Found]]
MakeFinder = Callable[[Mapping[str, Any], Sequence[Any], Any], Finder]


@dataclass(frozen=True)
class Provider:
    """A provider.

    Attributes:
        id: the word used in configurations.
        summary: first line of the function's docstring.
        place: from the options to shapes, by what follows the region's name, such as ``_top_left``; empty where nothing does.
        finder: from the options of several regions, the samples and the device to a function of an image.
        by_model: whether a model makes the regions.
    """

    id: str
    summary: str
    place: Place | None = None
    finder: MakeFinder | None = None
    by_model: bool = False


_registered: dict[str, Provider] = {}


def place(identifier: str) -> Callable[[Place], Place]:
    """Register a provider that looks at nothing."""

    def add(function: Place) -> Place:
        _registered[identifier] = Provider(identifier, _first_line(function), place=function)
        return function

    return add


def finder(identifier: str, *, by_model: bool = False) -> Callable[[MakeFinder], MakeFinder]:
    """Register a provider that looks at every image."""

    def add(function: MakeFinder) -> MakeFinder:
        summary = _first_line(function)
        _registered[identifier] = Provider(identifier, summary, finder=function, by_model=by_model)
        return function

    return add


@cache
def all_providers() -> dict[str, Provider]:
    """Every provider by its word."""
    from camaudit.providers import kinds

    for module in pkgutil.iter_modules(kinds.__path__):
        importlib.import_module(f"{kinds.__name__}.{module.name}")
    return dict(sorted(_registered.items()))


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().splitlines()[0]
