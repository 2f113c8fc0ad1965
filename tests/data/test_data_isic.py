"""ISIC: the archive's metadata, the challenges' ground truth, and lesion masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import isic, open_dataset, open_image, region_mask
from tests.data.collection_files import mask, picture

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE = """isic_id,attribution,benign_malignant,age_approx,anatom_site_general,diagnosis,lesion_id,patient_id,sex
ISIC_0000000,A,benign,55,anterior torso,nevus,IL_1,IP_7,female
ISIC_0000001,A,malignant,,lower extremity,melanoma,IL_2,IP_7,male
ISIC_0000002,A,benign,30,,nevus,IL_3,,
"""
CHALLENGE_2019 = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000001_downsampled,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
CHALLENGE_2017 = "image_id,melanoma,seborrheic_keratosis\nISIC_0000000,0.0,0.0\nISIC_0000001,1.0,0.0\n"
METADATA_2019 = (
    "image,age_approx,lesion_id,sex\nISIC_0000000,55,MSK_1,female\nISIC_0000001_downsampled,30,,male\n"
)


def test_the_archives_metadata(tmp_path: Path) -> None:
    path = tmp_path / "metadata.csv"
    path.write_text(ARCHIVE)
    data = isic(path, label="diagnosis", groups=["sex", "anatom_site_general"])
    assert [sample.id for sample in data.samples] == [f"ISIC_000000{number}" for number in range(3)]
    assert [sample.label for sample in data.samples] == ["nevus", "melanoma", "nevus"]
    assert [sample.subject for sample in data.samples] == ["IP_7", "IP_7", None]
    assert [dict(sample.groups) for sample in data.samples] == [
        {"sex": "female", "anatom_site_general": "anterior torso"},
        {"sex": "male", "anatom_site_general": "lower extremity"},
        {},
    ]
    assert [s.subject for s in isic(path, label="diagnosis", subject="lesion_id").samples] == [
        "IL_1",
        "IL_2",
        "IL_3",
    ]


def test_the_ground_truth_of_a_challenge_has_a_column_a_diagnosis(tmp_path: Path) -> None:
    path = tmp_path / "ISIC_2019_Training_GroundTruth.csv"
    path.write_text(CHALLENGE_2019)
    data = isic(path)
    assert [sample.label for sample in data.samples] == ["NV", "MEL"]
    assert isic(path, neither="other").samples[0].label == "NV"


def test_a_row_of_zeros_is_what_the_challenge_says_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv"
    path.write_text(CHALLENGE_2017)
    assert [sample.label for sample in isic(path, neither="nevus").samples] == ["nevus", "melanoma"]


def test_the_metadata_of_a_challenge_is_a_table_beside_its_ground_truth(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(CHALLENGE_2019)
    (tmp_path / "metadata.csv").write_text(METADATA_2019)
    source = DataConfig.model_validate(
        {
            "format": "isic",
            "path": tmp_path / "truth.csv",
            "table": tmp_path / "metadata.csv",
            "columns": {"groups": ["sex"], "subject": "lesion_id"},
        }
    )
    data = open_dataset(source, RolesConfig())
    assert [sample.label for sample in data.samples] == ["NV", "MEL"]
    assert [sample.groups["sex"] for sample in data.samples] == ["female", "male"]
    assert [sample.subject for sample in data.samples] == ["MSK_1", None]


@pytest.mark.parametrize("ending", ["segmentation", "Segmentation", "mask"])
def test_lesions_and_what_is_around_them(tmp_path: Path, ending: str) -> None:
    (tmp_path / "truth.csv").write_text(CHALLENGE_2019)
    values = np.zeros((6, 8), dtype=np.uint8)
    values[2:4, 3:6] = 255
    picture(tmp_path / "images" / "ISIC_0000000.jpg", (6, 8))
    picture(tmp_path / "images" / "ISIC_0000001_downsampled.png", (6, 8))
    mask(tmp_path / "masks" / f"ISIC_0000000_{ending}.png", values)
    data = isic(
        tmp_path / "truth.csv", images=tmp_path / "images", masks=tmp_path / "masks", objects=["lesion"]
    )
    lesion, background = (region_mask(region, (6, 8)) for region in data.samples[0].regions)
    assert (lesion == (values > 0)).all()
    assert (background == ~lesion).all()
    assert [len(sample.regions) for sample in data.samples] == [2, 0]
    assert data.problem_counts == {"no-mask": 1}
    assert [open_image(sample.image).size for sample in data.samples] == [(8, 6), (8, 6)]
