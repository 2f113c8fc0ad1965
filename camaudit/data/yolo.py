"""A dataset in the layout of YOLO: a data.yaml, folders of images and parallel folders of label files.

A label file has a line an instance: the number of its class, then a box (centre and size) or a polygon, in shares of the
image as it is shown. A class's number is its place in ``names`` of the data.yaml, as the format defines it.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from PIL import Image

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.formats import YoloOptions
from camaudit.data.instances import (
    Instance,
    UnusableError,
    box,
    label_of,
    number,
    polygon,
    regions_of,
    shortened,
    wanted_categories,
)
from camaudit.data.labels import label_source
from camaudit.data.paths import Root, exists, is_folder
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.errors import DataError
from camaudit.types import Relative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.config.data import LabelSource
    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape

_PARTS = ("train", "val", "test")
_TOLERANCE = 0.01  # what rounding may carry a coordinate beyond the image
_LARGEST = 10_000_000  # bytes of a label file


def yolo(
    path: Path,
    *,
    root: Path | None = None,
    label: LabelSource = "none",
    regions: Mapping[str, str | Sequence[str]] | None = None,
    derive: Mapping[str, str] | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    exhaustive: bool = True,
    table: Path | None = None,
    columns: Mapping[str, object] | None = None,
    label_names: Mapping[str, str] | None = None,
    split: str | None = None,
    allow_outside: bool = False,
) -> Dataset:
    """A dataset in the layout of YOLO; a sample's id is its image's path below the root.

    Args:
        path: the data.yaml, or the folder that holds it.
        root: folder that ``train``, ``val`` and ``test`` are relative to; where left out, ``path`` of the data.yaml, which
            may not lead out of its folder.
        label: where labels come from: ``table``, ``folder`` (that of the image), ``largest`` or ``only`` (the category of
            the largest, or of the only instance), or ``none``.
        regions: region name to category, or to several; each category where left out.
        derive: region name to an expression of other regions.
        objects: regions the model should use.
        attributes: regions the model should not use.
        exhaustive: whether a category without an instance in an image is not there; else nobody looked for it.
        table: a table with labels, groups and subjects by the image's id, or its name.
        columns: its columns, by the keys of `data.columns`.
        label_names: category or label as the data spells it to the class's name.
        split: keep only the images of this part: ``train``, ``val`` or ``test``.
        allow_outside: whether paths may lead out of the root.

    Raises:
        ConfigError: a name or a choice cannot be used.
        DataError: the data.yaml cannot be read, or names folders that are not there; single instances that cannot be used
            are `Dataset.problems`.
    """
    values = {
        "format": "yolo",
        "path": path,
        "images": root,
        "table": table,
        "columns": dict(columns or {}),
        "label": label,
        "label_names": label_names and dict(label_names),
        "regions": regions and dict(regions),
        "derive": dict(derive or {}),
        "split": split,
        "allow_outside": allow_outside,
        "options": {"exhaustive": exhaustive},
    }
    where = "camaudit.data.yolo"
    roles = parse_section(RolesConfig, {"object": list(objects), "attribute": list(attributes)}, where=where)
    return read_yolo(parse_section(DataConfig, values, where=where), roles)


def read_yolo(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``yolo`` describes; see `yolo`."""
    label = label_source(source, ("table", "folder", "largest", "only", "none"), None)
    problems = Problems()
    reading = _Reading(source, problems, label)
    return assemble(
        reading.records(), source, roles, regions=list(reading.wanted), label=label, problems=problems
    )


