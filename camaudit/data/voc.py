"""A dataset in the layout of Pascal VOC: JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets.

A box of the XML files counts its pixels from one and holds its last: it lies from ``xmin - 1`` to ``xmax``. As COCO's,
boxes are in the frame of the stored pixels. Masks have the size of the shown image; their border value 255 is no region.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from PIL import Image

from camaudit.config import DataConfig, LegendConfig, RolesConfig, parse_section
from camaudit.config.formats import VocOptions
from camaudit.data.instances import (
    Instance,
    UnusableError,
    box,
    label_of,
    number,
    regions_of,
    wanted_categories,
)
from camaudit.data.labels import label_source
from camaudit.data.paths import Root, exists, is_folder
from camaudit.data.problems import Problems, one_row
from camaudit.data.records import Record, assemble
from camaudit.data.table import legend_shapes
from camaudit.errors import ConfigError, DataError
from camaudit.types import InFile, MaskFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from camaudit.config.data import LabelSource
    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of Pascal VOC in the order of the pixel values 1 to 20."""
_LARGEST = 10_000_000  # bytes of an XML file
_DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_PARTS = {"boxes": "Annotations", "class": "SegmentationClass", "object": "SegmentationObject"}


def voc(
    path: Path,
    *,
    label: LabelSource = "none",
    shapes: str = "boxes",
    image_set: str | None = None,
    legend: Mapping[int, str] | None = None,
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
    """A dataset in the layout of Pascal VOC; a sample's id is its image's name without the suffix.

    Args:
        path: the folder that holds JPEGImages.
        label: where labels come from: ``table``, ``largest`` or ``only`` (the category of the largest, or of the only
            box), or ``none``.
        shapes: ``boxes`` of the XML files, ``class`` or ``object``: the masks of SegmentationClass or SegmentationObject,
            whose pixel value n is the n-th object of the XML file.
        image_set: a list in ImageSets, such as ``Main/train``; every image where left out.
        legend: pixel value of the masks by class to region name; the twenty classes of VOC where left out.
        regions: region name to category, or to several; each category where left out (which reads every XML file twice).
        derive: region name to an expression of other regions.
        objects: regions the model should use.
        attributes: regions the model should not use.
        exhaustive: whether a category without an object in an image is not there; else nobody looked for it.
        table: a table with labels, groups, splits and subjects by the image's name, with or without suffix.
        columns: its columns, by the keys of `data.columns`.
        label_names: category or label as the data spells it to the class's name.
        split: keep only the images of this split of the table.
        allow_outside: whether symbolic links may lead out of `path`.

    Raises:
        ConfigError: a name or a choice cannot be used.
        DataError: a folder, a list or an XML file cannot be read.
    """
    values = {
        "format": "voc",
        "path": path,
        "table": table,
        "columns": dict(columns or {}),
        "label": label,
        "label_names": label_names and dict(label_names),
        "regions": {"legend": dict(legend)} if legend else regions and dict(regions),
        "derive": dict(derive or {}),
        "split": split,
        "allow_outside": allow_outside,
        "options": {"shapes": shapes, "image_set": image_set, "exhaustive": exhaustive},
    }
    where = "camaudit.data.voc"
    roles = parse_section(RolesConfig, {"object": list(objects), "attribute": list(attributes)}, where=where)
    return read_voc(parse_section(DataConfig, values, where=where), roles)


def read_voc(source: DataConfig, roles: RolesConfig) -> Dataset:
    """The dataset that a configuration of format ``voc`` describes; see `voc`."""
    label = label_source(source, ("table", "largest", "only", "none"), None)
    problems = Problems()
    reading = _Reading(source, problems, label)
    return assemble(reading.records(), source, roles, regions=reading.regions, label=label, problems=problems)


class _Reading:
    """One pass over the images, with what stays the same for all of them."""

    def __init__(self, source: DataConfig, problems: Problems, label: LabelSource) -> None:
        self._source, self._problems, self._label = source, problems, label
        self._options = source.options_as(VocOptions)
        self._root = Root(source.path, allow_outside=source.allow_outside)
        self._images = Root(source.images or source.path / "JPEGImages", allow_outside=source.allow_outside)
        needed = [self._images.folder, source.path / _PARTS[self._options.shapes]]
        if self._options.shapes == "object":
            needed.append(source.path / "Annotations")
        for folder in needed:
            if not is_folder(folder):
                msg = f"{folder} is not a folder. data.path of format: voc holds {', '.join(('JPEGImages', *_PARTS.values()))}."
                raise DataError(msg)
        self._legend: Mapping[int, str] = {}
        self._wanted: Mapping[str, tuple[str, ...]] = {}
        if self._options.shapes == "class":
            self._legend = _legend(source)
        else:
            known = () if source.regions is not None else self._categories()
            named = source.regions if isinstance(source.regions, dict) else {}
            given = [name for of in named.values() for name in ([of] if isinstance(of, str) else of)]
            self._wanted = wanted_categories(source, [*known, *given])

    @property
    def regions(self) -> list[str]:
        """The regions that can occur."""
        return list(dict.fromkeys(self._legend.values())) or list(self._wanted)

    def records(self) -> Iterator[Record]:
        """A record an image."""
        for stem, image in self._listed():
            with one_row():
                where = str(image)
                objects, size, unusable = self._objects(stem)
                rule = self._label
                label = label_of(objects, self._source, rule, where=where, problems=self._problems)
                shapes = self._shapes(stem, image, size, objects, unusable)
                yield Record(stem, image, where, label=label, regions=shapes, names=(image.name,))

    def _shapes(
        self,
        stem: str,
        image: Path,
        size: tuple[int, int] | None,
        objects: Sequence[Instance],
        unusable: set[str] | None,
    ) -> dict[str, Shape]:
        kind = self._options.shapes
        if kind != "boxes":
            mask = self._root.path(f"{_PARTS[kind]}/{stem}.png", where=str(image))
            if not exists(mask):
                self._problems.add("no-mask", str(image), f"{mask} does not exist.")
                return {}
            if kind == "class":
                return dict(legend_shapes(mask, self._legend))
            objects = [
                Instance(found.category, MaskFile(mask, (place,)), found.area)
                for place, found in enumerate(objects, start=1)
            ]
        if unusable is None:  # without an XML file
            return {}
        found = regions_of(objects, self._wanted, unusable=unusable, exhaustive=self._options.exhaustive)
        return (
            found if kind == "object" else {name: InFile(shape, image, size) for name, shape in found.items()}
        )

    def _objects(self, stem: str) -> tuple[list[Instance], tuple[int, int] | None, set[str] | None]:
        """Boxes and stated (height, width) of an image, and the categories of which a box cannot be used."""
        if self._options.shapes == "class" and self._label not in {"largest", "only"}:
            return [], None, None
        path = self._root.path(f"Annotations/{stem}.xml", where=str(self._source.path))
        if not exists(path):
            self._problems.add("no-annotation", stem, f"{path} does not exist.")
            return [], None, None
        tree = _parse(path)
        size = _size(tree)
        found: list[Instance] = []
        unusable: set[str] = set()
        for place, entry in enumerate(tree.iterfind("object"), start=1):
            where = f"{path}, object {place}"
            category = _category(entry, where)
            try:
                shape, area = _box(entry, size)
            except UnusableError as error:
                self._problems.add(error.kind, where, f"{error}.")
                if self._options.shapes == "object":  # its pixels are in the mask
                    found.append(Instance(category, MaskFile(path), 0))
                elif error.kind != "empty-shape":
                    unusable.add(category)
                continue
            found.append(Instance(category, shape, area))
        return found, size, unusable

    def _categories(self) -> list[str]:
        """Every category of the XML files, sorted."""
        names: set[str] = set()
        for path in self._root.walk(self._source.path / "Annotations"):
            if path.suffix == ".xml":
                tree = _parse(path)
                names.update(_category(entry, str(path)) for entry in tree.iterfind("object"))
        return sorted(names)

    def _listed(self) -> Iterator[tuple[str, Path]]:
        """Name and path of every image."""
        known = set(Image.registered_extensions())
        name = self._options.image_set
        if name is None:
            for image in self._images.walk():
                if image.suffix.lower() in known:
                    yield image.relative_to(self._images.folder).with_suffix("").as_posix(), image
            return
        path = self._root.path(f"ImageSets/{name}.txt", where="data.options.image_set")
        try:
            with path.open(encoding="utf-8") as file:
                for row, line in enumerate(file, start=1):
                    words = line.split()
                    if words:
                        yield words[0], self._named(words[0], f"{path}, row {row}")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read as a list of images: {error}. Correct data.options.image_set."
            raise DataError(msg) from None

    def _named(self, stem: str, where: str) -> Path:
        """The image of that name; the usual suffix where there is none, so that it is reported as missing."""
        for suffix in (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"):
            path = self._images.path(stem + suffix, where=where)
            if exists(path):
                return path
        return self._images.path(f"{stem}.jpg", where=where)


def _legend(source: DataConfig) -> Mapping[int, str]:
    if source.regions is None:
        return dict(enumerate(CLASSES, start=1))
    if isinstance(source.regions, LegendConfig):
        return source.regions.legend
    wanted = wanted_categories(source, CLASSES)
    places = {name: value for value, name in enumerate(CLASSES, start=1)}
    legend = {places[category]: region for region, of in wanted.items() for category in of}
    if len(legend) < sum(len(of) for of in wanted.values()):
        msg = "data.regions gives one category to two regions; unite regions by data.derive."
        raise ConfigError(msg)
    return legend


def _parse(path: Path) -> ET.Element:
    try:
        data = path.read_bytes()
        if len(data) > _LARGEST or _DECLARATION.search(data):
            msg = f"{path} declares entities or is larger than {_LARGEST:,} bytes, which no annotation is. Remove it."
            raise DataError(msg)
        tree = ET.fromstring(data)  # noqa: S314 - without declarations; expat itself bounds what it expands
    except (OSError, ET.ParseError, ValueError, LookupError, RecursionError) as error:
        msg = f"{path} cannot be read as XML: {error}. Replace it."
        raise DataError(msg) from None
    if tree.tag != "annotation":
        msg = f"{path} holds <{tree.tag[:60]}> instead of <annotation>. Is it an annotation of Pascal VOC?"
        raise DataError(msg)
    return tree


def _category(entry: ET.Element, where: str) -> str:
    name = (entry.findtext("name") or "").strip()
    if not name:
        msg = f"{where}: the object has no <name>. Name its category."
        raise DataError(msg)
    return name


def _size(tree: ET.Element) -> tuple[int, int] | None:
    """(height, width) that the annotations say; None where they do not."""
    sides = [tree.findtext(f"size/{side}", "").strip() for side in ("height", "width")]
    found = [int(side) if side.isascii() and side.isdigit() and len(side) < 8 else 0 for side in sides]
    return (found[0], found[1]) if all(found) else None


def _box(entry: ET.Element, size: tuple[int, int] | None) -> tuple[Shape, float]:
    sides = [_number(entry.findtext(f"bndbox/{side}"), side) for side in ("xmin", "ymin", "xmax", "ymax")]
    left, top, right, bottom = sides
    inclusive = [left - 1, top - 1, right - left + 1, bottom - top + 1]
    return box(inclusive, size or (float("inf"), float("inf")))


def _number(text: str | None, side: str) -> float:
    try:
        return number(float(text or ""), f"its {side}")
    except ValueError:
        msg = f"its {side} is {text!r}, which is no number"
        raise UnusableError("bad-shape", msg) from None
