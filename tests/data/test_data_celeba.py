"""CelebA: attributes by name, the identity as subject, the masks of CelebAMask-HQ on the images they were drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import celeba, open_dataset, open_image, region_mask
from camaudit.errors import DataError
from tests.data.collection_files import FACES, celeba_folder, celebamask_folder, picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("tables", [False, True], ids=["text", "csv"])
def test_one_attribute_is_the_label_and_others_are_groups(tmp_path: Path, tables: bool) -> None:
    data = celeba(
        celeba_folder(tmp_path, tables=tables), label="Blond_Hair", groups=["Male", "5_o_Clock_Shadow"]
    )
    assert [sample.id for sample in data.samples] == list(FACES)
    assert [sample.label for sample in data.samples] == ["Blond_Hair", "not Blond_Hair", "Blond_Hair"]
    assert [sample.groups["Male"] for sample in data.samples] == ["no", "yes", "yes"]
    assert [sample.groups["5_o_Clock_Shadow"] for sample in data.samples] == ["no", "yes", "no"]
    assert [sample.split for sample in data.samples] == ["train", "val", "test"]
    assert [sample.subject for sample in data.samples] == ["2880", "2937", "2880"]
    assert open_image(data.samples[2].image).size == (9, 11)
    assert len(celeba(tmp_path, label="Male", split="val")) == 1


def test_classes_may_be_given_other_names(tmp_path: Path) -> None:
    names = {"Blond_Hair": "blond", "not Blond_Hair": "dark"}
    data = celeba(celeba_folder(tmp_path), label="Blond_Hair", label_names=names)
    assert [sample.label for sample in data.samples] == ["blond", "dark", "blond"]


def test_with_masks_the_images_are_those_of_celebamask_hq(tmp_path: Path) -> None:
    lists, masks = celeba_folder(tmp_path / "celeba"), celebamask_folder(tmp_path / "hq")
    data = celeba(
        lists,
        label="Blond_Hair",
        masks=masks,
        regions={"hair": "hair", "eyes": ["l_eye", "r_eye"]},
        objects=["hair"],
        attributes=["eyes"],
    )
    assert [sample.id for sample in data.samples] == ["000001.jpg", "000003.jpg"]
    assert [sample.image.name for sample in data.samples] == ["4001.jpg", "0.jpg"]
    assert [sample.subject for sample in data.samples] == ["2880", "2880"]
    assert [sample.split for sample in data.samples] == ["train", "test"]
    (seen, eyes), (hidden, _) = (
        [region_mask(of, (16, 16)) for of in sample.regions] for sample in data.samples
    )
    assert seen.sum() == 4 * 16  # rows 0 and 1 of 8, on an image of 16
    assert seen[:4].all()
    assert np.flatnonzero(eyes.all(axis=1)).tolist() == list(range(4, 12))
    assert not hidden.any()  # hair under a hat: annotated as not there


def test_every_part_is_a_region_where_none_is_named(tmp_path: Path) -> None:
    data = celeba(celeba_folder(tmp_path / "c"), label="Male", masks=celebamask_folder(tmp_path / "hq"))
    assert len(data.regions) == 18
    assert {region.name for region in data.samples[0].regions} == set(data.regions)


def test_a_mask_of_other_proportions_is_refused(tmp_path: Path) -> None:
    masks = celebamask_folder(tmp_path / "hq")
    picture(masks / "CelebA-HQ-img" / "0.jpg", (16, 12))
    data = celeba(celeba_folder(tmp_path / "c"), label="Male", masks=masks, regions={"l_eye": "l_eye"})
    with pytest.raises(DataError, match=r"l_eye.png is 8x8 but its image is 12x16 .*proportions"):
        region_mask(data.samples[1].regions[0], (16, 12))


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGB"])
def test_masks_may_have_any_mode(tmp_path: Path, mode: str) -> None:
    masks = celebamask_folder(tmp_path / "hq")
    path = masks / "CelebAMask-HQ-mask-anno" / "0" / "00000_l_eye.png"
    with Image.open(path) as image:
        changed = image.convert(mode)
    changed.save(path)
    data = celeba(celeba_folder(tmp_path / "c"), label="Male", masks=masks, regions={"l_eye": "l_eye"})
    assert region_mask(data.samples[1].regions[0], (16, 16)).sum() == 4 * 16


def test_an_image_without_any_mask_is_not_annotated_and_counted(tmp_path: Path) -> None:
    masks = celebamask_folder(tmp_path / "hq")
    for path in (masks / "CelebAMask-HQ-mask-anno" / "0").iterdir():
        path.unlink()
    data = celeba(celeba_folder(tmp_path / "c"), label="Male", masks=masks)
    assert [len(sample.regions) for sample in data.samples] == [18, 0]
    assert data.problem_counts == {"no-mask": 1}


def test_lists_beside_may_hold_more_images(tmp_path: Path) -> None:
    folder = celeba_folder(tmp_path)
    path = folder / "list_eval_partition.txt"
    path.write_text("000000.jpg 0\n" + path.read_text() + "000009.jpg 2\n")
    assert [sample.split for sample in celeba(folder, label="Male").samples] == ["train", "val", "test"]


def test_a_configuration_says_the_same(tmp_path: Path) -> None:
    celeba_folder(tmp_path)
    options = {"label": "Blond_Hair", "groups": ["Male"]}
    source = DataConfig.model_validate({"format": "celeba", "path": tmp_path, "options": options})
    data = open_dataset(source, RolesConfig())
    assert list(data.samples) == list(celeba(tmp_path, label="Blond_Hair", groups=["Male"]).samples)
