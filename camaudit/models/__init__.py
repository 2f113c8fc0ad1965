"""Load a model, find its target layer, and name what of its output is explained."""

from camaudit.models.layers import TargetLayer, candidate_layers, find_target_layer, module_at, target_layer
from camaudit.models.load import LoadedModel, load_model, open_model
from camaudit.models.outputs import class_indices, target_scores

__all__ = [
    "LoadedModel",
    "TargetLayer",
    "candidate_layers",
    "class_indices",
    "find_target_layer",
    "load_model",
    "module_at",
    "open_model",
    "target_layer",
    "target_scores",
]
