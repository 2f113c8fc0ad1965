"""Formats that are recognised by the files in a folder."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from PIL import Image

from camaudit.data.isic import IDS
from camaudit.data.stored import open_stored
from camaudit.runs.proposing.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"))
_IMAGES = ("images", "JPEGImages", "train2017", "val2017", "train", "val", "test", "img", "imgs", ".")
_MASKS = ("masks", "mask", "segmentations", "segmentation", "labels", "annotations")
_SPLITS = ("test", "val", "valid", "validation", "train")
_LOOKED_AT = 40  # masks whose pixel values are read
_LARGEST_JSON = 2_000_000_000
_UNNAMED = "what the pixel value is: give it its name"


def huggingface(folder: Path) -> Proposal | None:
    """A dataset that was saved by Hugging Face's library."""
    if not ((folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()):
        return None
    info = next(iter(sorted(folder.rglob("dataset_info.json"))), None)
    features = _json(info).get("features", {}) if info else {}
    features = features if isinstance(features, dict) else {}
    kinds = {name: of.get("_type") for name, of in features.items() if isinstance(of, dict)}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    classes = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    image = "image" if "image" in images else next(iter(images), "image")
    label = "label" if "label" in kinds else next(iter(classes), None)
    columns: dict[str, Any] = {"image": image, "label": label}
    unsure = {"columns.label": "the column of the labels"} if label != "label" else {}
    if groups := [name for name in classes if name != label]:
        columns["groups"] = groups
        unsure["columns.groups"] = "columns to compare by"
    data: dict[str, Any] = {"format": "huggingface", "path": folder, "columns": columns}
    if masks := [name for name in images if name != image]:
        data["regions"] = {name.replace("+", " "): name for name in masks}
        unsure["regions"] = "columns of masks, taken as one region each"
    return Proposal("a Hugging Face dataset on disk", data, unsure)


def waterbirds(folder: Path) -> Proposal | None:
    """Waterbirds, by the columns of its metadata."""
    if not {"img_filename", "y", "split", "place"} <= set(_header(folder / "metadata.csv")):
        return None
    data: dict[str, Any] = {"format": "waterbirds", "path": folder, "split": "test"}
    masks = next((at for at in _near(folder, ("segmentations",)) if at.is_dir()), None)
    if masks is not None:
        data["options"] = {"segmentations": masks}
    missing = (
        {} if masks else {"split": "CUB's segmentations were not found; name them in options.segmentations"}
    )
    return Proposal("Waterbirds (metadata.csv)", data, missing)


def celeba(folder: Path) -> Proposal | None:
    """CelebA, by its list of attributes."""
    for name in ("list_attr_celeba.txt", "list_attr_celeba.csv"):
        if (folder / name).is_file():
            lines = _lines(folder / name, 2)
            known = lines[-1].split() if name.endswith("txt") else lines[0].split(",")[1:]
            data: dict[str, Any] = {
                "format": "celeba",
                "path": folder,
                "split": "test",
                "options": {"label": ""},
            }
            masks = next((at for at in _near(folder, ("CelebAMask-HQ",)) if at.is_dir()), None)
            if masks is not None:
                data["options"]["masks"] = masks
            said = f"the attribute to predict, one of {', '.join(known)}"
            return Proposal(f"CelebA ({name})", data, {"options.label": said})
    return None


def pets(folder: Path) -> Proposal | None:
    """Oxford-IIIT Pets, by its lists and trimaps."""
    lists = [folder / "annotations" / name for name in ("trainval.txt", "test.txt", "list.txt")]
    if not any(path.is_file() for path in lists) or not (folder / "annotations" / "trimaps").is_dir():
        return None
    return Proposal("Oxford-IIIT Pets (annotations/trimaps)", {"format": "pets", "path": folder})


def isic(folder: Path) -> Proposal | None:
    """ISIC's metadata or ground truth, by the ids in the first row."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(islice(csv.reader(file), 2))
        if len(rows) < 2 or not any(cell.startswith("ISIC_") for cell in rows[1]):
            continue
        if not set(IDS) & set(rows[0]):
            continue
        data: dict[str, Any] = {"format": "isic", "path": path}
        images = _first_with(folder, lambda at: at.name.startswith("ISIC_") and at.suffix.lower() in SUFFIXES)
        if images is not None and images != folder:
            data["images"] = images
        masks = _first_with(folder, lambda at: at.stem.lower().endswith(("_segmentation", "_mask")))
        options: dict[str, Any] = {"masks": masks} if masks is not None else {}
        unsure = {}
        if set(rows[1][1:]) - {"0", "1", "0.0", "1.0"}:
            named = [
                name for name in rows[0] if "diagnosis" in name.lower() or name.lower() in {"target", "label"}
            ]
            options["label"] = next(iter(named), "")
            unsure["options.label"] = f"the column of the diagnosis, one of {', '.join(rows[0])}"
        return Proposal(f"ISIC ({path.name})", data | ({"options": options} if options else {}), unsure)
    return None


def voc(folder: Path) -> Proposal | None:
    """Pascal VOC, by its folders."""
    if not ((folder / "JPEGImages").is_dir() and (folder / "Annotations").is_dir()):
        return None
    data: dict[str, Any] = {"format": "voc", "path": folder, "label": "largest"}
    if (folder / "SegmentationClass").is_dir():
        data["options"] = {"shapes": "class"}
    unsure = {"label": "an image's label is the category of its largest object; or only | table | none"}
    return Proposal("Pascal VOC (JPEGImages, Annotations)", data, unsure)


def yolo(folder: Path) -> Proposal | None:
    """A YOLO dataset, by its YAML file."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
        if isinstance(values, dict) and "names" in values and {"train", "val", "test"} & values.keys():
            unsure = {
                "label": "an image's label is the category of its largest object; or only | table | none"
            }
            return Proposal(
                f"YOLO ({path.name})", {"format": "yolo", "path": path, "label": "largest"}, unsure
            )
    return None


def coco(folder: Path) -> Proposal | None:
    """COCO annotations, by the lists in a JSON file."""
    for path in sorted([*folder.glob("*.json"), *(folder / "annotations").glob("*.json")]):
        values = _json(path)
        if not {"images", "annotations", "categories"} <= values.keys():
            continue
        names = [entry.get("file_name") for entry in values["images"][:20] if isinstance(entry, dict)]
        bases = [base for base in _IMAGES if (folder / base).is_dir()]
        found = next(
            (
                base
                for base in bases
                if any(isinstance(name, str) and (folder / base / name).is_file() for name in names)
            ),
            None,
        )
        data: dict[str, Any] = {
            "format": "coco",
            "path": path,
            "images": folder / (found or "images"),
            "label": "largest",
        }
        unsure = {
            "label": "an image's label is the category of its largest object; or only | folder | table | none"
        }
        if found is None:
            unsure["images"] = "the folder of the images: none of the first ones was found"
        first = next((entry for entry in values["annotations"] if isinstance(entry, dict)), {})
        if "segments_info" in first:
            data["options"] = {"kind": "panoptic"}
        elif "keypoints" in first:
            data |= {"label": "none", "options": {"kind": "keypoints", "radius": 8}}
            unsure["label"] = "keypoints say no label; folder | table | none"
            unsure["options.radius"] = "of the discs around the points, in pixels"
        return Proposal(f"COCO ({path.name})", data, unsure)
    return None


def image_folder(folder: Path) -> Proposal | None:
    """A folder a class, with or without a parallel folder of masks."""
    base = next((at for at in _bases(folder) if _classes(at)), None)
    if base is None:
        return None
    data: dict[str, Any] = {"format": "folder", "path": base}
    unsure = {}
    if base.name in _SPLITS and any((base.parent / name).is_dir() for name in _SPLITS if name != base.name):
        unsure["path"] = f"the split {base.name}; a folder format has one split"
    masks = next(
        (at for at in _near(base, _MASKS) if at.is_dir() and at != base and _mask_of(base, at)), None
    )
    if masks is not None:
        values = pixel_values(
            path for image in _pictures(base) if (path := _mask_at(base, masks, image)).is_file()
        )
        data["regions"] = {"folder": masks, "legend": legend(values)}
        unsure["regions.legend"] = _UNNAMED
    return Proposal("a folder of images, one sub-folder a class", data, unsure)


def legend(values: list[int]) -> dict[int, str]:
    """A name for each pixel value, for somebody to change."""
    return {value: f"region {value}" for value in values} or {1: "region 1"}


def pixel_values(paths: Iterator[Path]) -> list[int]:
    """The pixel values of the first masks, without 0, sorted; at most 50."""
    found: set[int] = set()
    for path in islice(paths, _LOOKED_AT):
        try:
            with open_stored(path) as image:
                if len(image.getbands()) == 1:
                    found |= set(np.unique(np.asarray(image).astype(np.int64)).tolist())
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return sorted(found - {0})[:50]


def _bases(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _SPLITS)
    yield from (folder / "images" / name for name in _SPLITS)
    yield folder / "images"
    yield folder


def _classes(base: Path) -> list[Path]:
    """The sub-folders that directly hold images; none where the folder is one of images and masks."""
    if not base.is_dir():
        return []
    below = [at for at in sorted(base.iterdir()) if at.is_dir() and at.name not in _MASKS]
    found = [at for at in below if next(_pictures(at, deep=False), None) is not None]
    return found if len(found) > 1 else []


def _pictures(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    for path in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def _mask_at(base: Path, masks: Path, image: Path) -> Path:
    return (masks / image.relative_to(base)).with_suffix(".png")


def _mask_of(base: Path, masks: Path) -> bool:
    return any(_mask_at(base, masks, image).is_file() for image in islice(_pictures(base), 20))


def _near(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Places in and beside a folder, and beside the one it is a split of."""
    for name in names:
        yield folder / name
        yield folder.parent / name
        yield folder.parent / name / folder.name
        yield folder.parent.parent / name / folder.name


def _first_with(folder: Path, wanted: Any) -> Path | None:
    """The folder, or one directly below, that holds a wanted file."""
    for at in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if any(wanted(path) for path in islice(at.iterdir(), 200)):
            return at
    return None


def _header(path: Path) -> list[str]:
    return next(csv.reader(_lines(path, 1)), []) if path.is_file() else []


def _lines(path: Path, most: int) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return [file.readline(100_000).rstrip("\r\n") for _ in range(most)]


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return {}
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
