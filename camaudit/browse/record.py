"""What was exported to a dataset under a key: kept in the dataset itself, so that it can be taken away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

KIND = "camaudit"


@dataclass(frozen=True)
class Record:
    """One exported run.

    Attributes:
        run: path of the run directory.
        name: of the run.
        model: the audited model's name.
        verdict: headline of the run's verdict.
        hashes: of config, model and data.
        fields: sample fields of the run.
        views: names of its saved views.
        layout: brain key of its 2-d layout, or None.
        sidebar: names of its sidebar groups.
        media: folder of its heatmaps.
        created: whether camaudit made the dataset.
        had: which parts of the App's appearance the dataset had before its first run.
    """

    run: str
    name: str
    model: str
    verdict: str
    hashes: dict[str, str]
    fields: list[str]
    views: list[str]
    layout: str | None
    sidebar: list[str]
    media: str
    created: bool
    had: dict[str, bool]

    def register(self, dataset: Any, key: str) -> None:
        """Keeps the record in the dataset."""
        dataset.register_run(key, dataset.init_run(kind=KIND, **asdict(self)))


def records(dataset: Any) -> dict[str, Record]:
    """The exported runs of a dataset by their keys."""
    found = {}
    for key in dataset.list_runs():
        config = dataset.get_run_info(key).config
        if getattr(config, "kind", None) == KIND:
            found[key] = Record(
                **{name: _plain(getattr(config, name)) for name in Record.__dataclass_fields__}
            )
    return found


def _plain(value: Any) -> Any:
    # the database hands out dicts and lists that belong to a document
    return dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value
