"""Donors, objects on other backgrounds, and attributes in other images."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from camaudit.measure.donors import Donors, draw_donors, stratum
from camaudit.measure.exchange import Backgrounds, exchangeable, exchanged_scores
from camaudit.measure.transplant import CONTROLS, DONORS, Attributes, pasted_scores
from camaudit.types import Preprocessing, Region, Sample

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SIDE = 48
RECIPE = Preprocessing(None, None, (0, 0, 0), (1, 1, 1))
PARTS = {"thing": ("thing",), "mark": ("mark",)}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("donors")
    return [_sample(folder, i) for i in range(30)]


def _sample(folder: Path, i: int) -> Sample:
    """A grey level a sample; a bright object in the middle; a red mark at the upper left of every other one."""
    pixels = np.full((SIDE, SIDE, 3), 40 + 4 * i, dtype=np.uint8)
    thing, mark = np.zeros((2, SIDE, SIDE), dtype=bool)
    thing[20:30, 20:30] = True
    pixels[thing] = 255
    if i % 2:
        mark[2:8, 2:10] = True
        pixels[mark] = (250, 0, 0)
    path = folder / f"{i:02}.png"
    Image.fromarray(pixels).save(path)
    regions = (Region("thing", "object", thing), Region("mark", "attribute", mark))
    # two thirds of the samples are of one place
    place = "water" if i % 3 else "land"
    return Sample(f"s{i:02}", path, ("a", "b")[i % 2], {"place": place}, regions, subject=f"p{i // 2}")


@pytest.fixture(scope="module")
def pool(samples: list[Sample]) -> Donors:
    return draw_donors(samples, RECIPE, PARTS, ["place"], seed=0)


def test_the_pool_is_balanced_over_the_groups_and_depends_on_the_seed_and_the_samples_only(
    samples: list[Sample],
) -> None:
    drawn = [
        [donor.id for donor in draw_donors(given, RECIPE, PARTS, ["place"], seed=seed, count=12).samples]
        for given, seed in ((samples, 0), (samples[::-1], 0), (samples, 1))
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    places = Counter(sample.groups["place"] for sample in samples if sample.id in drawn[0])
    assert places == {"water": 6, "land": 6}


def test_a_small_group_is_in_the_pool_whole_and_the_rest_is_filled_up(samples: list[Sample]) -> None:
    donors = draw_donors(samples, RECIPE, PARTS, ["place"], seed=0, count=25)
    assert Counter(donor.groups["place"] for donor in donors.samples) == {"land": 10, "water": 15}


def test_labels_stand_for_groups_where_there_are_none(samples: list[Sample]) -> None:
    donors = draw_donors(samples, RECIPE, PARTS, [], seed=0, count=10)
    assert Counter(donor.label for donor in donors.samples) == {"a": 5, "b": 5}
    assert stratum(samples[0], []) == ("a",)


def test_an_image_that_cannot_be_read_is_no_donor(samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    broken = Sample("broken", tmp_path / "broken.png", "a", {"place": "land"})
    donors = draw_donors([broken, *samples], RECIPE, PARTS, ["place"], seed=0)
    assert {donor.id for donor in donors.samples} == {sample.id for sample in samples}


def test_one_sample_has_no_donors_and_the_pool_of_nothing_is_empty(
    samples: list[Sample], tmp_path: Path
) -> None:
    alone = draw_donors(samples[:1], RECIPE, PARTS, ["place"], seed=0)
    assert alone.order(samples[0]) == []
    missing = Sample("gone", tmp_path / "gone.png", "a", {"place": "land"})
    empty = draw_donors([missing], RECIPE, PARTS, ["place"], seed=0)
    assert empty.samples == ()
    assert empty.order(samples[0]) == []
    assert Backgrounds(empty, 0).chosen(samples[0], 3) == []


def test_a_samples_donors_are_of_each_group_in_turn_and_never_its_own_subject(
    pool: Donors, samples: list[Sample]
) -> None:
    met: Counter[int] = Counter()
    for sample in samples:
        order = pool.order(sample)
        chosen = [pool.samples[place] for place in order]
        assert sample.subject not in {donor.subject for donor in chosen}
        assert len({donor.groups["place"] for donor in chosen[:2]}) == 2
        assert len(set(order)) == len(order)
        met.update(order[:6])
    assert len(met) > 20  # not always the same few


# ------------------------------------------------------------------ exchange


def test_a_background_is_the_donor_without_its_object(pool: Donors) -> None:
    backgrounds = Backgrounds(pool, 0)
    assert backgrounds.usable.all()
    for place, donor in enumerate(pool.samples):
        level = 40 + 4 * int(donor.id[1:])
        assert int(np.abs(backgrounds.frames[place, 16:34, 16:34].astype(int) - level).max()) <= 3
        assert backgrounds.name(place) == donor.id


def test_a_donor_whose_object_is_not_annotated_or_covers_all_has_no_background(samples: list[Sample]) -> None:
    whole = Sample(
        "whole",
        samples[0].image,
        "a",
        {"place": "land"},
        (Region("thing", "object", np.ones((SIDE, SIDE), bool)),),
    )
    unknown = Sample("unknown", samples[1].image, "a", {"place": "land"})
    donors = draw_donors([whole, unknown, samples[2]], RECIPE, PARTS, ["place"], seed=0)
    usable = dict(zip((donor.id for donor in donors.samples), Backgrounds(donors, 0).usable, strict=True))
    assert usable == {"whole": False, "unknown": False, "s02": True}


def _encode(frames: Tensor) -> Tensor:
    return frames.permute(0, 3, 1, 2).float() / 255


def test_an_exchanged_image_is_the_object_on_the_background() -> None:
    """The model's scores are the mean of the object's inside, and of the image's border."""
    images = torch.zeros(2, 3, SIDE, SIDE)
    item = torch.zeros(2, SIDE, SIDE)
    item[:, 16:32, 16:32] = 1
    images[0, :, 16:32, 16:32], images[1, :, 16:32, 16:32] = 0.3, 0.9
    behind = (
        torch.zeros(3, SIDE, SIDE, 3, dtype=torch.uint8) + torch.tensor([51, 102, 204])[:, None, None, None]
    )

    def scores(given: Tensor) -> Tensor:
        return torch.stack([given[:, :, 20:28, 20:28].mean((1, 2, 3)), given[:, :, :8].mean((1, 2, 3))], 1)

    found = exchanged_scores(
        images, item, torch.tensor([0, 1, 1]), behind.to(torch.uint8), scores, encode=_encode, chunk=2
    )
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.2], [0.9, 0.4], [0.9, 0.8]]), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("item", "region", "possible"),
    [
        ((10, 10), "rest", True),
        ((0, 0), "rest", False),
        ((48, 48), "rest", False),
        ((2, 2), "rest", False),  # less than a five hundredth
        ((10, 10), "all", False),  # the attribute is on the object too
    ],
)
def test_what_can_be_exchanged(item: tuple[int, int], region: str, *, possible: bool) -> None:
    covered = torch.zeros(SIDE, SIDE)
    covered[: item[0], : item[1]] = 1
    other = torch.ones(SIDE, SIDE) if region == "all" else 1 - covered
    assert exchangeable(other, covered) is possible


