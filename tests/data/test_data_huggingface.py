"""Hugging Face datasets on disk, as the library itself writes them."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import huggingface, open_dataset, open_image, region_mask
from camaudit.data.batches import read_sample
from camaudit.data.images import image_size
from camaudit.data.stored import cell_path, in_own_file, open_stored
from camaudit.errors import ConfigError, DataError
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN = Preprocessing(None, None, (0.5,) * 3, (0.5,) * 3)
NAMES = ["doctor", "nurse"]
LABELS = [0, 1, 0, 1, -1]
SEXES = ["f", "m", None, "f", "m"]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    datasets.disable_progress_bars()


def picture_of(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def hair_of(number: int) -> NDArray[np.uint8]:
    return (np.indices((8, 12)).sum(0) % (number + 2) == 0).astype(np.uint8)


def whole() -> datasets.Dataset:
    """Five rows; the last one has no label, the third no sex, the second no mask."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=NAMES),
            "hair": datasets.Image(),
            "sex": datasets.Value("string"),
            "ward": datasets.ClassLabel(names=["north", "south"]),
            "age": datasets.Value("int32"),
            "key": datasets.Value("string"),
            "tokens": datasets.Sequence(datasets.Value("int32")),
        }
    )
    columns = {
        "image": [Image.fromarray(picture_of(number)) for number in range(5)],
        "label": LABELS,
        "hair": [None if number == 1 else Image.fromarray(hair_of(number)) for number in range(5)],
        "sex": SEXES,
        "ward": [0, 1, 0, 1, 0],
        "age": [30, 31, 32, 33, 34],
        "key": [f"k{number}" for number in range(5)],
        "tokens": [[1], [2], [], [3], [4]],
    }
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two splits, one of them in two files and in another order."""
    rows = whole()
    both = datasets.DatasetDict(train=rows.select([2, 0, 1]), test=rows.select([3, 4]))
    both.save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
    return tmp_path / "saved"


def test_every_cell_says_what_the_library_says(saved: Path) -> None:
    data = huggingface(saved, groups=["sex", "ward", "age"], masks={"hair": "hair"}, attributes=["hair"])
    theirs = datasets.load_from_disk(saved)
    rows = [(split, number, row) for split, part in theirs.items() for number, row in enumerate(part)]
    assert [sample.id for sample in data.samples] == [f"{split}/{number}" for split, number, _ in rows]
    for sample, (split, _, row) in zip(data.samples, rows, strict=True):
        assert sample.split == split
        assert sample.label == (None if row["label"] == -1 else NAMES[row["label"]])
        expected = {"sex": row["sex"], "ward": ["north", "south"][row["ward"]], "age": str(row["age"])}
        assert sample.groups == {name: value for name, value in expected.items() if value is not None}
        assert (np.asarray(open_image(sample.image)) == np.asarray(row["image"])).all()
        assert image_size(sample.image) == (8, 12)
        assert len(sample.regions) == (row["hair"] is not None)
        for region in sample.regions:
            assert (region_mask(region, (8, 12)) == (np.asarray(row["hair"]) > 0)).all()
    assert data.problem_counts == {"no-label": 1}
    assert len(huggingface(saved, split="test")) == 2


def test_a_single_dataset_and_columns_of_its_own(tmp_path: Path) -> None:
    whole().save_to_disk(tmp_path / "one")
    data = huggingface(
        tmp_path / "one",
        id="key",
        split_column="ward",
        subject="sex",
        mask="hair",
        legend={1: "hair", 0: "rest"},
    )
    assert [sample.id for sample in data.samples] == [f"k{number}" for number in range(5)]
    assert [sample.split for sample in data.samples] == ["north", "south", "north", "south", "north"]
    assert [sample.subject for sample in data.samples] == SEXES
    hair, rest = (region_mask(region, (8, 12)) for region in data.samples[3].regions)
    assert (hair == (hair_of(3) == 1)).all()
    assert (rest == ~hair).all()


def test_numbers_without_names_are_named_by_the_configuration(tmp_path: Path) -> None:
    plain = whole().cast_column("label", datasets.Value("int64")).select([0, 1])
    plain.save_to_disk(tmp_path / "plain")
    data = huggingface(tmp_path / "plain", label_names={"0": "doctor", "1": "nurse"})
    assert [sample.label for sample in data.samples] == NAMES


def test_images_may_lie_in_files_of_the_datasets_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    rows = whole().select([0, 1])
    rows.save_to_disk(folder)
    Image.fromarray(picture_of(0)).save(folder / "a.png")
    Image.fromarray(picture_of(1)).save(tmp_path / "b.png")
    _rewrite(folder, ["a.png", "../b.png"])
    with pytest.raises(DataError, match=r"row 1: '\.\./b\.png' leads out of"):
        huggingface(folder)
    source = DataConfig.model_validate({"format": "huggingface", "path": folder, "allow_outside": True})
    data = open_dataset(source, RolesConfig())
    assert data.samples[0].image == folder / "a.png"
    assert all((np.asarray(open_image(of.image)) == picture_of(n)).all() for n, of in enumerate(data.samples))
    _rewrite(folder, ["a.png", "https://example.org/b.png"])
    with pytest.raises(DataError, match="not on disk, and nothing is fetched"):
        huggingface(folder)


def _rewrite(folder: Path, paths: list[str]) -> None:
    """Replaces the images of the only Arrow file by paths."""
    import pyarrow as pa

    (file,) = folder.glob("*.arrow")
    with pa.ipc.open_stream(file.read_bytes()) as reader:
        table = reader.read_all()
    cells = pa.array([{"bytes": None, "path": path} for path in paths], type=table.schema.field("image").type)
    table = table.set_column(0, table.schema.field("image"), cells)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def test_an_image_with_an_exif_orientation_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    image = Image.fromarray(picture_of(0))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif, quality=95)
    rows = datasets.Dataset.from_dict({"image": [str(path)], "label": ["x"]})
    rows.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "turned")
    (sample,) = huggingface(tmp_path / "turned").samples
    assert not in_own_file(sample.image)
    assert image_size(sample.image) == (12, 8)
    assert (np.asarray(open_image(sample.image)) == np.asarray(open_image(path))).all()


def test_the_library_is_not_needed_and_a_configuration_reads_it_again(saved: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from pathlib import Path; from camaudit.data import huggingface, open_dataset, open_image\n"
        f"data = huggingface(Path({str(saved)!r}))\n"
        "again = open_dataset(data.source, data.roles)\n"
        "assert list(again.samples) == list(data.samples)\n"
        "print(len(data), open_image(data.samples[4].image).size)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "5 (12, 8)\n", ran.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"image": "img"}, DataError, r"no column 'img' \(data.columns.image\)"),
        ({"image": "sex"}, DataError, "holds no images but Value; its columns of images are image, hair"),
        ({"label": "lable"}, DataError, "did you mean 'label'"),
        ({"groups": ["tokens"]}, DataError, "the column 'tokens' holds lists"),
        ({"id": "ward"}, DataError, "have the same id"),
        ({"id": "sex"}, DataError, "the column 'sex' is empty. Every row needs an id"),
        ({"masks": {"hair": "age"}}, DataError, "holds no images but Value"),
        ({"masks": {"h": "hair"}, "objects": ["face"]}, DataError, "which is no region"),
        ({"split": "validation"}, DataError, "No sample has the split 'validation'"),
        ({"label_names": {"doctor": "d"}}, DataError, "the label 'nurse' is not in data.label_names"),
        ({"masks": {"a+b": "hair"}}, ConfigError, "holds a"),
    ],
)
def test_what_cannot_be_read_is_said(
    saved: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        huggingface(saved, **arguments)


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _label(saved: Path, names: Any) -> None:
    info = saved / "train" / "dataset_info.json"
    features = json.loads(info.read_text())["features"]
    _edit(info, features={**features, "label": {"_type": "ClassLabel", "names": names}})


def _arrow(saved: Path) -> Path:
    return min((saved / "train").glob("*.arrow"))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no state": (lambda saved: (saved / "train/state.json").unlink(), "holds no state.json"),
    "no info": (
        lambda saved: (saved / "train/dataset_info.json").unlink(),
        "dataset_info.json does not exist",
    ),
    "state is no JSON": (
        lambda saved: (saved / "train/state.json").write_text("{"),
        "cannot be read as JSON",
    ),
    "state is a list": (lambda saved: (saved / "train/state.json").write_text("[]"), "holds no JSON object"),
    "no files": (lambda saved: _edit(saved / "train/state.json", _data_files=None), "names no data files"),
    "a file outside": (
        lambda saved: _edit(saved / "train/state.json", _data_files=[{"filename": "../../secret.arrow"}]),
        "leads out of",
    ),
    "a file that is not there": (
        lambda saved: _arrow(saved).unlink(),
        "does not exist. Save the dataset again",
    ),
    "an empty file": (lambda saved: _arrow(saved).write_bytes(b""), "cannot be read as an Arrow file"),
    "a truncated file": (
        lambda saved: _arrow(saved).write_bytes(_arrow(saved).read_bytes()[:-200]),
        "cannot be read as an Arrow file",
    ),
    "no Arrow": (
        lambda saved: _arrow(saved).write_bytes(b"ARROW1\0\0" * 100),
        "cannot be read as an Arrow file",
    ),
    "splits are no list": (
        lambda saved: (saved / "dataset_dict.json").write_text('{"splits": "train"}'),
        "names no splits",
    ),
    "a split outside": (
        lambda saved: (saved / "dataset_dict.json").write_text('{"splits": ["../other"]}'),
        "leads out of",
    ),
    "names are no list": (lambda saved: _label(saved, 2), "'label' has no list of names"),
    "too few names": (lambda saved: _label(saved, ["x"]), "its names are numbered from 0 to 0"),
    "an index of old versions": (
        lambda saved: _edit(saved / "train/state.json", _indices_data_files=[{"filename": "i.arrow"}]),
        "an old version of datasets",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_is_said(saved: Path, how: str) -> None:
    breaks, message = BROKEN[how]
    breaks(saved)
    with pytest.raises(DataError, match=re.escape(message)):
        huggingface(saved)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_changed_end_in_a_sentence_or_in_counted_skips(saved: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(saved.rglob("*.*"))))
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    patch = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(before[:at] + patch + before[at + len(patch) :])
    try:
        with contextlib.suppress(DataError):
            found = huggingface(saved, groups=["sex"], masks={"hair": "hair"})
            for sample in found.samples:
                read_sample(sample, PLAIN, {"hair": ["hair"]})
    finally:
        path.write_bytes(before)


def test_a_folder_that_is_none_of_these(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no state"):
        huggingface(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        huggingface(tmp_path / "nothing")
    source = DataConfig.model_validate(
        {"format": "huggingface", "path": tmp_path, "table": tmp_path / "t.csv"}
    )
    with pytest.raises(ConfigError, match=r"data\.table is not possible"):
        open_dataset(source, RolesConfig())


def test_a_cell_that_is_not_there(saved: Path) -> None:
    file = min((saved / "test").glob("*.arrow"))
    for path in (cell_path(file, "image", 2), cell_path(file, "img", 0), file / "0", file / "image" / "x"):
        with pytest.raises(FileNotFoundError):
            open_stored(path)
        with pytest.raises(DataError, match="does not exist"):
            open_image(path)
    with pytest.raises(DataError, match="the cell holds no image"):
        open_image(cell_path(file, "sex", 0))
    (saved / "note.txt").write_text("no arrow")
    with pytest.raises(DataError):
        open_image(saved / "note.txt" / "image" / "0")
