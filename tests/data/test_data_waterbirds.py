"""Waterbirds: everything by name, and the bird by the majority of CUB's five annotators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.config import DataConfig, RolesConfig, dump_config, load_config
from camaudit.data import open_dataset, open_image, region_mask, waterbirds
from tests.data.collection_files import BIRDS, VOTES, waterbirds_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    return waterbirds_folder(tmp_path / "waterbirds")


def test_labels_places_and_splits_are_told_by_name(birds: Path) -> None:
    data = waterbirds(birds)
    assert [sample.id for sample in data.samples] == [row[1] for row in BIRDS]
    assert [sample.label for sample in data.samples] == ["waterbird", "waterbird", "landbird"]
    assert [sample.groups for sample in data.samples] == [
        {"place": "water"},
        {"place": "land"},
        {"place": "land"},
    ]
    assert [sample.split for sample in data.samples] == ["train", "test", "val"]
    assert [sample.regions for sample in data.samples] == [()] * 3
    assert data.groups == ("place",)
    assert open_image(data.samples[0].image).size == (6, 6)
    assert len(waterbirds(birds, split="test")) == 1


def test_the_species_is_the_subject_or_a_group(birds: Path) -> None:
    by_subject, by_group = waterbirds(birds), waterbirds(birds, species="group")
    species = ["Black_footed_Albatross", "Black_footed_Albatross", "Cardinal"]
    assert [sample.subject for sample in by_subject.samples] == species
    assert [sample.groups["species"] for sample in by_group.samples] == species
    assert {sample.subject for sample in by_group.samples} == {None}
    assert by_group.groups == ("place", "species")


@pytest.mark.parametrize(("threshold", "columns"), [(128, 3), (1, 5), (204, 2), (255, 1)])
def test_a_pixel_is_of_the_bird_from_the_threshold_on(birds: Path, threshold: int, columns: int) -> None:
    data = waterbirds(
        birds,
        segmentations=birds / "segmentations",
        threshold=threshold,
        objects=["bird"],
        attributes=["background"],
    )
    for sample in data.samples:
        bird, background = (region_mask(region, (6, 6)) for region in sample.regions)
        assert (bird == (threshold <= VOTES)).all()
        assert bird[0].sum() == columns
        assert (background == ~bird).all()
    assert data.regions == {"bird": "object", "background": "attribute"}


def test_an_image_without_a_segmentation_is_not_annotated_and_counted(birds: Path) -> None:
    lost = birds / "segmentations" / BIRDS[1][1].replace(".jpg", ".png")
    lost.unlink()
    data = waterbirds(birds, segmentations=birds / "segmentations")
    assert [len(sample.regions) for sample in data.samples] == [2, 0, 2]
    assert data.problem_counts == {"no-mask": 1}
    assert data.problems[0].where == f"{birds / 'metadata.csv'}, row 3"


def test_a_configuration_says_the_same(birds: Path) -> None:
    source = DataConfig.model_validate(
        {
            "format": "waterbirds",
            "path": birds,
            "options": {"segmentations": birds / "segmentations"},
            "derive": {"place": "not bird"},
        }
    )
    data = open_dataset(source, RolesConfig(object=["bird"], attribute=["place"]))
    shapes = {region.name: region for region in data.samples[0].regions}
    assert np.array_equal(region_mask(shapes["place"], (6, 6)), region_mask(shapes["background"], (6, 6)))


def test_a_file_names_folders_relative_to_itself_and_is_written_back(birds: Path) -> None:
    text = """
model: {source: timm, name: test_efficientnet, weights: w.pt, classes: [landbird, waterbird]}
data: {format: waterbirds, path: waterbirds, options: {segmentations: waterbirds/segmentations, threshold: 204}}
roles: {object: [bird], attribute: [background]}
"""
    (birds.parent / "audit.yaml").write_text(text)
    config = load_config(birds.parent / "audit.yaml")
    data = open_dataset(config.data, config.roles)
    assert not data.problem_counts
    (birds.parent / "run").mkdir()
    (birds.parent / "run" / "config.yaml").write_text(dump_config(config, birds.parent / "run"))
    again = load_config(birds.parent / "run" / "config.yaml")
    assert [sample.label for sample in open_dataset(again.data, again.roles).samples] == [
        sample.label for sample in data.samples
    ]
    assert "../waterbirds/segmentations" in (birds.parent / "run" / "config.yaml").read_text()
