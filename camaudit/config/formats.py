"""The formats a dataset can have: a word each, and the options that only this format has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag

from camaudit.config.base import Name, Options
from camaudit.config.collections import (
    CelebaOptions,
    FiftyoneOptions,
    HuggingfaceOptions,
    IsicOptions,
    PetsOptions,
    WaterbirdsOptions,
)

Format = Literal[
    "table",
    "folder",
    "coco",
    "voc",
    "yolo",
    "waterbirds",
    "celeba",
    "isic",
    "pets",
    "huggingface",
    "fiftyone",
    "memory",
]
FORMATS: tuple[str, ...] = get_args(Format)


class NoOptions(Options):
    """A format that the common keys of `data` say everything about."""

    format: Literal["table", "folder", "memory"] = Field(exclude=True)


class CocoOptions(Options):
    """COCO annotations.

    ``kind`` says what the annotations are; ``masks`` is the folder of a panoptic file's PNGs; ``radius`` that of the
    discs drawn around keypoints, in pixels; ``crowd`` says whether crowds belong to their category's region;
    ``exhaustive`` whether a category without an instance in an image is not there (an empty region) or was not looked for
    (no region).
    """

    format: Literal["coco"] = Field(default="coco", exclude=True)
    kind: Literal["instances", "panoptic", "keypoints"] = "instances"
    masks: Path | None = None
    radius: Annotated[float, Field(gt=0)] | None = None
    crowd: Literal["include", "ignore"] = "include"
    exhaustive: bool = True


class VocOptions(Options):
    """Pascal VOC.

    ``shapes`` says where regions come from: ``boxes`` of the XML files, the indexed masks of SegmentationClass
    (``class``), or those of SegmentationObject (``object``), whose n-th object is the n-th of the XML file;
    ``image_set`` is a list in ImageSets, such as ``Main/train``; ``exhaustive`` as of COCO.
    """

    format: Literal["voc"] = Field(default="voc", exclude=True)
    shapes: Literal["boxes", "class", "object"] = "boxes"
    image_set: Name | None = None
    exhaustive: bool = True


class YoloOptions(Options):
    """YOLO label files, of boxes (five numbers a line), polygons (seven and more) or both; ``exhaustive`` as of COCO."""

    format: Literal["yolo"] = Field(default="yolo", exclude=True)
    exhaustive: bool = True


def _tag(value: Any) -> str:
    format = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)  # noqa: A001 - the name of the key
    return format if format in _WITH_OPTIONS else "none"


# one member a format, chosen by `data.format`
AnyOptions = Annotated[
    Annotated[NoOptions, Tag("none")]
    | Annotated[CocoOptions, Tag("coco")]
    | Annotated[VocOptions, Tag("voc")]
    | Annotated[YoloOptions, Tag("yolo")]
    | Annotated[WaterbirdsOptions, Tag("waterbirds")]
    | Annotated[CelebaOptions, Tag("celeba")]
    | Annotated[IsicOptions, Tag("isic")]
    | Annotated[PetsOptions, Tag("pets")]
    | Annotated[HuggingfaceOptions, Tag("huggingface")]
    | Annotated[FiftyoneOptions, Tag("fiftyone")],
    Discriminator(_tag),
]
OPTIONS: dict[str, type[Options]] = {
    "coco": CocoOptions,
    "voc": VocOptions,
    "yolo": YoloOptions,
    "waterbirds": WaterbirdsOptions,
    "celeba": CelebaOptions,
    "isic": IsicOptions,
    "pets": PetsOptions,
    "huggingface": HuggingfaceOptions,
    "fiftyone": FiftyoneOptions,
}
_WITH_OPTIONS = frozenset(OPTIONS)
