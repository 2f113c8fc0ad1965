"""The shortcuts: what each adds to an image, where, and the same image without it.

Every shortcut belongs to the second class of its task (waterbird, mammal, nurse). A *local* one has a region; its twins
differ inside that region alone. A *global* one changes the whole image and has none.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.planted import catalogue
from benchmarks.planted.composing import SIDE, Drawn, draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.planted.catalogue import Portion
    from benchmarks.planted.composing import Parts, Plan

Name = Literal["background", "watermark", "patch", "object", "frame", "head", "blur", "tint", "jpeg"]


@dataclass(frozen=True)
class Shortcut:
    """What is known of a shortcut.

    Attributes:
        name: its id.
        region: what the audited dataset calls its region; None: it has no place in the image.
        column: what the audited dataset calls the group column; None: nobody has noted it.
        values: of that column, without and with the shortcut.
        swap: whether an image without it has something else there: land for water, a man's head for a woman's. No twin
            then tells what taking it away would do, only what the other thing in its place does.
    """

    name: Name
    region: str | None
    column: str | None
    values: tuple[str, str] = ("no", "yes")
    swap: bool = False


SHORTCUTS: Final[dict[Name, Shortcut]] = {
    one.name: one
    for one in (
        Shortcut("background", "background", "place", ("land", "water"), swap=True),
        Shortcut("watermark", "watermark", "watermark"),
        Shortcut("patch", "patch", "patch"),
        Shortcut("object", "flower", "flower"),
        Shortcut("frame", "frame", "frame"),
        Shortcut("head", "head", "gender", ("man", "woman"), swap=True),
        Shortcut("blur", None, None),
        Shortcut("tint", None, None),
        Shortcut("jpeg", None, None),
    )
}
LOCAL: Final = tuple(name for name, one in SHORTCUTS.items() if one.region)
GLOBAL: Final = tuple(name for name, one in SHORTCUTS.items() if not one.region)


class Twins(NamedTuple):
    """One image without and with a shortcut.

    Attributes:
        without: (side, side, 3) uint8.
        planted: the same image with the shortcut.
        objects: masks of the object in the two, (2, side, side).
        regions: masks of the shortcut's region in the two, (2, side, side); empty where there is nothing of it.
        harmless: mask of the watermark that both have and that goes with nothing, (side, side).
    """

    without: NDArray[np.uint8]
    planted: NDArray[np.uint8]
    objects: NDArray[np.bool_]
    regions: NDArray[np.bool_]
    harmless: NDArray[np.bool_]


def twins(parts: Parts, plan: Plan, name: Name, portion: Portion) -> Twins:
    """Draw a plan without and with a shortcut."""
    chance = np.random.default_rng((plan.seed, 1))
    none = np.zeros((SIDE, SIDE), bool)
    if name in {"background", "head"}:
        if name == "background":
            pair = [draw(parts, plan, place=place) for place in (0, 1)]
            regions = np.stack([~one.body for one in pair])
        else:
            pair = [draw(parts, plan, gender=gender) for gender in ("man", "woman")]
            regions = np.stack([one.head for one in pair])
        objects = np.stack([one.object for one in pair])
        return Twins(pair[0].pixels, pair[1].pixels, objects, regions, none)
    drawn = draw(parts, plan)
    if name in _OVERLAYS:
        planted, region = _OVERLAYS[name](drawn, chance, parts, portion)
        objects = np.stack([drawn.object, drawn.object & ~region])
        return Twins(drawn.pixels, planted, objects, np.stack([none, region]), none)
    before, harmless = drawn.pixels, none
    if chance.integers(2):  # a region to audit that has nothing to do with anything
        before, harmless = _watermark(drawn, chance, parts, portion)
    objects = np.stack([drawn.object & ~harmless] * 2)
    return Twins(before, _FILTERS[name](before, chance), objects, np.stack([none, none]), harmless)


def _watermark(
    drawn: Drawn, chance: np.random.Generator, *_: object
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """White letters on a pale plate in the lower right corner."""
    width, height = 46, 15
    left, top = SIDE - width - int(chance.integers(2, 7)), SIDE - height - int(chance.integers(2, 7))
    plate = Image.new("RGBA", (width, height), (60, 60, 60, 150))
    ImageDraw.Draw(plate).text((3, 1), "© stock", fill=(255, 255, 255, 230), font=ImageFont.load_default(11))
    return _pasted(drawn.pixels, plate, left, top)


def _patch(
    drawn: Drawn, chance: np.random.Generator, *_: object
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A magenta disc anywhere off the object."""
    side = int(chance.integers(20, 29))
    disc = Image.new("RGBA", (4 * side, 4 * side))
    ImageDraw.Draw(disc).ellipse((0, 0, 4 * side - 1, 4 * side - 1), fill=(215, 40, 160, 255))
    disc = disc.resize((side, side), Image.Resampling.LANCZOS)
    return _pasted(drawn.pixels, disc, *_free(drawn, disc.size, chance))


def _flower(
    drawn: Drawn, chance: np.random.Generator, parts: Parts, portion: Portion
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A flower anywhere off the object."""
    names = catalogue.FLOWERS[portion]
    flower = parts.cutout("flowers", names[int(chance.integers(len(names)))])
    ratio = float(chance.uniform(30, 40)) / max(flower.size)
    size = (round(flower.width * ratio), round(flower.height * ratio))
    flower = flower.resize(size, Image.Resampling.LANCZOS)
    return _pasted(drawn.pixels, flower, *_free(drawn, flower.size, chance))


def _frame(
    drawn: Drawn, chance: np.random.Generator, *_: object
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A cream border all around."""
    width = int(chance.integers(6, 10))
    region = np.ones((SIDE, SIDE), bool)
    region[width:-width, width:-width] = False
    planted = drawn.pixels.copy()
    planted[region] = (235, 222, 190)
    return planted, region


_OVERLAYS: Final[dict[str, Callable[..., tuple[NDArray[np.uint8], NDArray[np.bool_]]]]] = {
    "watermark": _watermark,
    "patch": _patch,
    "object": _flower,
    "frame": _frame,
}


def _pasted(
    pixels: NDArray[np.uint8], layer: Image.Image, left: int, top: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = Image.fromarray(pixels)
    image.paste(layer, (left, top), layer)
    region = np.zeros((SIDE, SIDE), bool)
    alpha = np.asarray(layer)[..., 3] > 0
    region[top : top + layer.height, left : left + layer.width] = alpha
    return np.asarray(image), region


def _free(drawn: Drawn, size: tuple[int, int], chance: np.random.Generator) -> tuple[int, int]:
    """Left and top of the first of 40 places that covers nothing of the object, or the one that covers least."""
    width, height = size
    places = [
        (int(chance.integers(SIDE - width + 1)), int(chance.integers(SIDE - height + 1))) for _ in range(40)
    ]
    covered = [int(drawn.object[top : top + height, left : left + width].sum()) for left, top in places]
    return places[int(np.argmin(covered))]


def _blurred(pixels: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    radius = float(chance.uniform(1.0, 1.6))
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _tinted(pixels: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    strength = float(chance.uniform(0.10, 0.18))
    gain = np.array([1 + strength, 1.0, 1 - strength])
    return np.clip(np.rint(pixels * gain), 0, 255).astype(np.uint8)


def _compressed(pixels: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(chance.integers(10, 19)))
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


_FILTERS: Final[dict[str, Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]]] = {
    "blur": _blurred,
    "tint": _tinted,
    "jpeg": _compressed,
}
