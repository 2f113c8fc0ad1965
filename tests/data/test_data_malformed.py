"""Malformed inputs of every reader: each is a sentence that names the place, or is left out and counted.

A case changes one thing of a dataset that can be read. Where it is refused, the words of the message are given; where it is
left out, the kinds of `Dataset.problems` with their numbers, and what became of the regions.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data import open_dataset
from camaudit.data.problems import KINDS
from camaudit.errors import CamauditError
from tests import small_datasets as small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from camaudit.data import Dataset

Change = "Callable[[Path], object]"
NAN = float("nan")
LONG = "x" * 300


def _write_folder(home: Path) -> Path:
    small.write_images(home / "images/bird")
    (home / "masks/bird").mkdir(parents=True)
    for name, size in small.SIZES.items():
        Image.fromarray(np.ones(size, np.uint8)).save(home / "masks/bird" / name)
    return home / "images"


def _write_table(home: Path) -> Path:
    small.write_images(home / "images")
    _write_rows(home, [["images/a.png", "bird", "sea"], ["images/b.png", "fish", "land"]])
    return home / "table.csv"


def _write_rows(home: Path, rows: list[list[Any]], name: str = "table.csv") -> Path:
    frame = pd.DataFrame(rows, columns=["image", "label", "place"])
    path = home / name
    if name.endswith("csv"):
        frame.to_csv(path, index=False)
    elif name.endswith("tsv"):
        frame.to_csv(path, index=False, sep="\t")
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    else:
        frame.to_parquet(path)
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    "table": _write_table,
    "folder": _write_folder,
    "coco": small.write_coco,
    "panoptic": small.write_panoptic,
    "keypoints": lambda home: small.write_coco(home, small.keypoint_values()),
    "voc": small.write_voc,
    "yolo": small.write_yolo,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "table": {"format": "table", "columns": {"groups": ["place"]}},
    "folder": {"format": "folder", "regions": {"folder": "masks", "legend": {1: "thing"}}},
    "coco": {"format": "coco", "images": "images", "label": "largest"},
    "panoptic": {"format": "coco", "images": "images", "label": "none", "options": {"kind": "panoptic"}},
    "keypoints": {
        "format": "coco",
        "images": "images",
        "label": "none",
        "options": {"kind": "keypoints", "radius": 2},
    },
    "voc": {"format": "voc", "label": "largest"},
    "yolo": {"format": "yolo", "label": "largest"},
}


@dataclass(frozen=True)
class Case:
    """One malformed dataset.

    Attributes:
        reader: a key of `WRITERS`.
        change: what is done to the folder.
        refused: words of the message; none where it is read.
        problems: what is counted.
        settings: changed keys of the configuration.
        regions: names of the regions of the first sample, where that is what matters.
    """

    reader: str
    change: Callable[[Path], object]
    refused: tuple[str, ...] = ()
    problems: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    regions: list[str] | None = None


def _read(home: Path, case: Case) -> Dataset:
    path = WRITERS[case.reader](home)
    case.change(home)
    values: dict[str, Any] = {"path": path, **SETTINGS[case.reader], **case.settings}
    for key in ("path", "images", "table"):
        if key in values:
            values[key] = home / values[key]
    if isinstance(values.get("regions"), dict) and "folder" in values["regions"]:
        values["regions"] = {**values["regions"], "folder": home / values["regions"]["folder"]}
    return open_dataset(parse_section(DataConfig, values, where="audit.yaml"), RolesConfig())


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda home: (home / name).write_bytes(data)


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(home: Path) -> None:
        text = (home / name).read_text()
        assert old in text
        (home / name).write_text(text.replace(old, new, 1))

    return change


def values(change: Callable[[dict[str, Any]], object], make: Callable[[], Any] = small.coco_values) -> Any:
    """Rewrite a COCO file with changed values."""

    def changed(home: Path) -> None:
        found = make()
        change(found)
        (home / "annotations.json").write_text(json.dumps(found))

    return changed


def first(**changes: object) -> Callable[[Path], object]:
    """Change keys of the first annotation, which is the bird of a.png; a key of None goes."""

    def change(found: dict[str, Any]) -> None:
        entry = found["annotations"][0]
        entry.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del entry[key]

    return values(change)


def without(key: str) -> Callable[[Path], object]:
    return values(lambda found: found.pop(key))


def link(name: str, target: str) -> Callable[[Path], object]:
    def change(home: Path) -> None:
        (home.parent / "outside").mkdir(exist_ok=True)
        small.write_images(home.parent / "outside")
        (home / name).unlink(missing_ok=True)
        (home / name).symlink_to(target)

    return change


def rows(*lines: list[Any], name: str = "table.csv") -> Callable[[Path], object]:
    return lambda home: _write_rows(home, list(lines), name)


def square(*sides: float) -> list[list[float]]:
    return [small.square(*sides)]


ANNOTATION = ("annotation 11 of image 1",)
CUT = json.dumps(small.coco_values())[:700]
BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><annotation>&j;</annotation>"
)

CASES: dict[str, Case] = {
    # ------------------------------------------------------------------ COCO
    "coco not there": Case("coco", lambda home: (home / "annotations.json").unlink(), ("annotations.json does not exist",)),
    "coco a folder": Case("coco", lambda _: None, ("images is a folder", "JSON file"), settings={"path": "images"}),
    "coco empty": Case("coco", write("annotations.json", b""), ("cannot be read as JSON",)),
    "coco truncated": Case("coco", write("annotations.json", CUT), ("cannot be read as JSON", "truncated")),
    "coco binary": Case("coco", write("annotations.json", b"\xff\xfe\x00\x01"), ("cannot be read as JSON",)),
    "coco a pickle": Case("coco", write("annotations.json", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."), ("cannot be read as JSON",)),
    "coco NaN": Case("coco", first(bbox=[NAN, 1, 2, 3]), ("cannot be read as JSON", "NaN")),
    "coco a list": Case("coco", write("annotations.json", "[1, 2]"), ("is no COCO file",)),
    "coco a number": Case("coco", write("annotations.json", "3"), ("is no COCO file",)),
    "coco without images": Case("coco", without("images"), ("no list of 'images'",)),
    "coco without annotations": Case("coco", without("annotations"), ("no list of 'annotations'",)),
    "coco without categories": Case("coco", without("categories"), ("no list of 'categories'",)),
    "coco images an object": Case("coco", values(lambda found: found.update(images={"1": 2})), ("something else than a list for 'images'",)),
    "coco no image": Case("coco", values(lambda found: found.update(images=[])), ("holds no image to audit", "no image has")),
    "coco no category": Case("coco", values(lambda found: found.update(categories=[])), ("declares no categories",)),
    "coco annotation a number": Case("coco", values(lambda found: found["annotations"].append(7)), ("annotations holds 7, which is no object",)),
    "coco category without a name": Case("coco", values(lambda found: found["categories"].append({"id": 3})), ("a category is {'id': 3}",)),
    "coco category twice": Case("coco", values(lambda found: found["categories"].append({"id": 3, "name": "bird"})), ("'bird' (id 3) shares",)),
    "coco category with a plus": Case("coco", values(lambda found: found["categories"].append({"id": 3, "name": "a+b"})), ("'a+b' holds a +",)),
    "coco image id twice": Case("coco", values(lambda found: found["images"].append(found["images"][0])), ("image 1: two images have this id",)),
    "coco file name twice": Case(
        "coco",
        values(lambda found: found["images"].append({**found["images"][0], "id": 9})),
        ("have the same id 'a.png'",),
    ),
    "coco image without a name": Case("coco", values(lambda found: found["images"].append({"id": 3})), problems={"bad-image": 1}),
    "coco image without an id": Case("coco", values(lambda found: found["images"][0].pop("id")), problems={"bad-image": 1, "no-image": 2}),
    "coco image name a number": Case("coco", values(lambda found: found["images"].append({"id": 3, "file_name": 5})), problems={"bad-image": 1}),
    "coco image name with a zero": Case("coco", values(lambda found: found["images"].append({"id": 3, "file_name": "a\0"})), problems={"bad-image": 1}),
    "coco image up and out": Case(
        "coco", values(lambda found: found["images"][0].update(file_name="../../secret.png")), ("leads out of", "allow_outside", "image 1")
    ),
    "coco image absolute": Case("coco", values(lambda found: found["images"][0].update(file_name="/etc/hosts")), ("'/etc/hosts' leads out of",)),
    "coco image linked out": Case("coco", link("images/a.png", "../../outside/a.png"), ("'a.png' leads out of",)),
    "coco id a text for a number": Case("coco", first(image_id="1"), problems={"no-image": 1}, regions=["bird", "water"]),
    "coco id true": Case("coco", first(image_id=True), problems={"no-image": 1}),
    "coco annotation of no image": Case("coco", first(image_id=77), problems={"no-image": 1}),
    "coco annotation without an image": Case("coco", first(image_id=None), problems={"no-image": 1}),
    "coco annotation of no category": Case("coco", first(category_id=77), problems={"unknown-category": 1}),
    "coco annotation category a list": Case("coco", first(category_id=[1]), problems={"unknown-category": 1}),
    "coco annotation twice": Case("coco", first(id=12), problems={"duplicate-annotation": 1}),
    "coco polygon of two points": Case("coco", first(segmentation=[[1, 1, 5, 5]]), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon of odd numbers": Case("coco", first(segmentation=[[1, 1, 5, 5, 7, 8, 9]]), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon of texts": Case("coco", first(segmentation=[["1", 1, 5, 5, 7, 8]]), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon of booleans": Case("coco", first(segmentation=[[True, 1, 5, 5, 7, 8]]), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon flat": Case("coco", first(segmentation=small.square(1, 1, 5, 5)), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon far away": Case("coco", first(segmentation=square(1, 1, 1e9, 5)), problems={"bad-shape": 1}, regions=["water"]),
    "coco polygon without area": Case("coco", first(segmentation=[[1, 1, 5, 5, 9, 9]]), problems={"empty-shape": 1}, regions=["bird", "water"]),
    "coco polygon outside": Case("coco", first(segmentation=square(50, 4, 60, 12)), problems={"outside": 1}, regions=["water"]),
    "coco segmentation a text": Case("coco", first(segmentation="all of it"), problems={"bad-shape": 1}, regions=["water"]),
    "coco no segmentation": Case("coco", first(segmentation=None), problems={"no-segmentation": 1}, regions=["bird", "water"]),
    "coco neither segmentation nor box": Case("coco", first(segmentation=None, bbox=None), problems={"bad-shape": 1}, regions=["water"]),
    "coco box negative": Case("coco", first(segmentation=[], bbox=[3, 3, -2, 4]), problems={"bad-shape": 1}, regions=["water"]),
    "coco box empty": Case("coco", first(segmentation=[], bbox=[3, 3, 0, 4]), problems={"empty-shape": 1}),
    "coco box of three": Case("coco", first(segmentation=[], bbox=[3, 3, 4]), problems={"bad-shape": 1}, regions=["water"]),
    "coco box of nothing": Case("coco", first(segmentation=[], bbox=[None] * 4), problems={"bad-shape": 1}, regions=["water"]),
    "coco box outside": Case("coco", first(segmentation=[], bbox=[-9, 3, 4, 4]), problems={"outside": 1}, regions=["water"]),
    "coco runs too short": Case("coco", first(segmentation={"size": [30, 40], "counts": [5, 6]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs too long": Case("coco", first(segmentation={"size": [30, 40], "counts": [5, 9999]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs negative": Case("coco", first(segmentation={"size": [30, 40], "counts": [1300, -100]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs of fractions": Case("coco", first(segmentation={"size": [30, 40], "counts": [1199.5, 0.5]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs a wrong text": Case("coco", first(segmentation={"size": [30, 40], "counts": "äöü"}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs a text cut off": Case("coco", first(segmentation={"size": [30, 40], "counts": "QQ"}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs of another size": Case("coco", first(segmentation={"size": [40, 30], "counts": [1200]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs without a size": Case("coco", first(segmentation={"counts": [1200]}), problems={"bad-shape": 1}, regions=["water"]),
    "coco runs of nothing": Case("coco", first(segmentation={"size": [30, 40], "counts": [1200]}), problems={"empty-shape": 1}, regions=["bird", "water"]),
    "coco region of no category": Case("coco", lambda _: None, ("data.regions.x: 'brid' is no category", "'bird'?"), settings={"regions": {"x": "brid"}}),
    "coco legend": Case("coco", lambda _: None, ("a legend is for indexed masks",), settings={"regions": {"legend": {1: "x"}}}),
    "coco label by position": Case(
        "coco", write("t.csv", "image,label\na.png,7\nb.png,1\n"), ("the label '7' is not in data.label_names",),
        settings={"label": "table", "table": "t.csv", "label_names": {"0": "bird", "1": "fish"}},
    ),
    # ------------------------------------------------------------------ panoptic and keypoints
    "panoptic without segments": Case("panoptic", values(lambda found: found["annotations"][0].pop("segments_info"), small.panoptic_values), problems={"no-mask": 1, "no-annotation": 1}),
    "panoptic without its PNG": Case("panoptic", lambda home: (home / "annotations/a.png").unlink(), problems={"no-mask": 1, "no-annotation": 1}, regions=[]),
    "panoptic PNG up and out": Case("panoptic", values(lambda found: found["annotations"][0].update(file_name="../../a.png"), small.panoptic_values), ("leads out of",)),
    "panoptic PNG with a long name": Case("panoptic", values(lambda found: found["annotations"][0].update(file_name=LONG), small.panoptic_values), problems={"no-mask": 1, "no-annotation": 1}),
    "voc list with a long name": Case("voc", write("ImageSets/Main/train.txt", f"{LONG}\n"), problems={"no-annotation": 1, "no-label": 1}, settings={"options": {"image_set": "Main/train"}}),
    "yolo folder with a long name": Case("yolo", write("data.yaml", f"train: {LONG}\nnames: [a]\n"), ("is neither a folder nor a list",)),
    "panoptic segment a number": Case("panoptic", values(lambda found: found["annotations"][0]["segments_info"].append(5), small.panoptic_values), ("a segment is 5",)),
    "keypoints too few": Case("keypoints", values(lambda found: found["annotations"][0].update(keypoints=[1, 2, 2]), small.keypoint_values), problems={"bad-shape": 1, "no-annotation": 1}, regions=[]),
    "keypoints of texts": Case("keypoints", values(lambda found: found["annotations"][0].update(keypoints=["1"] * 6), small.keypoint_values), problems={"bad-shape": 1, "no-annotation": 1}, regions=[]),
    "keypoints without names": Case("keypoints", values(lambda found: found["categories"][0].pop("keypoints"), small.keypoint_values), ("declares no keypoints",)),
    "keypoints names of numbers": Case("keypoints", values(lambda found: found["categories"][0].update(keypoints=[1, 2]), small.keypoint_values), ("they need names",)),
    # ------------------------------------------------------------------ Pascal VOC
    "voc not there": Case("voc", lambda _: None, ("JPEGImages is not a folder",), settings={"path": "gone"}),
    "voc without annotations": Case("voc", lambda home: shutil.rmtree(home / "Annotations"), ("Annotations is not a folder",)),
    "voc one without annotation": Case("voc", lambda home: (home / "Annotations/b.xml").unlink(), problems={"no-annotation": 1, "no-label": 1}),
    "voc truncated": Case("voc", edit("Annotations/a.xml", "</annotation>", ""), ("a.xml cannot be read as XML",)),
    "voc empty": Case("voc", write("Annotations/a.xml", b""), ("a.xml cannot be read as XML",)),
    "voc binary": Case("voc", write("Annotations/a.xml", b"\x00\xff\x00"), ("a.xml cannot be read as XML",)),
    "voc another encoding": Case("voc", write("Annotations/a.xml", "<?xml version='1.0' encoding='nope'?><annotation/>"), ("cannot be read as XML",)),
    "voc another root": Case("voc", write("Annotations/a.xml", "<html></html>"), ("holds <html> instead of <annotation>",)),
    "voc entities that multiply": Case("voc", write("Annotations/a.xml", BOMB), ("declares entities",)),
    "voc entity of a file": Case("voc", write("Annotations/a.xml", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotation>&b;</annotation>'), ("declares entities",)),
    "voc object without a name": Case("voc", edit("Annotations/a.xml", "<name>bird</name>", ""), ("a.xml", "the object has no <name>")),
    "voc box without a side": Case("voc", edit("Annotations/a.xml", "<xmin>6</xmin>", ""), problems={"bad-shape": 1}, regions=["boat"]),
    "voc box of texts": Case("voc", edit("Annotations/a.xml", "<xmin>6", "<xmin>six"), problems={"bad-shape": 1}, regions=["boat"]),
    "voc box NaN": Case("voc", edit("Annotations/a.xml", "<xmin>6", "<xmin>nan"), problems={"bad-shape": 1}, regions=["boat"]),
    "voc box infinite": Case("voc", edit("Annotations/a.xml", "<xmax>15", "<xmax>1e999"), problems={"bad-shape": 1}, regions=["boat"]),
    "voc box turned round": Case("voc", edit("Annotations/a.xml", "<xmax>15", "<xmax>2"), problems={"bad-shape": 1}, regions=["boat"]),
    "voc box outside": Case("voc", edit("Annotations/a.xml", "<xmin>6</xmin>", "<xmin>99</xmin>"), problems={"bad-shape": 1}, regions=["boat"]),
    "voc mask linked out": Case("voc", link("SegmentationClass/a.png", "../../outside/a.png"), ("leads out of",), settings={"options": {"shapes": "class"}}),
    "voc image linked out": Case("voc", link("JPEGImages/a.png", "../../outside/a.png"), ("leads out of",)),
    "voc list not there": Case("voc", lambda _: None, ("Main/vaal.txt cannot be read as a list", "image_set"), settings={"options": {"image_set": "Main/vaal"}}),
    "voc list up and out": Case("voc", lambda _: None, ("leads out of",), settings={"options": {"image_set": "../../x"}}),
    "voc list names a path out": Case("voc", write("ImageSets/Main/train.txt", "../../b\n"), ("train.txt, row 1", "leads out of"), settings={"options": {"image_set": "Main/train"}}),
    "voc list empty": Case("voc", write("ImageSets/Main/train.txt", "\n"), ("holds no image to audit",), settings={"options": {"image_set": "Main/train"}}),
    "voc list names one twice": Case("voc", write("ImageSets/Main/train.txt", "a\nb\na\n"), ("have the same id 'a'",), settings={"options": {"image_set": "Main/train"}}),
    "voc label of a folder": Case("voc", lambda _: None, ("data.label: folder is not possible with format: voc",), settings={"label": "folder"}),
    # ------------------------------------------------------------------ YOLO
    "yolo not there": Case("yolo", lambda _: None, ("gone.yaml does not exist",), settings={"path": "gone.yaml"}),
    "yolo a tag": Case("yolo", write("data.yaml", "train: !!python/object/apply:os.system ['touch pwned']\nnames: [a]\n"), ("cannot be read as YAML", "python/object/apply")),
    "yolo references that multiply": Case("yolo", write("data.yaml", "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)) + "train: images\nnames: *j\n"), ("names has 0: [[",)),
    "table packed": Case("table", write("t.csv.gz", b"\x1f\x8b"), ("t.csv.gz is compressed. Unpack it first",), settings={"path": "t.csv.gz"}),
    "yolo no YAML": Case("yolo", write("data.yaml", "names: [a\n"), ("cannot be read as YAML",)),
    "yolo binary": Case("yolo", write("data.yaml", b"\xff\xfe\x00"), ("cannot be read as YAML",)),
    "yolo a list": Case("yolo", write("data.yaml", "- a\n"), ("holds no settings",)),
    "yolo without images": Case("yolo", write("data.yaml", "names: [a]\n"), ("names no images",)),
    "yolo without names": Case("yolo", write("data.yaml", "train: images/train\n"), ("names is None",)),
    "yolo names of numbers": Case("yolo", write("data.yaml", "train: images/train\nnames: [no, yes]\n"), ("names has 0: False", "in quotes")),
    "yolo names twice": Case("yolo", write("data.yaml", "train: images/train\nnames: [a, a]\n"), ("names has 'a' twice",)),
    "yolo another count": Case("yolo", write("data.yaml", "train: images/train\nnames: [a, b]\nnc: 3\n"), ("nc is 3 but names has 2",)),
    "yolo keypoints": Case("yolo", write("data.yaml", "train: images/train\nnames: [a]\nkpt_shape: [17, 3]\n"), ("describes keypoints", "coco")),
    "yolo folder not there": Case("yolo", write("data.yaml", "train: images/tran\nnames: [a]\n"), ("images/tran is neither a folder nor a list",)),
    "yolo folder a number": Case("yolo", write("data.yaml", "train: 3\nnames: [a]\n"), ("train is 3", "needs a folder")),
    "yolo folder up and out": Case("yolo", write("data.yaml", "train: ../..\nnames: [a]\n"), ("'../..' leads out of",)),
    "yolo path a list": Case("yolo", write("data.yaml", "path: [a]\ntrain: images\nnames: [a]\n"), ("path is ['a']",)),
    "yolo list up and out": Case("yolo", lambda home: (write("l.txt", "../../b.png\n")(home), write("data.yaml", "train: l.txt\nnames: [a]\n")(home)), ("l.txt, row 1", "leads out of")),
    "yolo image in two parts": Case("yolo", write("data.yaml", "train: images/train\nval: images/train\nnames: [bird, water]\n"), ("have the same id 'images/train/a.png'",)),
    "yolo class out of range": Case("yolo", edit("labels/train/a.txt", "0 0.25", "5 0.25"), problems={"unknown-category": 1}, regions=["bird", "water"]),
    "yolo class a word": Case("yolo", edit("labels/train/a.txt", "0 0.25", "bird 0.25"), problems={"unknown-category": 1}),
    "yolo class negative": Case("yolo", edit("labels/train/a.txt", "0 0.25", "-1 0.25"), problems={"unknown-category": 1}),
    "yolo a box of three": Case("yolo", write("labels/train/a.txt", "0 0.5 0.5 0.1\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo a polygon of odd numbers": Case("yolo", write("labels/train/a.txt", "0 .1 .1 .5 .5 .1 .5 .2\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo pixels": Case("yolo", write("labels/train/a.txt", "0 20 15 10 8\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo NaN": Case("yolo", write("labels/train/a.txt", "0 nan 0.5 0.1 0.1\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo a word": Case("yolo", write("labels/train/a.txt", "0 half 0.5 0.1 0.1\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo negative": Case("yolo", write("labels/train/a.txt", "0 0.5 0.5 -0.1 0.1\n"), problems={"bad-shape": 1, "no-label": 1}, regions=["water"]),
    "yolo no area": Case("yolo", write("labels/train/a.txt", "0 0.5 0.5 0 0.1\n"), problems={"empty-shape": 1, "no-label": 1}, regions=["bird", "water"]),
    "yolo a row twice": Case("yolo", write("labels/train/a.txt", "0 0.5 0.5 0.1 0.1\n" * 2), problems={"duplicate-annotation": 1}),
    "yolo labels binary": Case("yolo", write("labels/train/a.txt", b"\xff\xfe\x00"), problems={"bad-shape": 1, "no-label": 1}, regions=[]),
    "yolo labels linked out": Case("yolo", link("labels/train/a.txt", "../../../outside/a.png"), ("leads out of",)),
    # ------------------------------------------------------------------ tables
    "table row up and out": Case("table", rows(["../../a.png", "bird", "sea"]), ("table.csv, row 2: '../../a.png' leads out of",)),
    "table row absolute": Case("table", rows(["/etc/passwd", "bird", "sea"]), ("'/etc/passwd' leads out of",)),
    "table row linked out": Case("table", link("images/b.png", "../../outside/b.png"), ("row 3: 'images/b.png' leads out of",)),
    "table with two separators": Case("table", write("table.csv", "image\tlabel\na.png\tb\n"), ("no column 'image'",)),
    "tsv of commas": Case(
        "table", write("table.tsv", "image,label,place\na.png,b,c\n"), ("no column 'image'",), settings={"path": "table.tsv"}
    ),
    "table of nothing but zeros": Case("table", write("table.csv", b"\0" * 100), ("table.csv",)),
    "table of mixed labels": Case("table", write("t.jsonl", '{"image": "images/a.png", "label": 1, "place": "x"}\n{"image": "images/b.png", "label": "1", "place": "x"}\n'), ("t.jsonl, row 2: the column 'label' holds texts and numbers",), settings={"path": "t.jsonl"}),
    "lines truncated": Case("table", write("t.jsonl", '{"image": "images/a.png", "label": "b", "place": "x"}\n{"image": "im'), ("t.jsonl, row 2: the line is no JSON",), settings={"path": "t.jsonl"}),
    "lines of lists": Case("table", write("t.jsonl", "[1, 2]\n"), ("row 1: a line must be a JSON object",), settings={"path": "t.jsonl"}),
    "lines with a nested cell": Case("table", write("t.jsonl", '{"image": "images/a.png", "label": ["b"], "place": "x"}\n'), ("row 1", "'label'"), settings={"path": "t.jsonl"}),
    "lines deeply nested": Case("table", write("t.jsonl", "[" * 100_000 + "\n"), ("row 1: the line is no JSON",), settings={"path": "t.jsonl"}),
    "lines empty": Case("table", write("t.jsonl", "\n\n"), ("t.jsonl is empty",), settings={"path": "t.jsonl"}),
    "lines without a label": Case("table", write("t.jsonl", '{"image": "images/a.png", "label": "b", "place": "x"}\n{"image": "images/b.png"}\n'), ("row 2: the column 'label' is empty",), settings={"path": "t.jsonl"}),
    "parquet truncated": Case("table", lambda home: (rows(["images/a.png", "b", "x"], name="t.parquet")(home), (home / "t.parquet").write_bytes((home / "t.parquet").read_bytes()[:-30])), ("t.parquet cannot be read as a table",), settings={"path": "t.parquet"}),
    "parquet of bytes": Case("table", rows(["images/a.png", b"bird", "x"], name="t.parquet"), ("t.parquet, row 2: the column 'label' holds bytes",), settings={"path": "t.parquet"}),
    "parquet of lists": Case("table", rows(["images/a.png", ["bird"], "x"], name="t.parquet"), ("the column 'label' holds lists",), settings={"path": "t.parquet"}),
    "table with a side table": Case("table", lambda _: None, ("data.table is for annotations without labels",), settings={"table": "table.csv"}),
    "table label of a folder": Case("table", lambda _: None, ("data.label: folder is not possible",), settings={"label": "folder"}),
    "table label not renamed": Case("table", lambda _: None, ("row 3: the label 'fish' is not in data.label_names",), settings={"label_names": {"bird": "Vogel"}}),
    "table region of two columns": Case("table", lambda _: None, ("one mask column a region",), settings={"regions": {"x": ["label", "place"]}}),
    "a derived region of no region": Case("coco", lambda _: None, ("data.derive.x: 'brid' is no region", "'bird'?"), settings={"derive": {"x": "not brid"}}),
    "a derived region that is there": Case("coco", lambda _: None, ("already",), settings={"derive": {"bird": "not water"}}),
    "a derived region not closed": Case("coco", lambda _: None, ("a parenthesis is not closed",), settings={"derive": {"x": "not (bird"}}),
    "a derived region of code": Case("coco", lambda _: None, ("data.derive.x",), settings={"derive": {"x": "__import__('os').system('touch pwned')"}}),
    "a derived region nested deeply": Case("coco", lambda _: None, ("nested more than",), settings={"derive": {"x": "(" * 5000 + "bird" + ")" * 5000}}),
    # ------------------------------------------------------------------ side tables
    "side table not there": Case("coco", lambda _: None, ("t.csv does not exist",), settings={"label": "table", "table": "t.csv"}),
    "side table without labels": Case("coco", write("t.csv", "image\na.png\n"), ("no column 'label'",), settings={"label": "table", "table": "t.csv"}),
    "side table of two minds": Case("coco", write("t.csv", "image,label\na.png,x\na.png,y\n"), ("t.csv, row 3: 'a.png' stands in an earlier row",), settings={"label": "table", "table": "t.csv"}),
    "side table with a gap": Case("coco", write("t.csv", "image,label\na.png,\n"), ("row 2: the column 'label' is empty",), settings={"label": "table", "table": "t.csv"}),
    "side table about others": Case("coco", write("t.csv", "image,label\na.png,x\nc.png,y\n"), problems={"not-in-table": 1, "no-sample": 1}, settings={"label": "table", "table": "t.csv"}),
    # ------------------------------------------------------------------ folders
    **{
        f"{reader} with a long path": Case(reader, lambda _: None, (LONG,), settings={"path": LONG})
        for reader in ("table", "folder", "coco", "panoptic", "voc", "yolo")
    },
    "folder linked out": Case("folder", link("images/bird/a.png", "../../../outside/a.png"), ("leads out of",)),
    "folder of a folder linked out": Case("folder", lambda home: (link("x", "y")(home), (home / "images/fish").symlink_to("../../outside")), ("leads out of",)),
    "mask linked out": Case("folder", link("masks/bird/a.png", "../../../outside/a.png"), ("leads out of",)),
    "folder in a loop": Case("folder", lambda home: (home / "images/bird/again").symlink_to(".."), regions=["thing"]),
    "file in a loop": Case("folder", lambda home: (home / "images/bird/c.png").symlink_to("c.png")),
    "folder with odd names": Case("folder", lambda home: (home / "images/bird/a.png").rename(home / "images/bird/\n日本 'é\".png"), regions=[]),
    "folder with a name that is no text": Case("folder", lambda home: (home / "images/bird/a.png").rename(os.fsdecode(os.fsencode(home / "images/bird/x") + b"\xff.png")), (r"\udcff.png' is no text", "Rename")),
    "lines with half a letter": Case("table", write("t.jsonl", '{"image": "images/a.png", "label": "\\ud800", "place": "x"}\n'), ("row 1: ", "is no text"), settings={"path": "t.jsonl"}),
    "coco date of before": Case("coco", values(lambda found: found["images"][0].update(width=True, height=-3)), problems={}),
    "image with a long name": Case("coco", values(lambda found: found["images"][0].update(file_name=f"{LONG}.png"))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_malformed_data_is_a_sentence_or_counted(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, home = CASES[name], tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    if case.refused:
        with pytest.raises(CamauditError) as caught:
            _read(home, case)
        message = str(caught.value)
        for words in case.refused:
            assert words in message, message
        assert len(message) < 2000
    else:
        data = _read(home, case)
        assert data.problem_counts == case.problems
        assert {problem.kind for problem in data.problems} == set(case.problems) <= set(KINDS)
        for problem in data.problems:
            assert problem.message.endswith(".")
            assert problem.where
        assert len({sample.id for sample in data.samples}) == len(data)
        assert data.fingerprint()
        if case.regions is not None:
            assert [region.name for region in data.samples[0].regions] == case.regions
    assert not (tmp_path / "pwned").exists()


def test_there_are_enough_cases_of_every_reader() -> None:
    readers = [case.reader for case in CASES.values()]
    assert len(readers) >= 120
    assert all(readers.count(reader) >= 3 for reader in WRITERS)


@pytest.mark.parametrize("reader", WRITERS)
def test_what_was_changed_can_be_read_as_it_was(tmp_path: Path, reader: str) -> None:
    """Else a case would be refused for another reason."""
    data = _read(tmp_path, Case(reader, lambda _: None))
    assert set(data.problem_counts) <= {"no-annotation"}
