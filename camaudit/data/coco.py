"""A dataset from COCO annotations: instances, panoptic segments or keypoints.

Coordinates and run lengths are in the frame of the pixels as the image's file stores them, before its EXIF orientation
turns them, as COCO's tools read images; unless the annotations say a width and a height that only the turned image has.
A polygon is filled by the even-odd rule. The file is parsed piece by piece and lies in a temporary database meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.config.formats import CocoOptions
from camaudit.data.instances import (
    Instance,
    UnusableError,
    box,
    label_of,
    number,
    polygon,
    regions_of,
    run_length_mask,
    shortened,
    wanted_categories,
)
from camaudit.data.labels import label_source
from camaudit.data.paths import Root, exists
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.errors import ConfigError, DataError
from camaudit.types import ColourMaskFile, InFile, Instances, Keypoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.config.data import LabelSource
    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape

_BUFFER = 1 << 20
_VISIBLE = 2


def coco(
    images: Path,
    annotations: Path,
    *,
    label: LabelSource = "none",
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
    regions: Mapping[str, str | Sequence[str]] | None = None,
    derive: Mapping[str, str] | None = None,
    kind: str = "instances",
    masks: Path | None = None,
    radius: float | None = None,
    crowd: str = "include",
    exhaustive: bool = True,
    table: Path | None = None,
    columns: Mapping[str, object] | None = None,
    label_names: Mapping[str, str] | None = None,
    split: str | None = None,
    allow_outside: bool = False,
) -> Dataset:
    """A dataset from a COCO annotation file; a sample's id is its image's ``file_name``.

    Args:
        images: folder that the file names are relative to.
        annotations: the JSON file.
        label: where labels come from: ``table``, ``folder`` (the first folder below `images`), ``largest`` or ``only``
            (the category of the largest, or of the only instance that is no crowd), or ``none``.
        objects: regions the model should use.
        attributes: regions the model should not use.
        regions: region name to category, or to several (of ``keypoints``: to the keypoints' names); each of its own where
            left out.
        derive: region name to an expression of other regions, such as ``"not (hair or face)"``.
        kind: ``instances``, ``panoptic`` or ``keypoints``.
        masks: folder of the panoptic PNGs; named as the annotation file without its suffix where left out.
        radius: of the discs around visible keypoints, in pixels.
        crowd: ``include`` or ``ignore`` crowds in their category's region.
        exhaustive: whether a category without an instance in an image is not there; else nobody looked for it.
        table: a table with labels, groups, splits and subjects by file name or image id.
        columns: its columns, by the keys of `data.columns`.
        label_names: category or label as the data spells it to the class's name.
        split: keep only the images of this split.
        allow_outside: whether file names may lead out of `images`.

    Raises:
        ConfigError: a name or a choice cannot be used.
        DataError: the file cannot be read or contradicts itself; single annotations that cannot be used are
            `Dataset.problems`.
    """
    values = {
        "format": "coco",
        "path": annotations,
        "images": images,
        "table": table,
        "columns": dict(columns or {}),
        "label": label,
        "label_names": label_names and dict(label_names),
        "regions": regions and dict(regions),
        "derive": dict(derive or {}),
        "split": split,
        "allow_outside": allow_outside,
        "options": {"kind": kind, "masks": masks, "radius": radius, "crowd": crowd, "exhaustive": exhaustive},
    }
    where = "camaudit.data.coco"
    roles = parse_section(RolesConfig, {"object": list(objects), "attribute": list(attributes)}, where=where)
    return read_coco(parse_section(DataConfig, values, where=where), roles)


def read_coco(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``coco`` describes; see `coco`."""
    options = source.options_as(CocoOptions)
    label = label_source(source, ("table", "folder", "largest", "only", "none"), None)
    if options.kind == "keypoints" and (options.radius is None or label in {"largest", "only"}):
        msg = (
            "data.options.radius is missing: say how large a disc around a keypoint is, in pixels."
            if options.radius is None
            else f"data.label: {label} needs instances; keypoints have no area."
        )
        raise ConfigError(msg)
    problems = Problems()
    with closing(_Store(source.path, problems)) as store:
        reading = _Reading(source, store, problems, label)
        return assemble(
            reading.records(), source, roles, regions=list(reading.wanted), label=label, problems=problems
        )


class _Reading:
    """One pass over the images of a COCO file, with what stays the same for all of them."""

    def __init__(self, source: DataConfig, store: _Store, problems: Problems, label: LabelSource) -> None:
        self._source, self._store, self._problems, self._label = source, store, problems, label
        self._options = source.options_as(CocoOptions)
        self._root = Root(source.images or source.path.parent, allow_outside=source.allow_outside)
        self._masks = Root(
            self._options.masks or source.path.with_suffix(""), allow_outside=source.allow_outside
        )
        names = store.keypoints() if self._options.kind == "keypoints" else list(store.categories.values())
        self.wanted = wanted_categories(source, names)
        if not names:
            msg = f"{source.path} declares no {'keypoints' if self._options.kind == 'keypoints' else 'categories'}."
            raise DataError(msg)

    def records(self) -> Iterator[Record]:
        """A record an image, in the file's order."""
        for key, entry in self._store.images():
            with one_row():
                where = f"{self._source.path}, image {key}"
                name = entry["file_name"]
                image = self._root.path(name, where=where)
                annotations = self._store.annotations(key)
                if not annotations:
                    self._problems.add("no-annotation", where, f"{name!r} has no annotations.")
                label, regions = self._described(annotations, _size(entry), where)
                parts = name.split("/")
                yield Record(
                    id=name,
                    image=image,
                    where=where,
                    label=parts[0] if self._label == "folder" and len(parts) > 1 else label,
                    regions={
                        region: shape
                        if self._options.kind == "panoptic"
                        else InFile(shape, image, _size(entry))
                        for region, shape in regions.items()
                    },
                    names=(json.loads(key) if key.startswith('"') else key,),
                )

    def _described(
        self, annotations: Sequence[dict[str, Any]], size: tuple[int, int] | None, where: str
    ) -> tuple[str | None, dict[str, Shape]]:
        """The label of an image by its instances, and its regions."""
        if self._options.kind == "keypoints":
            return None, self._joints(annotations)
        if self._options.kind == "panoptic":
            annotations = list(self._segments(annotations))
            exhaustive = self._options.exhaustive and bool(annotations)
        else:
            exhaustive = self._options.exhaustive
        instances: list[Instance] = []
        things: list[Instance] = []
        unusable: set[str] = set()
        for annotation in annotations:
            crowd = bool(annotation.get("iscrowd"))
            category = self._category(annotation)
            if category is None or (crowd and self._options.crowd == "ignore"):
                continue
            found = self._used(annotation, category, unusable, partial(self._instance, annotation, size))
            if found is not None:
                instances.append(found)
                things += [] if crowd else [found]
        label = label_of(things, self._source, self._label, where=where, problems=self._problems)
        return label, regions_of(instances, self.wanted, unusable=unusable, exhaustive=exhaustive)

    def _instance(self, annotation: dict[str, Any], size: tuple[int, int] | None) -> tuple[Shape, float]:
        """The shape of one annotation and its area."""
        if "segment" in annotation:
            path, segment = annotation["segment"]
            return ColourMaskFile(path, (segment,)), number(annotation.get("area", 0), "its area")
        segmentation = annotation.get("segmentation")
        limits = size or (float("inf"), float("inf"))
        if isinstance(segmentation, dict):
            return run_length_mask(segmentation, size)
        if isinstance(segmentation, list) and segmentation:
            return polygon(segmentation, limits)
        if segmentation not in (None, []):
            msg = f"its segmentation is a {type(segmentation).__name__}; it needs polygons or run lengths"
            raise UnusableError("bad-shape", msg)
        sides = annotation.get("bbox")
        if not isinstance(sides, list):
            msg = "it has neither a segmentation nor a box"
            raise UnusableError("bad-shape", msg)
        found = box(sides, limits)
        if self._store.has_segmentations:
            self._problems.add(
                "no-segmentation", self._where(annotation), "it has a box and no segmentation."
            )
        return found

    def _segments(self, annotations: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The segments of a panoptic annotation, as annotations of their own."""
        for annotation in annotations:
            where = self._where(annotation)
            name, segments = annotation.get("file_name"), annotation.get("segments_info")
            if not isinstance(name, str) or not isinstance(segments, list):
                self._problems.add(
                    "no-mask", where, "it has no file_name or no segments_info, as panoptic ones have."
                )
                continue
            path = self._masks.path(name, where=where)
            if not exists(path):
                self._problems.add("no-mask", where, f"{path} does not exist.")
                continue
            for segment in segments:
                if not isinstance(segment, dict) or type(segment.get("id")) is not int:
                    msg = f"{where}: a segment is {shortened(segment)}; it needs a whole number as id and a category_id."
                    raise DataError(msg)
                yield {**segment, "segment": (path, segment["id"])}

    def _joints(self, annotations: Sequence[dict[str, Any]]) -> dict[str, Shape]:
        """The regions of keypoints: a disc an instance where the point is visible."""
        points: dict[str, list[Shape]] = {}
        lost: set[str] = set()
        for annotation in annotations:
            category = self._category(annotation)
            names = self._store.joints.get(category or "", [])
            if not names:
                continue
            found = self._used(annotation, category or "", set(), partial(_triples, annotation, len(names)))
            if found is None:
                lost.update(names)
                continue
            for name, (x, y, state) in zip(names, found, strict=True):
                if state:  # labelled
                    disc = Keypoints(((x, y),), self._options.radius or 0)
                    points.setdefault(name, []).extend([disc] if state == _VISIBLE else [])
        return {
            region: Instances(tuple(shape for name in of for shape in points.get(name, ())))
            for region, of in self.wanted.items()
            if lost.isdisjoint(of) and any(name in points for name in of)
        }

    def _used(self, annotation: dict[str, Any], category: str, unusable: set[str], make: Any) -> Any:
        """What `make` makes of an annotation; None where it cannot be used, which is noted."""
        try:
            made = make()
        except UnusableError as error:
            self._problems.add(error.kind, self._where(annotation), f"{error}.")
            if error.kind != "empty-shape":
                unusable.add(category)
            return None
        return Instance(category, *made) if isinstance(made, tuple) else made

    def _category(self, annotation: dict[str, Any]) -> str | None:
        key = _key(annotation.get("category_id"))
        if key is None or key not in self._store.categories:
            text = f"its category_id is {shortened(annotation.get('category_id'))}, which no category has."
            self._problems.add("unknown-category", self._where(annotation), text)
            return None
        return self._store.categories[key]

    def _where(self, annotation: dict[str, Any]) -> str:
        of = f"annotation {annotation['id']}" if "id" in annotation else "an annotation"
        return f"{self._source.path}, {of} of image {annotation.get('image_id')}"


class _Store:
    """The parts of a COCO file, its images and annotations in a temporary database."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self._path, self._problems = path, problems
        self.categories: dict[str, str] = {}
        self.joints: dict[str, list[str]] = {}
        self.has_segmentations = False
        self._rows = sqlite3.connect("", isolation_level=None)
        try:
            self._read_categories()
            self._read_images()
            self._read_annotations()
        except BaseException:
            self._rows.close()
            raise

    def close(self) -> None:
        """Give the temporary file back."""
        self._rows.close()

    def images(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Key and entry of each image, in the file's order."""
        for key, entry in self._rows.execute("select key, entry from image order by place"):
            yield key, json.loads(entry)

    def annotations(self, key: str) -> list[dict[str, Any]]:
        """The annotations of an image, in the file's order."""
        rows = self._rows.execute("select entry from annotation where image = ? order by place", (key,))
        return [json.loads(entry) for (entry,) in rows]

    def keypoints(self) -> list[str]:
        """The names of the keypoints of all categories."""
        return list(dict.fromkeys(name for names in self.joints.values() for name in names))

    def _read_categories(self) -> None:
        for entry in self._list("categories"):
            key, name = _key(entry.get("id")), entry.get("name")
            if key is None or not isinstance(name, str) or not name:
                msg = f"{self._path}: a category is {shortened(entry)}; it needs an id and a name."
                raise DataError(msg)
            if key in self.categories or name in self.categories.values():
                msg = (
                    f"{self._path}: the category {name!r} (id {key}) shares its id or its name with another."
                )
                raise DataError(msg)
            self.categories[key] = name
            joints = entry.get("keypoints", [])
            if not isinstance(joints, list) or not all(isinstance(joint, str) and joint for joint in joints):
                msg = f"{self._path}: the keypoints of the category {name!r} are {shortened(joints)}; they need names."
                raise DataError(msg)
            self.joints[name] = joints

    def _read_images(self) -> None:
        self._rows.execute("create table image (place integer primary key, key text unique, entry text)")
        self._rows.execute("begin")
        for place, entry in enumerate(self._list("images")):
            key, name = _key(entry.get("id")), entry.get("file_name")
            where = f"{self._path}, image {entry.get('id', f'number {place + 1}')}"
            if key is None or not isinstance(name, str) or not name or "\0" in name:
                self._problems.add(
                    "bad-image", where, f"it needs an id and a file_name; it is {shortened(entry)}."
                )
                continue
            kept = {"file_name": name, "width": entry.get("width"), "height": entry.get("height")}
            try:
                self._rows.execute("insert into image values (?, ?, ?)", (place, key, json.dumps(kept)))
            except sqlite3.IntegrityError:
                msg = f"{where}: two images have this id. Ids must be unique."
                raise DataError(msg) from None
        self._rows.execute("commit")

    def _read_annotations(self) -> None:
        self._rows.execute("create table annotation (place integer primary key, image text, entry text)")
        self._rows.execute("create table seen (id text primary key) without rowid")
        self._rows.execute("begin")
        for place, entry in enumerate(self._list("annotations")):
            self.has_segmentations |= bool(entry.get("segmentation"))
            if self._belongs(entry):
                row = (place, _key(entry.get("image_id")), json.dumps(entry))
                self._rows.execute("insert into annotation values (?, ?, ?)", row)
        self._rows.execute("commit")
        self._rows.execute("create index of_image on annotation (image)")

    def _belongs(self, entry: dict[str, Any]) -> bool:
        """Whether an annotation has an image and did not come before."""
        where = f"{self._path}, annotation {entry.get('id', 'without an id')}"
        image = _key(entry.get("image_id"))
        known = image and self._rows.execute("select 1 from image where key = ?", (image,)).fetchone()
        if not known:
            self._problems.add(
                "no-image", where, f"its image_id is {shortened(entry.get('image_id'))}, which no image has."
            )
            return False
        key = _key(entry.get("id"))
        if (
            key is not None
            and not self._rows.execute("insert or ignore into seen values (?)", (key,)).rowcount
        ):
            self._problems.add(
                "duplicate-annotation", where, "its id stands for an earlier annotation already."
            )
            return False
        return True

    def _list(self, key: str) -> Iterator[dict[str, Any]]:
        """The objects in one of the file's lists."""
        import ijson

        found = False
        with _readable(self._path), self._path.open("rb") as file:
            for entry in ijson.items(file, f"{key}.item", use_float=True, buf_size=_BUFFER):
                found = True
                if not isinstance(entry, dict):
                    msg = f"{self._path}: {key} holds {shortened(entry)}, which is no object."
                    raise DataError(msg)
                yield entry
        if not found:
            self._check_key(key)

    def _check_key(self, key: str) -> None:
        """Say why a list held nothing; an empty list of annotations is no mistake."""
        import ijson

        with _readable(self._path), self._path.open("rb") as file:
            events: Iterable[tuple[str, str, Any]] = ijson.parse(file, use_float=True, buf_size=_BUFFER)
            kinds = {
                prefix: event for prefix, event, _ in events if prefix in {"", key} and event != "map_key"
            }
        if kinds.get("") not in {"start_map", "end_map"}:
            msg = f"{self._path} is no COCO file: it holds no object with images, annotations and categories."
            raise DataError(msg)
        if kinds.get(key) not in {"start_array", "end_array"}:
            state = "no list of" if key not in kinds else "something else than a list for"
            msg = f"{self._path} is no COCO file: it has {state} {key!r}."
            raise DataError(msg)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Any failure to parse a file as a sentence."""
    from ijson.common import JSONError

    try:
        yield
    except FileNotFoundError:
        msg = f"{path} does not exist. Correct data.path."
    except IsADirectoryError:
        msg = f"{path} is a folder. Give the JSON file with the annotations."
    except (JSONError, UnicodeDecodeError, OSError, ValueError, RecursionError, OverflowError) as error:
        problem = " ".join(str(error).split())
        msg = f"{path} cannot be read as JSON: {problem[:200]}. Is it truncated, or does it hold NaN?"
    else:
        return
    raise DataError(msg)


def _triples(annotation: dict[str, Any], count: int) -> list[tuple[float, float, float]]:
    values = annotation.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * count:
        have = len(values) if isinstance(values, list) else "no"
        msg = f"it has {have} numbers for {count} keypoints; it needs x, y and visibility of each"
        raise UnusableError("bad-shape", msg)
    numbers = [number(value, "a keypoint's number") for value in values]
    return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) that the annotations say; None where they do not."""
    height, width = entry.get("height"), entry.get("width")
    return (height, width) if type(height) is type(width) is int and height > 0 < width else None


def _key(value: object) -> str | None:
    """An id as text that tells 1 from "1"; None where it is no id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
