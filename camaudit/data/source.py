"""The dataset that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.data.folder import read_folder
from camaudit.data.table import read_table
from camaudit.errors import DataError

if TYPE_CHECKING:
    from camaudit.config import DataConfig, RolesConfig
    from camaudit.data.dataset import Dataset


def open_dataset(source: DataConfig, roles: RolesConfig) -> Dataset:
    """Read the dataset of a configuration.

    Raises:
        DataError: it cannot be read, or it was made in Python and must be handed over again.
    """
    match source.format:
        case "table":
            return read_table(source, roles)
        case "folder":
            return read_folder(source, roles)
        case "memory":
            msg = "This dataset was made in Python and cannot be read again; hand it over with data=."
            raise DataError(msg)
