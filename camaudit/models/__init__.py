"""Load a model, find its target layer, and name what of its output is explained."""

from camaudit.models.layers import find_target_layer, module_at
from camaudit.models.load import LoadedModel, load_model, open_model
from camaudit.models.outputs import class_indices, target_scores

__all__ = [
    "LoadedModel",
    "class_indices",
    "find_target_layer",
    "load_model",
    "module_at",
    "open_model",
    "target_scores",
]
