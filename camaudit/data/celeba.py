"""CelebA (Liu et al. 2015), on its own or with the parts of CelebAMask-HQ (Lee et al. 2020).

``list_attr_celeba`` says 1 or -1 of forty attributes for every image, ``list_eval_partition`` its split, and
``identity_CelebA.txt`` whom it shows; each as the authors' text file or as CSV. The masks of CelebAMask-HQ are drawn on
CelebA-HQ's images, which are framed otherwise than CelebA's: with masks, the images are those of CelebAMask-HQ, and
``CelebA-HQ-to-CelebA-mapping.txt`` says which row of CelebA's lists each is. A mask is a PNG a part, such as
``CelebAMask-HQ-mask-anno/0/00000_hair.png``, 512 pixels wide where the image is 1024, and is brought to the image's size.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.collections import CelebaOptions
from camaudit.data.labels import own_labels
from camaudit.data.lines import by_key, csv_rows, first_words, folder_of, word_rows
from camaudit.data.paths import Root
from camaudit.data.problems import Problems
from camaudit.data.records import Record, assemble
from camaudit.errors import ConfigError, DataError
from camaudit.types import ColourMaskFile, Combined, Instances, Relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.data.dataset import Dataset
    from camaudit.data.lines import Row
    from camaudit.types import Shape

PARTS = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""As the files are named: ``eye_g`` are glasses, ``ear_r`` earrings, ``neck_l`` a necklace."""
SPLITS = {"0": "train", "1": "val", "2": "test"}
_SIGNS = {"1": True, "-1": False}
_IN_A_FOLDER = 2000
_LISTS = "a list of CelebA"


def celeba(
    path: Path,
    *,
    label: str,
    groups: Sequence[str] = (),
    images: Path | None = None,
    masks: Path | None = None,
    regions: Mapping[str, str | Sequence[str]] | None = None,
    label_names: Mapping[str, str] | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    split: str | None = None,
) -> Dataset:
    """CelebA with one attribute as the label; the identity is the subject.

    Args:
        path: the folder of the lists.
        label: the attribute, such as ``Blond_Hair``; the classes are ``Blond_Hair`` and ``not Blond_Hair``.
        groups: other attributes, such as ``Male``; their values are yes and no.
        images: folder of the images; ``img_align_celeba`` in `path`, or ``CelebA-HQ-img`` in `masks`, where left out.
        masks: the folder CelebAMask-HQ; none: no regions, and CelebA's own images.
        regions: region to one or several parts, such as ``{"eyes": ["l_eye", "r_eye"]}``; every part where left out.
        label_names: other names of the classes, such as ``{"Blond_Hair": "blond", "not Blond_Hair": "dark"}``.
        objects: regions the model should use.
        attributes: regions the model should not use.
        split: keep only the samples of this split: train, val or test.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the lists cannot be used.
    """
    values = {
        "format": "celeba",
        "path": path,
        "images": images,
        "regions": {name: of if isinstance(of, str) else list(of) for name, of in regions.items()}
        if regions
        else None,
        "label_names": dict(label_names) if label_names else None,
        "options": {"label": label, "groups": list(groups), "masks": masks},
        "split": split,
    }
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.celeba"
    return read_celeba(
        parse_section(DataConfig, values, where=where), parse_section(RolesConfig, roles, where=where)
    )


