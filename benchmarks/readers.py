"""What a reader costs: time as a multiple of plain decoding, and memory over 1,000 and 100,000 rows.

Time: one thread reads a dataset, decodes every image and draws every mask, against Pillow decoding the same images; processor
time, the best of several rounds. Memory: the peak of a process that reads a dataset, goes over its samples and takes the
fingerprint, less what it had after its imports; the rows are generated, and their files are links to a few. Linux only.

    python benchmarks/readers.py [--images 100] [--rows 1000 100000] [--json FILE] [--only coco-polygons ...]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

HEIGHT, WIDTH = 375, 500
LINKS = 10_000  # of one file: file systems bound them
ROUNDS = 3
POINTS = 40


def jpeg() -> bytes:
    """A picture with the detail of a photograph: about 60 kB."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (HEIGHT // 12, WIDTH // 12, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(image + random.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def disc() -> np.ndarray:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return ((rows - 180) ** 2 + (columns - 240) ** 2 < 100**2).astype(np.uint8)


def outline() -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    return [(round(240 + 100 * np.cos(a), 2), round(180 + 100 * np.sin(a), 2)) for a in angles.tolist()]


def png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


class Files:
    """Files with the same content, as links to a few."""

    def __init__(self, content: bytes) -> None:
        self.content, self.first, self.count = content, Path(), 0

    def put(self, path: Path) -> None:
        """One more of them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.count % LINKS:
            os.link(self.first, path)
        else:
            path.write_bytes(self.content)
            self.first = path
        self.count += 1


def images(folder: Path, count: int, content: bytes, pattern: str = "{:06}.jpg") -> list[str]:
    files = Files(content)
    names = [pattern.format(number) for number in range(count)]
    for name in names:
        files.put(folder / name)
    return names


def table(home: Path, count: int, content: bytes, suffix: str) -> dict[str, Any]:
    import pandas as pd

    names = images(home / "images", count, content)
    Files(png(disc())).put(home / "mask.png")
    frame = pd.DataFrame(
        {
            "image": [f"images/{name}" for name in names],
            "label": ["bird" if number % 2 else "fish" for number in range(count)],
            "place": ["sea" if number % 3 else "land" for number in range(count)],
            "mask": "mask.png",
        }
    )
    path = home / f"table.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    regions = {"column": "mask", "legend": {1: "disc"}}
    return {"format": "table", "path": path, "columns": {"groups": ["place"]}, "regions": regions}


def folder(home: Path, count: int, content: bytes) -> dict[str, Any]:
    names = images(home / "images/bird", count, content)
    masks = Files(png(disc()))
    for name in names:
        masks.put(home / "masks/bird" / f"{name[:-4]}.png")
    return {
        "format": "folder",
        "path": home / "images",
        "regions": {"folder": home / "masks", "legend": {1: "disc"}},
    }


def coco(home: Path, count: int, content: bytes, kind: str) -> dict[str, Any]:
    names = images(home / "images", count, content)
    from pycocotools import mask as coding

    packed = coding.encode(np.asfortranarray(disc()))["counts"].decode()
    ring = [number for point in outline() for number in point]
    shapes: dict[str, dict[str, Any]] = {
        "polygons": {"segmentation": [ring]},
        "runs": {"segmentation": {"size": [HEIGHT, WIDTH], "counts": packed}},
        "boxes": {"bbox": [140, 80, 200, 200]},
        "keypoints": {"keypoints": [240, 180, 2, 100, 100, 2]},
        "panoptic": {"file_name": "mask.png", "segments_info": [{"id": 1, "category_id": 1, "area": 31415}]},
    }
    path = home / "annotations.json"
    with path.open("w") as file:  # not made in memory, which the parent's peak would show
        file.write('{"images": [')
        file.writelines(
            ("," if number else "")
            + json.dumps({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
            for number, name in enumerate(names)
        )
        file.write('], "annotations": [')
        file.writelines(
            ("," if number else "")
            + json.dumps({"id": number, "image_id": number, "category_id": 1, **shapes[kind]})
            for number in range(count)
        )
        file.write('], "categories": [{"id": 1, "name": "bird", "keypoints": ["nose", "eye"]}]}')
    if kind == "panoptic":
        (home / "annotations").mkdir()
        colours = np.stack([disc(), np.zeros_like(disc()), np.zeros_like(disc())], axis=-1)
        Image.fromarray(colours).save(home / "annotations/mask.png")
    named = kind if kind in {"panoptic", "keypoints"} else "instances"
    return {
        "format": "coco",
        "path": path,
        "images": home / "images",
        "label": "none" if kind == "keypoints" else "largest",
        "options": {"kind": named, "radius": 20},
    }


def voc(home: Path, count: int, content: bytes, shapes: str) -> dict[str, Any]:
    names = images(home / "JPEGImages", count, content)
    xml = (
        f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size><object><name>bird</name><bndbox>"
        "<xmin>141</xmin><ymin>81</ymin><xmax>340</xmax><ymax>280</ymax></bndbox></object></annotation>"
    )
    texts, masks = Files(xml.encode()), Files(png(disc()))
    (home / "SegmentationClass").mkdir()
    for name in names:
        texts.put(home / "Annotations" / f"{name[:-4]}.xml")
        if shapes == "class":
            masks.put(home / "SegmentationClass" / f"{name[:-4]}.png")
    regions = {"legend": {1: "disc"}} if shapes == "class" else {"bird": "bird"}
    return {
        "format": "voc",
        "path": home,
        "label": "largest",
        "regions": regions,
        "options": {"shapes": shapes},
    }


def yolo(home: Path, count: int, content: bytes, shapes: str) -> dict[str, Any]:
    names = images(home / "images", count, content)
    line = (
        "0 0.48 0.48 0.4 0.53\n"
        if shapes == "boxes"
        else f"0 {' '.join(f'{x / WIDTH:.6f} {y / HEIGHT:.6f}' for x, y in outline())}\n"
    )
    texts = Files(line.encode())
    for name in names:
        texts.put(home / "labels" / f"{name[:-4]}.txt")
    (home / "data.yaml").write_text("train: images\nnames: [bird]\n")
    return {"format": "yolo", "path": home, "label": "largest"}


def waterbirds(home: Path, count: int, content: bytes) -> dict[str, Any]:
    pattern = "001.Black_footed_Albatross/{:06}.jpg"
    names = images(home, count, content, pattern)
    masks = Files(png(disc() * 255))
    with (home / "metadata.csv").open("w") as file:
        file.write("img_id,img_filename,y,split,place,place_filename\n")
        for number, name in enumerate(names):
            masks.put(home / "segmentations" / f"{name[:-4]}.png")
            file.write(f"{number},{name},{number % 2},{number % 3},{number % 2},/o/ocean.jpg\n")
    return {"format": "waterbirds", "path": home, "options": {"segmentations": home / "segmentations"}}


def celeba(home: Path, count: int, content: bytes) -> dict[str, Any]:
    """With the masks of four parts; CelebAMask-HQ has at most 30,000 images."""
    count = min(count, 30_000)
    images(home / "hq/CelebA-HQ-img", count, content, "{}.jpg")
    small = Image.fromarray(disc() * 255).resize((WIDTH // 2, HEIGHT // 2))
    masks = Files(png(np.asarray(small.convert("RGB"))))
    with (
        (home / "list_attr_celeba.csv").open("w") as lists,
        (home / "hq/CelebA-HQ-to-CelebA-mapping.txt").open("w") as mapping,
    ):
        lists.write("image_id,Blond_Hair,Male\n")
        mapping.write("idx orig_idx orig_file\n")
        for number in range(count):
            lists.write(f"{number:06}.jpg,{1 if number % 2 else -1},{1 if number % 3 else -1}\n")
            mapping.write(f"{number} {number} {number:06}.jpg\n")
            for part in ("hair", "skin", "l_eye", "r_eye"):
                masks.put(home / f"hq/CelebAMask-HQ-mask-anno/{number // 2000}/{number:05}_{part}.png")
    parts = {"hair": "hair", "skin": "skin", "eyes": ["l_eye", "r_eye"]}
    options = {"label": "Blond_Hair", "groups": ["Male"], "masks": home / "hq"}
    return {"format": "celeba", "path": home, "options": options, "regions": parts}


def isic(home: Path, count: int, content: bytes) -> dict[str, Any]:
    names = images(home / "images", count, content, "ISIC_{:07}.jpg")
    masks = Files(png(disc() * 255))
    with (home / "truth.csv").open("w") as file:
        file.write("image,MEL,NV,BCC\n")
        for number, name in enumerate(names):
            masks.put(home / "masks" / f"{name[:-4]}_segmentation.png")
            file.write(f"{name[:-4]},{number % 2}.0,{1 - number % 2}.0,0.0\n")
    return {
        "format": "isic",
        "path": home / "truth.csv",
        "images": home / "images",
        "options": {"masks": home / "masks"},
    }


def pets(home: Path, count: int, content: bytes) -> dict[str, Any]:
    names = images(home / "images", count, content, "Abyssinian_{}.jpg")
    masks = Files(png(2 - disc()))
    for name in names:
        masks.put(home / "annotations/trimaps" / f"{name[:-4]}.png")
    (home / "annotations/list.txt").write_text("".join(f"{name[:-4]} 1 1 1\n" for name in names))
    return {"format": "pets", "path": home}


def huggingface(home: Path, count: int, content: bytes) -> dict[str, Any]:
    """As ``save_to_disk`` writes it, without the library."""
    import pyarrow as pa

    home.mkdir(exist_ok=True)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": kind, "hair": kind, "label": pa.int64()})
    hair = png(disc())
    with pa.OSFile(str(home / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for start in range(0, count, 1000):
            rows = range(start, min(start + 1000, count))
            columns = [
                pa.array([{"bytes": of, "path": None} for _ in rows], type=kind) for of in (content, hair)
            ]
            writer.write_batch(pa.record_batch([*columns, pa.array([of % 2 for of in rows])], schema=schema))
    features = {"image": {"_type": "Image"}, "hair": {"_type": "Image"}}
    features["label"] = {"_type": "ClassLabel", "names": ["a", "b"]}  # type: ignore[dict-item]
    (home / "dataset_info.json").write_text(json.dumps({"features": features}))
    (home / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return {"format": "huggingface", "path": home, "regions": {"hair": "hair"}}


CASES: dict[str, Callable[[Path, int, bytes], dict[str, Any]]] = {
    "table-csv": lambda *of: table(*of, "csv"),
    "table-tsv": lambda *of: table(*of, "tsv"),
    "table-parquet": lambda *of: table(*of, "parquet"),
    "table-jsonl": lambda *of: table(*of, "jsonl"),
    "folder": folder,
    "coco-polygons": lambda *of: coco(*of, "polygons"),
    "coco-runs": lambda *of: coco(*of, "runs"),
    "coco-boxes": lambda *of: coco(*of, "boxes"),
    "coco-panoptic": lambda *of: coco(*of, "panoptic"),
    "coco-keypoints": lambda *of: coco(*of, "keypoints"),
    "voc-boxes": lambda *of: voc(*of, "boxes"),
    "voc-class": lambda *of: voc(*of, "class"),
    "yolo-boxes": lambda *of: yolo(*of, "boxes"),
    "yolo-polygons": lambda *of: yolo(*of, "polygons"),
    "waterbirds": waterbirds,
    "celeba": celeba,
    "isic": isic,
    "pets": pets,
    "huggingface": huggingface,
}


def opened(source: dict[str, Any]) -> Any:
    from camaudit.config import DataConfig, RolesConfig, parse_section
    from camaudit.data import open_dataset

    return open_dataset(parse_section(DataConfig, source, where="benchmark"), RolesConfig())


def plain(paths: list[Path]) -> None:
    from camaudit.data.stored import open_stored

    for path in paths:
        with open_stored(path) as image:  # Pillow's open, also of a cell of an Arrow file
            image.convert("RGB")


def whole(source: dict[str, Any]) -> None:
    from camaudit.data.images import decode
    from camaudit.data.masks import region_masks

    for sample in opened(source).samples:
        size = decode(sample.image).size
        masks = region_masks(sample.regions, size)
        assert any(mask.any() for mask in masks.values())


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def throughput(name: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        source = CASES[name](Path(home), count, jpeg())
        paths = [sample.image for sample in opened(source).samples]
        decoding = seconds(lambda: plain(paths))
        reading = seconds(lambda: opened(source))
        everything = seconds(lambda: whole(source))
    return {
        "images_per_second": count / everything,
        "multiple": everything / decoding,
        "reading_share": reading / everything,
    }


def memory(name: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        source = CASES[name](Path(home), count, b"\xff\xd8" + bytes(64))
        plain_source = json.dumps(source, default=str)
        command = [sys.executable, __file__, "--child", plain_source]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - itself
    found: dict[str, float] = json.loads(done.stdout)
    assert found.pop("samples") == (min(count, 30_000) if name == "celeba" else count)
    return found


def child(source: dict[str, Any]) -> None:
    import pandas as pd
    import pyarrow.parquet
    import pycocotools.mask

    assert pd, (pyarrow.parquet, pycocotools.mask)
    if "legend" in (source.get("regions") or {}):
        source["regions"]["legend"] = {int(key): of for key, of in source["regions"]["legend"].items()}
    with tempfile.TemporaryDirectory() as home:  # what the first reading imports is no cost of a row
        warm = table(Path(home), 10, b"", "csv")
        opened(warm).fingerprint()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    started = time.process_time()
    data = opened(source)
    spent = time.process_time() - started
    number = sum(1 for sample in data.samples if sample.id)
    data.fingerprint()
    print(json.dumps({"samples": number, "megabytes": (peak() - before) / 1024, "seconds": spent}))


def peak() -> int:
    """Of the resident memory, in kB; unlike that of getrusage without what a parent had."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--child")
    asked = parser.parse_args()
    if asked.child:
        child(json.loads(asked.child))
        return
    results: dict[str, dict[str, Any]] = {}
    heads = "".join(f"{f'MB at {rows:,}':>16}{'s':>7}" for rows in asked.rows)
    print(f"{'reader':<16}{'images/s':>9}{'x plain':>9}{'reading':>9}{heads}")
    for name in asked.only:
        results[name] = {**throughput(name, asked.images), "memory": {}}
        line = (
            f"{name:<16}{results[name]['images_per_second']:>9.0f}{results[name]['multiple']:>9.2f}"
            f"{results[name]['reading_share']:>9.1%}"
        )
        for rows in asked.rows:
            found = memory(name, rows)
            results[name]["memory"][rows] = found
            line += f"{found['megabytes']:>16.1f}{found['seconds']:>7.1f}"
        print(line, flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
