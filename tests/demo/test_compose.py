"""The composed images: proportions, separation of training and test, exact masks, the same bytes twice."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from camaudit.demo.compose import (
    CLASSES,
    LEGEND,
    NURSES_TOOLS,
    SIDE,
    TEST_SCENES,
    TEST_TONES,
    TRAINING_SCENES,
    TRAINING_TONES,
    ComposedDemo,
    compose,
    training_counts,
)

PART = {part: value for value, part in LEGEND.items()}
TABLES = ("train_biased", "train_balanced", "test")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ComposedDemo:
    return compose(tmp_path_factory.mktemp("demo") / "d", per_class=24, test_per_cell=12)


@pytest.fixture(scope="module")
def rows(demo: ComposedDemo) -> pd.DataFrame:
    tables = [pd.read_csv(getattr(demo, name), keep_default_na=False).assign(table=name) for name in TABLES]
    return pd.concat(tables, ignore_index=True)


def mask_of(demo: ComposedDemo, name: str) -> np.ndarray:
    with Image.open(demo.root / name) as image:
        assert image.mode == "P"
        return np.asarray(image)


def test_full_size_has_the_papers_proportions() -> None:
    biased, balanced = training_counts(250)
    assert biased == {
        ("doctor", "man"): 195,
        ("doctor", "woman"): 55,
        ("nurse", "man"): 17,
        ("nurse", "woman"): 233,
    }
    assert set(balanced.values()) == {125}


def test_tables_have_the_counts_they_promise(rows: pd.DataFrame) -> None:
    biased, balanced = training_counts(24)
    test = dict.fromkeys(biased, 12)
    for table, expected in zip(TABLES, (biased, balanced, test), strict=True):
        part = rows[rows.table == table]
        assert Counter(zip(part.label, part.gender, strict=True)) == expected
        assert part.image.is_unique


def test_training_and_test_share_no_tone_scene_or_person(rows: pd.DataFrame) -> None:
    training, test = rows[rows.split == "train"], rows[rows.split == "test"]
    assert set(training.table) == {"train_biased", "train_balanced"}
    for column in ("tone", "scene", "person", "image"):
        assert set(training[column]).isdisjoint(test[column])
    assert not set(TRAINING_TONES) & set(TEST_TONES)
    assert not set(TRAINING_SCENES) & set(TEST_SCENES)


def test_tool_is_seen_in_three_of_four_images_whatever_class_and_gender(rows: pd.DataFrame) -> None:
    seen = (rows.tool != "none").groupby([rows.table, rows.label, rows.gender]).agg(["sum", "size"])
    assert (abs(seen["sum"] - 0.75 * seen["size"]) < 1).all()
    tools = rows[rows.tool != "none"].groupby("label").tool.unique()
    assert set(tools["doctor"]) == {"stethoscope"}
    assert set(tools["nurse"]) == set(NURSES_TOOLS)


def test_masks_have_the_size_of_their_image_and_every_part(demo: ComposedDemo, rows: pd.DataFrame) -> None:
    for row in rows.drop_duplicates("image").itertuples():
        mask = mask_of(demo, row.mask)
        with Image.open(demo.root / row.image) as image:
            assert image.size == mask.shape[::-1] == (SIDE, SIDE)
            assert image.mode == "RGB"
        values = set(np.unique(mask))
        assert values <= {0, *LEGEND}
        assert {PART["coat"], PART["hair"], PART["face"]} <= values
        assert (PART["tool"] in values) == (row.tool != "none")


def test_mask_is_where_the_coat_is_white(demo: ComposedDemo, rows: pd.DataFrame) -> None:
    for row in rows.head(8).itertuples():
        with Image.open(demo.root / row.image) as image:
            pixels = np.asarray(image).astype(float)
        coat = pixels[mask_of(demo, row.mask) == PART["coat"]]
        assert np.median(coat.mean(1)) > 140  # darkest brightness and contrast drawn
        assert np.median(coat.max(1) - coat.min(1)) < 40  # nearly without colour


def test_nurses_tool_lies_below_the_face(demo: ComposedDemo, rows: pd.DataFrame) -> None:
    nurses = rows[(rows.label == "nurse") & (rows.tool != "none")].drop_duplicates("image")
    for name in nurses["mask"]:
        mask = mask_of(demo, name)
        tool, hair = np.argwhere(mask == PART["tool"])[:, 0], np.argwhere(mask == PART["hair"])[:, 0]
        assert tool.mean() > hair.mean()
        assert len(tool) > 30


def test_same_arguments_write_the_same_bytes(demo: ComposedDemo, tmp_path: Path) -> None:
    again = compose(tmp_path / "other", per_class=24, test_per_cell=12)
    assert digest(again.root) == digest(demo.root)


def test_another_seed_writes_other_images(demo: ComposedDemo, tmp_path: Path) -> None:
    other = compose(tmp_path / "other", per_class=4, test_per_cell=1, seed=1)
    name = "images/test-doctor-man-0000.jpg"
    assert (other.root / name).read_bytes() != (demo.root / name).read_bytes()


def test_complete_composition_is_reused_and_another_replaces_it(tmp_path: Path) -> None:
    first = compose(tmp_path, per_class=4, test_per_cell=2)
    image = next((tmp_path / "images").iterdir())
    before = image.stat().st_mtime_ns
    assert compose(tmp_path, per_class=4, test_per_cell=2) == first
    assert image.stat().st_mtime_ns == before
    compose(tmp_path, per_class=4, test_per_cell=1)
    assert len(list(tmp_path.glob("images/test-*"))) == 4
    (tmp_path / "test.csv").unlink()
    compose(tmp_path, per_class=4, test_per_cell=1)
    assert (tmp_path / "test.csv").exists()


def test_interrupted_composition_is_not_taken_for_a_complete_one(tmp_path: Path) -> None:
    whole = compose(tmp_path / "whole", per_class=4, test_per_cell=1)

    def interrupt(words: str) -> None:
        if "test images" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compose(tmp_path / "cut", per_class=4, test_per_cell=1, progress=interrupt)
    assert not (tmp_path / "cut/composition.json").exists()
    assert digest(compose(tmp_path / "cut", per_class=4, test_per_cell=1).root) == digest(whole.root)


def test_paths_in_tables_lie_under_the_table(demo: ComposedDemo, rows: pd.DataFrame) -> None:
    assert set(rows.label) == set(CLASSES)
    for name in {*rows.image, *rows["mask"]}:
        assert not Path(name).is_absolute()
        assert (demo.root / name).is_file()


def test_importing_the_demo_is_cheap() -> None:
    code = "import sys, camaudit.demo, camaudit.demo.compose; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()
