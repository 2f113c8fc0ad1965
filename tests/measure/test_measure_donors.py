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
from camaudit.measure.replacement import Replacements
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


def _attributes(pool: Donors) -> Attributes:
    return Attributes(pool, 1, torch.from_numpy(pool.coverage.max(1).astype(np.float32) / 255))


def test_only_donors_with_the_attribute_give_it_and_controls_lack_it(
    pool: Donors, samples: list[Sample]
) -> None:
    attributes = _attributes(pool)
    marked = [int(donor.id[1:]) % 2 == 1 for donor in pool.samples]
    assert marked == attributes.there.tolist()
    assert marked == (~attributes.lacking).tolist()
    chosen = attributes.chosen(samples[0])
    assert len(chosen) == DONORS
    for place, controls in chosen:
        assert marked[place]
        assert len(set(controls)) == CONTROLS
        assert not any(marked[other] for other in controls)
        assert attributes.name(place) != samples[0].id


def test_a_piece_is_the_attribute_in_its_place_and_its_controls_are_what_others_show_there(
    pool: Donors, samples: list[Sample]
) -> None:
    attributes = _attributes(pool)
    place, controls = attributes.chosen(samples[0])[0]
    frames, inside = attributes.frames(place, controls), attributes.share(place) > 0.5
    assert frames.shape == (1 + CONTROLS, SIDE, SIDE, 3)
    assert (frames[0][inside] == (250, 0, 0)).all()
    for control, other in zip(frames[1:], controls, strict=True):
        assert (control[inside] == 40 + 4 * int(attributes.name(other)[1:])).all()


def test_nothing_is_given_where_few_images_lack_it(samples: list[Sample]) -> None:
    few = draw_donors([*samples[1::2], *samples[:8:2]], RECIPE, PARTS, ["place"], seed=0)
    assert _attributes(few).chosen(samples[20]) == []


def test_controls_are_many_donors(pool: Donors, samples: list[Sample]) -> None:
    met = {other for sample in samples for _, found in _attributes(pool).chosen(sample) for other in found}
    assert len(met) >= 12


def test_nothing_is_given_where_no_image_lacks_it(samples: list[Sample]) -> None:
    donors = draw_donors(samples[1::2], RECIPE, PARTS, ["place"], seed=0)
    assert _attributes(donors).chosen(samples[0]) == []


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


# ------------------------------------------------------------------ replacement

FACE, FACES = "face", {"face": ("face",)}
FREE = np.ones((SIDE, SIDE), np.float32)


