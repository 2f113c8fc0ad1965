"""A run as fields of a FiftyOne dataset."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camaudit.browse.appearance import appearance, dress
from camaudit.browse.content import collect
from camaudit.browse.names import Names, identifier
from camaudit.browse.record import Record, records
from camaudit.browse.removal import delete_media, remove, strip
from camaudit.browse.views import save_views
from camaudit.data.fiftyone_connection import open_fiftyone
from camaudit.data.images import image_size, open_image
from camaudit.data.stored import in_own_file
from camaudit.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.browse.content import Content
    from camaudit.types import AuditedRun


def to_fiftyone(run: AuditedRun, dataset: str, *, key: str | None = None, overwrite: bool = False) -> Any:
    """Exports a run to a FiftyOne dataset.

    A dataset of that name is made where there is none. One that is there must hold the run's images; the run is then
    added to it, so that two models lie side by side; samples that were read from FiftyOne are found by their ids. Heatmaps
    are written under ``media/heatmaps`` of the run, images that lie in no file of their own under ``media/images``.

    Args:
        run: an audited run.
        dataset: the dataset's name.
        key: what every field, view and record of the run begins with; the run's name where none is given.
        overwrite: whether a run that was exported under the same key is replaced.

    Returns:
        The ``fiftyone.Dataset``.

    Raises:
        MissingPartError: FiftyOne or its MongoDB is not there.
        RunError: the key cannot be used or is taken, or the dataset holds other images.
        DataError: an image or a mask of the run is gone.
    """
    fiftyone = open_fiftyone()
    names = Names.of(key, run.manifest.name)
    if not len(run.samples):
        msg = f"{run.path} has no audited samples: there is nothing to show in FiftyOne."
        raise RunError(msg)
    exists = fiftyone.dataset_exists(dataset)
    if exists:
        _check_key(fiftyone.load_dataset(dataset), names.key, overwrite=overwrite)
        _match(fiftyone.load_dataset(dataset), run)
        if names.key in records(fiftyone.load_dataset(dataset)):  # and it may be replaced
            remove(dataset, names.key)
            exists = fiftyone.dataset_exists(dataset)
    media = run.path.absolute() / "media" / "heatmaps" / identifier(dataset) / names.key
    target = fiftyone.load_dataset(dataset) if exists else fiftyone.Dataset(dataset, persistent=True)
    known = records(target)
    base = Record(
        run=str(run.path.absolute()),
        name=run.manifest.name,
        model=run.manifest.model,
        verdict=run.verdict.headline,
        hashes=dict(run.manifest.hashes),
        fields=[],
        views=[],
        layout=None,
        sidebar=[names.key, f"{names.key} numbers"],
        media=str(media),
        created=not exists or any(record.created for record in known.values()),
        had=next((record.had for record in known.values()), appearance(target)),
    )
    try:
        _fill(target, fiftyone, run, names=names, base=base, media=media)
    except BaseException:
        _undo(target, fiftyone, names, base, exists=exists)
        raise
    return target


def _fill(target: Any, fiftyone: Any, run: AuditedRun, *, names: Names, base: Record, media: Path) -> None:
    if not len(target):
        _add_samples(target, fiftyone, run)
    ids = _match(target, run)
    content = collect(fiftyone, run, names, media)
    fields = content.fields()
    for field, values in fields.items():
        target.set_values(
            field, {ids[sample]: value for sample, value in values.items()}, key_field="id", dynamic=True
        )
    views = save_views(target, fiftyone, run, names=names, content=content, ids=ids)
    layout = _add_layout(target, names, content, ids)
    dress(target, fiftyone, names, content, base.sidebar)
    parts = {**vars(base), "fields": list(fields), "views": views, "layout": layout}
    Record(**parts).register(target, names.key)


def _undo(target: Any, fiftyone: Any, names: Names, base: Record, *, exists: bool) -> None:
    """Takes away what an export that failed had written."""
    if exists:
        others = {field for record in records(target).values() for field in record.fields}
        written = [
            field
            for field in target.get_field_schema()
            if field.startswith(f"{names.key}_") and field not in others
        ]
        views = [view for view in target.list_saved_views() if view.startswith(f"{names.key}: ")]
        layout = names.layout if names.layout in target.list_brain_runs() else None
        strip(target, fiftyone, Record(**{**vars(base), "fields": written, "views": views, "layout": layout}))
    else:
        name = target.name
        target.delete()
        shutil.rmtree(base.media, ignore_errors=True)
        delete_media(images_folder(Path(base.run), name))


def _check_key(dataset: Any, key: str, *, overwrite: bool) -> None:
    known = records(dataset)
    if key in known and not overwrite:
        msg = (
            f"The dataset {dataset.name!r} already holds a run under the key {key!r} ({known[key].run}).\n"
            "Choose another key (--key), or replace it (--overwrite)."
        )
        raise RunError(msg)
    taken = [field for field in dataset.get_field_schema() if field.startswith(f"{key}_")]
    foreign = set(taken) - {field for record in known.values() for field in record.fields}
    if foreign or (key in dataset.list_runs() and key not in known):
        what = f"a field {min(foreign)!r}" if foreign else "another run of that key"
        msg = (
            f"The dataset {dataset.name!r} has {what} that camaudit did not make. Choose another key (--key)."
        )
        raise RunError(msg)


def _match(dataset: Any, run: AuditedRun) -> dict[str, str]:
    """FiftyOne's id of every sample of the run: by its id, where the data came from FiftyOne, or by its image."""
    samples = [str(sample) for sample in run.samples["sample"]]
    known = set(dataset.values("id"))
    if known.issuperset(samples):
        return {sample: sample for sample in samples}
    by_path = dict(zip(map(os.path.realpath, dataset.values("filepath")), dataset.values("id"), strict=True))
    by_name = {Path(path).name: found for path, found in by_path.items()}
    paths, found = {}, {}
    for sample in samples:
        image = run.source(sample).image
        paths[sample] = os.path.realpath(image)
        found[sample] = by_path.get(paths[sample]) if in_own_file(image) else by_name.get(_png_name(image))
    absent = [paths[sample] for sample in samples if found[sample] is None]
    if absent:
        msg = (
            f"The dataset {dataset.name!r} exists and holds other images: {len(absent)} of the run's {len(paths)} are "
            f"not in it, such as {absent[0]}.\nChoose another dataset name; a run is only added to a dataset of its "
            "own images."
        )
        raise RunError(msg)
    return {sample: of for sample, of in found.items() if of is not None}


