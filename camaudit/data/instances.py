"""Instances with a category, as detection formats have them: checked, and made into regions and labels."""

from __future__ import annotations

import difflib
import math
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.config import LegendConfig
from camaudit.data.labels import label_of_instances
from camaudit.data.shapes import area, run_lengths
from camaudit.errors import ConfigError
from camaudit.types import Box, Instances, Polygon, RunLengths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from camaudit.config import DataConfig
    from camaudit.config.data import LabelSource
    from camaudit.data.problems import Problems
    from camaudit.types import Shape

_FARTHEST = 1e7  # pixels; beyond it lies no image
_LARGEST = 1 << 30  # pixels of a mask


@dataclass(frozen=True)
class Instance:
    """One annotated thing.

    Attributes:
        category: its name.
        shape: where it is.
        area: of the shape, in any unit that is the same within an image.
    """

    category: str
    shape: Shape
    area: float


class UnusableError(Exception):
    """A shape that cannot be used; `kind` is a key of `camaudit.data.problems.KINDS`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def wanted_categories(source: DataConfig, categories: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The categories that each region is made of, by `data.regions`; every category is a region where it is left out.

    Raises:
        ConfigError: a category is not there, or `data.regions` has a legend, which is for masks.
    """
    if source.regions is None:
        return {name: (name,) for name in categories}
    if isinstance(source.regions, LegendConfig):
        msg = f"data.regions of format: {source.format} maps a region to its categories; a legend is for indexed masks."
        raise ConfigError(msg)
    wanted = {name: (of,) if isinstance(of, str) else tuple(of) for name, of in source.regions.items()}
    for name, of in wanted.items():
        for category in of:
            if category not in categories:
                close = difflib.get_close_matches(category, categories, n=3)
                hint = f"did you mean {' or '.join(map(repr, close))}?" if close else _listed(categories)
                msg = f"data.regions.{name}: {category!r} is no category of {source.path}; {hint}"
                raise ConfigError(msg)
    return wanted


def regions_of(
    instances: Sequence[Instance],
    wanted: Mapping[str, tuple[str, ...]],
    *,
    unusable: Iterable[str],
    exhaustive: bool,
) -> dict[str, Shape]:
    """The regions of one image.

    Args:
        instances: of the image.
        wanted: region to categories, see `wanted_categories`.
        unusable: categories of which an instance could not be used: their regions count as not annotated, because a part
            of them is missing.
        exhaustive: whether a category without an instance is not there; else nobody looked for it.
    """
    lost = set(unusable)
    found: dict[str, Shape] = {}
    for name, categories in wanted.items():
        parts = tuple(instance.shape for instance in instances if instance.category in categories)
        if lost.isdisjoint(categories) and (parts or exhaustive):
            found[name] = Instances(parts)
    return found


def label_of(
    instances: Sequence[Instance], source: DataConfig, rule: LabelSource, *, where: str, problems: Problems
) -> str | None:
    """The label that an image has by its instances, of the categories in `data.label_names` where that is given."""
    if rule not in {"largest", "only"}:
        return None
    counted = [
        (instance.category, instance.area)
        for instance in instances
        if source.label_names is None or instance.category in source.label_names
    ]
    label = label_of_instances(counted, rule)
    if label is None:
        number = f"{len(counted)} instances" if counted else "no instance"
        problems.add("no-label", where, f"it has {number} that could give it a label.")
    return label