def _with_face(folder: Path, i: int) -> Sample:
    """A grey wall; a red face where a is, a blue one where b is, the blue ones larger."""
    pixels = np.full((SIDE, SIDE, 3), 100, dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    side, top, left = (8, 12)[i % 2], 4 + i, 6 + i
    mask[top : top + side, left : left + side] = True
    pixels[mask] = ((200, 0, 0), (0, 0, 200))[i % 2]
    path = folder / f"{i:02}.png"
    Image.fromarray(pixels).save(path)
    return Sample(f"f{i:02}", path, "x", {"who": "ab"[i % 2]}, (Region(FACE, "attribute", mask),))


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("faces")
    return [_with_face(folder, i) for i in range(20)]


def test_a_replaced_attribute_lies_where_the_own_one_was_in_its_size(faces: list[Sample]) -> None:
    donors = draw_donors(faces, RECIPE, FACES, ["who"], seed=0)
    replacements = Replacements(donors, 0)
    assert replacements.possible
    for sample in faces[:4]:
        place = next(i for i, donor in enumerate(donors.samples) if donor.id == sample.id)
        frame, own = donors.frames[place], donors.coverage[place, 0].astype(np.float32) / 255
        chosen = replacements.chosen(sample, own, 6)
        assert sample.id not in {replacements.name(other) for other in chosen}
        assert len({donors.samples[other].groups["who"] for other in chosen[:2]}) == 2
        found = replacements.replaced(frame, own, FREE, chosen)
        for other, picture in zip(chosen, found, strict=True):
            shown = picture.astype(int)
            colour = ((200, 0, 0), (0, 0, 200))[int(replacements.name(other)[1:]) % 2]
            rows, columns = np.nonzero((np.abs(shown - colour) <= 40).all(axis=2))
            at, to = np.nonzero(own > 0.5)
            for have, expected in ((rows, at), (columns, to)):
                assert abs(int(have.min()) - int(expected.min())) <= 1
                assert abs(int(have.max()) - int(expected.max())) <= 1
            outside = np.ones((SIDE, SIDE), bool)
            outside[at.min() - 2 : at.max() + 3, to.min() - 2 : to.max() + 3] = False
            assert (shown[outside] == frame[outside]).all()


def test_the_own_attribute_put_back_is_the_image_itself(faces: list[Sample]) -> None:
    donors = draw_donors(faces, RECIPE, FACES, ["who"], seed=0)
    replacements = Replacements(donors, 0)
    for place in range(3):
        own = donors.coverage[place, 0].astype(np.float32) / 255
        (again,) = replacements.replaced(donors.frames[place], own, FREE, [place])
        again = again.astype(int)
        assert np.abs(again - donors.frames[place]).max() <= 1


def test_the_object_and_padding_stay_as_they_are(faces: list[Sample]) -> None:
    donors = draw_donors(faces, RECIPE, FACES, ["who"], seed=0)
    replacements = Replacements(donors, 0)
    frame, own = donors.frames[0], donors.coverage[0, 0].astype(np.float32) / 255
    free = FREE.copy()
    rows, columns = np.nonzero(own > 0.5)
    free[rows.min() : rows.min() + 4] = 0
    for picture in replacements.replaced(frame, own, free, replacements.chosen(faces[0], own, 6)):
        assert (picture[free == 0] == frame[free == 0]).all()
        assert (picture[rows.max(), columns.max()] != frame[0, 0]).any()


def test_a_tall_attribute_keeps_its_shape(tmp_path: Path) -> None:
    """Red is taller than wide, blue wider than tall: the size of the box is matched, its shape is the donor's."""
    made = []
    for i, (high, wide, colour) in enumerate(((16, 4, (200, 0, 0)), (4, 16, (0, 0, 200)))):
        pixels, mask = np.full((SIDE, SIDE + 12, 3), 100, np.uint8), np.zeros((SIDE, SIDE + 12), bool)
        mask[20 : 20 + high, 24 : 24 + wide] = True
        pixels[mask] = colour
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        made.append(
            Sample(f"s{i}", tmp_path / f"{i}.png", "x", {"who": "ab"[i]}, (Region(FACE, "attribute", mask),))
        )
    donors = draw_donors(made, RECIPE, FACES, ["who"], seed=0)
    place = {donor.id: i for i, donor in enumerate(donors.samples)}
    own = donors.coverage[place["s0"], 0].astype(np.float32) / 255
    free = np.ones_like(own)
    (shown,) = Replacements(donors, 0).replaced(donors.frames[place["s0"]], own, free, [place["s1"]])
    rows, columns = np.nonzero(shown[..., 2] > 150)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (4, 16)
    # the middle of what was there
    assert (rows.mean(), columns.mean()) == pytest.approx((27.5, 25.5), abs=0.6)


@pytest.mark.parametrize("lacking", [0, 1, 6])
def test_it_is_possible_where_nearly_every_donor_has_it(faces: list[Sample], lacking: int) -> None:
    none = Region(FACE, "attribute", np.zeros((SIDE, SIDE), bool))
    bare = [Sample(s.id, s.image, "x", s.groups, (none,)) for s in faces[:lacking]]
    donors = draw_donors([*bare, *faces[lacking:]], RECIPE, FACES, ["who"], seed=0)
    assert Replacements(donors, 0).possible is (lacking <= 1)


def test_it_is_not_possible_of_what_takes_most_of_the_image_or_has_one_kind(
    faces: list[Sample], samples: list[Sample]
) -> None:
    wall = Region(FACE, "attribute", np.ones((SIDE, SIDE), bool))
    walls = [Sample(s.id, s.image, "x", s.groups, (wall,)) for s in samples]
    assert not Replacements(draw_donors(walls, RECIPE, FACES, ["place"], seed=0), 0).possible
    assert not Replacements(draw_donors(faces[::2], RECIPE, FACES, ["who"], seed=0), 0).possible
    nobody = draw_donors([], RECIPE, FACES, ["who"], seed=0)
    assert not Replacements(nobody, 0).possible
    assert Replacements(nobody, 0).chosen(faces[0], np.ones((4, 4), np.float32), 3) == []