# ------------------------------------------------------------------ transplant


def test_only_donors_with_the_attribute_give_it(pool: Donors, samples: list[Sample]) -> None:
    attributes = Attributes(pool, 1, torch.from_numpy(pool.coverage.max(1).astype(np.float32) / 255))
    assert [int(donor.id[1:]) % 2 == 1 for donor in pool.samples] == attributes.usable.tolist()
    assert attributes.lacked
    places = attributes.chosen(samples[0], None)
    assert len(places) == DONORS
    others = attributes.chosen(samples[0], stratum(samples[0], ["place"]))
    assert {pool.samples[place].groups["place"] for place in others} == {"water"}


def test_a_piece_is_the_attribute_in_its_place_and_its_controls_are_not_it(pool: Donors) -> None:
    attributes = Attributes(pool, 1, torch.from_numpy(pool.coverage.max(1).astype(np.float32) / 255))
    place = int(np.flatnonzero(attributes.usable)[0])
    frames, share = attributes.pieces(place)
    inside = share > 0.5
    assert frames.shape == (1 + CONTROLS, SIDE, SIDE, 3)
    assert (frames[0][inside] == (250, 0, 0)).all()
    level = 40 + 4 * int(attributes.name(place)[1:])
    for control in frames[1:]:
        red = (control[inside] == (250, 0, 0)).all(axis=1).mean()
        assert red <= 0.5
        assert (control[inside] == level).all(axis=1).mean() >= 0.4


def test_a_paste_on_a_linear_model_is_the_closed_form() -> None:
    random = torch.Generator().manual_seed(0)
    images, weights = torch.rand(2, 3, 8, 8, generator=random), torch.randn(3, 8, 8, generator=random)
    pieces = torch.randint(0, 256, (3, 8, 8, 3), generator=random).to(torch.uint8)
    shares, rows = torch.rand(3, 8, 8, generator=random), torch.tensor([1, 0, 1])
    found = pasted_scores(
        images,
        rows,
        pieces,
        shares,
        lambda given: torch.einsum("nchw,chw->n", given, weights)[:, None],
        encode=_encode,
        chunk=2,
    )
    for place, row in enumerate(rows.tolist()):
        pasted = images[row] * (1 - shares[place]) + _encode(pieces[place][None])[0] * shares[place]
        torch.testing.assert_close(found[place, 0], (pasted * weights).sum(), rtol=1e-4, atol=1e-4)
