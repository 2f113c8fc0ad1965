"""A dataset from folders: one sub-folder a class, and a parallel folder of indexed masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.data.labels import label_source
from camaudit.data.paths import Root, exists, is_folder
from camaudit.data.problems import Problems
from camaudit.data.records import Record, assemble
from camaudit.data.table import legend_shapes
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.data.dataset import Dataset


def folder(
    path: Path,
    *,
    masks: Path | None = None,
    legend: Mapping[int, str] | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> Dataset:
    """A dataset from ``path/CLASS/image``, with masks at ``masks/CLASS/image.png``.

    Args:
        path: folder with one sub-folder a class; every image below a sub-folder is a sample of its class.
        masks: folder with an indexed mask at the same place as each image; an image without one has no annotation.
        legend: pixel value of the masks to region name.
        objects: regions the model should use.
        attributes: regions the model should not use.

    Raises:
        ConfigError: a name or a pixel value cannot be used.
        DataError: there is no such folder, no sub-folder, or no image.
    """
    if masks is not None and not legend:
        msg = f"The masks in {masks} need a legend, such as legend={{1: 'hair'}}: pixel value to region name."
        raise DataError(msg)
    regions = {"folder": masks, "legend": dict(legend)} if legend else None
    values = {"format": "folder", "path": path, "regions": regions}
    source = parse_section(DataConfig, values, where="camaudit.data.folder")
    roles = {"object": list(objects), "attribute": list(attributes)}
    return read_folder(source, parse_section(RolesConfig, roles, where="camaudit.data.folder"))


def read_folder(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``folder`` describes; see `folder`."""
    path = source.path
    if not is_folder(path):
        msg = f"{path} is not a folder. Give the folder that holds one sub-folder a class."
        raise DataError(msg)
    legend = _legend(source)
    problems = Problems()
    return assemble(
        _records(source, legend),
        source,
        roles,
        regions=list(dict.fromkeys(legend.legend.values())) if legend else [],
        label=label_source(source, ("folder", "table", "none"), "folder"),
        problems=problems,
    )


def _records(source: DataConfig, legend: LegendConfig | None) -> Iterator[Record]:
    path = source.path
    root = Root(path, allow_outside=source.allow_outside)
    masks = Root(legend.folder, allow_outside=source.allow_outside) if legend and legend.folder else None
    known = set(Image.registered_extensions())
    empty = True
    for file in root.walk():
        name = file.relative_to(path)
        if len(name.parts) < 2 or file.suffix.lower() not in known:
            continue
        mask = masks.path(name.with_suffix(".png").as_posix(), where=str(masks.folder)) if masks else None
        empty = False
        yield Record(
            id=name.as_posix(),
            image=file,
            where=str(file),
            label=name.parts[0],
            regions=legend_shapes(mask, legend.legend) if legend and mask and exists(mask) else {},
            names=(file.name, file.stem),
        )
    if empty:
        msg = f"{path} holds no images in sub-folders. A class is a sub-folder: {path.name}/CLASS/image.jpg"
        raise DataError(msg)


def _legend(source: DataConfig) -> LegendConfig | None:
    if source.regions is None:
        return None
    if not isinstance(source.regions, LegendConfig) or source.regions.folder is None:
        msg = "data.regions of a folder needs the keys folder (with the masks) and legend (pixel value: region)."
        raise DataError(msg)
    if not is_folder(source.regions.folder):
        msg = f"{source.regions.folder} is not a folder. Correct data.regions.folder."
        raise DataError(msg)
    return source.regions
