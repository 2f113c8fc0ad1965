"""Mutations of valid files: a reader says what is wrong or reads on; nothing but camaudit's own errors gets out."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data import open_dataset
from camaudit.data.images import decode
from camaudit.data.masks import region_masks
from camaudit.errors import CamauditError, DataError
from tests import small_datasets as small

if TYPE_CHECKING:
    from pathlib import Path

LIMITED = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["a.png", "../a.png", "", "bird", 1, 2, 1e300, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def _read(source: dict[str, Any]) -> None:
    """Read everything that a run reads."""
    try:
        data = open_dataset(parse_section(DataConfig, source, where="audit.yaml"), RolesConfig())
        assert data.fingerprint()
    except CamauditError:
        return
    for sample in data.samples:
        try:
            size = decode(sample.image).size
            masks = region_masks(sample.regions, size)
        except DataError:
            continue
        assert all(mask.shape == size and mask.dtype == bool for mask in masks.values())


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the parts of a JSON value are."""
    found = [here] if here else []
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        found += _places(part, (*here, key))
    return found


def _changed(value: Any, place: tuple[Any, ...], new: object, *, remove: bool) -> None:
    for key in place[:-1]:
        value = value[key]
    if remove:
        del value[place[-1]]
    else:
        value[place[-1]] = new


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in ("coco", "panoptic", "voc", "yolo", "table")}
    small.write_coco(found["coco"])
    small.write_panoptic(found["panoptic"])
    small.write_voc(found["voc"])
    small.write_yolo(found["yolo"])
    small.write_images(found["table"])
    return found


@pytest.mark.parametrize("kind", ["instances", "panoptic", "keypoints"])
def test_coco_with_any_value_in_any_place(homes: dict[str, Path], kind: str) -> None:
    make = {
        "instances": small.coco_values,
        "panoptic": small.panoptic_values,
        "keypoints": small.keypoint_values,
    }[kind]
    home = homes["panoptic" if kind == "panoptic" else "coco"]
    options = {"kind": kind, "radius": 2, "masks": home / "annotations"}
    source = {
        "format": "coco",
        "path": home / "annotations.json",
        "images": home / "images",
        "label": "none" if kind == "keypoints" else "largest",
        "options": options,
    }

    @LIMITED
    @given(data=st.data())
    def mutate(data: st.DataObject) -> None:
        values = make()
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.sampled_from(_places(values)))
            _changed(values, place, data.draw(JSON), remove=data.draw(st.booleans()))
        source["path"].write_text(json.dumps(values))  # type: ignore[attr-defined]
        _read(source)

    mutate()


FILES = {
    "coco": ("annotations.json", {"images": "images", "label": "only"}),
    "voc": ("Annotations/a.xml", {"label": "largest"}),
    "yolo": ("labels/train/a.txt", {"label": "largest"}),
    "yolo file": ("data.yaml", {"label": "largest"}),
}
WORDS = [
    b"nan",
    b"-1",
    b"1e999",
    b"99999999999",
    b"[",
    b"}",
    b"\x00",
    b"\xff",
    b"<a>",
    b"&b;",
    b"\n",
    b"!!python/name:os.system ",
    b"../",
]


@pytest.mark.parametrize("name", FILES)
def test_files_with_any_damage(homes: dict[str, Path], name: str) -> None:
    reader = name.partition(" ")[0]
    home = homes[reader]
    file, keys = FILES[name]
    whole = (home / file).read_bytes()
    path = {"coco": home / "annotations.json", "voc": home, "yolo": home / "data.yaml"}[reader]
    source = {"format": reader, "path": path, **keys}
    if "images" in source:
        source["images"] = home / "images"

    @LIMITED
    @given(
        edits=st.lists(
            st.tuples(
                st.integers(0, len(whole)), st.integers(0, 20), st.sampled_from(WORDS) | st.binary(max_size=4)
            ),
            max_size=4,
        ),
        end=st.integers(0, len(whole)) | st.just(len(whole)),
    )
    def mutate(edits: list[tuple[int, int, bytes]], end: int) -> None:
        damaged = whole
        for at, skipped, new in edits:
            damaged = damaged[:at] + new + damaged[at + skipped :]
        (home / file).write_bytes(damaged[:end])
        _read(source)

    mutate()
    (home / file).write_bytes(whole)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl"])
def test_tables_with_any_damage(homes: dict[str, Path], suffix: str) -> None:
    home = homes["table"]
    frame = pd.DataFrame(
        {"image": ["a.png", "b.png"], "label": ["bird", "fish"], "place": ["sea", ""], "size": [1.5, 2]}
    )
    path = home / f"table.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    whole = path.read_bytes()
    source = {
        "format": "table",
        "path": path,
        "columns": {"groups": ["place", "size"]},
        "regions": {"thing": "image"},
        "derive": {"rest": "not thing"},
    }

    @LIMITED
    @given(
        edits=st.lists(
            st.tuples(
                st.integers(0, len(whole)), st.integers(0, 9), st.sampled_from([*WORDS, b",", b'"', b"\t"])
            ),
            min_size=1,
            max_size=4,
        )
    )
    def mutate(edits: list[tuple[int, int, bytes]]) -> None:
        damaged = whole
        for at, skipped, new in edits:
            damaged = damaged[:at] + new + damaged[at + skipped :]
        path.write_bytes(damaged)
        _read(source)

    mutate()


@LIMITED
@given(data=st.data())
def test_folders_of_any_names(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    home = tmp_path_factory.mktemp("folder")
    letters = st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    )
    names = data.draw(
        st.lists(st.tuples(letters, letters, st.sampled_from([".png", ".jpg", ".txt", ""])), max_size=4)
    )
    for label, stem, suffix in names:
        if label in {".", ".."} or stem in {".", ".."}:
            continue
        (home / label).mkdir(exist_ok=True)
        (home / label / f"{stem}{suffix}").write_bytes(data.draw(st.binary(max_size=20)))
    _read({"format": "folder", "path": home})
    shutil.rmtree(home)
