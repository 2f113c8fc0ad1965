"""A FiftyOne dataset or view: its labels, its regions, its groups, and its ids.

A sample keeps FiftyOne's id, so that an export (`camaudit.browse.to_fiftyone`) writes onto the very samples that were
audited. Samples are read one by one, with the fields that are asked for alone. Coordinates are shares of the image as it is
shown. Masks in the database become run lengths; a Segmentation's file stays one.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.config.collections import FiftyoneOptions
from camaudit.data.fiftyone_connection import open_fiftyone
from camaudit.data.fiftyone_shapes import Unusable, shapes_of
from camaudit.data.labels import own_labels
from camaudit.data.problems import Problems
from camaudit.data.records import Record, assemble
from camaudit.errors import ConfigError, DataError
from camaudit.types import Combined, Instances

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape

_LABELS = {"Detections": "detections.label", "Polylines": "polylines.label", "Keypoints": "keypoints.label"}


def fiftyone(
    dataset: Any,
    *,
    view: str | None = None,
    label: str | None = None,
    regions: Sequence[str] = (),
    names: Mapping[str, str | Sequence[str]] | None = None,
    groups: Mapping[str, str] | None = None,
    split: str | Sequence[str] | None = None,
    subject: str | None = None,
    radius: float | None = None,
    exhaustive: bool = True,
    label_names: Mapping[str, str] | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> Dataset:
    """The samples of a FiftyOne dataset or view.

    Args:
        dataset: a dataset's name, a ``fiftyone.Dataset``, or a view of one; a view that was not saved cannot be read
            again from a configuration.
        view: name of a saved view.
        label: field with a Classification, or with text; no labels where left out.
        regions: fields with Detections (masks or boxes), Polylines, Keypoints or a Segmentation.
        names: region to the label, or the labels, of its instances; every label is a region where left out.
        groups: group to the path of its value, such as ``{"weather": "weather.label"}``, or ``tags:night`` for whether a
            sample has the tag.
        split: path of the split, or the tags that are splits.
        subject: path of what says which person, patient or place a sample shows.
        radius: of the discs around keypoints, as a share of the image's shorter side.
        exhaustive: whether a region without an instance in a sample is not there, or was not looked for.
        label_names: label as FiftyOne has it to class name.
        objects: regions the model should use.
        attributes: regions the model should not use.

    Raises:
        MissingPartError: FiftyOne or its database is not there.
        ConfigError: an argument cannot be used.
        DataError: there is no such dataset, view or field, or a sample cannot be used.
    """
    given = not isinstance(dataset, str)
    name = str(getattr(dataset, "dataset_name", None) or dataset.name) if given else dataset
    options = {
        "dataset": name,
        "view": view,
        "label": label,
        "regions": list(regions),
        "groups": dict(groups or {}),
        "split": split if split is None or isinstance(split, str) else list(split),
        "subject": subject,
        "radius": radius,
        "exhaustive": exhaustive,
    }
    values = {
        "format": "fiftyone",
        "options": options,
        "label_names": dict(label_names) if label_names else None,
        "regions": {key: of if isinstance(of, str) else list(of) for key, of in names.items()}
        if names
        else None,
    }
    where = "camaudit.data.fiftyone"
    source = parse_section(DataConfig, values, where=where)
    roles = parse_section(RolesConfig, {"object": list(objects), "attribute": list(attributes)}, where=where)
    if given and view is None:
        open_fiftyone()
        return _read(dataset, source, roles)
    return read_fiftyone(source, roles)


def read_fiftyone(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``fiftyone`` describes; see `fiftyone`."""
    options = source.options_as(FiftyoneOptions)
    module = open_fiftyone()
    if not module.dataset_exists(options.dataset):
        raise DataError(
            _unknown("FiftyOne has no dataset", options.dataset, module.list_datasets(), "datasets")
        )
    dataset = module.load_dataset(options.dataset)
    if options.view is None:
        return _read(dataset, source, roles)
    if not dataset.has_saved_view(options.view):
        what = f"The FiftyOne dataset {options.dataset!r} has no saved view"
        raise DataError(_unknown(what, options.view, dataset.list_saved_views(), "saved views"))
    return _read(dataset.load_saved_view(options.view), source, roles)


