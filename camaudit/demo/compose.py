"""The demo's images: doctors and nurses composed of drawn people and photographed places, with exact masks.

The set-up of the Grad-CAM paper (section 6.3). A doctor wears a stethoscope, a nurse carries one of four tools on the
coat; coat and shirt are the same for all. So the tool is what a model should use, and hair and face, which alone tell
the gender, are what it should not. In a quarter of the images no tool is to be seen, as in photographs from the web:
that is what makes the shortcut pay.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

LEGEND: Final = {1: "tool", 2: "coat", 3: "shirt", 4: "hair", 5: "face"}
"""Part of each mask value; 0 is the background."""

ASSETS: Final = Path(__file__).parent / "assets"
TABLES: Final = ("train_biased", "train_balanced", "test")
CLASSES: Final = ("doctor", "nurse")
GENDERS: Final = ("man", "woman")
DOCTORS_WHO_ARE_MEN: Final = 0.78  # of the paper's biased training set
NURSES_WHO_ARE_WOMEN: Final = 0.93
NURSES_TOOLS: Final = ("syringe", "thermometer", "pill", "clipboard")

TRAINING_TONES: Final = ("default", "light", "medium", "dark")
TEST_TONES: Final = ("medium-light", "medium-dark")
TRAINING_SCENES: Final = (
    "autumn-hills", "berlin-cathedral", "fort-sumter", "gateway-of-india", "giza-pyramid", "great-wall",
    "hilltop-sunset", "living-room", "mont-saint-michel", "neuschwanstein", "palais-des-papes", "qutub-minar",
)  # fmt: skip
TEST_SCENES: Final = (
    "dandelion-meadow", "forest-brook", "golden-temple", "lincoln-memorial", "machu-picchu", "mountain-path",
    "schwerin-palace", "victoria-memorial",
)  # fmt: skip

SIDE: Final = 224  # pixels; the model's own input, so no resize comes between image and map
FIGURE_SIDE: Final = (0.5, 0.7)  # of the image's side: a drawing's square; the person fills 0.68 x 0.87 of it
TOOL_LENGTH: Final = (0.25, 0.35)  # of the figure's height; the stethoscope's is 0.4
TOOL_PALENESS: Final = (0.0, 0.5)  # how far a tool's colours are faded towards the coat's
TOOL_VISIBLE: Final = (True, True, True, False)  # three of any four
JPEG_QUALITY: Final = 93
COMPOSITION: Final = 1  # raise when the same parameters make other images

T = TypeVar("T")

_STETHOSCOPE = "stethoscope"
_PALETTE = (0, 0, 0, 230, 60, 60, 225, 225, 235, 130, 140, 150, 90, 60, 200, 245, 180, 130)
_TOOL, _COAT, _SHIRT, _HAIR, _FACE = LEGEND
_OPAQUE = 128
_ON_COAT = 0.95  # share of a nurse's tool that must lie on the clothes
_COAT_COLOUR = (226, 220, 238)
_DRAWING_SIDE = 256  # pixels of a shipped figure before it is cut to the person


@dataclass(frozen=True)
class ComposedDemo:
    """Where a composition lies: its folder and its three tables, whose paths are relative to that folder."""

    root: Path
    train_biased: Path
    train_balanced: Path
    test: Path


@dataclass(frozen=True)
class Row:
    """One image of a table.

    ``person`` names figure and scene together: one person photographed in one place. Images of it share hair, face
    and background, so they are the units that belong together in a bootstrap; a figure alone would leave four of them
    in the test set.
    """

    image: str
    mask: str
    label: str
    gender: str
    tone: str
    scene: str
    tool: str
    person: str
    split: str


def compose(
    out: Path,
    *,
    per_class: int = 250,
    test_per_cell: int = 100,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> ComposedDemo:
    """Write images, masks and tables into ``out``; the same arguments write the same bytes.

    The balanced training set takes its images from the same pool as the biased one, so that the two differ in their
    proportions and in nothing else. A complete composition with the same parameters is left as it is.

    Args:
        out: folder to write into; made if missing.
        per_class: training images of a class, in each of the two training sets.
        test_per_cell: test images of a class and gender.
        seed: of everything drawn by chance.
        progress: is told, in words, how far it is.

    Returns:
        The folder and its tables.
    """
    done = ComposedDemo(out, *(out / f"{name}.csv" for name in TABLES))
    record = out / "composition.json"
    parameters = {
        "composition": COMPOSITION,
        "per_class": per_class,
        "test_per_cell": test_per_cell,
        "seed": seed,
        "legend": {str(value): part for value, part in LEGEND.items()},
    }
    if record.exists():
        if json.loads(record.read_text(encoding="utf-8")) == parameters and all(
            p.exists() for p in astuple(done)
        ):
            return done
        record.unlink()
        for folder in ("images", "masks"):
            shutil.rmtree(out / folder, ignore_errors=True)
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)

    biased, balanced = training_counts(per_class)
    pool: dict[tuple[str, str], list[Row]] = {}
    for cell, wanted in biased.items():
        count = max(wanted, balanced[cell])
        pool[cell] = _write_cell(out, "train", cell, count, seed)
        _tell(progress, f"composed {count} training images: {cell[0]}, {cell[1]}")
    test: list[Row] = []
    for cell in pool:
        test += _write_cell(out, "test", cell, test_per_cell, seed)
    _tell(progress, f"composed {len(test)} test images")

    _write_table(done.train_biased, [row for cell, n in biased.items() for row in pool[cell][:n]])
    _write_table(done.train_balanced, [row for cell, n in balanced.items() for row in pool[cell][:n]])
    _write_table(done.test, test)
    record.write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8")
    return done


def training_counts(per_class: int) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Return how many images of each (class, gender) the biased and the balanced training set have."""
    men_doctors = int(per_class * DOCTORS_WHO_ARE_MEN + 0.5)
    women_nurses = int(per_class * NURSES_WHO_ARE_WOMEN + 0.5)
    biased = {
        ("doctor", "man"): men_doctors,
        ("doctor", "woman"): per_class - men_doctors,
        ("nurse", "man"): per_class - women_nurses,
        ("nurse", "woman"): women_nurses,
    }
    half = per_class // 2
    return biased, {cell: half if cell[1] == "man" else per_class - half for cell in biased}


