"""Images of the three tasks, composed of cut-outs and scenes: an object in a place, with its exact mask.

An image is planned before it is drawn, so that it can be drawn twice: with another place, with another person's hair and
face, and in every other respect the same. That is what makes a counterfactual twin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.planted import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.planted.catalogue import Portion

Task = Literal["waterbird", "mammal", "nurse"]
CLASSES: Final[dict[Task, tuple[str, str]]] = {
    "waterbird": ("landbird", "waterbird"),
    "mammal": ("bird", "mammal"),
    "nurse": ("doctor", "nurse"),
}
OBJECTS: Final[dict[Task, str]] = {"waterbird": "bird", "mammal": "animal", "nurse": "tool"}
SIDE: Final = 128  # pixels
OPAQUE: Final = 128
ASSETS: Final = Path(__file__).parents[2] / "camaudit" / "demo" / "assets"
NURSES_TOOLS: Final = ("syringe", "thermometer", "pill", "clipboard")
_TOOL, _HAIR, _FACE = 1, 4, 5  # values of the demo's part maps


@dataclass(frozen=True)
class Plan:
    """One image before it is drawn.

    Attributes:
        task: which task it belongs to.
        label: 0 or 1, the place in `CLASSES`.
        kind: the cut-out's name, or the person's tone of skin.
        tool: what a doctor or nurse carries; empty where nothing is to be seen.
        places: names of two scenes; a background shortcut shows the one or the other, everything else the first.
        seed: of what is drawn by chance.
    """

    task: Task
    label: int
    kind: str
    tool: str
    places: tuple[str, str]
    seed: int


class Drawn(NamedTuple):
    """An image and its exact masks.

    Attributes:
        pixels: (side, side, 3) uint8.
        object: where the object is, (side, side).
        body: where a cut-out or a person covers the scene, (side, side).
        head: where hair and face are, (side, side); nowhere in animals.
    """

    pixels: NDArray[np.uint8]
    object: NDArray[np.bool_]
    body: NDArray[np.bool_]
    head: NDArray[np.bool_]


@dataclass(frozen=True)
class Parts:
    """A folder that ``scripts/fetch_planted_parts.py`` has filled."""

    folder: Path

    def cutout(self, kind: str, name: str) -> Image.Image:
        """A cut-out with its alpha."""
        return _opened(self.folder / kind / f"{name}.png", "RGBA")

    def scene(self, name: str) -> Image.Image:
        """A photograph of a place."""
        return _opened(self.folder / "scenes" / f"{name}.png", "RGB")


@cache
def _opened(path: Path, mode: str) -> Image.Image:
    with Image.open(path) as image:
        return image.convert(mode)


def plans(task: Task, portion: Portion, count: int, *, water: bool, seed: int) -> list[Plan]:
    """The plans of `count` images, the two classes in turn; kinds and places go round in shuffled rounds.

    Args:
        task: which task.
        portion: whose cut-outs and scenes.
        count: how many; the first ones do not depend on it.
        water: whether the two places are one on land and one by the water; else both are any.
        seed: of everything.
    """
    draw = np.random.default_rng((seed, *task.encode(), *portion.encode(), int(water)))
    kinds = [_Rounds(names, draw) for names in _kinds(task, portion)]
    land, by_water = catalogue.LAND_SCENES[portion], catalogue.WATER_SCENES[portion]
    every = (*land, *by_water, *catalogue.TOWN_SCENES[portion])
    first, second = (_Rounds(land, draw), _Rounds(by_water, draw)) if water else (_Rounds(every, draw),) * 2
    tools = (_Rounds(("stethoscope",), draw), _Rounds(NURSES_TOOLS, draw))
    seen = _Rounds((True, True, True, False), draw)
    found = []
    for index in range(count):
        label = index % 2
        tool = tools[label].next() if task == "nurse" and seen.next() else ""
        places = (first.next(), second.next())
        kind = kinds[label].next()
        found.append(Plan(task, label, kind, tool, places, int(draw.integers(2**31))))
    return found


def _kinds(task: Task, portion: Portion) -> tuple[Sequence[str], Sequence[str]]:
    land, by_water = catalogue.LAND_BIRDS[portion], catalogue.WATER_BIRDS[portion]
    if task == "waterbird":
        return land, by_water
    if task == "mammal":
        return (*land, *by_water), catalogue.MAMMALS[portion]
    return catalogue.TONES[portion], catalogue.TONES[portion]


class _Rounds:
    """Values for ever, each round in a new order."""

    def __init__(self, values: Sequence, draw: np.random.Generator) -> None:
        self.values, self.draw, self.waiting = values, draw, []

    def next(self) -> object:
        if not self.waiting:
            self.waiting = [self.values[i] for i in self.draw.permutation(len(self.values))]
        return self.waiting.pop()


def draw(parts: Parts, plan: Plan, *, place: int = 0, gender: str | None = None) -> Drawn:
    """Draw a plan.

    Args:
        parts: the photographs.
        plan: what is drawn.
        place: which of its two places.
        gender: of a doctor or nurse; None: by the plan's own chance.
    """
    chance = np.random.default_rng(plan.seed)
    frame = chance.uniform(0.7, 1.0, 2), chance.uniform(0, 1, (2, 2)), chance.integers(0, 2, 2)
    scene = _cut(parts.scene(plan.places[place]), *(values[place] for values in frame))
    if plan.task == "nurse":
        gender = gender or ("man", "woman")[int(chance.integers(2))]
        figure, labels = _person(gender, plan, chance)
    else:
        group = "mammals" if plan.task == "mammal" and plan.label == 1 else "birds"
        figure = _resized(parts.cutout(group, plan.kind), SIDE * chance.uniform(0.35, 0.6))
        labels = np.where(np.asarray(figure)[..., 3] >= OPAQUE, _TOOL, 0).astype(np.uint8)
    if chance.integers(2):
        figure, labels = ImageOps.mirror(figure), labels[:, ::-1]
    at = chance.uniform(0, 1, 2)
    left, top = round(at[0] * (SIDE - figure.width)), round(at[1] * (SIDE - figure.height))
    scene.paste(figure, (left, top), figure)
    layer = np.zeros((SIDE, SIDE), np.uint8)
    body = np.zeros((SIDE, SIDE), bool)
    window = np.s_[top : top + figure.height, left : left + figure.width]
    layer[window], body[window] = labels, np.asarray(figure)[..., 3] > 0
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        scene = enhancer(scene).enhance(float(chance.uniform(0.8, 1.2)))
    return Drawn(np.asarray(scene), layer == _TOOL, body, np.isin(layer, (_HAIR, _FACE)))


def _cut(scene: Image.Image, share: float, corner: NDArray[np.float64], mirrored: np.integer) -> Image.Image:
    side = min(scene.size) * share
    left, top = (float(at) * (extent - side) for at, extent in zip(corner, scene.size, strict=True))
    box = (left, top, left + side, top + side)
    cut = scene.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
    return ImageOps.mirror(cut) if mirrored else cut


def _resized(image: Image.Image, longest: float) -> Image.Image:
    ratio = longest / max(image.size)
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _person(gender: str, plan: Plan, chance: np.random.Generator) -> tuple[Image.Image, NDArray[np.uint8]]:
    """A drawn person with a tool and its part map; of both genders in one place and size."""
    folder = ASSETS / "figures"
    stem = f"{gender}-{plan.kind}"
    person = _opened(folder / f"{stem}.png", "RGBA").copy()
    labels = np.asarray(_opened(folder / f"{stem}.parts.png", "P")).copy()
    size = round(SIDE * chance.uniform(0.75, 1.0))
    turn, length, at = chance.uniform(-30, 30), chance.uniform(0.25, 0.35), chance.uniform(0.3, 0.7)
    if plan.tool:
        tool = _tool(plan.tool, stem, person.size, turn=float(turn), length=float(length), at=float(at))
        person.alpha_composite(tool)
        labels[np.asarray(tool)[..., 3] >= OPAQUE] = _TOOL
    small = Image.fromarray(labels).resize((size, size), Image.Resampling.NEAREST)
    return person.resize((size, size), Image.Resampling.LANCZOS), np.asarray(small).copy()


def _tool(
    name: str, figure: str, size: tuple[int, int], *, turn: float, length: float, at: float
) -> Image.Image:
    """A layer of the figure's size with the tool on the coat."""
    if name == "stethoscope":
        return _opened(ASSETS / "figures" / f"{figure}.stethoscope.png", "RGBA")
    sprite = _opened(ASSETS / "tools" / f"{name}.png", "RGBA")
    sprite = sprite.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    sprite = _resized(sprite.crop(sprite.getchannel("A").getbbox()), size[1] * length)
    layer = Image.new("RGBA", size)
    layer.paste(sprite, (round(at * size[0] - sprite.width / 2), round(0.97 * size[1] - sprite.height)))
    return layer
