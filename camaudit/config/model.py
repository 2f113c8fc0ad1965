"""The section `model`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from camaudit.config.base import Name, Section, Side, once
from camaudit.types import Preprocessing


class PreprocessingConfig(Section):
    """How an image becomes the model's input; see `camaudit.types.Preprocessing`."""

    resize: Side | None = None
    crop: Side | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"

    @model_validator(mode="after")
    def _usable(self) -> PreprocessingConfig:
        if min(self.std) <= 0:
            msg = f"std must be above 0 in every channel, not {list(self.std)}"
            raise ValueError(msg)
        for name in ("resize", "crop"):
            side = getattr(self, name)
            if side is not None and min(side if isinstance(side, tuple) else (side,)) < 1:
                msg = f"{name} must be at least 1 pixel, not {side}"
                raise ValueError(msg)
        return self

    def value(self) -> Preprocessing:
        """The frozen value that the other rooms use."""
        return Preprocessing(self.resize, self.crop, self.mean, self.std, self.interpolation)


class ModelConfig(Section):
    """The model: an architecture by name with weights on disk, or a module that was handed over in Python."""

    source: Literal["torchvision", "timm", "module"]
    name: str
    weights: Path | None = None
    classes: list[Name] = Field(min_length=2)
    preprocessing: PreprocessingConfig | None = None
    target_layer: str = "auto"

    @model_validator(mode="after")
    def _distinct(self) -> ModelConfig:
        once("classes", self.classes)
        if self.source != "module" and self.weights is None:
            msg = "weights is missing; give the path of a safetensors file or a state dict. Nothing is downloaded."
            raise ValueError(msg)
        return self