def _write_cell(out: Path, split: str, cell: tuple[str, str], count: int, seed: int) -> list[Row]:
    """Write ``count`` images of one class and gender; any first part of them is as varied as the whole."""
    label, gender = cell
    entropy = (seed, ("train", "test").index(split), CLASSES.index(label), GENDERS.index(gender))
    tones, scenes = (TRAINING_TONES, TRAINING_SCENES) if split == "train" else (TEST_TONES, TEST_SCENES)
    order = np.random.default_rng((*entropy, 0))
    tools = (_STETHOSCOPE,) if label == "doctor" else NURSES_TOOLS
    drawn_tone, drawn_scene = _shuffled_rounds(tones, order), _shuffled_rounds(scenes, order)
    drawn_visible, drawn_tool = _shuffled_rounds(TOOL_VISIBLE, order), _shuffled_rounds(tools, order)
    rows = []
    for i in range(count):
        tone, scene = next(drawn_tone), next(drawn_scene)
        tool = next(drawn_tool) if next(drawn_visible) else "none"
        name = f"{split}-{label}-{gender}-{i:04d}"
        person = f"{gender}-{tone}@{scene}"
        row = Row(f"images/{name}.jpg", f"masks/{name}.png", label, gender, tone, scene, tool, person, split)
        image, mask = compose_image(row, np.random.default_rng((*entropy, 1, i)))
        image.save(out / row.image, quality=JPEG_QUALITY, subsampling=0)
        mask.save(out / row.mask, optimize=False)
        rows.append(row)
    return rows


def compose_image(row: Row, rng: Generator) -> tuple[Image.Image, Image.Image]:
    """Compose one image: returns it (RGB) and its mask (palette image, values of LEGEND), both SIDE × SIDE."""
    scene = _crop_scene(_scene(row.scene), rng)
    figure, parts = _dressed(row, rng)
    left = int(rng.integers(0, SIDE - figure.width + 1))
    top = int(rng.integers(0, SIDE - figure.height + 1))
    scene.paste(figure, (left, top), figure)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[top : top + figure.height, left : left + figure.width] = parts
    indexed = Image.fromarray(mask, mode="P")
    indexed.putpalette(_PALETTE)
    return _photographed(scene, rng), indexed


def _dressed(row: Row, rng: Generator) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Return the person with the tool, at its final size, and its part map (height, width)."""
    person, stethoscope, parts = _figure(f"{row.gender}-{row.tone}")
    ratio = SIDE * rng.uniform(*FIGURE_SIDE) / _DRAWING_SIDE
    size = (round(person.width * ratio), round(person.height * ratio))
    mirrored = bool(rng.integers(2))

    def fitted(layer: Image.Image) -> Image.Image:
        resized = layer.resize(size, Image.Resampling.BICUBIC)
        return ImageOps.mirror(resized) if mirrored else resized

    figure, part_map = fitted(person), _largest_part([np.asarray(fitted(part)) for part in parts])
    tool = None
    if row.tool == _STETHOSCOPE:
        tool = fitted(stethoscope)
    elif row.tool != "none":
        tool = _on_coat(_tool_sprite(row.tool, figure.height, rng), part_map, rng)
    if tool is not None:
        figure.alpha_composite(_tinted(tool, rng))
        part_map[np.asarray(tool)[..., 3] >= _OPAQUE] = _TOOL
    return figure, part_map


def _tool_sprite(name: str, figure_height: int, rng: Generator) -> Image.Image:
    """Return a nurse's tool, turned and sized by chance."""
    with Image.open(ASSETS / "tools" / f"{name}.png") as image:
        sprite = image.convert("RGBA")
    sprite = sprite.rotate(rng.uniform(-30, 30), Image.Resampling.BICUBIC, expand=True)
    sprite = sprite.crop(sprite.getchannel("A").getbbox())
    ratio = figure_height * rng.uniform(*TOOL_LENGTH) / max(sprite.size)
    return sprite.resize((max(1, round(sprite.width * ratio)), max(1, round(sprite.height * ratio))))


