"""Folders, samples made in Python, splits and fingerprints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import Dataset, folder, open_dataset
from camaudit.errors import DataError
from camaudit.types import Box, MaskFile, Region, Sample

if TYPE_CHECKING:
    from collections.abc import Callable


def _image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 6), value).save(path)
    return path


# ------------------------------------------------------------------ folders


def test_a_folder_with_parallel_masks(tmp_path: Path) -> None:
    for name in ("nurse/b.jpg", "doctor/deep/a.PNG", "doctor/c.jpg"):
        _image(tmp_path / "images" / name)
    (tmp_path / "images/doctor/notes.txt").write_text("no image")
    _image(tmp_path / "images/loose.jpg")
    _image(tmp_path / "masks/doctor/deep/a.png")
    _image(tmp_path / "masks/nurse/b.png")
    data = folder(
        tmp_path / "images", masks=tmp_path / "masks", legend={1: "tool", 2: "hair"}, attributes=["hair"]
    )
    assert [(sample.id, sample.label, len(sample.regions)) for sample in data.samples] == [
        ("doctor/c.jpg", "doctor", 0),
        ("doctor/deep/a.PNG", "doctor", 2),
        ("nurse/b.jpg", "nurse", 2),
    ]
    assert data.samples[1].regions[1] == Region(
        "hair", "attribute", MaskFile(tmp_path / "masks/doctor/deep/a.png", (2,))
    )
    assert data.regions == {"hair": "attribute", "tool": "context"}
    again = open_dataset(data.source, data.roles)
    assert again.samples == data.samples
    assert again.fingerprint() == data.fingerprint()


def test_a_folder_without_images_or_masks_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    _image(tmp_path / "images/loose.jpg")
    with pytest.raises(
        DataError, match=r"holds no images in sub-folders\. A class is a sub-folder: images/CLASS"
    ):
        folder(tmp_path / "images")
    with pytest.raises(DataError, match="gone is not a folder"):
        folder(tmp_path / "gone")
    _image(tmp_path / "images/cat/a.jpg")
    with pytest.raises(DataError, match=r"masks is not a folder\. Correct data\.regions\.folder"):
        folder(tmp_path / "images", masks=tmp_path / "masks", legend={1: "tool"})
    with pytest.raises(DataError, match="legend"):
        folder(tmp_path / "images", masks=tmp_path / "images")


# ------------------------------------------------------------------ samples made in Python


def _samples() -> list[Sample]:
    regions = (Region("hair", "attribute", np.eye(4, dtype=bool)), Region("tool", "object", Box(0, 0, 2, 2)))
    return [
        Sample("a", Path("a.jpg"), "cat", {"scene": "in"}, regions, "train", "s1"),
        Sample("b", Path("b.jpg"), "dog", {"scene": "out"}, regions[:1], "test"),
    ]


def test_samples_of_ones_own() -> None:
    data = Dataset.of(_samples(), groups=["scene"])
    assert len(data) == 2
    assert data.regions == {"tool": "object", "hair": "attribute"}
    assert data.roles == RolesConfig(object=["tool"], attribute=["hair"])
    assert [sample.id for sample in data.select("test").samples] == ["b"]
    with pytest.raises(DataError, match="No sample has the split 'val'"):
        data.select("val")
    with pytest.raises(DataError, match="made in Python and cannot be read again"):
        open_dataset(data.source, data.roles)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: [], "The dataset is empty"),
        (lambda both: [both[0], both[0]], "The id 'a' stands for two samples"),
        (
            lambda both: [both[0], replace(both[1], regions=(Region("hair", "object", Box(0, 0, 1, 1)),))],
            "'hair' has more than one role",
        ),
        (lambda both: [replace(both[0], regions=both[0].regions[:1] * 2)], "'a' has two regions 'hair'"),
    ],
)
def test_samples_that_contradict_each_other_are_refused(
    change: Callable[[list[Sample]], list[Sample]], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        Dataset.of(change(_samples()))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "z"},
        {"image": Path("z.jpg")},
        {"label": "dog"},
        {"label": None},
        {"groups": {"scene": "out"}},
        {"split": "val"},
        {"subject": None},
        {"regions": ()},
        {"regions": (Region("hair", "attribute", np.zeros((4, 4), dtype=bool)),)},
        {
            "regions": (
                Region("hair", "attribute", np.eye(4, dtype=bool).reshape(2, 8)),
                _samples()[0].regions[1],
            )
        },
        {"regions": (_samples()[0].regions[0], Region("tool", "object", Box(0, 0, 2, 3)))},
    ],
)
def test_the_fingerprint_follows_every_field(change: dict[str, Any]) -> None:
    first, second = _samples()
    whole = Dataset.of([first, second]).fingerprint()
    assert Dataset.of([first, second]).fingerprint() == whole
    assert Dataset.of([replace(first, **change), second]).fingerprint() != whole
    assert Dataset.of([second, first]).fingerprint() != whole
    assert Dataset.of([first]).fingerprint() != whole


def test_the_fingerprint_follows_files(tmp_path: Path) -> None:
    image, mask = _image(tmp_path / "a.png"), _image(tmp_path / "m.png")
    sample = Sample("a", image, "cat", regions=(Region("hair", "attribute", MaskFile(mask)),))
    seen = {Dataset.of([sample]).fingerprint()}
    for path in (image, mask):
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(Dataset.of([sample]).fingerprint())
    image.unlink()
    seen.add(Dataset.of([sample]).fingerprint())
    assert len(seen) == 4


def test_a_memory_dataset_is_marked_so() -> None:
    assert Dataset.of(_samples()).source == DataConfig(format="memory")