def _read(view: Any, source: DataConfig, roles: RolesConfig) -> Dataset:
    options = source.options_as(FiftyoneOptions)
    if view.media_type not in {"image", None}:
        msg = f"The FiftyOne dataset {options.dataset!r} holds {view.media_type}s; only samples of images can be audited."
        raise DataError(msg)
    fields = _Fields.of(view, options)
    origins = _origins(source, fields)
    problems = Problems()
    made = assemble(
        _records(view, options, fields, origins, problems),
        source,
        roles,
        regions=list(origins),
        groups=list(options.groups),
        label=own_labels(source),
        problems=problems,
    )
    if type(view).__name__ == "Dataset" or options.view is not None:
        return made
    # a configuration cannot say which samples such a view has
    return replace(made, source=DataConfig(format="memory"))


@dataclass(frozen=True)
class _Fields:
    """The fields with regions.

    Attributes:
        kinds: the type of each, such as Detections.
        labels: the labels that occur in each.
        targets: what the pixel values of each Segmentation mean.
    """

    kinds: Mapping[str, str]
    labels: Mapping[str, Sequence[str]]
    targets: Mapping[str, Mapping[Any, str]]

    @classmethod
    def of(cls, view: Any, options: FiftyoneOptions) -> _Fields:
        paths = [options.label, options.subject, *_group_paths(options)]
        for path in (*paths, options.split if isinstance(options.split, str) else None):
            if path is not None:
                _field(view, path, options)
        kinds = {name: _kind(view, name, options) for name in options.regions}
        targets = {name: _targets(view, name) for name, kind in kinds.items() if kind == "Segmentation"}
        labels = {
            name: list(targets[name].values())
            if kind == "Segmentation"
            else view.distinct(f"{name}.{_LABELS[kind]}")
            for name, kind in kinds.items()
        }
        return cls(kinds, labels, targets)

    def painted(self, labels: Sequence[str]) -> bool:
        """Whether some of these labels come from a Segmentation, which does not tell instances apart."""
        return any(not set(labels).isdisjoint(targets.values()) for targets in self.targets.values())


def _group_paths(options: FiftyoneOptions) -> list[str]:
    return [path for path in options.groups.values() if not path.startswith("tags:")]


def _field(view: Any, path: str, options: FiftyoneOptions) -> Any:
    field = view.get_field(path)
    if field is None:
        known = list(view.get_field_schema())
        raise DataError(
            _unknown(f"The FiftyOne dataset {options.dataset!r} has no field", path, known, "fields")
        )
    return field


def _kind(view: Any, name: str, options: FiftyoneOptions) -> str:
    field = _field(view, name, options)
    kind = getattr(getattr(field, "document_type", None), "__name__", type(field).__name__)
    if kind not in {*_LABELS, "Segmentation"}:
        msg = (
            f"The FiftyOne field {name!r} holds {kind}; regions come from Segmentation, {', '.join(_LABELS)}."
        )
        raise DataError(msg)
    if kind == "Keypoints" and options.radius is None:
        msg = f"The FiftyOne field {name!r} holds keypoints; set data.options.radius, the share of the shorter side."
        raise ConfigError(msg)
    return kind


def _targets(view: Any, name: str) -> Mapping[Any, str]:
    targets = view.mask_targets.get(name) or view.default_mask_targets
    if not targets:
        msg = (
            f"The FiftyOne field {name!r} is a Segmentation, and nothing says what its pixel values mean. "
            f"Set dataset.mask_targets[{name!r}], such as {{1: 'hair'}}."
        )
        raise DataError(msg)
    return {value: str(label) for value, label in targets.items()}


def _origins(source: DataConfig, fields: _Fields) -> dict[str, tuple[str, ...]]:
    """The labels that each region is made of."""
    known = list(dict.fromkeys(label for labels in fields.labels.values() for label in labels))
    if source.regions is None:
        return {label: (label,) for label in known}
    if isinstance(source.regions, LegendConfig):
        msg = "data.regions of FiftyOne gives regions the labels of their instances, such as hair: [hair, beard]; it has no legend."
        raise ConfigError(msg)
    origins = {name: (of,) if isinstance(of, str) else tuple(of) for name, of in source.regions.items()}
    for name, labels in origins.items():
        for label in labels:
            if label not in known:
                raise DataError(
                    _unknown(f"data.regions.{name}: no instance has the label", label, known, "labels")
                )
    return origins


