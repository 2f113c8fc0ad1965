"""Samples as text and back, exactly: for the index on disk and for fingerprints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camaudit.types import (
    Box,
    ColourMaskFile,
    Combined,
    InFile,
    Instances,
    Keypoints,
    MaskFile,
    Polygon,
    Region,
    Relative,
    RunLengths,
    Sample,
)

if TYPE_CHECKING:
    from camaudit.types import Shape


def encode(sample: Sample, where: str) -> bytes:
    """One line of JSON; ``where`` is kept beside the sample, see `decode_where`."""
    row = [
        sample.id,
        str(sample.image),
        sample.label,
        dict(sample.groups),
        sample.split,
        sample.subject,
        [[region.name, region.role, _plain(region.shape), region.made_by] for region in sample.regions],
        where,
    ]
    return json.dumps(row, separators=(",", ":")).encode("ascii")


def decode(line: bytes) -> Sample:
    """The sample of a line."""
    identifier, image, label, groups, split, subject, regions, _ = json.loads(line)
    found = tuple(Region(name, role, _shape(plain), made_by) for name, role, plain, made_by in regions)
    return Sample(identifier, Path(image), label, groups, found, split, subject)


def decode_where(line: bytes) -> tuple[str, str]:
    """The id of a line's sample, and where it comes from."""
    row = json.loads(line)
    return row[0], row[-1]


def _plain(shape: Shape) -> list[Any]:  # noqa: C901, PLR0911 - a case a shape
    match shape:
        case MaskFile(path, values):
            return ["file", str(path), values]
        case ColourMaskFile(path, values):
            return ["colours", str(path), values]
        case RunLengths(height, width, counts):
            return ["runs", height, width, counts]
        case Polygon(rings):
            return ["polygon", rings]
        case Box(left, top, width, height):
            return ["box", left, top, width, height]
        case Keypoints(points, radius):
            return ["points", points, radius]
        case Instances(parts):
            return ["instances", [_plain(part) for part in parts]]
        case Combined(operator, parts):
            return [operator, [_plain(part) for part in parts]]
        case Relative(inner):
            return ["relative", _plain(inner)]
        case InFile(inner, image, size):
            return ["in", _plain(inner), str(image), size]
        case _:
            return ["array", shape.shape, np.packbits(shape).tobytes().hex()]


def _shape(plain: list[Any]) -> Shape:  # noqa: PLR0911, C901 - likewise
    match plain:
        case ["file", path, values]:
            return MaskFile(Path(path), values if values is None else tuple(values))
        case ["colours", path, values]:
            return ColourMaskFile(Path(path), tuple(values))
        case ["runs", height, width, counts]:
            return RunLengths(height, width, counts)
        case ["polygon", rings]:
            return Polygon(tuple(tuple((x, y) for x, y in ring) for ring in rings))
        case ["box", *sides]:
            return Box(*sides)
        case ["points", points, radius]:
            return Keypoints(tuple((x, y) for x, y in points), radius)
        case ["instances", parts]:
            return Instances(tuple(map(_shape, parts)))
        case ["and" | "or" | "not" as operator, parts]:
            return Combined(operator, tuple(map(_shape, parts)))
        case ["relative", inner]:
            return Relative(_shape(inner))  # type: ignore[arg-type]  # as it was written
        case ["in", inner, image, size]:
            return InFile(_shape(inner), Path(image), size and tuple(size))
        case ["array", sides, bits]:
            flat = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8), count=sides[0] * sides[1])
            return flat.astype(bool).reshape(sides)
    msg = f"{plain[0]!r} is no shape"
    raise ValueError(msg)
