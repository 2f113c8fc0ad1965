"""ISIC: photographs of skin lesions, with masks of the lesion.

Two kinds of tables are read: the metadata of the archive, with a column for the diagnosis, and the ground truth of the
challenges, with a column for each diagnosis that is 1 in the rows of its images. Both name an image by its id,
``ISIC_0000000``. A mask is ``ISIC_0000000_segmentation.png``, 255 inside the lesion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.collections import IsicOptions
from camaudit.data.labels import own_labels
from camaudit.data.lines import csv_rows, folder_of
from camaudit.data.paths import Root
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.data.rows import check_columns, known, open_rows
from camaudit.errors import DataError
from camaudit.types import Combined, MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from camaudit.data.dataset import Dataset
    from camaudit.data.lines import Row
    from camaudit.types import Shape

IDS = ("isic_id", "image", "image_name", "image_id", "name")
"""What the column of the image's id is called in the archive and in the challenges."""
SUBJECTS = ("patient_id", "lesion_id")
_SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png")
_MASKS = ("segmentation", "Segmentation", "mask")
_ONE_HOT = {"0": False, "0.0": False, "1": True, "1.0": True}


def isic(
    path: Path,
    *,
    images: Path | None = None,
    label: str | None = None,
    neither: str | None = None,
    masks: Path | None = None,
    groups: Sequence[str] = (),
    subject: str | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> Dataset:
    """ISIC, with the regions ``lesion`` and ``background``.

    Args:
        path: the metadata or the ground truth.
        images: folder of the images; that of the table where left out.
        label: column of the diagnosis; where left out, every column but the image's is a diagnosis, with one 1 a row.
        neither: the class of rows without a 1, such as nevus in 2017; such rows are refused where left out.
        masks: folder of the lesion masks; an image without one is not annotated.
        groups: columns to compare by.
        subject: column that says which patient or lesion an image shows; ``patient_id`` or ``lesion_id`` where left out
            and there.
        objects: regions the model should use.
        attributes: regions the model should not use.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the table cannot be read, lacks a column, or has rows that cannot be used.
    """
    options = {"label": label, "neither": neither, "masks": masks, "groups": list(groups), "subject": subject}
    values = {"format": "isic", "path": path, "images": images, "options": options}
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.isic"
    return read_isic(
        parse_section(DataConfig, values, where=where), parse_section(RolesConfig, roles, where=where)
    )


def read_isic(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``isic`` describes; see `isic`."""
    options = source.options_as(IsicOptions)
    problems = Problems()
    return assemble(
        _records(source, options, problems),
        source,
        roles,
        regions=("lesion", "background") if options.masks else (),
        groups=options.groups,
        label=own_labels(source),
        problems=problems,
    )


def _records(source: DataConfig, options: IsicOptions, problems: Problems) -> Iterator[Record]:
    columns, _ = open_rows(source.path)
    key = next((name for name in IDS if name in columns), None)
    if key is None:
        msg = f"{source.path} has no column of ids ({', '.join(IDS)}); its columns are {', '.join(columns)}."
        raise DataError(msg)
    subject = options.subject or next((name for name in SUBJECTS if name in columns), None)
    asked = [("data.options.label", options.label), ("data.options.subject", subject)]
    check_columns(columns, [*asked, *(("data.options.groups", name) for name in options.groups)], source.path)
    apart = {key, subject, *options.groups}
    diagnoses = [name for name in columns if name not in apart] if options.label is None else []
    images = Root(source.images or source.path.parent, allow_outside=source.allow_outside)
    masks = options.masks and Root(
        folder_of(options.masks, "the folder of the lesion masks"), allow_outside=source.allow_outside
    )
    for row in csv_rows(source.path, columns=(key,), what="a table of ISIC"):
        with one_row():
            name = row.needed(key)
            yield Record(
                id=name,
                image=_image(images, name, row),
                where=row.where,
                label=row.needed(options.label)
                if options.label
                else _diagnosis(row, diagnoses, options.neither),
                groups={column: row[column] for column in options.groups if known(row[column])},
                regions=_regions(masks, name, row, problems) if masks else {},
                subject=known(row[subject]) if subject else None,
            )


def _diagnosis(row: Row, diagnoses: Sequence[str], neither: str | None) -> str:
    for column in diagnoses:
        if row[column] not in _ONE_HOT:
            raise row.wrong(
                f"the column {column!r} is {row[column]!r}, not 0 or 1, so this is no table of one column a diagnosis. "
                "Name the column of the diagnosis in data.options.label."
            )
    found = [column for column in diagnoses if _ONE_HOT[row[column]]]
    if len(found) == 1 or (not found and neither is not None):
        return found[0] if found else str(neither)
    what = f"is 1 in {' and '.join(found)}" if found else "has no 1"
    raise row.wrong(
        f"it {what}, so its diagnosis is not known. Correct the row{'' if found else ' or set data.options.neither'}."
    )


def _image(images: Root, name: str, row: Row) -> Path:
    paths = [images.path(f"{name}{suffix}", where=row.where) for suffix in _SUFFIXES]
    # a missing image is found, and counted, when it is opened
    return next((path for path in paths if path.is_file()), paths[0])


def _regions(masks: Root, name: str, row: Row, problems: Problems) -> dict[str, Shape]:
    paths = [masks.path(f"{name}_{ending}.png", where=row.where) for ending in _MASKS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        problems.add("no-mask", row.where, f"{paths[0]} does not exist.")
        return {}
    lesion = MaskFile(path)
    return {"lesion": lesion, "background": Combined("not", (lesion,))}