class _Reading:
    """One pass over the images, with what stays the same for all of them."""

    def __init__(self, source: DataConfig, problems: Problems, label: LabelSource) -> None:
        self._source, self._problems, self._label = source, problems, label
        self._file = source.path / "data.yaml" if is_folder(source.path) else source.path
        self._values = _load(self._file)
        self._names = _names(self._values, self._file)
        self._root = self._rooted()
        self.wanted = wanted_categories(source, list(self._names.values()))

    def records(self) -> Iterator[Record]:
        """A record an image: those of train, then of val, then of test."""
        known = set(Image.registered_extensions())
        for part in _PARTS:
            for image in chain.from_iterable(map(self._images, self._entries(part))):
                if image.suffix.lower() in known:
                    with one_row():
                        yield self._record(image, part)

    def _record(self, image: Path, part: str) -> Record:
        name = os.path.relpath(image, self._root.folder)  # of several ways to spell it the shortest
        instances, unusable = self._instances(name)
        label = label_of(instances, self._source, self._label, where=name, problems=self._problems)
        exhaustive = self._source.options_as(YoloOptions).exhaustive
        return Record(
            id=name,
            image=image,
            where=f"{self._file}, {part}, {name}",
            label=image.parent.name if self._label == "folder" else label,
            regions=regions_of(instances, self.wanted, unusable=unusable, exhaustive=exhaustive),
            split=part,
            names=(image.name, image.stem),
        )

    def _rooted(self) -> Root:
        outside = self._source.allow_outside
        if self._source.images is not None:
            return Root(self._source.images, allow_outside=outside)
        home = Root(self._file.parent, allow_outside=outside)
        path = self._values.get("path")
        if path is None or path == "":
            return home
        if not isinstance(path, str):
            msg = f"{self._file}: path is {shortened(path)}, which is no folder."
            raise DataError(msg)
        return Root(home.path(path, where=f"{self._file}, path"), allow_outside=outside)

    def _entries(self, part: str) -> list[str]:
        """The folders and lists of one part."""
        entries = self._values.get(part) or []
        entries = [entries] if isinstance(entries, str) else entries
        if not isinstance(entries, list) or not all(isinstance(entry, str) and entry for entry in entries):
            msg = f"{self._file}: {part} is {shortened(entries)}; it needs a folder, a list of images or several of them."
            raise DataError(msg)
        return entries

    def _images(self, entry: str) -> Iterator[Path]:
        """The images of one folder or list."""
        path = self._root.path(entry, where=str(self._file))
        if is_folder(path):
            yield from self._root.walk(path)
        elif path.suffix == ".txt" and exists(path):
            try:
                with path.open(encoding="utf-8") as file:
                    for row, line in enumerate(file, start=1):
                        if line.strip():
                            name = line.strip().removeprefix("./")
                            yield self._root.path(name, where=f"{path}, row {row}")
            except (OSError, UnicodeDecodeError) as error:
                msg = f"{path} cannot be read as a list of images: {error}."
                raise DataError(msg) from None
        else:
            msg = (
                f"{path} is neither a folder nor a list of images (.txt). Correct {self._file}, "
                "or name the folder of the dataset in data.images."
            )
            raise DataError(msg)

    def _instances(self, name: str) -> tuple[list[Instance], set[str]]:
        """The instances of an image, and the categories of which one cannot be used."""
        path = self._root.path(_label_file(name), where=name)
        found: dict[str, Instance] = {}
        unusable: set[str] = set()
        try:
            text = path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else None
        except FileNotFoundError:
            self._problems.add("no-annotation", name, f"{path} does not exist.")
            return [], set()
        except (OSError, UnicodeDecodeError) as error:
            text, problem = None, str(error)
        else:
            problem = "it is too large"
        if text is None:
            self._problems.add("bad-shape", str(path), f"it cannot be read as text: {problem}.")
            return [], set(self._names.values())
        for row, line in enumerate(text.splitlines(), start=1):
            words, where = line.split(), f"{path}, row {row}"
            if not words:
                continue
            category = self._category(words[0], where)
            if category is None:
                continue
            if line in found:
                self._problems.add("duplicate-annotation", where, "it repeats an earlier row.")
                continue
            try:
                shape, area = _shape(words[1:])
            except UnusableError as error:
                self._problems.add(error.kind, where, f"{error}.")
                unusable |= {category} if error.kind != "empty-shape" else set()
                continue
            found[line] = Instance(category, shape, area)
        return list(found.values()), unusable

    def _category(self, word: str, where: str) -> str | None:
        place = (
            float(word) if word.isascii() and word.replace(".", "", 1).isdigit() and len(word) < 9 else -1.0
        )
        if place in self._names:
            return self._names[int(place)]
        self._problems.add(
            "unknown-category", where, f"its class is {word[:40]!r}; names has no such number."
        )
        return None


def _shape(words: Sequence[str]) -> tuple[Shape, float]:
    values = []
    for word in words:
        try:
            value = number(float(word), "a coordinate")
        except ValueError:
            msg = f"{word[:40]!r} is no number"
            raise UnusableError("bad-shape", msg) from None
        values.append(value)
    if len(values) == 4:
        x, y, width, height = values
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        _check_shares([*corners, *values])
        made, area = box([corners[0], corners[1], width, height], (1, 1))
        return Relative(made), area
    if len(values) < 6 or len(values) % 2:
        msg = f"it has {len(values)} numbers after the class; a box has 4, a polygon x and y of at least three points"
        raise UnusableError("bad-shape", msg)
    _check_shares(values)
    outline, area = polygon([values], (1, 1))
    return Relative(outline), area


def _check_shares(values: Sequence[float]) -> None:
    beyond = next((value for value in values if not -_TOLERANCE <= value <= 1 + _TOLERANCE), None)
    if beyond is not None:
        msg = f"{beyond:g} is no share of an image; coordinates lie between 0 and 1"
        raise UnusableError("bad-shape", msg)


def _label_file(name: str) -> str:
    """``labels/a.txt`` of ``images/a.jpg``: the last folder ``images`` becomes ``labels``."""
    parts = name.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    stem, dot, _ = parts[-1].rpartition(".")
    return "/".join([*parts[:-1], f"{stem if dot else parts[-1]}.txt"])


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = (
            f"{path} does not exist. data.path of format: yolo is the data.yaml, or the folder that holds it."
        )
        raise DataError(msg) from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        msg = f"{path} cannot be read as YAML: {' '.join(str(error).split())[:300]}"
        raise DataError(msg) from None
    if not isinstance(values, dict):
        msg = f"{path} holds no settings. A data.yaml has the keys names and train, val or test."
        raise DataError(msg)
    if "kpt_shape" in values:
        msg = f"{path} describes keypoints (kpt_shape), whose rows look like polygons. Use format: coco for them."
        raise DataError(msg)
    if not any(values.get(part) for part in _PARTS):
        msg = f"{path} names no images: it has none of the keys train, val and test."
        raise DataError(msg)
    return values


def _names(values: Mapping[str, Any], path: Path) -> dict[int, str]:
    names = values.get("names")
    places = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(places, dict) or not places:
        msg = f"{path}: names is {shortened(names)}; it needs the classes' names in order, or a number for each."
        raise DataError(msg)
    for place, name in places.items():
        if type(place) is not int or place < 0 or not isinstance(name, str) or not name.strip():
            msg = f"{path}: names has {shortened(place)}: {shortened(name)}; it needs a number and a name, in quotes where YAML reads another value."
            raise DataError(msg)
    twice = [name for name, count in Counter(places.values()).items() if count > 1]
    if twice:
        msg = f"{path}: names has {twice[0]!r} twice."
        raise DataError(msg)
    count = values.get("nc", len(places))
    if count != len(places):
        msg = f"{path}: nc is {shortened(count)} but names has {len(places)} classes. Correct one of them."
        raise DataError(msg)
    return places
