"""The options of collections that are known by name, and of other libraries' datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from camaudit.config.base import Name, Options, once


class WaterbirdsOptions(Options):
    """Waterbirds as WILDS publishes it.

    ``segmentations`` is the folder of CUB's segmentations, whose tree is that of the images; a pixel is of the bird from
    the grey value ``threshold`` on (five people drew each bird: 128 is where three of them agree); ``species`` says what
    the bird's species, which the images' folders are named by, is used as.
    """

    format: Literal["waterbirds"] = Field(default="waterbirds", exclude=True)
    segmentations: Path | None = None
    threshold: Annotated[int, Field(ge=1, le=255, strict=True)] = 128
    species: Literal["subject", "group"] = "subject"


class CelebaOptions(Options):
    """CelebA with the parts of CelebAMask-HQ.

    ``label`` is the attribute to predict, such as ``Blond_Hair``; ``groups`` are other attributes, such as ``Male``;
    ``masks`` is the folder CelebAMask-HQ: the images are then its 30,000 instead of CelebA's own, which are framed
    otherwise than the masks.
    """

    format: Literal["celeba"] = Field(default="celeba", exclude=True)
    label: Name
    groups: list[Name] = Field(default=[])
    masks: Path | None = None

    @model_validator(mode="after")
    def _distinct(self) -> CelebaOptions:
        once("groups", self.groups)
        return self


class IsicOptions(Options):
    """ISIC: the metadata of the archive, or the ground truth of a challenge.

    ``label`` is the column of the diagnosis; where it is left out, every column but the image's is a diagnosis, and holds 1
    in the rows of its images. ``neither`` is then the class of rows without a 1 (ISIC 2017: nevus). ``masks`` is the folder
    of the lesion masks; ``groups`` and ``subject`` are columns (a patient's or a lesion's id where left out and there).
    """

    format: Literal["isic"] = Field(default="isic", exclude=True)
    label: Name | None = None
    neither: Name | None = None
    masks: Path | None = None
    groups: list[Name] = Field(default=[])
    subject: Name | None = None

    @model_validator(mode="after")
    def _distinct(self) -> IsicOptions:
        once("groups", self.groups)
        if self.label is not None and self.neither is not None:
            msg = "neither is the class of rows without a 1 in a one-hot table; with a label column there are none"
            raise ValueError(msg)
        return self


class PetsOptions(Options):
    """Oxford-IIIT Pets with trimaps.

    ``label`` says what is predicted; the other one is a group. ``border`` says what the trimaps' border counts as: the
    band of some pixels around every outline that the annotators left open, and thin parts such as ears and tails.
    """

    format: Literal["pets"] = Field(default="pets", exclude=True)
    label: Literal["breed", "species"] = "breed"
    border: Literal["pet", "background", "neither"] = "pet"


class HuggingfaceOptions(Options):
    """A Hugging Face dataset on disk; the common keys say everything."""

    format: Literal["huggingface"] = Field(default="huggingface", exclude=True)


class FiftyoneOptions(Options):
    """A FiftyOne dataset or view.

    ``dataset`` and ``view`` are names; ``label`` is a field with a Classification or text, none where left out;
    ``regions`` are fields with Detections, Polylines, Keypoints or a Segmentation; ``groups`` gives each group the path of
    its value, such as ``weather.label``, or ``tags:night`` for whether a sample has a tag; ``split`` is the path of
    the split or a list of the tags that are splits; ``subject`` is a path; ``radius`` that of keypoints, in pixels;
    ``exhaustive`` says whether a region without an instance in an image is not there or was not looked for.
    """

    format: Literal["fiftyone"] = Field(default="fiftyone", exclude=True)
    dataset: Name
    view: Name | None = None
    label: Name | None = None
    regions: list[Name] = Field(default=[])
    groups: dict[Name, Name] = Field(default={})
    split: Name | list[Name] | None = None
    subject: Name | None = None
    radius: Annotated[float, Field(gt=0)] | None = None
    exhaustive: bool = True

    @model_validator(mode="after")
    def _distinct(self) -> FiftyoneOptions:
        once("regions", self.regions)
        return self
