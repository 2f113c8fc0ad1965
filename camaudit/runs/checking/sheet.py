"""The contact sheet: a few samples as the model sees them, with the outlines of their regions."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from camaudit.data import open_image
from camaudit.data.batches import Read, read_sample
from camaudit.report import drawing
from camaudit.runs.checking.counting import chosen
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.runs.checking.counting import Counts
    from camaudit.types import Role, Sample

_FINE = 2  # drawn at twice the size and brought down: Pillow's lines are not smooth
_CELL, _GAP, _EDGE, _ACROSS = 300, 24, 40, 4
_PAPER, _INK, _MUTED, _PADDING = "#ffffff", "#1b1f27", "#667085", (232, 234, 239)
_HALO = (12, 14, 20)
# drawn and left-out length of an outline, as in the report
_DASHES: Mapping[Role, tuple[float, float] | None] = {
    "object": None,
    "attribute": (9, 5),
    "context": (2.5, 5),
}
_LINES = 3  # of a caption

Point = tuple[float, float]


@dataclass(frozen=True)
class Shot:
    """One sample on the sheet.

    Attributes:
        sample: the sample.
        picture: (height, width, 3) uint8, in the model's frame.
        coverage: (height, width) in [0, 1] of each annotated region, in the same frame.
        valid: (height, width) bool, false on padding.
    """

    sample: Sample
    picture: NDArray[np.uint8]
    coverage: Mapping[str, NDArray[np.float32]]
    valid: NDArray[np.bool_]


def draw_sheet(
    samples: Sequence[Sample], counts: Counts, roles: Mapping[str, Role], recipe: Preprocessing | None
) -> bytes | None:
    """The contact sheet of a dataset; None where no image can be shown.

    Args:
        samples: the samples.
        counts: of them, which names the places to choose from.
        roles: of every single region.
        recipe: the model's preprocessing; None where it is not known: the images are then fitted into a square.
    """
    regions = {name: [name] for name in roles}
    shots = []
    for place in chosen(counts):
        sample = samples[place]
        read = read_sample(sample, recipe or _square(sample), regions)
        if isinstance(read, Read):
            shots.append(Shot(sample, read.image, read.coverage, read.valid))
    if not shots:
        return None
    height, width = shots[0].picture.shape[:2]
    frame = f"as the model sees them ({width} x {height} pixels)" if recipe else "before any preprocessing"
    known = [label for label in counts.labels if label is not None]
    said = f"{len(known)} labels" if known else "no labels"
    return contact_sheet(
        shots,
        roles,
        title=f"{len(shots)} of {counts.samples:,} images, {frame}",
        subtitle=f"{said}; chosen so that as many labels and groups as fit are seen. The outlines are the annotated regions.",
    )


def _square(sample: Sample) -> Preprocessing:
    image = open_image(sample.image)
    side = 300 / max(image.size)
    resized = (max(1, round(image.height * side)), max(1, round(image.width * side)))
    return Preprocessing(resized, None, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def contact_sheet(shots: Sequence[Shot], roles: Mapping[str, Role], *, title: str, subtitle: str) -> bytes:
    """A PNG of the samples, four in a row.

    Args:
        shots: at least one.
        roles: of every single region.
        title: the first line.
        subtitle: the second line, smaller.
    """
    across = min(_ACROSS, len(shots))
    down = -(-len(shots) // across)
    tall = max(_fitted(shot)[1] for shot in shots)
    step = tall + 82 + _GAP
    width = max(2 * _EDGE + across * _CELL + (across - 1) * _GAP, 720)
    keys = _keys(roles, width - 2 * _EDGE)
    top = 112
    height = top + down * step + 30 * len(keys) + _EDGE
    page = _Page(width, height)
    page.text((_EDGE, 34), title, 24, _INK, width - 2 * _EDGE)
    page.text((_EDGE, 70), subtitle, 15, _MUTED, width - 2 * _EDGE)
    for number, shot in enumerate(shots):
        left = _EDGE + (number % across) * (_CELL + _GAP)
        _draw(page, shot, roles, (left, top + (number // across) * step), tall)
    for line, entries in enumerate(keys):
        for left, name in entries:
            page.key((_EDGE + left, top + down * step + 8 + 30 * line), name, roles[name], roles)
    return page.png()


def _fitted(shot: Shot) -> tuple[int, int]:
    height, width = shot.picture.shape[:2]
    scale = min(_CELL / width, _CELL / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw(page: _Page, shot: Shot, roles: Mapping[str, Role], at: tuple[int, int], tall: int) -> None:
    size = _fitted(shot)
    place = (at[0] + (_CELL - size[0]) // 2, at[1] + tall - size[1])
    picture = np.where(shot.valid[..., None], shot.picture, np.array(_PADDING, dtype=np.uint8))
    page.picture(Image.fromarray(picture.astype(np.uint8)), place, size)
    colours = drawing.outline_colours(roles)
    for name in drawing.in_drawing_order(shot.coverage, roles):
        for ring in drawing.rings(_mask(shot.coverage[name], size)):
            page.outline([(place[0] + x, place[1] + y) for x, y in ring], colours[name], _DASHES[roles[name]])
    sample = shot.sample
    groups = ", ".join(f"{name}: {value}" for name, value in sample.groups.items())
    missing = ", ".join(name for name in roles if name not in shot.coverage)
    lines = [(sample.label or "no label", 17, _INK), (groups, 14, _INK), (sample.id, 13, _MUTED)]
    if missing:
        lines.append((f"not annotated: {missing}", 13, _MUTED))
    below = at[1] + tall + 8
    for said, height, colour in [line for line in lines if line[0]][: _LINES + 1]:
        page.text((at[0], below), said, height, colour, _CELL)
        below += height + 5


def _mask(coverage: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of a picture of (width, height) that a region takes half of; where it takes no half of any, the most of."""
    coverage = np.asarray(Image.fromarray(coverage).resize(size, Image.Resampling.BILINEAR))
    most = float(coverage.max(initial=0.0))
    return np.asarray((coverage >= min(0.5, most)) & (coverage > 0))


