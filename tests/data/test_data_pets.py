"""Oxford-IIIT Pets: breeds and species by name, and what the trimaps' border counts as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import open_dataset, open_image, pets, region_mask
from tests.data.collection_files import PETS, TRIMAP, pets_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_the_breed_is_the_label_and_the_species_a_group(tmp_path: Path) -> None:
    data = pets(pets_folder(tmp_path))
    assert [sample.id for sample in data.samples] == [name for name, _ in PETS]
    assert [sample.label for sample in data.samples] == ["Abyssinian", "Abyssinian", "american_bulldog"]
    assert [sample.groups for sample in data.samples] == [{"species": of} for of in ("cat", "cat", "dog")]
    assert [sample.split for sample in data.samples] == ["trainval", "trainval", "test"]
    assert open_image(data.samples[0].image).size == (4, 4)
    assert len(pets(tmp_path, split="test")) == 1


def test_or_the_other_way_round(tmp_path: Path) -> None:
    data = pets(pets_folder(tmp_path), label="species")
    assert [sample.label for sample in data.samples] == ["cat", "cat", "dog"]
    assert data.groups == ("breed",)
    assert data.samples[2].groups == {"breed": "american_bulldog"}


def test_without_splits_the_whole_list_is_read(tmp_path: Path) -> None:
    data = pets(pets_folder(tmp_path, splits=False))
    assert [sample.id for sample in data.samples] == [name for name, _ in PETS]
    assert {sample.split for sample in data.samples} == {None}


@pytest.mark.parametrize(
    ("border", "pet", "background"),
    [("pet", {1, 3}, {2}), ("background", {1}, {2, 3}), ("neither", {1}, {2})],
)
def test_the_border_counts_as_what_is_asked(
    tmp_path: Path, border: str, pet: set[int], background: set[int]
) -> None:
    source = DataConfig.model_validate(
        {"format": "pets", "path": pets_folder(tmp_path), "options": {"border": border}}
    )
    data = open_dataset(source, RolesConfig(object=["pet"], attribute=["background"]))
    for sample in data.samples:
        masks = {region.name: region_mask(region, (4, 4)) for region in sample.regions}
        assert set(TRIMAP[masks["pet"]].tolist()) == pet
        assert set(TRIMAP[masks["background"]].tolist()) == background


def test_an_image_without_a_trimap_is_not_annotated_and_counted(tmp_path: Path) -> None:
    folder = pets_folder(tmp_path)
    (folder / "annotations" / "trimaps" / "Abyssinian_101.png").unlink()
    data = pets(folder)
    assert [len(sample.regions) for sample in data.samples] == [2, 0, 2]
    assert data.problem_counts == {"no-mask": 1}
    assert data.problems[0].where == f"{folder / 'annotations' / 'trainval.txt'}, row 2"
