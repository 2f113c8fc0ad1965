"""camaudit: is your image classifier right for the right reason?"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camaudit import data
    from camaudit.compare import Comparison, compare
    from camaudit.errors import CamauditError
    from camaudit.explain import Explanation, explain, targets
    from camaudit.models import LoadedModel, load_model
    from camaudit.runs import Run, audit, open_run
    from camaudit.types import (
        AttributionMap,
        Box,
        Effect,
        Finding,
        MaskFile,
        OutputTarget,
        Polygon,
        Preprocessing,
        Region,
        Sample,
        Verdict,
    )

__version__ = "0.1.0"

_HOMES = {
    "AttributionMap": "types",
    "Box": "types",
    "CamauditError": "errors",
    "Comparison": "compare",
    "Effect": "types",
    "Explanation": "explain",
    "Finding": "types",
    "LoadedModel": "models",
    "MaskFile": "types",
    "OutputTarget": "types",
    "Polygon": "types",
    "Preprocessing": "types",
    "Region": "types",
    "Run": "runs",
    "Sample": "types",
    "Verdict": "types",
    "audit": "runs",
    "compare": "compare",
    "explain": "explain",
    "load_model": "models",
    "open_run": "runs",
}
_ROOMS = {"data": "data", "targets": "explain.targets"}

__all__ = [
    "AttributionMap",
    "Box",
    "CamauditError",
    "Comparison",
    "Effect",
    "Explanation",
    "Finding",
    "LoadedModel",
    "MaskFile",
    "OutputTarget",
    "Polygon",
    "Preprocessing",
    "Region",
    "Run",
    "Sample",
    "Verdict",
    "audit",
    "compare",
    "data",
    "explain",
    "load_model",
    "open_run",
    "targets",
]


class _Face(ModuleType):
    """The package's face: importing the room `camaudit.explain` must not put it in the function's place."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> object:
    """Import a public name when it is used first."""
    if name in _ROOMS:
        return import_module(f"camaudit.{_ROOMS[name]}")
    if name not in _HOMES:
        msg = f"module 'camaudit' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"camaudit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
