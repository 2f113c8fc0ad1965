"""Shapes as pixels. A pixel belongs to a shape where its centre does."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from camaudit.errors import DataError
from camaudit.types import Box, Keypoints, Polygon, RunLengths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_CROSSED = 200  # corners of a ring whose crossings are looked for: every edge with every other
_AT_ONCE = 4_000_000  # edge and row pairs that are compared together


def draw_polygon(polygon: Polygon, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of a polygon's rings, each filled by the even-odd rule, as COCO's own tools fill it.

    Pillow would draw the outline too, half a pixel beyond the polygon.
    """
    mask = np.zeros(size, dtype=bool)
    for ring in polygon.rings:
        if len(ring) >= 3:
            _fill(mask, np.array(ring, dtype=np.float64))
    return mask


def draw_box(box: Box, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A box."""
    mask = np.zeros(size, dtype=bool)
    rows, columns = (np.arange(side) + 0.5 for side in size)
    top, bottom = np.searchsorted(rows, (box.top, box.top + box.height))
    left, right = np.searchsorted(columns, (box.left, box.left + box.width))
    mask[top:bottom, left:right] = True
    return mask


def draw_keypoints(points: Keypoints, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The union of the discs around the points."""
    mask = np.zeros(size, dtype=bool)
    for x, y in points.points:
        (top, bottom), (left, right) = (
            (max(int(at - points.radius), 0), min(int(at + points.radius) + 1, side))
            for at, side in ((y, size[0]), (x, size[1]))
        )
        rows, columns = np.ogrid[top:bottom, left:right]
        inside = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= points.radius**2
        mask[top:bottom, left:right] |= inside
    return mask


def draw_run_lengths(runs_of: RunLengths) -> NDArray[np.bool_]:
    """A mask in COCO's compressed coding, of its own size.

    Raises:
        DataError: the runs do not fill the mask.
    """
    try:
        runs = run_lengths(runs_of.counts)
    except ValueError as error:
        msg = f"The run lengths of a mask cannot be used: {error}."
        raise DataError(msg) from None
    if sum(runs) != runs_of.height * runs_of.width:
        msg = f"The run lengths of a mask do not fill its {runs_of.width}x{runs_of.height} pixels."
        raise DataError(msg)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(runs_of.width, runs_of.height).T)


def as_run_lengths(mask: NDArray[np.bool_]) -> RunLengths:
    """A mask (height, width) as run lengths, which take a few bytes where the mask takes its area."""
    from pycocotools import mask as coco

    coded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return RunLengths(mask.shape[0], mask.shape[1], coded["counts"].decode("ascii"))


def run_lengths(counts: str) -> list[int]:
    """The lengths of the runs in COCO's compressed coding; background first.

    Six bits a character, the sixth for going on, the fifth of the last for the sign; from the third run on the difference
    to the run before the last (pycocotools, ``rleFrString``).

    Raises:
        ValueError: the text is not in this coding, or a run is negative.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            msg = f"{character!r} does not belong to COCO's run lengths"
            raise ValueError(msg)
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
            if runs[-1] < 0:
                msg = "a run is negative"
                raise ValueError(msg)
    if shift:
        msg = "the run lengths end too early"
        raise ValueError(msg)
    return runs


def scaled(shape: Polygon | Box | Keypoints, size: tuple[int, int]) -> Polygon | Box | Keypoints:
    """A shape of shares in pixels of an image of that (height, width)."""
    height, width = size
    if isinstance(shape, Polygon):
        return Polygon(tuple(tuple((x * width, y * height) for x, y in ring) for ring in shape.rings))
    if isinstance(shape, Box):
        return Box(shape.left * width, shape.top * height, shape.width * width, shape.height * height)
    moved = tuple((x * width, y * height) for x, y in shape.points)
    return Keypoints(moved, shape.radius * min(height, width))


# what an EXIF orientation does to the stored pixels, by rows and columns
TURNS: dict[int, Callable[[NDArray[np.bool_]], NDArray[np.bool_]]] = {
    2: lambda mask: mask[:, ::-1],
    3: lambda mask: mask[::-1, ::-1],
    4: lambda mask: mask[::-1],
    5: lambda mask: mask.T,
    6: lambda mask: np.rot90(mask, -1),
    7: lambda mask: mask[::-1, ::-1].T,
    8: np.rot90,
}


def area(rings: Sequence[Sequence[tuple[float, float]]]) -> float:
    """The sum of the rings' areas, by the shoelace formula; zero for a ring that encloses nothing.

    Of a ring that crosses itself the formula gives the difference of what is enclosed one way round and the other. Where
    that is zero the area is that of the even-odd rule, by which rings are filled; else it is below that.
    """
    total = 0.0
    for ring in rings:
        if len(ring) >= 3:
            x, y = np.array(ring, dtype=np.float64).T
            found = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
            total += found or (_even_odd_area(x, y) if len(x) <= _CROSSED else 0.0)
    return total


def _even_odd_area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The area that a ring encloses an odd number of times: trapezoids between the heights where its edges meet."""
    dx, dy = np.roll(x, -1) - x, np.roll(y, -1) - y
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        across = dx[:, None] * dy - dy[:, None] * dx
        at = ((x - x[:, None]) * dy - (y - y[:, None]) * dx) / across
        heights = y[:, None] + at * dy[:, None]
    cuts = np.unique(np.concatenate([y, heights[(at > 0) & (at < 1)]]))
    total = 0.0
    for top, bottom in pairwise(cuts.tolist()):
        middle = (top + bottom) / 2
        met = (y <= middle) != (y + dy <= middle)
        crossings = np.sort(x[met] + (middle - y[met]) / dy[met] * dx[met])
        total += (bottom - top) * float((crossings[1::2] - crossings[::2]).sum())
    return total


def _fill(mask: NDArray[np.bool_], ring: NDArray[np.float64]) -> None:
    """Even-odd filling: from each crossing of a row's centre line on, what was inside is outside."""
    x, y = ring.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    rows, columns = (np.arange(side) + 0.5 for side in mask.shape)
    top, bottom = np.searchsorted(rows, (y.min(), y.max()))
    left, right = np.searchsorted(columns, (x.min(), x.max()))
    right = min(right + 1, mask.shape[1])  # a rounding error of a crossing may reach one further
    if bottom <= top or right <= left:
        return
    rows = rows[top:bottom]
    turns = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    step = max(_AT_ONCE // len(rows), 1)
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        edge, row = np.nonzero((y[part, None] <= rows) != (next_y[part, None] <= rows))
        edge += start
        slope = (next_x[edge] - x[edge]) / (next_y[edge] - y[edge])
        at = np.searchsorted(columns, x[edge] + (rows[row] - y[edge]) * slope)
        np.bitwise_xor.at(turns, (row, np.clip(at, left, right) - left), 1)
    mask[top:bottom, left:right] |= np.bitwise_xor.accumulate(turns, axis=1)[:, :-1].astype(bool)