def _add_samples(dataset: Any, fiftyone: Any, run: AuditedRun) -> None:
    folder = images_folder(run.path, dataset.name)
    new = []
    for sample in run.samples["sample"]:
        path = _own_file(run.source(str(sample)).image, folder)
        height, width = image_size(path)
        metadata = fiftyone.ImageMetadata(size_bytes=path.stat().st_size, width=width, height=height)
        new.append(fiftyone.Sample(filepath=str(path), metadata=metadata))
    dataset.add_samples(new, progress=False)
    dataset.info = {"camaudit": "made by camaudit; its runs are listed by list_runs()"}
    if folder.exists():
        dataset.info["camaudit_images"] = str(folder)
    dataset.save()


def images_folder(run: Path, dataset: str) -> Path:
    """Where a run that makes a dataset writes the images that lie in no file of their own."""
    return run.absolute() / "media" / "images" / identifier(dataset)


def _own_file(image: Path, folder: Path) -> Path:
    """The image's file; it is written where it lies in none, as FiftyOne shows files."""
    if in_own_file(image):
        return image.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _png_name(image)
    open_image(image).save(path)
    return path


def _png_name(image: Path) -> str:
    # by the image's place alone, so that another run of the same images finds it
    return f"{sha256(str(image.absolute()).encode()).hexdigest()[:32]}.png"


def _add_layout(dataset: Any, names: Names, content: Content, ids: Mapping[str, str]) -> str | None:
    """The 2-d embedding of the clustered samples, for the App's panel Embeddings."""
    if not content.layout:
        return None
    import numpy as np
    from fiftyone import brain

    chosen = [ids[sample] for sample in content.layout]
    points = np.array(list(content.layout.values()), dtype=float)
    brain.compute_visualization(
        dataset.select(chosen, ordered=True), points=points, brain_key=names.layout, method="manual"
    )
    return names.layout
