"""Takes a run out of a FiftyOne dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from camaudit.browse.appearance import undress
from camaudit.browse.names import Names
from camaudit.browse.record import Record, records
from camaudit.data.fiftyone_connection import open_fiftyone
from camaudit.errors import RunError

DEFAULT_FIELDS = {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"}


def remove(dataset: str, key: str) -> None:
    """Takes everything away that `to_fiftyone` added under a key: fields, views, layout, record and heatmap files.

    A dataset that camaudit made goes with its last run, unless a person has worked in it (tagged samples, added fields
    or views): then its samples stay.

    Args:
        dataset: the dataset's name.
        key: the run's key, or the name of the run directory where it was exported without one.

    Raises:
        MissingPartError: FiftyOne or its MongoDB is not there.
        RunError: there is no such dataset, or no such run in it.
    """
    fiftyone = open_fiftyone()
    if not fiftyone.dataset_exists(dataset):
        msg = f"There is no FiftyOne dataset {dataset!r}. See what there is with: fiftyone datasets list"
        raise RunError(msg)
    target = fiftyone.load_dataset(dataset)
    known = records(target)
    if key not in known and Names.of(None, key).key in known:
        key = Names.of(None, key).key
    if key not in known:
        keys = ", ".join(sorted(known)) or "none"
        msg = f"The dataset {dataset!r} holds no run under the key {key!r}. Its keys are: {keys}."
        raise RunError(msg)
    strip(target, fiftyone, known[key])
    target.delete_run(key)
    if known[key].created and len(known) == 1:
        if _untouched(target):
            images = target.info.get("camaudit_images")
            target.delete()
            if images is not None:
                delete_media(Path(images))
        else:
            target.info = {name: value for name, value in target.info.items() if name != "camaudit"}
            target.save()


def strip(target: Any, fiftyone: Any, record: Record) -> None:
    """Takes away what a record lists, all but the record."""
    for view in record.views:
        if target.has_saved_view(view):
            target.delete_saved_view(view)
    if record.layout is not None and record.layout in target.list_brain_runs():
        target.delete_brain_run(record.layout)
    present = [field for field in record.fields if field in target.get_field_schema()]
    if present:
        target.delete_sample_fields(present)
    undress(target, fiftyone, record.fields, record.sidebar, record.had)
    delete_media(Path(record.media))


def delete_media(folder: Path) -> None:
    """Deletes a folder of pictures, and those above it that it was the last thing in."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in folder.parents[
        :3
    ]:  # DATASET, heatmaps or images, media: where the folder was the last thing in it
        try:
            parent.rmdir()
        except OSError:
            return


def _untouched(target: Any) -> bool:
    """Whether nothing of a person's is in a dataset that camaudit made."""
    return (
        set(target.get_field_schema()) <= DEFAULT_FIELDS
        and not target.count_sample_tags()
        and not target.list_saved_views()
        and not target.list_runs()
        and not target.list_brain_runs()
        and not target.list_evaluations()
    )