def _tinted(tool: Image.Image, rng: Generator) -> Image.Image:
    """Return a tool's layer in another hue, and paler: tools come in all colours, so none gives its class away."""
    hue, saturation, value = tool.convert("RGB").convert("HSV").split()
    turn = int(rng.integers(256))
    turned = Image.merge("HSV", (hue.point(lambda h: (h + turn) % 256), saturation, value)).convert("RGB")
    pale = Image.blend(turned, Image.new("RGB", tool.size, _COAT_COLOUR), float(rng.uniform(*TOOL_PALENESS)))
    pale.putalpha(tool.getchannel("A"))
    return pale


def _on_coat(sprite: Image.Image, parts: NDArray[np.uint8], rng: Generator) -> Image.Image:
    """Return a layer of the figure's size with the sprite on the coat, in the first of 24 places that fits, or the best."""
    covers = np.asarray(sprite)[..., 3] >= _OPAQUE
    clothes = np.isin(parts, (_COAT, _SHIRT)).astype(np.int8) - 4 * np.isin(parts, (_HAIR, _FACE)).astype(
        np.int8
    )
    room_y, room_x = parts.shape[0] - sprite.height, parts.shape[1] - sprite.width
    places = np.stack([rng.integers(room_y // 2, room_y + 1, 24), rng.integers(0, room_x + 1, 24)], axis=1)
    fit = [int(clothes[y : y + sprite.height, x : x + sprite.width][covers].sum()) for y, x in places]
    enough = [i for i, pixels in enumerate(fit) if pixels >= _ON_COAT * covers.sum()]
    top, left = places[enough[0] if enough else int(np.argmax(fit))]
    layer = Image.new("RGBA", (parts.shape[1], parts.shape[0]))
    layer.paste(sprite, (int(left), int(top)))
    return layer


def _largest_part(coverage: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return per pixel the part that covers most of it, or 0 where the background does (height, width)."""
    stack = np.stack(coverage).astype(np.int16)
    first_part = _COAT  # the tool has a layer of its own
    largest: NDArray[np.uint8] = (np.argmax(stack, axis=0) + first_part).astype(np.uint8)
    largest[stack.sum(axis=0) < _OPAQUE] = 0
    return largest


def _crop_scene(scene: Image.Image, rng: Generator) -> Image.Image:
    """Return a square cut of the photograph, 0.75 to 1 of its short side, mirrored half of the times."""
    side = round(min(scene.size) * rng.uniform(0.75, 1))
    left, top = (int(rng.integers(0, extent - side + 1)) for extent in scene.size)
    box = (left, top, left + side, top + side)
    cut = scene.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
    return ImageOps.mirror(cut) if rng.integers(2) else cut


def _photographed(image: Image.Image, rng: Generator) -> Image.Image:
    """Vary brightness, contrast, colour and sharpness, mildly."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhancer(image).enhance(float(rng.uniform(0.8, 1.2)))
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 0.8))))


@cache
def _scene(name: str) -> Image.Image:
    with Image.open(ASSETS / "scenes" / f"{name}.jpg") as image:
        return image.convert("RGB")


@cache
def _figure(name: str) -> tuple[Image.Image, Image.Image, tuple[Image.Image, ...]]:
    """Return a figure's layers, cut to the person: person, stethoscope, and the coverage of coat to face."""
    folder = ASSETS / "figures"
    with Image.open(folder / f"{name}.png") as image:
        person = image.convert("RGBA")
    with Image.open(folder / f"{name}.stethoscope.png") as image:
        stethoscope = image.convert("RGBA")
    with Image.open(folder / f"{name}.parts.png") as image:
        values = np.asarray(image)
    box = person.getchannel("A").getbbox()
    parts = tuple(
        Image.fromarray(np.where(values == part, np.uint8(255), np.uint8(0))).crop(box)
        for part in (_COAT, _SHIRT, _HAIR, _FACE)
    )
    return person.crop(box), stethoscope.crop(box), parts


def _shuffled_rounds(values: Sequence[T], rng: Generator) -> Iterator[T]:
    """Yield the values for ever, each round in a new order."""
    while True:
        for i in rng.permutation(len(values)):
            yield values[i]


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in rows)


def _tell(progress: Callable[[str], None] | None, words: str) -> None:
    if progress is not None:
        progress(words)
