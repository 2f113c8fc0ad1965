"""The section `data.provide`: regions that nobody annotated, and what makes them."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from camaudit.config.base import Name, Section, once

Share = Annotated[float, Field(gt=0, lt=1)]
Likely = Annotated[float, Field(ge=0, le=1)]
Cells = Annotated[int, Field(ge=1, le=64, strict=True)]


class CentreOptions(Section):
    """A rectangle in the middle; ``share`` of the image's width and of its height."""

    provider: Literal["centre"] = "centre"
    share: Share = 0.5


class BorderOptions(Section):
    """A frame along the image's edges; its width is a ``share`` of the image's width and height."""

    provider: Literal["border"] = "border"
    share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1


class QuadrantsOptions(Section):
    """The four quarters of an image, as the regions ``NAME_top_left``, ``NAME_top_right``, ``NAME_bottom_left``, ``NAME_bottom_right``."""

    provider: Literal["quadrants"] = "quadrants"


class GridOptions(Section):
    """Cells of the same size, as the regions ``NAME_ROW_COLUMN``, counted from 1."""

    provider: Literal["grid"] = "grid"
    rows: Cells = 3
    columns: Cells = 3


class RepeatedPatchOptions(Section):
    """What is the same at the same place in many images of a class; ``least`` of its images, as a share, must have it."""

    provider: Literal["repeated_patch"] = "repeated_patch"
    least: Annotated[float, Field(ge=0.1, le=1)] = 0.2


class TextOverlayOptions(Section):
    """Writing at the same place in many images of a class; ``least`` as of `RepeatedPatchOptions`."""

    provider: Literal["text_overlay"] = "text_overlay"
    least: Annotated[float, Field(ge=0.1, le=1)] = 0.2


class SegmentationOptions(Section):
    """What a semantic segmentation model on disk takes for one of ``labels``.

    ``model`` is a folder of transformers, or a weights file of torchvision, whose ``architecture`` is named then;
    ``categories`` are the model's own names in the order of its outputs, where its files do not have them. A pixel belongs to
    the region where these labels together have at least ``threshold`` of the softmax, or more than any other label where
    ``threshold`` is left out.
    """

    provider: Literal["segmentation"] = "segmentation"
    model: Path
    architecture: Name | None = None
    categories: list[Name] | None = None
    labels: list[Name] = Field(min_length=1)
    threshold: Likely | None = None

    @model_validator(mode="after")
    def _distinct(self) -> SegmentationOptions:
        once("labels", self.labels)
        return self


class OpenVocabularyOptions(Section):
    """What an open-vocabulary model of transformers on disk finds for one of ``labels``, which are free text.

    ``model`` is a folder of CLIPSeg (masks), or of OWL-ViT, OWLv2 or Grounding DINO (boxes). ``threshold`` is the least score
    of a pixel or a box.
    """

    provider: Literal["open_vocabulary"] = "open_vocabulary"
    model: Path
    labels: list[Name] = Field(min_length=1)
    threshold: Likely = 0.3

    @model_validator(mode="after")
    def _distinct(self) -> OpenVocabularyOptions:
        once("labels", self.labels)
        return self


OPTIONS: dict[str, type[Section]] = {
    "centre": CentreOptions,
    "border": BorderOptions,
    "quadrants": QuadrantsOptions,
    "grid": GridOptions,
    "repeated_patch": RepeatedPatchOptions,
    "text_overlay": TextOverlayOptions,
    "segmentation": SegmentationOptions,
    "open_vocabulary": OpenVocabularyOptions,
}


class UnknownOptions(Section):
    """An entry whose provider does not exist."""

    provider: Name

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, values: Any) -> Any:
        given = values.get("provider") if isinstance(values, dict) else values
        msg = unknown_provider(given)
        raise ValueError(msg)


def unknown_provider(given: object) -> str:
    """What to say of a provider that does not exist."""
    known = ", ".join(OPTIONS)
    if given is None or isinstance(given, dict):
        return f"provider is missing; it is one of {known}"
    if given in OPTIONS:
        return f"write it as {{provider: {given}}}"
    close = difflib.get_close_matches(str(given), list(OPTIONS), n=1)
    return f"there is no provider {given!r}; " + (
        f"did you mean {close[0]!r}?" if close else f"there are {known}"
    )


def _tag(value: Any) -> str:
    named = value.get("provider") if isinstance(value, dict) else getattr(value, "provider", None)
    return f"provider[{named if isinstance(named, str) and named in OPTIONS else 'unknown'}]"


AnyProvider = Annotated[
    Annotated[CentreOptions, Tag("provider[centre]")]
    | Annotated[BorderOptions, Tag("provider[border]")]
    | Annotated[QuadrantsOptions, Tag("provider[quadrants]")]
    | Annotated[GridOptions, Tag("provider[grid]")]
    | Annotated[RepeatedPatchOptions, Tag("provider[repeated_patch]")]
    | Annotated[TextOverlayOptions, Tag("provider[text_overlay]")]
    | Annotated[SegmentationOptions, Tag("provider[segmentation]")]
    | Annotated[OpenVocabularyOptions, Tag("provider[open_vocabulary]")]
    | Annotated[UnknownOptions, Tag("provider[unknown]")],
    Discriminator(_tag),
]
