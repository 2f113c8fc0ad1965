"""What the randomisation check sees: a photograph's maps before and after, a row a method.

``python -m benchmarks.randomisation_picture PHOTOGRAPH OUT.jpg``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from benchmarks.randomisation import ALL, GROUPS, HALF, HEAD, maps_of, randomised, stages_of
from camaudit.demo.train import load_imagenet, pixels
from camaudit.explain.registry import get_method
from camaudit.explain.upsampling import upsample
from camaudit.report.colormap import INFERNO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SIDE, LABEL, GAP, TOP = 116, 190, 4, 34
COLUMNS = {"trained": "", "head random": HEAD, "half random": HALF, "all random": ALL}


def rows(photograph: Path) -> dict[str, list[Tensor]]:
    """Maps by method, (h, w), one a column."""
    trained = load_imagenet()
    image = pixels(photograph)[None]
    with torch.inference_mode():
        own = trained(image).argmax(1)
        other = (own + 1) % 1000
    found: dict[str, list[Tensor]] = {}
    for draw, change in enumerate(COLUMNS.values()):
        model = randomised(trained, stages_of(change), 0) if change else trained
        for group in GROUPS.values():
            classes = [other if group.against else own]
            for name, maps in maps_of(model, image, group, classes, draw).items():
                found.setdefault(name, []).append(maps[0, 0])
    return found


def tile(values: Tensor) -> Image.Image:
    """A map in colours; the hundredth of the pixels that are brightest is cut off, as few of a gradient's are."""
    large = upsample(values[None, None].float(), (224, 224))[0, 0]
    top = large.flatten().quantile(0.99).clamp(min=torch.finfo(large.dtype).tiny)
    coloured = INFERNO[(large / top).clamp(0, 1).mul(255).byte().numpy()]
    return Image.fromarray(np.ascontiguousarray(coloured)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def picture(found: dict[str, list[Tensor]], photograph: Path) -> Image.Image:
    """Two blocks side by side, each a row a method; the photograph before the first."""
    names = sorted(found)
    cells = ["", *names]
    half = -(-len(cells) // 2)
    width = LABEL + len(COLUMNS) * (SIDE + GAP) + 20
    sheet = Image.new("RGB", (2 * width, TOP + half * (SIDE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for block in range(2):
        for column, title in enumerate(COLUMNS):
            left = block * width + LABEL + column * (SIDE + GAP)
            draw.text((left + SIDE // 2, TOP // 2), title, fill="black", font=font, anchor="mm")
    for place, name in enumerate(cells):
        left, top = place // half * width, TOP + place % half * (SIDE + GAP)
        if not name:
            shown = pixels(photograph).permute(1, 2, 0).mul(128).add(127).clamp(0, 255).byte().numpy()
            sheet.paste(Image.fromarray(shown).resize((SIDE, SIDE)), (left + LABEL, top))
            draw.text((left + 8, top + SIDE // 2), "photograph", fill="black", font=font, anchor="lm")
            continue
        draw.text((left + 8, top + SIDE // 2), name, fill="black", font=font, anchor="lm")
        outcome = get_method(name).randomisation
        draw.text((left + 8, top + SIDE // 2 + 20), outcome, fill="dimgray", font=font, anchor="lm")
        for column, values in enumerate(found[name]):
            sheet.paste(tile(values), (left + LABEL + column * (SIDE + GAP), top))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.randomisation_picture")
    parser.add_argument("photograph", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args(arguments)
    picture(rows(chosen.photograph), chosen.photograph).save(chosen.out, quality=85)


if __name__ == "__main__":
    main()