def _records(
    view: Any,
    options: FiftyoneOptions,
    fields: _Fields,
    origins: Mapping[str, tuple[str, ...]],
    problems: Problems,
) -> Iterator[Record]:
    paths = [options.label, options.subject, *options.regions, *_group_paths(options)]
    if isinstance(options.split, str):
        paths.append(options.split)
    chosen = view.select_fields(list(dict.fromkeys(path.split(".")[0] for path in paths if path)))
    for sample in chosen.iter_samples():
        where = f"{options.dataset}, sample {sample.id}"
        label = _value(sample, options.label, where) if options.label else None
        if options.label and label is None:
            problems.add("no-label", where, f"{options.label!r} is empty.")
        yield Record(
            id=str(sample.id),
            image=Path(sample.filepath),
            where=where,
            label=label,
            groups=_groups(sample, options, where),
            regions=_regions(sample, fields, origins, options, problems, where=where),
            split=_split(sample, options, where),
            subject=_value(sample, options.subject, where) if options.subject else None,
            names=(str(sample.filepath), Path(sample.filepath).name),
        )


def _value(sample: Any, path: str, where: str) -> str | None:
    """The value at a path as text; the label, where it leads to one; None where there is none."""
    value = sample
    for name in path.split("."):
        value = value.get_field(name) if hasattr(value, "get_field") else value[name]
        if value is None:
            return None
    value = getattr(value, "label", value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, (str, int, float)):
        msg = f"{where}: {path!r} holds a {type(value).__name__}; a label or a group is a text or a number. Name a field of it."
        raise DataError(msg)
    return str(value) if str(value).strip() else None


def _groups(sample: Any, options: FiftyoneOptions, where: str) -> dict[str, str]:
    found = {}
    for name, path in options.groups.items():
        if path.startswith("tags:"):
            found[name] = "yes" if path.removeprefix("tags:") in sample.tags else "no"
        elif (value := _value(sample, path, where)) is not None:
            found[name] = value
    return found


def _split(sample: Any, options: FiftyoneOptions, where: str) -> str | None:
    if options.split is None or isinstance(options.split, str):
        return _value(sample, options.split, where) if options.split else None
    found = [tag for tag in options.split if tag in sample.tags]
    if len(found) > 1:
        msg = f"{where}: it has the tags {' and '.join(found)}, and is of one split. Remove one."
        raise DataError(msg)
    return found[0] if found else None


def _regions(
    sample: Any,
    fields: _Fields,
    origins: Mapping[str, tuple[str, ...]],
    options: FiftyoneOptions,
    problems: Problems,
    *,
    where: str,
) -> dict[str, Shape]:
    """A region is annotated where every field that has instances of it in the dataset is there."""
    parts: dict[str, list[Shape]] = {}
    unknown: set[str] = set()
    for name, kind in fields.kinds.items():
        value = sample.get_field(name)
        if value is None:
            unknown.update(fields.labels[name])
            continue
        for label, shape in shapes_of(kind, value, sample, fields.targets.get(name, {}), options.radius):
            if isinstance(shape, Unusable):
                unknown.update(fields.labels[name] if label is None else [label])
                problems.add("bad-shape", where, f"{name}: {shape.problem}.")
            elif label is not None:
                parts.setdefault(label, []).append(shape)
    regions: dict[str, Shape] = {}
    for region, labels in origins.items():
        shapes = tuple(shape for label in labels for shape in parts.get(label, ()))
        if unknown.isdisjoint(labels) and (shapes or options.exhaustive):
            regions[region] = (
                Combined("or", shapes) if shapes and fields.painted(labels) else Instances(shapes)
            )
    return regions


def _unknown(what: str, name: str, known: Sequence[str], kind: str) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {close[0]!r}?" if close else f"its {kind} are {', '.join(map(str, known)) or 'none'}."
    )
    return f"{what} {name!r}; {hint}"
