"""Any PyTorch ``Dataset`` of images, by a small adapter.

An item is a tuple or a dict with an image, a label and what else is named. The images are read when they are needed, by
asking the dataset for its item again (`camaudit.data.stored`), so it must give the same picture every time: hand it over
without random augmentation and without normalising; camaudit does the model's preprocessing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data.problems import Problems
from camaudit.data.records import Record, assemble
from camaudit.data.shapes import as_run_lengths
from camaudit.data.stored import keep_open
from camaudit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from camaudit.data.dataset import Dataset
    from camaudit.types import Shape

Key = int | str
"""Where in an item something stands: a place in a tuple, or a key of a dict."""


class ItemDataset(Protocol):
    """What is needed of a ``torch.utils.data.Dataset``: items by index, and how many."""

    def __getitem__(self, index: int, /) -> Any: ...
    def __len__(self) -> int: ...


def torch_dataset(
    dataset: ItemDataset | Mapping[str, ItemDataset],
    *,
    classes: Sequence[str],
    image: Key | None = None,
    label: Key | None = None,
    labelled: bool = True,
    regions: Mapping[str, Key] | None = None,
    mask: Key | None = None,
    legend: Mapping[int, str] | None = None,
    groups: Mapping[str, Key] | None = None,
    subject: Key | None = None,
    objects: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> Dataset:
    """A dataset of the items of a PyTorch ``Dataset``, each known by its index.

    Every item is asked for once, for its label and its masks, and again when its image is needed.

    Args:
        dataset: with a length; or several by the name of their split, whose ids are then ``test/17``. An image is a Pillow
            image; an array (height, width), (height, width, 3); or a tensor (height, width), (1, height, width), (3,
            height, width): of uint8, or of floats in [0, 1]. A Pillow image is taken as it is, without an EXIF turn.
        classes: names of the classes, in the order of the labels' numbers; a label that is text is a name itself.
        image: where the image is; the first of a tuple, ``image`` of a dict, where left out.
        label: where the label is; the second of a tuple, ``label`` of a dict, where left out.
        labelled: whether there are labels.
        regions: region name to where its mask is: an array, a tensor or a Pillow image of the image's size, in which what
            is not zero is of the region; None: not annotated.
        mask: where an indexed mask is, read with `legend`.
        legend: pixel value to region name.
        groups: group name to where its value is.
        subject: where it is said which person, patient or place the item shows.
        objects: regions the model should use.
        attributes: regions the model should not use.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: the dataset is empty or has no length, or an item cannot be used, such as one that is normalised.
    """
    if (mask is None) != (not legend):
        msg = (
            "An indexed mask needs both mask (where it is in an item) and legend, such as legend={1: 'hair'}."
        )
        raise ConfigError(msg)
    roles = {"object": list(objects), "attribute": list(attributes)}
    where = "camaudit.data.torch_dataset"
    items = _Items(
        tuple(classes),
        image,
        label if labelled else None,
        labelled,
        regions or {},
        mask,
        legend or {},
        groups or {},
        subject,
    )
    problems = Problems()
    parts = dict(dataset) if isinstance(dataset, Mapping) else {None: dataset}
    return assemble(
        (record for split, part in parts.items() for record in _records(part, split, items, problems)),
        parse_section(DataConfig, {"format": "memory"}, where=where),
        parse_section(RolesConfig, roles, where=where),
        regions=[*items.regions, *dict.fromkeys(items.legend.values())],
        groups=list(items.groups),
        problems=problems,
    )


@dataclass(frozen=True)
class _Items:
    """What is where in the items of a dataset; the fields are the arguments of `torch_dataset`."""

    classes: tuple[str, ...]
    image: Key | None
    label: Key | None
    labelled: bool
    regions: Mapping[str, Key]
    mask: Key | None
    legend: Mapping[int, str]
    groups: Mapping[str, Key]
    subject: Key | None

    def picture(self, item: Any, where: str) -> Image.Image:
        """The image of an item as RGB (DataError)."""
        key = self.image if self.image is not None else "image" if isinstance(item, Mapping) else 0
        alone = self.image is None and not isinstance(item, (tuple, list, Mapping))
        return _picture(item if alone else _part(item, key, where), where)

    def label_of(self, item: Any, where: str) -> str | None:
        """The label of an item by name (DataError)."""
        if not self.labelled:
            return None
        key = self.label if self.label is not None else "label" if isinstance(item, Mapping) else 1
        label = _scalar(_part(item, key, where))
        if isinstance(label, str) and label in self.classes:
            return label
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.classes):
            return self.classes[label]
        msg = (
            f"{where}: the label is {label!r}, which is neither a class ({', '.join(self.classes)}) nor the number of one, "
            f"from 0 to {len(self.classes) - 1}."
        )
        raise DataError(msg)

    def shapes(self, item: Any, size: tuple[int, int], where: str) -> dict[str, Shape]:
        """The masks of an item (DataError)."""
        shapes: dict[str, Shape] = {}
        for name, key in self.regions.items():
            mask = _mask(_part(item, key, where), size, f"{where}: the mask of {name!r}")
            if mask is not None:
                shapes[name] = as_run_lengths(mask != 0)
        indices = (
            None if self.mask is None else _mask(_part(item, self.mask, where), size, f"{where}: the mask")
        )
        if indices is not None:
            for name in dict.fromkeys(self.legend.values()):
                values = [value for value, of in self.legend.items() if of == name]
                shapes[name] = as_run_lengths(np.isin(indices, values))
        return shapes


def _records(part: ItemDataset, split: str | None, items: _Items, problems: Problems) -> Iterator[Record]:
    name = type(part).__name__ if split is None else split
    if not hasattr(part, "__len__") or not hasattr(part, "__getitem__"):
        msg = f"{name} has no length or no items by index. Hand over a map-style dataset, not an IterableDataset."
        raise DataError(msg)

    def image(rest: str) -> Image.Image:
        where = f"{name}, item {rest}"
        try:
            return items.picture(_item(part, int(rest), where), where)
        except DataError as error:
            raise ValueError(str(error)) from None

    base = keep_open(name, image)
    for index in range(len(part)):
        where = f"{name}, item {index}"
        try:
            item = _item(part, index, where)
        except DataError as error:
            problems.add("bad-image", where, str(error))
            continue
        picture = items.picture(item, where)
        yield Record(
            id=str(index) if split is None else f"{split}/{index}",
            image=base / str(index),
            where=where,
            label=items.label_of(item, where),
            groups=_texts(items.groups, item, where),
            regions=items.shapes(item, (picture.height, picture.width), where),
            split=split,
            subject=_texts({"subject": items.subject}, item, where).get("subject")
            if items.subject is not None
            else None,
        )


def _item(part: ItemDataset, index: int, where: str) -> Any:
    try:
        return part[index]
    except Exception as error:  # whatever the dataset's own code raises
        msg = f"{where} cannot be read: {type(error).__name__}: {error}"
        raise DataError(msg) from error


def _part(item: Any, key: Key, where: str) -> Any:
    try:
        return item[key]
    except (KeyError, IndexError, TypeError):
        has = (
            ", ".join(map(repr, item))
            if isinstance(item, Mapping)
            else f"{len(item)} parts"
            if _is_tuple(item)
            else "none"
        )
        msg = f"{where}: it is a {type(item).__name__} without {key!r}; it has {has}."
        raise DataError(msg) from None


def _is_tuple(item: Any) -> bool:
    return isinstance(item, (tuple, list))


def _scalar(value: Any) -> Any:
    """A plain number or text of what NumPy or PyTorch wraps."""
    return (
        value.item()
        if hasattr(value, "item") and getattr(value, "size", 1) is not None and _single(value)
        else value
    )


def _single(value: Any) -> bool:
    return int(np.prod(getattr(value, "shape", ()))) == 1


def _texts(keys: Mapping[str, Key], item: Any, where: str) -> dict[str, str]:
    found = {}
    for name, key in keys.items():
        value = _scalar(_part(item, key, where))
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if not isinstance(value, (str, int, float)):
            msg = f"{where}: {key!r} is a {type(value).__name__}. The value of a group or subject is a text or a number."
            raise DataError(msg)
        found[name] = str(value)
    return found


def _array(value: Any, where: str) -> NDArray[Any]:
    if isinstance(value, Image.Image):
        return np.asarray(value)
    if hasattr(value, "detach"):  # a tensor, on whatever device
        value = value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray):
        msg = f"{where} is a {type(value).__name__}; it must be a Pillow image, an array or a tensor."
        raise DataError(msg)
    return value


def _picture(value: Any, where: str) -> Image.Image:
    if isinstance(value, Image.Image):
        return Image.fromarray(np.asarray(value.convert("RGB")))  # a copy: what it is made of may be closed
    what = f"{where}: the image"
    array = _array(value, what)
    if hasattr(value, "detach") and array.ndim == 3:  # a tensor has its channels first
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[-1] not in {1, 3}) or not array.size:
        kind = "a tensor (3, height, width)" if hasattr(value, "detach") else "an array (height, width, 3)"
        msg = f"{what} has the shape {tuple(value.shape)}; give {kind}, or of one channel."
        raise DataError(msg)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also where they are no numbers
            msg = (
                f"{what} holds floats from {low:.3g} to {high:.3g}, where [0, 1] is expected: it was normalised, or is not "
                "scaled. Hand the dataset over without Normalize; camaudit does the model's preprocessing itself."
            )
            raise DataError(msg)
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        msg = f"{what} holds {array.dtype}; give uint8, or floats in [0, 1]."
        raise DataError(msg)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _mask(value: Any, size: tuple[int, int], what: str) -> NDArray[Any] | None:
    if value is None:
        return None
    array = _array(value, what)
    if array.ndim == 3 and 1 in {array.shape[0], array.shape[-1]}:
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.shape != size:
        msg = f"{what} has the shape {array.shape}, but its image is {size[0]} high and {size[1]} wide."
        raise DataError(msg)
    if array.dtype.kind not in "biuf":
        msg = f"{what} holds {array.dtype}; give numbers or booleans."
        raise DataError(msg)
    return array
