"""Maps and region outlines on pictures.

Scaling a map to its own maximum, as here, is for drawing only: colours compare places within one picture, never two
pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from camaudit.report.colormap import INFERNO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from camaudit.types import Role

Point = tuple[float, float]

OPACITY = 0.82
"""Opacity of the map's maximum."""

RAMP: NDArray[np.uint8] = INFERNO[np.linspace(45, 255, 256).round().astype(int)]
"""Colours of the levels 0 to 255: inferno without its blacks, which would read as shadows in the picture."""

COLOURS = (
    "#2bc4f6",
    "#6fdc7a",
    "#ff86cf",
    "#f6e05a",
    "#7f9cff",
    "#ffa24d",
    "#3fe0c5",
    "#c79bff",
)
"""Outline colours that hold against photographs and against the map, in the order they are given out."""


def outline_colours(roles: Mapping[str, Role]) -> dict[str, str]:
    """A colour for every single region (unions are not drawn), stable for the same set of regions."""
    singles = [name for name in roles if not is_union(name, roles)]
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(singles)}


def in_drawing_order(names: Iterable[str], roles: Mapping[str, Role]) -> list[str]:
    """The single regions among the names, objects last: where borders coincide the last one is seen."""
    order: tuple[Role, ...] = ("context", "attribute", "object")
    singles = [name for name in names if name in roles and not is_union(name, roles)]
    return sorted(singles, key=lambda name: order.index(roles[name]))


def is_union(name: str, roles: Mapping[str, Role]) -> bool:
    """Whether a region's name is that of several regions joined by ``+``."""
    parts = name.split("+")
    return len(parts) > 1 and all(part in roles for part in parts)


def levels(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The map upsampled bilinearly to (width, height), 255 at its maximum; a map without mass is 0 everywhere."""
    clean = np.nan_to_num(np.asarray(values, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    maximum = float(clean.max(initial=0.0))
    scaled = clean / maximum if maximum > 0 else clean
    fine = np.asarray(Image.fromarray(scaled).resize(size, Image.Resampling.BILINEAR))
    return np.asarray((fine * 255).round().clip(0, 255), dtype=np.uint8)


def heat(values: NDArray[np.float32], size: tuple[int, int], *, opaque: bool = False) -> Image.Image:
    """The map alone, as a palette image of (width, height) whose opacity follows the value."""
    image = Image.fromarray(levels(values, size)).convert("P")
    image.putpalette(RAMP.tobytes())
    if not opaque:
        image.info["transparency"] = (_opacity() * 255).round().astype(np.uint8).tobytes()
    return image


def overlay(picture: NDArray[np.uint8], values: NDArray[np.float32]) -> Image.Image:
    """The map over the picture it belongs to.

    Args:
        picture: (height, width, 3), as the model sees it.
        values: (h, w) raw map on the layer's grid, covering the whole picture.

    Returns:
        An RGB image of the picture's size.
    """
    index = levels(values, (picture.shape[1], picture.shape[0]))
    alpha = _opacity()[index][..., None]
    mixed = picture * (1 - alpha) + RAMP[index] * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def outline_path(mask: NDArray[np.bool_], *, side: int = 128) -> str:
    """The mask's outline as the data of an SVG path in pixels of the mask; empty for an empty mask.

    Args:
        mask: (height, width).
        side: the mask is brought down to this many pixels on its longer side first.
    """
    height, width = mask.shape
    small = _shrink(mask, side)
    scale_x, scale_y = width / small.shape[1], height / small.shape[0]
    parts = []
    for ring in rings(small):
        points = [f"{_short(x * scale_x)} {_short(y * scale_y)}" for x, y in ring]
        parts.append("M" + "L".join(points) + "Z")
    return "".join(parts)


def rings(mask: NDArray[np.bool_], *, tolerance: float = 0.75) -> list[list[Point]]:
    """Closed outlines of a mask along its pixels' edges, simplified to within ``tolerance`` pixels."""
    simplified = []
    for ring in _trace(mask):
        found = _simplify_ring(ring, tolerance)
        # a pixel or two would simplify to a line: keep their corners
        simplified.append(found if len(found) > 2 else _simplify_ring(ring, 0.0))
    return simplified


def _opacity() -> NDArray[np.float64]:
    """Opacity of each of the 256 levels: nothing where there is no evidence, and then rising fast."""
    return np.asarray(OPACITY * (np.arange(256) / 255) ** 0.9)


def _shrink(mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    height, width = mask.shape
    if max(height, width) <= side or not mask.any():
        return mask
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    share = np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX))
    return np.asarray(share >= min(0.5, float(share.max())))


def _trace(mask: NDArray[np.bool_]) -> Iterator[list[Point]]:
    """Closed walks along the mask's border, its inside to the right; two pixels that touch at a corner stay apart."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    inside = padded[1:-1, 1:-1]
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    sides = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),
        (inside & ~padded[1:-1, 2:], (1, 0), (1, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1), (0, 1)),
        (inside & ~padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for border, (x0, y0), (x1, y1) in sides:
        for y, x in np.argwhere(border).tolist():
            leaving.setdefault((x + x0, y + y0), []).append((x + x1, y + y1))
    while leaving:
        start = point = next(iter(leaving))
        ring: list[Point] = []
        step = (0, 0)
        while True:
            ring.append(point)
            choices = leaving[point]
            following = choices[0] if len(choices) == 1 else _turn_right(point, step, choices)
            choices.remove(following)
            if not choices:
                del leaving[point]
            step = (following[0] - point[0], following[1] - point[1])
            point = following
            if point == start:
                break
        yield ring


def _turn_right(
    point: tuple[int, int], step: tuple[int, int], choices: list[tuple[int, int]]
) -> tuple[int, int]:
    right = (point[0] - step[1], point[1] + step[0])
    return right if right in choices else choices[0]


def _simplify_ring(ring: list[Point], tolerance: float) -> list[Point]:
    """Douglas and Peucker on a ring, cut at its first point and the one farthest from it."""
    points = np.asarray(ring)
    far = int(((points - points[0]) ** 2).sum(1).argmax())
    if far == 0:
        return ring
    closed = np.vstack([points, points[:1]])
    keep = np.zeros(len(closed), dtype=bool)
    keep[[0, far]] = True
    stack = [(0, far), (far, len(closed) - 1)]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        origin, along = closed[first], closed[last] - closed[first]
        offset = closed[first + 1 : last] - origin
        length = float(np.hypot(*along)) or 1.0
        distance = np.abs(along[0] * offset[:, 1] - along[1] * offset[:, 0]) / length
        if not along.any():
            distance = np.hypot(offset[:, 0], offset[:, 1])
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            stack += [(first, middle), (middle, last)]
    return [(float(x), float(y)) for x, y in closed[:-1][keep[:-1]]]


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
