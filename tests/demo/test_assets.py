"""What is shipped: complete, small, and each file with its licence."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from PIL import Image

from camaudit.demo.compose import (
    ASSETS,
    LEGEND,
    NURSES_TOOLS,
    TEST_SCENES,
    TEST_TONES,
    TRAINING_SCENES,
    TRAINING_TONES,
)

FILES = sorted(p for p in ASSETS.rglob("*") if p.is_file())
TEXTS = {"ATTRIBUTION.md", "LICENSE-fluentui-emoji.txt"}
FIGURES = [f"{g}-{t}" for g, t in product(("man", "woman"), (*TRAINING_TONES, *TEST_TONES))]


def test_assets_are_small() -> None:
    assert sum(p.stat().st_size for p in FILES) < 4_000_000


def test_every_file_has_its_line_and_its_licence() -> None:
    lines = (ASSETS / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines()
    listed = {m[1]: line for line in lines if (m := re.match(r"\| (\S+\.(?:png|jpg)) \|", line))}
    assert set(listed) == {p.relative_to(ASSETS).as_posix() for p in FILES} - TEXTS
    for line in listed.values():
        assert re.search(r"\| (MIT|CC0-1\.0|CC-BY-4\.0) \|", line)
    assert "Permission is hereby granted" in (ASSETS / "LICENSE-fluentui-emoji.txt").read_text(
        encoding="utf-8"
    )


def test_nothing_is_shipped_unused() -> None:
    used = {f"figures/{f}{suffix}.png" for f in FIGURES for suffix in ("", ".stethoscope", ".parts")}
    used |= {f"tools/{t}.png" for t in NURSES_TOOLS}
    used |= {f"scenes/{s}.jpg" for s in (*TRAINING_SCENES, *TEST_SCENES)}
    assert {p.relative_to(ASSETS).as_posix() for p in FILES} - TEXTS == used


@pytest.mark.parametrize("name", FIGURES)
def test_layers_of_a_figure_fit_together(name: str) -> None:
    layers = {s: Image.open(ASSETS / f"figures/{name}{s}.png") for s in ("", ".stethoscope", ".parts")}
    person, stethoscope, parts = (np.asarray(layers[s]) for s in layers)
    part = {p: v for v, p in LEGEND.items()}
    assert person.shape[:2] == stethoscope.shape[:2] == parts.shape
    assert set(np.unique(parts)) == {0, *LEGEND} - {part["tool"]}
    assert ((person[..., 3] >= 128) == (parts > 0)).mean() > 0.999  # edges of neighbouring elements
    on = np.bincount(parts[stethoscope[..., 3] >= 128], minlength=6)
    assert on[part["coat"]] > 0.8 * on.sum()  # the rest crosses shirt and neck


def test_only_hair_and_face_tell_the_gender() -> None:
    clothes = {}
    for gender in ("man", "woman"):
        with Image.open(ASSETS / f"figures/{gender}-light.png") as image:
            pixels = np.asarray(image).astype(float)
        with Image.open(ASSETS / f"figures/{gender}-light.parts.png") as image:
            parts = np.asarray(image)
        clothes[gender] = [
            pixels[parts == value][:, :3].mean(0) for value, p in LEGEND.items() if p in {"coat", "shirt"}
        ]
    np.testing.assert_allclose(clothes["man"], clothes["woman"], atol=4)  # of 255
