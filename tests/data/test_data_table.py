"""Tables: every column that is asked for, and every cell that cannot be used, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from camaudit.data import folder, table
from camaudit.errors import CamauditError, ConfigError, DataError
from camaudit.types import MaskFile

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {
    "image": ["a/1.jpg", "a/2.jpg", "b/3.jpg"],
    "label": ["doctor", "nurse", "NA"],
    "gender": ["man", "woman", "woman"],
    "part": ["train", "test", "test"],
    "person": ["p1", "p1", "p2"],
    "mask": ["m/1.png", "", "m/3.png"],
    "hair": ["h1.png", "h2.png", ""],
}


def _csv(folder: Path, rows: dict[str, list[str]] = ROWS, **options: Any) -> Path:
    path = folder / "manifest.csv"
    pd.DataFrame(rows).to_csv(path, index=False, **options)
    return path


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet", "manifest.PQ"])
def test_csv_and_parquet_say_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frame = pd.DataFrame(ROWS)
    if name.endswith("csv"):
        frame.to_csv(path, index=False)
    else:
        frame.replace("", None).to_parquet(path)
    data = table(path, groups=["gender"], split_column="part", subject="person")
    assert [sample.id for sample in data.samples] == ROWS["image"]
    assert [sample.label for sample in data.samples] == ["doctor", "nurse", "NA"]
    assert [sample.groups for sample in data.samples] == [{"gender": value} for value in ROWS["gender"]]
    assert [sample.subject for sample in data.samples] == ROWS["person"]
    assert data.samples[0].image == tmp_path / "a/1.jpg"
    assert data.samples[2].image == tmp_path / "b/3.jpg"
    assert data.groups == ("gender",)
    assert len(data.select("test")) == 2
    assert data.select(None) is data


def test_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    path = _csv(tmp_path, {"image": ["1.jpg", "2.jpg"], "label": ["01", "1e3"]})
    assert [sample.label for sample in table(path).samples] == ["01", "1e3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_and_any_letters(tmp_path: Path, encoding: str) -> None:
    path = _csv(tmp_path, {"image": ["Ärztin, 医生.jpg"], "label": ["nurse 🩺"]}, encoding=encoding)
    sample = table(path).samples[0]
    assert (sample.id, sample.label) == ("Ärztin, 医生.jpg", "nurse 🩺")


def test_labels_may_be_unknown(tmp_path: Path) -> None:
    path = _csv(tmp_path, {"image": ["1.jpg"]})
    assert table(path, label=None).samples[0].label is None


def test_a_blank_cell_is_unknown_and_no_value_that_rows_share(tmp_path: Path) -> None:
    rows = {
        "image": ["1.jpg", "2.jpg", "3.jpg"],
        "label": ["a", "b", "a"],
        "gender": ["man", "", " "],
        "part": ["test", "", "test"],
        "person": ["p1", "", " "],
    }
    data = table(_csv(tmp_path, rows), groups=["gender"], split_column="part", subject="person")
    assert [sample.subject for sample in data.samples] == ["p1", None, None]
    assert [sample.split for sample in data.samples] == ["test", None, "test"]
    assert [sample.groups for sample in data.samples] == [{"gender": "man"}, {}, {}]
    assert data.groups == ("gender",)


# ------------------------------------------------------------------ regions


def test_a_legend_makes_regions_of_one_mask(tmp_path: Path) -> None:
    data = table(
        _csv(tmp_path),
        mask="mask",
        legend={1: "tool", 2: "hair", 3: "hair", 4: "wall"},
        objects=["tool"],
        attributes=["hair"],
    )
    first, second, _ = data.samples
    assert [(region.name, region.role) for region in first.regions] == [
        ("tool", "object"),
        ("hair", "attribute"),
        ("wall", "context"),
    ]
    assert first.regions[1].shape == MaskFile(tmp_path / "m/1.png", (2, 3))
    assert second.regions == ()  # an empty cell: nobody annotated it
    assert data.regions == {"tool": "object", "hair": "attribute", "wall": "context"}


def test_a_column_a_region(tmp_path: Path) -> None:
    data = table(_csv(tmp_path), masks={"tool": "mask", "hair": "hair"}, attributes=["hair"])
    assert [[region.name for region in sample.regions] for sample in data.samples] == [
        ["tool", "hair"],
        ["hair"],
        ["tool"],
    ]
    assert data.samples[1].regions[0].shape == MaskFile(tmp_path / "h2.png")
    assert data.regions == {"hair": "attribute", "tool": "context"}


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        (
            {"attributes": ["hairs"]},
            r"roles\.attribute names 'hairs', which is no region .*did you mean 'hair'",
        ),
        ({"objects": ["zebra"]}, r"roles\.object names 'zebra', .*the regions are tool, hair"),
        ({"objects": ["hair"], "attributes": ["hair"]}, "'hair' has more than one role"),
    ],
)
def test_roles_that_name_no_region_get_a_suggestion(
    tmp_path: Path, roles: dict[str, Any], words: str
) -> None:
    with pytest.raises(CamauditError, match=words):
        table(_csv(tmp_path), masks={"tool": "mask", "hair": "hair"}, **roles)


def test_masks_and_legend_need_each_other(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has a legend but no column"):
        table(_csv(tmp_path), legend={1: "tool"})
    with pytest.raises(DataError, match="legend"):
        table(_csv(tmp_path), mask="mask")


# ------------------------------------------------------------------ what cannot be used


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"label": "lable"}, r"no column 'lable' \(data\.columns\.label\); did you mean 'label'"),
        ({"image": "Image"}, r"no column 'Image' \(data\.columns\.image\); did you mean 'image'"),
        ({"groups": ["zzz"]}, r"data\.columns\.groups\); its columns are image, label, gender"),
        ({"subject": "persn"}, "did you mean 'person'"),
        ({"split_column": "prt"}, "did you mean 'part'"),
        ({"id": "idx"}, r"data\.columns\.id"),
        ({"masks": {"hair": "hairs"}}, r"data\.columns\.regions\); did you mean 'hair'"),
        ({"mask": "maks", "legend": {1: "hair"}}, "did you mean 'mask'"),
        ({"split": "test"}, r"data\.split is 'test' but no column says the split"),
        (
            {"split": "tst", "split_column": "part"},
            r"No sample has the split 'tst'; the splits are 'test', 'train'",
        ),
    ],
)
def test_what_a_table_does_not_have_is_named(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        table(_csv(tmp_path), **asked)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"manifest\.csv is empty"),
        ("image,label\n", r"manifest\.csv has no rows"),
        ("image,label\na.jpg,\n", r"row 2: the column 'label' is empty"),
        ("image,label\na.jpg,cat\nb.jpg\n", r"row 3: the column 'label' is empty"),
        ("image,label\na.jpg,cat\n,dog\n", r"row 3: the column 'image' is empty"),
        ("image,label\na.jpg,cat\nb.jpg,dog\na.jpg,dog\n", r"rows 2 and 4 have the same id 'a\.jpg'"),
        ("image,label\na.jpg,cat,3\nb.jpg,dog,4\n", "more cells in a row than names"),
        ("image,label\na.jpg,cat\nb.jpg,dog,4\n", "cannot be read as a table"),
        ("image;label\na.jpg;cat\n", r"no column 'image'.*'image;label'|its columns are image;label"),
        ('image,label\n"a.jpg,cat\n', "cannot be read as a table"),
    ],
)
def test_cells_that_cannot_be_used_are_named_by_their_row(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        table(path)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"mask": "mask", "legend": {1: "a+b"}},
            r"camaudit\.data\.table: regions\.legend\.1: the region name 'a\+b' holds a \+",
        ),
        ({"mask": "mask", "legend": {-1: "hair"}}, r"regions\.legend\.-1.*: .*greater than or equal to 0"),
        ({"masks": {"": "hair"}}, "a name must not be empty"),
        ({"groups": ["gender", "gender"]}, r"columns: groups names 'gender' more than once"),
    ],
)
def test_names_that_cannot_be_used_are_named(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        table(_csv(tmp_path), **asked)
    if "legend" in asked:
        with pytest.raises(ConfigError, match=words.replace("table", "folder")):
            folder(tmp_path, masks=tmp_path, legend=asked["legend"])


def test_files_that_are_no_table_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "a.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81image")
    parquet = tmp_path / "a.parquet"
    parquet.write_bytes(b"PAR1 and no more")
    for path, words in (
        (tmp_path / "gone.csv", r"gone\.csv does not exist"),
        (tmp_path / "gone.parquet", r"gone\.parquet does not exist"),
        (tmp_path, "is a folder"),
        (binary, "cannot be read as a table"),
        (parquet, "cannot be read as a table"),
    ):
        with pytest.raises(DataError, match=words):
            table(path)


def test_an_id_column_takes_the_place_of_the_path(tmp_path: Path) -> None:
    path = _csv(tmp_path, {"key": ["x", "y"], "image": ["1.jpg", "1.jpg"], "label": ["a", "b"]})
    assert [sample.id for sample in table(path, id="key").samples] == ["x", "y"]
