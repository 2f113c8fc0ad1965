"""Photographs with planted overlays: crops of the demo's scenes, and what stands where on them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from camaudit.types import Sample

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

SCENES = Path(__file__).resolve().parents[2] / "camaudit" / "demo" / "assets" / "scenes"


@dataclass(frozen=True)
class Planted:
    """Samples of two classes, a and b, and where the overlay is on each; no pixel where it is not."""

    samples: list[Sample]
    truth: list[NDArray[np.bool_]]


def plant(
    folder: Path, kind: str | None, share: float, *, count: int = 60, seed: int = 0, varied: bool = False
) -> Planted:
    """Write `count` photographs a class; a `share` of class a gets an overlay of that kind.

    ``tag``: opaque small text at the bottom left; ``watermark``: large white text in the middle, of 40 % opacity; ``stamp``: a
    date and time at the bottom right, another on each image; ``block``: a plain square at the top right.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    samples, truth = [], []
    for label in "ab":
        for number in range(count):
            image = _photograph(random, varied=varied)
            mask = np.zeros((image.height, image.width), dtype=bool)
            if kind is not None and label == "a" and random.random() < share:
                mask = _overlaid(image, kind, random)
            path = folder / f"{label}{number:03}.png"
            _compressed(image).save(path)
            samples.append(Sample(path.stem, path, label))
            truth.append(mask)
    return Planted(samples, truth)


@cache
def _scenes() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(SCENES.glob("*.jpg"))]


def _photograph(random: Generator, *, varied: bool) -> Image.Image:
    scene = _scenes()[random.integers(len(_scenes()))]
    width, height = (int(random.integers(180, 300)), int(random.integers(150, 240))) if varied else (224, 160)
    wide = int(min(scene.width, scene.height * width / height) * random.uniform(0.55, 1))
    high = int(wide * height / width)
    x, y = random.integers(0, scene.width - wide + 1), random.integers(0, scene.height - high + 1)
    image = scene.crop((x, y, x + wide, y + high)).resize((width, height), Image.Resampling.BILINEAR)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def _overlaid(image: Image.Image, kind: str, random: Generator) -> NDArray[np.bool_]:
    width, height = image.size
    if kind == "tag":
        stencil, colour = _text("Foto: Pferdefotoarchiv", 11), (255, 255, 255)
        place = (4, height - stencil.height - 4)
    elif kind == "watermark":
        stencil, colour = _text("SAMPLE", 34).point(lambda value: int(0.4 * value)), (255, 255, 255)
        place = ((width - stencil.width) // 2, (height - stencil.height) // 2)
    elif kind == "stamp":
        year, month, day, hour, minute = (
            int(random.integers(*ends)) for ends in ((2004, 2020), (1, 13), (1, 29), (0, 24), (0, 60))
        )
        stencil = _text(f"{year}/{month:02}/{day:02} {hour:02}:{minute:02}", 13)
        place, colour = (width - stencil.width - 6, height - stencil.height - 6), (255, 160, 30)
    else:
        stencil, place, colour = Image.new("L", (26, 26), 255), (width - 32, 6), (200, 30, 40)
    layer = Image.new("L", image.size)
    layer.paste(stencil, place)
    image.paste(Image.new("RGB", image.size, colour), mask=layer)
    mask = np.zeros((height, width), dtype=bool)
    mask[place[1] : place[1] + stencil.height, place[0] : place[0] + stencil.width] = True
    return mask


def _text(text: str, size: int) -> Image.Image:
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    stencil = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(stencil).text((1 - left, 1 - top), text, fill=255, font=font)
    return stencil


def _compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return Image.open(buffer).convert("RGB")
