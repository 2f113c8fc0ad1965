"""Tiny collections in the layouts in which they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BIRDS = (
    # img_id, img_filename, y, split, place, place_filename
    (
        "1",
        "001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg",
        "1",
        "0",
        "1",
        "/o/ocean/00000001.jpg",
    ),
    (
        "2",
        "001.Black_footed_Albatross/Black_Footed_Albatross_0002_55.jpg",
        "1",
        "2",
        "0",
        "/b/bamboo_forest/00000043.jpg",
    ),
    ("9", "017.Cardinal/Cardinal_0001_17057.jpg", "0", "1", "0", "/f/forest/broadleaf/00000009.jpg"),
)
BIRD_HEADER = "img_id,img_filename,y,split,place,place_filename"
VOTES = np.repeat(np.array([[0, 51, 102, 153, 204, 255]], dtype=np.uint8), 6, axis=0)
"""A soft mask of CUB: how many of five people drew the pixel, times 51."""
ATTRIBUTES = ("5_o_Clock_Shadow", "Blond_Hair", "Male")
FACES = {"000001.jpg": (-1, 1, -1), "000002.jpg": (1, -1, 1), "000003.jpg": (-1, 1, 1)}
PETS = (
    ("Abyssinian_100", "1 1 1"),
    ("Abyssinian_101", "1 1 1"),
    ("american_bulldog_203", "2 2 1"),
)
TRIMAP = np.array([[2, 2, 2, 2], [2, 3, 3, 2], [2, 3, 1, 2], [2, 2, 2, 2]], dtype=np.uint8)


def picture(path: Path, size: tuple[int, int] = (6, 6), seed: int = 0) -> None:
    """An image of noise of that (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, values: NDArray[np.uint8]) -> None:
    """A grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def waterbirds_folder(folder: Path, rows: Sequence[Sequence[str]] = BIRDS, header: str = BIRD_HEADER) -> Path:
    """``metadata.csv`` with the images; CUB's segmentations beside it in ``segmentations``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    for number, row in enumerate(BIRDS):
        picture(folder / row[1], seed=number)
        mask(folder / "segmentations" / row[1].replace(".jpg", ".png"), VOTES)
    return folder


def celeba_folder(folder: Path, *, tables: bool = False) -> Path:
    """The lists, as the authors' text files or as CSV, and the aligned images."""
    folder.mkdir(parents=True, exist_ok=True)
    split, people = (
        {"000001.jpg": 0, "000002.jpg": 1, "000003.jpg": 2},
        {"000001.jpg": 2880, "000002.jpg": 2937},
    )
    people["000003.jpg"] = 2880
    comma = "," if tables else " "
    attributes = [f"{name}{comma}{comma.join(map(str, of))}" for name, of in FACES.items()]
    if tables:
        (folder / "list_attr_celeba.csv").write_text(
            "\n".join([",".join(("image_id", *ATTRIBUTES)), *attributes])
        )
        lines = [f"{name},{of}" for name, of in split.items()]
        (folder / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *lines]))
    else:
        lines = [
            line.replace(" ", "  ") for line in attributes
        ]  # the authors align their columns with blanks
        (folder / "list_attr_celeba.txt").write_text(
            "\n".join([str(len(FACES)), " ".join(ATTRIBUTES), *lines]) + "\n"
        )
        (folder / "list_eval_partition.txt").write_text(
            "".join(f"{name} {of}\n" for name, of in split.items())
        )
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {of}\n" for name, of in people.items()))
    for number, name in enumerate(FACES):
        picture(folder / "img_align_celeba" / name, (11, 9), seed=number)
    return folder


def celebamask_folder(folder: Path) -> Path:
    """CelebAMask-HQ: two images of 16 pixels with masks of 8 (published: 1024 and 512), in the first and third folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ("0           2      000003.jpg", "4001           0      000001.jpg")
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "\n".join(["idx   orig_idx   orig_file", *rows]) + "\n"
    )
    for number in (0, 4001):
        picture(folder / "CelebA-HQ-img" / f"{number}.jpg", (16, 16), seed=number)
        for row, part in enumerate(("hair", "l_eye", "r_eye")):
            values = np.zeros((8, 8, 3), dtype=np.uint8)  # the published masks are RGB
            values[2 * row : 2 * row + 2] = 255
            if (number, part) != (0, "hair"):  # hidden under a hat
                folder_of = folder / "CelebAMask-HQ-mask-anno" / str(number // 2000)
                mask(folder_of / f"{number:05}_{part}.png", values)
    return folder


def pets_folder(folder: Path, *, splits: bool = True) -> Path:
    """Images, trimaps and lists."""
    annotations = folder / "annotations"
    annotations.mkdir(parents=True, exist_ok=True)
    head = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n#SPECIES: 1:Cat 2:Dog\n"
    lines = [f"{name} {numbers}\n" for name, numbers in PETS]
    (annotations / "list.txt").write_text(head + "".join(lines))
    if splits:
        (annotations / "trainval.txt").write_text("".join(lines[:2]))
        (annotations / "test.txt").write_text(lines[2])
    for number, (name, _) in enumerate(PETS):
        picture(folder / "images" / f"{name}.jpg", (4, 4), seed=number)
        mask(annotations / "trimaps" / f"{name}.png", TRIMAP)
    return folder
