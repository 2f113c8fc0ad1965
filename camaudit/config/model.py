"""The section `model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

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


Source = Literal["torchvision", "timm", "transformers", "torchscript", "export", "python", "module"]

Task = Literal["multiclass", "binary", "multilabel", "regression"]
"""What the outputs of a head mean.

``multiclass``: a score a class, of which the highest is predicted. ``binary``: one output, which speaks for the second of
two classes above zero and for the first below. ``multilabel``: a score a class, each by itself: above zero the sample has
the label. ``regression``: an output is a quantity.
"""

SEPARATOR = "|"
"""Between the labels of a sample that has several."""

_FEWEST = {"multiclass": 2, "binary": 2, "multilabel": 1, "regression": 1}
_NEEDS_NAME = {
    "torchvision": "the name of an architecture, such as resnet50",
    "timm": "the name of an architecture, such as resnet50.a1_in1k",
    "python": "the function that makes the model, as package.module:function",
    "module": "what the network is called",
}


class ModelConfig(Section):
    """The model: an architecture or a program with its weights on disk, or a module that was handed over in Python.

    Attributes:
        source: whose architecture it is, or what kind of program.
        name: of the architecture; of ``python`` a factory ``package.module:function``.
        weights: safetensors, a state dict or a checkpoint; of ``transformers`` also a folder with config.json; of
            ``torchscript`` and ``export`` the program.
        weights_recipe: whose preprocessing is taken: the name of torchvision's weights, the tag of timm's.
        arguments: of the factory, or of the architecture, by name.
        task: what the outputs mean.
        classes: names in the order of the outputs; may be left out where the weights' configuration has them.
        preprocessing: the weights' own recipe where left out.
        target_layer: that maps are made at.
        expect_accuracy: share of the audited samples the model should get right, 0 to 1.
        accuracy_tolerance: how far from it is no surprise, beside what chance explains.
    """

    source: Source
    name: str = ""
    weights: Path | None = None
    weights_recipe: str | None = None
    arguments: dict[str, JsonValue] = Field(default={})
    task: Task = "multiclass"
    classes: list[Name] = Field(default=[], validate_default=True)
    preprocessing: PreprocessingConfig | None = None
    target_layer: str = "auto"
    expect_accuracy: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    accuracy_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.03

    @field_validator("classes")
    @classmethod
    def _enough(cls, classes: list[str], info: ValidationInfo) -> list[str]:
        task, source = info.data.get("task"), info.data.get("source")
        if task is None or (not classes and source == "transformers"):  # its config.json names them
            return classes
        fewest = _FEWEST[task]
        if len(classes) < fewest:
            given = ", ".join(map(repr, classes)) or "nothing"
            msg = f"names {given}; {task} needs at least {fewest} names, in the order of the head's outputs"
            raise ValueError(msg)
        if task == "binary" and len(classes) > fewest:
            msg = f"names {len(classes)} classes; binary has two: what a score below zero means, and above"
            raise ValueError(msg)
        joined = [name for name in classes if SEPARATOR in name]
        if task == "multilabel" and joined:
            msg = f"{joined[0]!r} holds a {SEPARATOR}, which stands between the labels of a sample; rename the class"
            raise ValueError(msg)
        once("classes", classes)
        return classes

    @model_validator(mode="after")
    def _complete(self) -> ModelConfig:
        if not self.name.strip() and self.source in _NEEDS_NAME:
            msg = f"name is missing; give {_NEEDS_NAME[self.source]}"
            raise ValueError(msg)
        if self.source not in {"module", "python"} and self.weights is None:
            msg = "weights is missing; give the path of a safetensors file or a state dict. Nothing is downloaded."
            raise ValueError(msg)
        if self.weights_recipe is not None and self.source not in {"torchvision", "timm"}:
            msg = (
                f"weights_recipe names weights of torchvision or timm; {self.source} has none. Leave it out."
            )
            raise ValueError(msg)
        if self.arguments and self.source in {"torchscript", "export", "module"}:
            msg = f"arguments are for an architecture or a factory; {self.source} takes none. Leave them out."
            raise ValueError(msg)
        if self.expect_accuracy is not None and self.task == "regression":
            msg = "expect_accuracy is a share of right answers, which regression has none of. Leave it out."
            raise ValueError(msg)
        return self

    @property
    def outputs(self) -> int:
        """How many outputs the head has."""
        return 1 if self.task == "binary" else len(self.classes)
