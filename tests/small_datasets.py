"""Two tiny photographs and what the formats say of them, written to disk as each format has it.

``a.png`` is 40 x 30 and shows a bird of 10 x 8 pixels at (5, 4) and water below row 20; ``b.png`` is 30 x 40 and shows two
birds and a crowd of birds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"a.png": (30, 40), "b.png": (40, 30)}


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for name, (height, width) in SIZES.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)


def square(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def crowd_mask() -> np.ndarray:
    mask = np.zeros((40, 30), dtype=np.uint8)
    mask[30:38, 2:28:3] = 1
    return mask


def runs(mask: np.ndarray) -> list[int]:
    """Uncompressed run lengths, by a loop over the columns."""
    found, last = [0], 0
    for value in mask.T.ravel():
        if value == last:
            found[-1] += 1
        else:
            found.append(1)
            last = value
    return found


def coco_values() -> dict[str, Any]:
    """COCO annotations of the two photographs."""
    crowd = coco_mask.encode(np.asfortranarray(crowd_mask()))
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 30, "width": 40},
            {"id": 2, "file_name": "b.png", "height": 40, "width": 30},
        ],
        "annotations": [
            _annotation(11, 1, 1, [square(5, 4, 15, 12)]),
            _annotation(12, 1, 2, [square(0, 20, 40, 30)]),
            _annotation(13, 2, 1, [square(1, 1, 6, 6), square(8, 1, 9, 6)]),
            _annotation(14, 2, 1, {"size": [40, 30], "counts": runs(np.eye(40, 30, dtype=np.uint8))}),
            _annotation(15, 2, 1, {"size": [40, 30], "counts": crowd["counts"].decode()}, crowd=1),
        ],
        "categories": [{"id": 1, "name": "bird"}, {"id": 2, "name": "water"}],
    }


def _annotation(key: int, image: int, category: int, shape: object, crowd: int = 0) -> dict[str, Any]:
    return {
        "id": key,
        "image_id": image,
        "category_id": category,
        "segmentation": shape,
        "iscrowd": crowd,
        "bbox": [1, 1, 5, 5],
        "area": 25,
    }


def write_coco(folder: Path, values: object | None = None) -> Path:
    write_images(folder / "images")
    path = folder / "annotations.json"
    path.write_text(json.dumps(coco_values() if values is None else values))
    return path


PANOPTIC = {7: (slice(4, 12), slice(5, 15)), 300: (slice(20, 30), slice(0, 40))}


def panoptic_values() -> dict[str, Any]:
    """A panoptic file about ``a.png``: segment 7 is a bird, segment 300 water."""
    segments = [
        {"id": 7, "category_id": 1, "area": 80, "iscrowd": 0},
        {"id": 300, "category_id": 2, "area": 400},
    ]
    return {
        "images": coco_values()["images"],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": coco_values()["categories"],
    }


def write_panoptic(folder: Path, values: object | None = None) -> Path:
    path = write_coco(folder, panoptic_values() if values is None else values)
    (folder / "annotations").mkdir()
    colours = np.zeros((30, 40, 3), dtype=np.uint8)
    for key, place in PANOPTIC.items():
        colours[place] = (key % 256, key // 256, 0)
    Image.fromarray(colours).save(folder / "annotations/a.png")
    return path


def keypoint_values() -> dict[str, Any]:
    """Two persons in ``a.png``: the first one's eye is hidden, the second one's not labelled."""
    values = coco_values()
    values["categories"] = [{"id": 1, "name": "person", "keypoints": ["nose", "eye"]}]
    values["annotations"] = [
        {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [10, 10, 2, 12, 9, 1]},
        {"id": 2, "image_id": 1, "category_id": 1, "keypoints": [30, 20, 2, 0, 0, 0]},
    ]
    return values


VOC_XML = """<annotation>
  <filename>{name}</filename><size><width>{width}</width><height>{height}</height><depth>3</depth></size>
  {objects}
</annotation>"""
VOC_OBJECT = """<object><name>{name}</name><bndbox>
  <xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"""
VOC_BOXES: dict[str, list[tuple[str, tuple[object, ...]]]] = {
    "a": [("bird", (6, 5, 15, 12)), ("boat", (1, 21, 40, 30))],
    "b": [("bird", (2, 2, 6, 6)), ("bird", (11, 2, 12, 3))],
}


def voc_xml(stem: str, boxes: list[tuple[str, tuple[object, ...]]]) -> str:
    height, width = SIZES[f"{stem}.png"]
    objects = "".join(VOC_OBJECT.format(name=name, box=box) for name, box in boxes)
    return VOC_XML.format(name=f"{stem}.png", width=width, height=height, objects=objects)


def write_voc(folder: Path) -> Path:
    write_images(folder / "JPEGImages")
    for part in ("Annotations", "SegmentationClass", "SegmentationObject", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    (folder / "ImageSets/Main/train.txt").write_text("a  1\n")
    for stem, boxes in VOC_BOXES.items():
        (folder / f"Annotations/{stem}.xml").write_text(voc_xml(stem, boxes))
    by_class, by_object = np.zeros((2, 30, 40), dtype=np.uint8)
    by_class[4:12, 5:15], by_object[4:12, 5:15] = 3, 1  # the third class of VOC is bird
    by_class[20:30], by_object[20:30] = 4, 2
    by_class[19], by_object[19] = 255, 255
    for part, mask in (("Class", by_class), ("Object", by_object)):
        image = Image.fromarray(mask)
        image.putpalette([value % 256 for value in range(768)])
        image.save(folder / f"Segmentation{part}/a.png")
    return folder


YOLO_YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [bird, water]\n"
YOLO_LABELS = {
    "train/a": "0 0.25 0.26666666 0.25 0.26666666\n1 0 0.66666667 1 0.66666667 1 1 0 1\n",
    "val/b": "0 0.1 0.1 0.1 0.1\n\n0 0.5 0.5 0.2 0.2\n",
}


def write_yolo(folder: Path) -> Path:
    for place, text in YOLO_LABELS.items():
        part, stem = place.split("/")
        (folder / f"images/{part}").mkdir(parents=True)
        (folder / f"labels/{part}").mkdir(parents=True)
        write_images(folder / "all")
        (folder / f"all/{stem}.png").rename(folder / f"images/{place}.png")
        (folder / f"labels/{place}.txt").write_text(text)
    (folder / "data.yaml").write_text(YOLO_YAML)
    return folder / "data.yaml"