def number(value: object, what: str) -> float:
    """A finite number of a sane size.

    Raises:
        UnusableError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{what} is {shortened(value)}, which is no number"
        raise UnusableError("bad-shape", msg)
    if not math.isfinite(value) or abs(value) > _FARTHEST:
        msg = f"{what} is {value}, which is no place in an image"
        raise UnusableError("bad-shape", msg)
    return float(value)


def polygon(rings: Sequence[object], size: tuple[float, float]) -> tuple[Polygon, float]:
    """A polygon and its area, from rings of ``[x, y, x, y, ...]``.

    Args:
        rings: a sequence of numbers each.
        size: (height, width) of the image in the unit of the numbers.

    Raises:
        UnusableError: a ring is none, the polygon has no area or lies outside the image.
    """
    made = []
    for ring in rings:
        if not isinstance(ring, (list, tuple)):
            msg = f"a polygon is {shortened(ring)}, which is no list of numbers"
            raise UnusableError("bad-shape", msg)
        values = [number(value, "a polygon's coordinate") for value in ring]
        if len(values) % 2 or len(values) < 6:
            msg = f"a polygon has {len(values)} numbers; it needs x and y of at least three points"
            raise UnusableError("bad-shape", msg)
        made.append(tuple(zip(values[::2], values[1::2], strict=True)))
    found = sum(area([ring]) for ring in made)
    if not found:
        msg = "its polygon encloses nothing"
        raise UnusableError("empty-shape", msg)
    xs, ys = ([point[axis] for ring in made for point in ring] for axis in (0, 1))
    _check_inside((min(xs), min(ys), max(xs), max(ys)), size)
    return Polygon(tuple(made)), found


def box(sides: Sequence[object], size: tuple[float, float]) -> tuple[Box, float]:
    """A box and its area, from ``[left, top, width, height]``; errors as `polygon`."""
    if len(sides) != 4:
        msg = f"its box has {len(sides)} numbers; it needs left, top, width and height"
        raise UnusableError("bad-shape", msg)
    left, top, width, height = (number(side, "a side of its box") for side in sides)
    if width < 0 or height < 0:
        msg = f"its box is {width:g} wide and {height:g} high"
        raise UnusableError("bad-shape", msg)
    if not width * height:
        msg = "its box has no area"
        raise UnusableError("empty-shape", msg)
    _check_inside((left, top, left + width, top + height), size)
    return Box(left, top, width, height), width * height


def run_length_mask(value: Mapping[str, object], size: tuple[int, int] | None) -> tuple[RunLengths, float]:
    """A mask and its area, from COCO's ``{"size": [height, width], "counts": ...}``, compressed or not.

    Raises:
        UnusableError: the runs are none, do not fill the mask, or the mask has another size than its image.
    """
    sides, counts = value.get("size"), value.get("counts")
    if not (
        isinstance(sides, list) and len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)
    ):
        msg = f"its run lengths have the size {shortened(sides)}; it needs [height, width]"
        raise UnusableError("bad-shape", msg)
    height, width = sides
    if (size is not None and (height, width) != size) or height * width > _LARGEST:
        msg = (
            f"its mask is {width}x{height} but its image is said to be {size[1]}x{size[0]}"
            if size
            else "too large"
        )
        raise UnusableError("bad-shape", msg)
    try:
        runs, text = _runs(counts, height, width)
    except ValueError as error:
        msg = f"its run lengths cannot be used: {error}"
        raise UnusableError("bad-shape", msg) from None
    if sum(runs) != height * width:
        msg = f"its run lengths sum to {sum(runs)}, but its mask has {height * width} pixels"
        raise UnusableError("bad-shape", msg)
    found = sum(runs[1::2])
    if not found:
        msg = "its mask is empty"
        raise UnusableError("empty-shape", msg)
    return RunLengths(height, width, text), found


def _runs(counts: object, height: int, width: int) -> tuple[list[int], str]:
    """The runs, and their compressed coding."""
    from pycocotools import mask as coco

    if isinstance(counts, str):
        return run_lengths(counts), counts
    if not isinstance(counts, list) or not all(type(run) is int and 0 <= run <= _LARGEST for run in counts):
        msg = f"{shortened(counts)} are neither text nor a list of whole numbers"
        raise ValueError(msg)
    if sum(counts) != height * width:
        return counts, ""
    coded = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return counts, coded["counts"].decode("ascii")


def shortened(value: object) -> str:
    """A value in at most 80 characters, also one that refers to itself or grows by references, as YAML's can."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _check_inside(bounds: tuple[float, float, float, float], size: tuple[float, float]) -> None:
    left, top, right, bottom = bounds
    if right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]:
        msg = f"it lies outside its image, between ({left:g}, {top:g}) and ({right:g}, {bottom:g})"
        raise UnusableError("outside", msg)


def _listed(categories: Sequence[str]) -> str:
    shown = ", ".join(categories[:20])
    return f"it has {shown}{', ...' if len(categories) > 20 else ''}." if categories else "it has none."
