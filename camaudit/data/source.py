"""The dataset that a configuration names."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from camaudit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from camaudit.config import DataConfig, RolesConfig
    from camaudit.data.dataset import Dataset

# `camaudit.data.NAME` has `read_NAME`
READERS: Mapping[str, str] = {
    name: f"camaudit.data.{name}"
    for name in (
        "table",
        "folder",
        "coco",
        "voc",
        "yolo",
        "waterbirds",
        "celeba",
        "isic",
        "pets",
        "huggingface",
        "fiftyone",
    )
}


def open_dataset(source: DataConfig, roles: RolesConfig) -> Dataset:
    """Read the dataset of a configuration.

    Raises:
        ConfigError: the configuration asks for what the format does not have.
        DataError: it cannot be read, or it was made in Python and must be handed over again.
    """
    if source.provide:  # this room cannot make regions, and must not leave them out unsaid
        msg = "data.provide makes regions: open this dataset with camaudit.providers.open_dataset."
        raise ConfigError(msg)
    return reader(source.format)(source, roles)


def reader(format: str) -> Callable[[DataConfig, RolesConfig], Dataset]:  # noqa: A002 - the name of the key
    """The function that reads a format.

    Raises:
        DataError: datasets of this format were made in Python.
    """
    if format not in READERS:
        msg = "This dataset was made in Python and cannot be read again; hand it over with data=."
        raise DataError(msg)
    found: Callable[[DataConfig, RolesConfig], Dataset] = getattr(
        import_module(READERS[format]), f"read_{format}"
    )
    return found