def _keys(roles: Mapping[str, Role], width: int) -> list[list[tuple[int, str]]]:
    """The entries of the legend, in lines of that width: where each begins, and the region."""
    lines: list[list[tuple[int, str]]] = []
    left = width
    for name in drawing.outline_colours(roles):
        needed = 46 + _measured(_key(name, roles[name]), 15) + 26
        if left + needed > width:
            lines.append([])
            left = 0
        lines[-1].append((left, name))
        left += needed
    return lines


def _key(name: str, role: Role) -> str:
    return f"{_short(name, 40)} ({role})"


def _short(text: str, most: int) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[: most + 1])
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def _font(height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)


def _measured(text: str, height: float) -> int:
    return round(_font(height).getlength(text))


class _Page:
    """A drawing in pixels of the finished sheet."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._image = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self._image.reduce(_FINE).save(buffer, "PNG", compress_level=5)
        return buffer.getvalue()

    def text(self, at: Point, said: str, height: int, colour: str, width: int) -> None:
        """One line, cut to a width."""
        line = _short(said, 200)
        while len(line) > 2 and _measured(line, height) > width:
            line = f"{line[:-2]}…"
        place = (at[0] * _FINE, at[1] * _FINE)
        self._draw.text(place, line, fill=colour, font=_font(height * _FINE))

    def picture(self, image: Image.Image, at: tuple[int, int], size: tuple[int, int]) -> None:
        fine = (size[0] * _FINE, size[1] * _FINE)
        # pixels of a small picture stay visible: it is what the model sees
        how = Image.Resampling.NEAREST if fine[0] > 4 * image.width else Image.Resampling.BICUBIC
        self._image.paste(image.resize(fine, how), (at[0] * _FINE, at[1] * _FINE))

    def outline(self, points: Sequence[Point], colour: str, dashes: tuple[float, float] | None) -> None:
        """A closed outline over a dark halo."""
        closed = [*points, points[0]]
        for part in _dashed(closed, dashes):
            self._line(part, _HALO, 4.6)
        for part in _dashed(closed, dashes):
            self._line(part, colour, 2.4)

    def key(self, at: tuple[int, int], name: str, role: Role, roles: Mapping[str, Role]) -> None:
        """One entry of the legend."""
        box = [(at[0]) * _FINE, at[1] * _FINE, (at[0] + 36) * _FINE, (at[1] + 18) * _FINE]
        self._draw.rounded_rectangle(box, 4 * _FINE, fill="#3a414e")
        line = [(at[0] + 4.0, at[1] + 9.0), (at[0] + 32.0, at[1] + 9.0)]
        for part in _dashed(line, _DASHES[role]):
            self._line(part, drawing.outline_colours(roles)[name], 2.4)
        self.text((at[0] + 46, at[1] - 1), _key(name, role), 15, _INK, self._size[0])

    def _line(self, points: Sequence[Point], colour: object, width: float) -> None:
        fine = [(x * _FINE, y * _FINE) for x, y in points]
        self._draw.line(fine, fill=colour, width=round(width * _FINE), joint="curve")  # type: ignore[arg-type]


def _dashed(points: Sequence[Point], dashes: tuple[float, float] | None) -> list[list[Point]]:
    """The drawn pieces of a line."""
    if dashes is None:
        return [list(points)]
    pieces: list[list[Point]] = []
    drawn, left = True, dashes[0]
    piece = [points[0]]
    for start, end in pairwise(points):
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        done = 0.0
        while length - done > left:
            done += left
            at = (
                start[0] + (end[0] - start[0]) * done / length,
                start[1] + (end[1] - start[1]) * done / length,
            )
            if drawn:
                pieces.append([*piece, at])
            drawn, piece = not drawn, [at]
            left = dashes[0] if drawn else dashes[1]
        left -= length - done
        piece.append(end)
    if drawn and len(piece) > 1:
        pieces.append(piece)
    return pieces