def read_celeba(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``celeba`` describes; see `celeba`."""
    options = source.options_as(CelebaOptions)
    parts = _parts_of_regions(source) if options.masks else {}
    problems = Problems()
    return assemble(
        _records(source, options, parts, problems),
        source,
        roles,
        regions=tuple(parts),
        groups=options.groups,
        label=own_labels(source),
        problems=problems,
    )


def _parts_of_regions(source: DataConfig) -> dict[str, tuple[str, ...]]:
    asked = {part: part for part in PARTS} if source.regions is None else source.regions
    if not isinstance(asked, dict):
        msg = "data.regions of CelebAMask-HQ gives regions their parts, such as eyes: [l_eye, r_eye]; it has no legend."
        raise ConfigError(msg)
    found = {name: (parts,) if isinstance(parts, str) else tuple(parts) for name, parts in asked.items()}
    for name, parts in found.items():
        for part in parts:
            if part not in PARTS:
                msg = (
                    f"data.regions.{name}: {part!r} is no part of CelebAMask-HQ; they are {', '.join(PARTS)}."
                )
                raise ConfigError(msg)
    return found


def _records(
    source: DataConfig, options: CelebaOptions, parts: Mapping[str, tuple[str, ...]], problems: Problems
) -> Iterator[Record]:
    folder = folder_of(source.path, "the folder of CelebA's lists")
    hq = options.masks and folder_of(options.masks, "the folder CelebAMask-HQ")
    numbers = _numbers(hq) if hq else None
    images = Root(
        source.images or (hq / "CelebA-HQ-img" if hq else folder / "img_align_celeba"),
        allow_outside=source.allow_outside,
    )
    splits = _Beside(_list(folder, "list_eval_partition", ("image_id", "partition")), "list_eval_partition")
    people = _Beside(_list(folder, "identity_CelebA", ("image_id", "identity")), "identity_CelebA")
    for row in _attributes(folder, (options.label, *options.groups)):
        name = row.needed("image_id")
        split, person = splits.of(name), people.of(name)  # also of images without masks: the lists go in step
        number = None if numbers is None else numbers.pop(name, None)
        if numbers is not None and number is None:
            continue
        has = _sign(row, options.label)
        yield Record(
            id=name,
            image=images.path(name if number is None else f"{number}.jpg", where=row.where),
            where=row.where,
            label=options.label if has else f"not {options.label}",
            groups={group: "yes" if _sign(row, group) else "no" for group in options.groups},
            regions=_regions(hq, number, parts, row, problems) if hq and number is not None else {},
            split=split.one_of("partition", SPLITS) if split else None,
            subject=person.needed("identity") if person else None,
            names=() if number is None else (str(number), f"{number}.jpg"),
        )
    if numbers:
        name, number = next(iter(numbers.items()))
        msg = f"{folder}: the list of attributes lacks {len(numbers):,} images of CelebAMask-HQ, such as {name} ({number}.jpg)."
        raise DataError(msg)


def _sign(row: Row, attribute: str) -> bool:
    if row[attribute] not in _SIGNS:
        raise row.wrong(f"the attribute {attribute!r} is {row[attribute]!r}, which is neither 1 nor -1.")
    return _SIGNS[row[attribute]]


def _attributes(folder: Path, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of list_attr_celeba, whose text form has the number of images and the attributes' names on top."""
    table, text = folder / "list_attr_celeba.csv", folder / "list_attr_celeba.txt"
    if table.exists():
        yield from csv_rows(table, columns=("image_id", *needed), what=_LISTS)
        return
    names = first_words(text, 2, _LISTS)
    missing = next((name for name in needed if name not in names), None)
    if missing is not None:
        msg = f"{text} has no attribute {missing!r} in its second line; it has {', '.join(names) or 'none'}."
        raise DataError(msg)
    stated, count = " ".join(first_words(text, 1, _LISTS)), 0
    for row in word_rows(text, columns=("image_id", *names), what=_LISTS, skip=2):
        count += 1
        yield row
    if stated != str(count):
        msg = f"{text} has {count} rows, and {stated!r} by its first line. Replace the file."
        raise DataError(msg)


def _list(folder: Path, name: str, columns: tuple[str, str]) -> Iterator[Row] | None:
    """The rows of a list of two columns; None where there is none."""
    table, text = folder / f"{name}.csv", folder / f"{name}.txt"
    if table.exists():
        return csv_rows(table, columns=columns, what=_LISTS)
    return word_rows(text, columns=columns, what=_LISTS) if text.exists() else None


class _Beside:
    """Rows of a list that has the images of another in the same order, and possibly more."""

    def __init__(self, rows: Iterator[Row] | None, what: str) -> None:
        self._rows, self._what = rows, what

    def of(self, image: str) -> Row | None:
        """The row of an image; None where there is no list."""
        if self._rows is None:
            return None
        for row in self._rows:
            if row["image_id"] == image:
                return row
        msg = f"{self._what} has no row for {image} after that of the image before it in list_attr_celeba. "
        raise DataError(msg + "Both must list the images in the same order.")


def _numbers(hq: Path) -> dict[str, int]:
    """The number of the HQ image by the name of CelebA's; 30,000 at most."""
    path = hq / "CelebA-HQ-to-CelebA-mapping.txt"
    rows = word_rows(
        path, columns=("idx", "orig_idx", "orig_file"), what="CelebAMask-HQ's mapping to CelebA", skip=1
    )
    found = {}
    for name, row in by_key(islice(rows, 30_001), "orig_file").items():
        if not row["idx"].isdecimal():
            raise row.wrong(f"{row['idx']!r} is no number of an image.")
        found[name] = int(row["idx"])
    return found


def _regions(
    hq: Path, number: int, parts: Mapping[str, tuple[str, ...]], row: Row, problems: Problems
) -> dict[str, Shape]:
    """The regions of an image. A part without a file is not there, or wholly hidden; without any file nobody looked."""
    folder = hq / "CelebAMask-HQ-mask-anno" / str(number // _IN_A_FOLDER)
    files = {part: folder / f"{number:05}_{part}.png" for part in PARTS}
    there = {part for part, path in files.items() if path.is_file()}
    if not there:
        problems.add("no-mask", row.where, f"{folder} has no mask of image {number}.")
        return {}
    return {name: _united([files[part] for part in of if part in there]) for name, of in parts.items()}


def _united(masks: Sequence[Path]) -> Shape:
    """What is not black in any of the masks, which are published with three equal channels."""
    black = [Relative(ColourMaskFile(path, (0,))) for path in masks]
    return Combined("not", (Combined("and", tuple(black)),)) if masks else Instances()
