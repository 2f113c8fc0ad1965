"""The section `audit`, and the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from camaudit.config.base import Positive, Section, once
from camaudit.config.data import DataConfig, RolesConfig
from camaudit.config.model import ModelConfig
from camaudit.types import OutputTarget


def parse_target(text: str) -> OutputTarget:
    """The output target that a name stands for.

    Args:
        text: ``predicted``, ``label``, ``class:NAME``, ``contrast:NAME,NAME``, or of a regression ``output:NAME``.

    Raises:
        ValueError: the text is none of these.
    """
    kind, colon, names = text.partition(":")
    classes = tuple(name.strip() for name in names.split(",")) if colon else ()
    wanted = {"predicted": 0, "label": 0, "class": 1, "contrast": 2}
    if kind in {"class", "output"} and names.strip():
        return OutputTarget(kind, (names.strip(),))  # type: ignore[arg-type]  # one of the two
    if kind not in wanted or len(classes) != wanted[kind] or not all(classes):
        msg = f"{text!r} is no output target; use predicted, label, class:NAME or contrast:NAME,NAME"
        raise ValueError(msg)
    return OutputTarget(kind, classes)  # type: ignore[arg-type]  # checked against `wanted`


# spelled in one way, since tables and folders are named by it
Target = Annotated[str, AfterValidator(lambda text: parse_target(text).id)]


Fill = Literal["blur", "mean", "inpaint", "swap"]
FILLS_BY_DEFAULT: tuple[Fill, ...] = ("mean", "inpaint")


class InterventionConfig(Section):
    """Editing regions away, and as much elsewhere as a control.

    `regions` says what is edited: for ``roles`` all objects together and all attributes together, for ``each`` also every
    one of them alone; an edit and its controls cost a forward pass each, with every fill. `fills` says what an edited
    region becomes; where there are several, all must agree. `exchange`: `donors` other samples each give
    their background, where an attribute is so large that nothing as large can be edited as a control, and their attribute,
    where every image has one. `transplant`: attributes are put into images that lack them. `looks`: some whole images are
    blurred, recoloured and compressed.
    """

    enabled: bool = True
    regions: Literal["roles", "each"] = "roles"
    controls: Annotated[int, Field(ge=5, le=50, strict=True)] = 5
    fills: list[Fill] = Field(default_factory=lambda: list(FILLS_BY_DEFAULT), min_length=1)
    sigma: Annotated[float, Field(gt=0)] = 0.08
    exchange: bool = True
    donors: Annotated[int, Field(ge=2, le=50, strict=True)] = 6
    transplant: bool = True
    looks: bool = True

    @model_validator(mode="after")
    def _distinct(self) -> InterventionConfig:
        once("fills", self.fills)
        return self


class TrustConfig(Section):
    """Examining whether the maps can be believed, on a sample of the images.

    `samples` is how many images that takes; ``auto`` is as many as 30 % of the run's forward passes allow, at most 100.
    """

    enabled: bool = True
    samples: Positive | Literal["auto"] = "auto"


class AuditSettings(Section):
    """What is explained and measured, on what, with which seed.

    `training` is a table of the images the model was trained on, with labels and groups: whether an image is bias-aligned is
    decided there, where the model has learnt it. Its columns are named as in `data.columns`.
    """

    methods: list[str] = Field(default=["gradcam"], min_length=1)
    targets: list[Target] = Field(default=["predicted", "label"], min_length=1)
    device: str = "auto"
    precision: Literal["float32"] = "float32"
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0
    batch_size: Positive | Literal["auto"] = "auto"
    intervention: InterventionConfig = InterventionConfig()
    trust: TrustConfig = TrustConfig()
    training: Path | None = None

    @model_validator(mode="after")
    def _distinct(self) -> AuditSettings:
        once("methods", self.methods)
        once("targets", self.targets)
        return self


class AuditConfig(Section):
    """A whole audit. `load_config` reads it from YAML, `dump_config` writes it."""

    model: ModelConfig
    data: DataConfig
    roles: RolesConfig = RolesConfig()
    audit: AuditSettings = AuditSettings()
