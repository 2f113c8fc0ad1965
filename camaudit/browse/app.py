"""FiftyOne's App on a dataset."""

from __future__ import annotations

import os
from typing import Any

from camaudit.data.fiftyone_connection import open_fiftyone
from camaudit.errors import RunError

# Plotly's name of a scale from cold to hot that is like the one in `appearance`.
COLOURS = "portland"


def app(dataset: str, *, port: int = 5151, address: str = "localhost", browser: bool = True) -> Any:
    """Opens a dataset in FiftyOne's App.

    Args:
        dataset: the dataset's name.
        port: where the App is served.
        address: of the interface it is served on; ``0.0.0.0`` for all.
        browser: whether a browser is opened too.

    Returns:
        The ``fiftyone.Session``; its ``wait(-1)`` blocks until the process is interrupted, its ``url`` is the address.

    Raises:
        MissingPartError: FiftyOne or its MongoDB is not there.
        RunError: there is no such dataset.
    """
    fiftyone = open_fiftyone()
    if not fiftyone.dataset_exists(dataset):
        msg = f"There is no FiftyOne dataset {dataset!r}. Make it with: camaudit fiftyone export RUN --dataset {dataset}"
        raise RunError(msg)
    # the App's server reads its own settings; it drops the dataset's colour scale of heatmaps, but not this one
    os.environ.setdefault("FIFTYONE_APP_COLORSCALE", COLOURS)
    return fiftyone.launch_app(
        fiftyone.load_dataset(dataset), port=port, address=address, remote=not browser, auto=browser
    )
