"""Labels and groups of the images a model was trained on: a table, of which the images need not be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from camaudit.data.labels import renamed
from camaudit.data.rows import check_columns, known, open_rows
from camaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from camaudit.config import DataConfig


def training_table(path: Path, source: DataConfig, groups: Sequence[str]) -> pd.DataFrame:
    """One row an image of the training set, with ``label`` and ``group_NAME`` for every group column of the audited data.

    Its columns are named as in `data.columns`; a table without `data.columns.label` has the label in ``label``. Labels map
    by `data.label_names`. A cell that is blank is missing.

    Args:
        path: of a table, see `camaudit.data.rows.open_rows`.
        source: of the audited data.
        groups: the group columns.

    Raises:
        DataError: the table cannot be read, lacks a column, or has a label that `data.label_names` does not know.
    """
    if not path.exists():
        msg = f"{path} does not exist. Correct audit.training, or leave it out."
        raise DataError(msg)
    label = source.columns.label or "label"
    names, rows = open_rows(path)
    check_columns(names, [("audit.training", label), *(("audit.training", group) for group in groups)], path)
    found = [
        (
            renamed(known(row[label]), source.label_names, where=f"{path}, row {number}"),
            *(known(row[group]) for group in groups),
        )
        for number, row in rows
    ]
    if not found:
        msg = f"{path} has no rows. Correct audit.training, or leave it out."
        raise DataError(msg)
    return pd.DataFrame(found, columns=["label", *(f"group_{group}" for group in groups)], dtype="string")
