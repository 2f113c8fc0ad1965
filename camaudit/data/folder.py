"""A dataset from folders: one sub-folder a class, and a parallel folder of indexed masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.data.dataset import Dataset
from camaudit.data.roles import as_config, role_of_each
from camaudit.data.table import legend_regions
from camaudit.errors import DataError
from camaudit.types import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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
    root = source.path
    if not root.is_dir():
        msg = f"{root} is not a folder. Give the folder that holds one sub-folder a class."
        raise DataError(msg)
    legend = _legend(source)
    by_region = role_of_each(
        list(dict.fromkeys(legend.legend.values())) if legend else [], roles, where=str(root)
    )
    known = set(Image.registered_extensions())
    samples = []
    for label in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        for image in sorted(file for file in label.rglob("*") if file.suffix.lower() in known):
            name = image.relative_to(root)
            mask = legend.folder / name.with_suffix(".png") if legend and legend.folder else None
            samples.append(
                Sample(
                    id=name.as_posix(),
                    image=image,
                    label=label.name,
                    regions=tuple(legend_regions(mask, legend.legend, by_region))
                    if legend and mask and mask.exists()
                    else (),
                )
            )
    if not samples:
        msg = f"{root} holds no images in sub-folders. A class is a sub-folder: {root.name}/CLASS/image.jpg"
        raise DataError(msg)
    return Dataset(tuple(samples), as_config(by_region), (), source).select(source.split)


def _legend(source: DataConfig) -> LegendConfig | None:
    if source.regions is None:
        return None
    if not isinstance(source.regions, LegendConfig) or source.regions.folder is None:
        msg = "data.regions of a folder needs the keys folder (with the masks) and legend (pixel value: region)."
        raise DataError(msg)
    if not source.regions.folder.is_dir():
        msg = f"{source.regions.folder} is not a folder. Correct data.regions.folder."
        raise DataError(msg)
    return source.regions
