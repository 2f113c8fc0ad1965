from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.planted import catalogue, sets
from benchmarks.planted.composing import SIDE, Parts, plans
from benchmarks.planted.shortcuts import GLOBAL, LOCAL, SHORTCUTS, twins
from benchmarks.planted.truth import Truth

if TYPE_CHECKING:
    from pathlib import Path

OVERLAID = ("watermark", "patch", "object", "frame")


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Noise in place of the photographs: what is fetched is not needed to see that twins are twins."""
    folder = tmp_path_factory.mktemp("parts")
    draw = np.random.default_rng(0)
    kinds = {
        "birds": (catalogue.WATER_BIRDS, catalogue.LAND_BIRDS),
        "mammals": (catalogue.MAMMALS,),
        "flowers": (catalogue.FLOWERS,),
        "scenes": (catalogue.WATER_SCENES, catalogue.LAND_SCENES, catalogue.TOWN_SCENES),
    }
    for kind, lists in kinds.items():
        (folder / kind).mkdir()
        for name in (name for portions in lists for names in portions.values() for name in names):
            pixels = draw.integers(40, 200, (40, 50, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).convert("RGB" if kind == "scenes" else "RGBA")
            if kind != "scenes":
                alpha = np.zeros((40, 50), np.uint8)
                alpha[5:35, 8:44] = 255
                image.putalpha(Image.fromarray(alpha))
            image.save(folder / kind / f"{name}.png")
    return Parts(folder)


def test_no_kind_and_no_scene_is_in_two_portions() -> None:
    for portions in (
        *(catalogue.WATER_BIRDS, catalogue.LAND_BIRDS, catalogue.MAMMALS, catalogue.FLOWERS),
        *(catalogue.WATER_SCENES, catalogue.LAND_SCENES, catalogue.TOWN_SCENES, catalogue.TONES),
    ):
        names = [name for of in portions.values() for name in of]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", OVERLAID)
def test_twins_differ_inside_the_mask_and_nowhere_else(parts: Parts, name: str) -> None:
    for plan in plans("waterbird", "reported", 6, water=False, seed=3):
        pair = twins(parts, plan, name, "reported")
        differs = (pair.without != pair.planted).any(-1)
        assert differs.any()
        assert not differs[~pair.regions[1]].any()
        assert not pair.regions[0].any()
        assert not (pair.objects[1] & pair.regions[1]).any()


def test_a_background_is_everything_but_the_object(parts: Parts) -> None:
    for plan in plans("waterbird", "reported", 4, water=True, seed=3):
        pair = twins(parts, plan, "background", "reported")
        assert np.array_equal(pair.objects[0], pair.objects[1])
        assert (pair.without != pair.planted).any(-1)[pair.regions[1]].mean() > 0.9
        assert plan.places[0] in catalogue.LAND_SCENES["reported"]
        assert plan.places[1] in catalogue.WATER_SCENES["reported"]


@pytest.mark.parametrize("name", GLOBAL)
def test_a_global_shortcut_is_everywhere_and_has_no_region(parts: Parts, name: str) -> None:
    pair = twins(parts, plans("mammal", "reported", 1, water=False, seed=3)[0], name, "reported")
    assert (pair.without != pair.planted).any(-1).mean() > 0.5
    assert not pair.regions.any()


@pytest.mark.parametrize("name", ["patch", "background", "head", "blur"])
def test_the_same_seed_draws_the_same_and_the_first_do_not_depend_on_the_count(
    parts: Parts, name: str
) -> None:
    task = "nurse" if name == "head" else "waterbird"
    few, many = (sets.pairs(parts, task, name, "development", count, seed=5) for count in (6, 10))
    assert np.array_equal(few.pixels, many.pixels[:, :6])
    assert np.array_equal(few.regions, many.regions[:, :6])


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.0])
def test_as_many_go_along_as_the_strength_says(share: float) -> None:
    labels = np.arange(400) % 2
    shown = sets.aligned(labels, share, seed=1)
    for label in (0, 1):
        assert (shown == labels)[labels == label].mean() == pytest.approx(share, abs=1e-9)


def test_the_dataset_shows_the_region_only_where_the_shortcut_is(parts: Parts, tmp_path: Path) -> None:
    found = sets.pairs(parts, "waterbird", "patch", "development", 8, seed=5)
    sets.write(found, tmp_path, 8)
    data = sets.dataset(found, tmp_path, 8)
    for row, sample in enumerate(data.samples):
        masks = {region.name: region.shape for region in sample.regions}
        assert masks["patch"].any() == bool(found.shown[row])
        pixels = np.asarray(Image.open(sample.image))
        assert np.array_equal(pixels, found.pixels[found.shown[row], row])
        assert sample.groups == {"patch": ("no", "yes")[found.shown[row]]}


def test_sloppy_masks_are_sloppy(parts: Parts, tmp_path: Path) -> None:
    found = sets.pairs(parts, "waterbird", "patch", "development", 10, seed=5)
    sets.write(found, tmp_path, 10)

    def areas(masks: sets.Masks) -> list[int | None]:
        samples = sets.dataset(found, tmp_path, 10, masks).samples
        return [next((r.shape.sum() for r in s.regions if r.name == "patch"), None) for s in samples]

    exact = areas("exact")
    shown = np.flatnonzero(found.shown)
    assert all(areas("dilated")[i] > exact[i] > areas("eroded")[i] > 0 for i in shown)
    assert all(areas("boxes")[i] > exact[i] for i in shown)
    assert areas("missing").count(None) == 2


def test_truth_of_a_cell_by_hand() -> None:
    truth = Truth(
        without=np.array([1.0, -1.0, 2.0, -2.0]),
        planted=np.array([2.0, 0.5, 1.0, -1.0]),
        labels=np.array([1, 0, 1, 0]),
        shown=np.array([1, 1, 0, 0]),
        unit=2.0,
        swap=False,
    )
    assert truth.effect == pytest.approx((1 + 1.5 - 1 + 1) / 4 / 2)
    assert truth.flips == 0.25
    assert truth.cell(1) == {"shift": pytest.approx(0.625), "response": pytest.approx(0.625), "n": 2}
    assert truth.cell(0)["n"] == 0
    assert truth.added(1) == {"shift": -0.5, "response": 0.5, "n": 1}
    assert truth.added(0) == {"shift": -0.5, "response": 0.5, "n": 1}
    assert truth.accuracy(along=True) == 1.0
    assert truth.accuracy(along=False) == pytest.approx(0.75)


def test_every_shortcut_is_local_or_global() -> None:
    assert set(LOCAL) | set(GLOBAL) == set(SHORTCUTS)
    assert SIDE == 128
