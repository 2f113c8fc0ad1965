"""Waterbirds, as WILDS publishes it: birds on backgrounds of land or water, with the segmentations of CUB.

``metadata.csv`` has the columns ``img_id, img_filename, y, split, place, place_filename`` (Sagawa et al. 2020, section
3.1). Labels and groups are told by name: ``y`` is landbird or waterbird, ``place`` land or water, ``split`` train, val or
test. The composites have the size of the photographs they were cut from, so CUB's segmentations fit them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.collections import WaterbirdsOptions
from camaudit.data.labels import own_labels
from camaudit.data.lines import csv_rows, folder_of
from camaudit.data.paths import Root
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.types import Combined, MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from camaudit.data.dataset import Dataset
    from camaudit.data.lines import Row
    from camaudit.types import Shape

LABELS = {"0": "landbird", "1": "waterbird"}
PLACES = {"0": "land", "1": "water"}
SPLITS = {"0": "train", "1": "val", "2": "test"}


def waterbirds(
    path: Path,
    *,
    segmentations: Path | None = None,
    threshold: int = 128,
    species: Literal["subject", "group"] = "subject",
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    split: str | None = None,
) -> Dataset:
    """Waterbirds, with the regions ``bird`` and ``background`` and the group ``place``.

    Args:
        path: the folder of ``metadata.csv`` and of the images.
        segmentations: CUB's folder of segmentations, with a PNG for every image at the same place; none: no regions.
        threshold: grey value from which on a pixel is of the bird. CUB's values are 0, 51, ... 255: how many of five
            people drew it; 128 is the majority. The background is the complement.
        species: the species, by the name of the image's folder without its number: what an image is an instance of,
            so that intervals resample species, or a group.
        objects: regions the model should use.
        attributes: regions the model should not use.
        split: keep only the samples of this split: train, val or test.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the folder or its table cannot be used.
    """
    options = {"segmentations": segmentations, "threshold": threshold, "species": species}
    values = {"format": "waterbirds", "path": path, "options": options, "split": split}
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.waterbirds"
    return read_waterbirds(
        parse_section(DataConfig, values, where=where), parse_section(RolesConfig, roles, where=where)
    )


def read_waterbirds(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``waterbirds`` describes; see `waterbirds`."""
    options = source.options_as(WaterbirdsOptions)
    problems = Problems()
    by_species = options.species == "group"
    return assemble(
        _records(source, options, problems),
        source,
        roles,
        regions=("bird", "background") if options.segmentations else (),
        groups=("place", "species") if by_species else ("place",),
        label=own_labels(source),
        problems=problems,
    )


def _records(source: DataConfig, options: WaterbirdsOptions, problems: Problems) -> Iterator[Record]:
    folder = folder_of(source.path, "the folder of Waterbirds' metadata.csv")
    columns = ("img_id", "img_filename", "y", "split", "place")
    root = Root(source.images or folder, allow_outside=source.allow_outside)
    masks = options.segmentations and Root(
        folder_of(options.segmentations, "the folder of CUB's segmentations"),
        allow_outside=source.allow_outside,
    )
    for row in csv_rows(folder / "metadata.csv", columns=columns, what="the metadata.csv of Waterbirds"):
        with one_row():
            name = row.needed("img_filename")
            species = _species(row, name)
            groups = {"place": row.one_of("place", PLACES)}
            yield Record(
                id=name,
                image=root.path(name, where=row.where),
                where=row.where,
                label=row.one_of("y", LABELS),
                groups=groups | ({"species": species} if options.species == "group" else {}),
                regions=_regions(masks, name, row, options.threshold, problems) if masks else {},
                split=row.one_of("split", SPLITS),
                subject=species if options.species == "subject" else None,
                names=(row["img_id"],),
            )


def _species(row: Row, name: str) -> str:
    folder, slash, _ = name.rpartition("/")
    number, dot, species = folder.rpartition("/")[2].partition(".")
    if not slash or not dot or not number.isdigit() or not species:
        raise row.wrong(
            f"{name!r} lies in no folder that is named by a species, such as 001.Black_footed_Albatross."
        )
    return species


def _regions(masks: Root, name: str, row: Row, threshold: int, problems: Problems) -> dict[str, Shape]:
    path = masks.path(f"{name.rpartition('.')[0]}.png", where=row.where)
    if not path.is_file():
        problems.add("no-mask", row.where, f"{path} does not exist.")
        return {}
    bird = MaskFile(path, tuple(range(threshold, 256)))
    return {"bird": bird, "background": Combined("not", (bird,))}
