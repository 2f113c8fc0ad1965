"""Oxford-IIIT Pets: 37 breeds of cats and dogs, with trimaps (Parkhi et al. 2012).

``annotations/trainval.txt`` and ``test.txt`` (or ``list.txt``, where they are not there) have a line an image: its name, the
breed's number, 1 for a cat or 2 for a dog, and the breed's number within its species. The breed is told by the image's
name, ``american_bulldog_203``, and checked against the number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.collections import PetsOptions
from camaudit.data.labels import own_labels
from camaudit.data.lines import folder_of, word_rows
from camaudit.data.paths import Root
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.types import MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from camaudit.data.dataset import Dataset
    from camaudit.data.lines import Row
    from camaudit.types import Shape

SPECIES = {"1": "cat", "2": "dog"}
FOREGROUND, BACKGROUND, BORDER = 1, 2, 3
_COLUMNS = ("image", "class", "species", "breed")
_LISTS = "the list of Oxford-IIIT Pets"


def pets(
    path: Path,
    *,
    label: Literal["breed", "species"] = "breed",
    border: Literal["pet", "background", "neither"] = "pet",
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    split: str | None = None,
) -> Dataset:
    """Oxford-IIIT Pets, with the regions ``pet`` and ``background``.

    Args:
        path: the folder of ``images`` and ``annotations``.
        label: what is predicted; the other one is a group.
        border: what the trimaps' border counts as, the band around every outline that the annotators left open. ``pet``
            where left out: it holds ears, whiskers and tails, and evidence on an outline is not evidence on a background.
        objects: regions the model should use.
        attributes: regions the model should not use.
        split: keep only the samples of this split: trainval or test.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the folder or its lists cannot be used.
    """
    values = {"format": "pets", "path": path, "options": {"label": label, "border": border}, "split": split}
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.pets"
    return read_pets(
        parse_section(DataConfig, values, where=where), parse_section(RolesConfig, roles, where=where)
    )


def read_pets(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``pets`` describes; see `pets`."""
    options = source.options_as(PetsOptions)
    problems = Problems()
    return assemble(
        _records(source, options, problems),
        source,
        roles,
        regions=("pet", "background"),
        groups=("species" if options.label == "breed" else "breed",),
        label=own_labels(source),
        problems=problems,
    )


def _records(source: DataConfig, options: PetsOptions, problems: Problems) -> Iterator[Record]:
    annotations = folder_of(source.path / "annotations", "data.path: the folder with images and annotations")
    images = Root(source.images or source.path / "images", allow_outside=source.allow_outside)
    trimaps = Root(annotations / "trimaps", allow_outside=source.allow_outside)
    breeds: dict[str, tuple[str, str]] = {}
    for row, split in _rows(annotations):
        with one_row():
            name = row["image"]
            breed, species = _breed(row), row.one_of("species", SPECIES)
            said = (row["class"], row["species"])
            if breeds.setdefault(breed, said) != said:
                number, animal = breeds[breed]
                raise row.wrong(
                    f"{breed} is class {said[0]}, species {said[1]}, and was class {number}, species {animal} before."
                )
            trimap = trimaps.path(f"{name}.png", where=row.where)
            if not trimap.is_file():
                problems.add("no-mask", row.where, f"{trimap} does not exist.")
            yield Record(
                id=name,
                image=images.path(f"{name}.jpg", where=row.where),
                where=row.where,
                label=breed if options.label == "breed" else species,
                groups={"species": species} if options.label == "breed" else {"breed": breed},
                regions=_regions(trimap, options.border) if trimap.is_file() else {},
                split=split,
            )


def _rows(annotations: Path) -> Iterator[tuple[Row, str | None]]:
    """The rows of both splits, or those of the whole list where there are no splits."""
    splits = [split for split in ("trainval", "test") if (annotations / f"{split}.txt").exists()]
    for split in splits:
        for row in word_rows(annotations / f"{split}.txt", columns=_COLUMNS, what=_LISTS, comment="#"):
            yield row, split
    if not splits:
        for row in word_rows(annotations / "list.txt", columns=_COLUMNS, what=_LISTS, comment="#"):
            yield row, None


def _breed(row: Row) -> str:
    breed, _, number = row["image"].rpartition("_")
    if not breed or not number.isdigit():
        raise row.wrong(f"{row['image']!r} is no breed and number, such as american_bulldog_203.")
    # in the published lists the names of cats begin with a capital letter
    if breed[0].isupper() != (row["species"] == "1"):
        raise row.wrong(
            f"{breed!r} is spelled like a {'cat' if breed[0].isupper() else 'dog'}, species {row['species']} is not."
        )
    return breed


def _regions(trimap: Path, border: Literal["pet", "background", "neither"]) -> dict[str, Shape]:
    return {
        "pet": MaskFile(trimap, (FOREGROUND, BORDER) if border == "pet" else (FOREGROUND,)),
        "background": MaskFile(trimap, (BACKGROUND, BORDER) if border == "background" else (BACKGROUND,)),
    }
