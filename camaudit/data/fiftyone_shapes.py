"""FiftyOne's labels as shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camaudit.data.images import UNREADABLE, image_size
from camaudit.data.shapes import as_run_lengths
from camaudit.data.stored import open_stored
from camaudit.errors import DataError
from camaudit.types import Box, ColourMaskFile, Keypoints, MaskFile, Polygon, Relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from camaudit.types import Shape


@dataclass(frozen=True)
class Unusable:
    """An instance, or a whole Segmentation, that is no shape, and why."""

    problem: str


def shapes_of(
    kind: str, value: Any, sample: Any, targets: Mapping[Any, str], radius: float | None
) -> Iterator[tuple[str | None, Shape | Unusable]]:
    """The instances of a field, each with its label; None for one without, and for a whole field that is unusable.

    Args:
        kind: Detections, Polylines, Keypoints or Segmentation.
        value: of the field.
        sample: that it belongs to.
        targets: what the pixel values of a Segmentation mean: numbers, or colours such as ``#ff6d04``.
        radius: of keypoints, as a share of the image's shorter side.
    """
    if kind == "Segmentation":
        try:
            yield from _segmentation(value, sample, targets).items()
        except (TypeError, ValueError, *UNREADABLE) as error:
            yield None, Unusable(str(error))
        return
    for instance in getattr(value, kind.lower()):
        try:
            if kind == "Detections":
                shape = _detection(instance, sample)
            elif kind == "Polylines":
                shape = _polyline(instance)
            else:
                shape = _keypoints(instance, radius or 0.0)
        except (TypeError, ValueError, *UNREADABLE) as error:
            yield instance.label, Unusable(f"{instance.label!r}: {error}")
        else:
            yield instance.label, shape if instance.label else Unusable("an instance has no label")


def _detection(instance: Any, sample: Any) -> Shape:
    left, top, width, height = _numbers(instance.bounding_box, 4)
    if width <= 0 or height <= 0 or left >= 1 or top >= 1 or left + width <= 0 or top + height <= 0:
        msg = f"its box {list(instance.bounding_box)} has no area inside the image"
        raise ValueError(msg)
    mask = _mask(instance)
    if mask is None:
        return Relative(Box(left, top, width, height))
    rows, columns = _size(sample)
    # where a mask has about the pixels of its box it is taken as it is, otherwise stretched, as the App does
    sides = [
        len_ if abs(share * side - len_) <= 1 else max(round(share * side), 1)
        for len_, share, side in zip(mask.shape, (height, width), (rows, columns), strict=True)
    ]
    painted = np.zeros((rows, columns), dtype=bool)
    y, x = round(top * rows), round(left * columns)
    inner = _stretched(mask, (sides[0], sides[1])) != 0
    cut = inner[max(-y, 0) : rows - y, max(-x, 0) : columns - x]
    painted[max(y, 0) : max(y, 0) + cut.shape[0], max(x, 0) : max(x, 0) + cut.shape[1]] = cut
    return as_run_lengths(painted)


def _polyline(instance: Any) -> Shape:
    if not (instance.closed or instance.filled):
        msg = "the polyline is not closed, so it has no inside"
        raise ValueError(msg)
    rings = tuple(
        tuple((x, y) for x, y in (_numbers(point, 2) for point in ring)) for ring in instance.points
    )
    if not rings or any(len(ring) < 3 for ring in rings):
        msg = "the polyline has fewer than three points"
        raise ValueError(msg)
    return Relative(Polygon(rings))


def _keypoints(instance: Any, radius: float) -> Shape:
    # FiftyOne writes NaN for a point that is not visible
    seen = [point for point in instance.points if not any(map(math.isnan, point))]
    return Relative(Keypoints(tuple((x, y) for x, y in (_numbers(point, 2) for point in seen)), radius))


def _segmentation(value: Any, sample: Any, targets: Mapping[Any, str]) -> dict[str, Shape]:
    coloured = any(isinstance(target, str) for target in targets)
    values: dict[str, list[int]] = {}
    for target, label in targets.items():
        values.setdefault(label, []).append(_colour(target) if isinstance(target, str) else int(target))
    if value.mask_path:
        path = Path(value.mask_path)
        return {
            label: Relative((ColourMaskFile if coloured else MaskFile)(path, tuple(of)))
            for label, of in values.items()
        }
    mask = _mask(value)
    if mask is None:
        msg = "the Segmentation has no mask"
        raise ValueError(msg)
    if mask.ndim == 3:
        red, green, blue = np.moveaxis(mask[..., :3].astype(np.int32), -1, 0)
        mask = red + 256 * green + 65536 * blue
    whole = _stretched(mask, _size(sample))
    return {label: as_run_lengths(np.isin(whole, of)) for label, of in values.items()}


def _mask(label: Any) -> NDArray[Any] | None:
    if label.mask is not None:
        return np.asarray(label.mask)
    if not label.mask_path:
        return None
    with open_stored(label.mask_path) as image:
        return np.asarray(image)


def _stretched(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if mask.ndim != 2 or not mask.size:
        msg = f"its mask has the shape {mask.shape}; it must have two sides"
        raise ValueError(msg)
    row, column = (
        ((np.arange(to) + 0.5) * of / to).astype(np.int64) for to, of in zip(size, mask.shape, strict=True)
    )
    return np.asarray(mask[row[:, None], column])


def _size(sample: Any) -> tuple[int, int]:
    try:
        return image_size(Path(sample.filepath))
    except DataError as error:
        raise ValueError(str(error)) from None


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != count or not all(map(math.isfinite, found)):
        msg = f"{list(values)} are not {count} finite numbers"
        raise ValueError(msg)
    return found


def _colour(text: str) -> int:
    if len(text) != 7 or text[0] != "#":
        msg = f"{text!r} is no colour such as #ff6d04"
        raise ValueError(msg)
    red, green, blue = bytes.fromhex(text[1:])
    return red + 256 * green + 65536 * blue
