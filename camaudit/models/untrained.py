"""An architecture without weights: to see its layers, which do not depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.models.opened import check_name
from camaudit.models.recipes import timm_recipe, torchvision_recipe

if TYPE_CHECKING:
    from torch import nn

    from camaudit.config import PreprocessingConfig


def untrained(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network of torchvision or timm with random weights, and an input of the size its published weights take.

    Raises:
        ModelError: neither library knows the name.
    """
    import timm
    from torchvision import models

    ours = models.list_models(module=models)
    if name in ours:
        arguments = (
            {"init_weights": False, "aux_logits": False} if name in {"googlenet", "inception_v3"} else {}
        )
        module: nn.Module = models.get_model(name, weights=None, **arguments)
        recipe: PreprocessingConfig = torchvision_recipe(name)
    else:
        check_name(name.partition(".")[0], [*ours, *timm.list_models()])  # after the dot: which weights
        module = timm.create_model(name, pretrained=False)
        recipe = timm_recipe(module)
    crop = recipe.crop or recipe.resize or 224
    height, width = (crop, crop) if isinstance(crop, int) else crop
    return module.eval(), torch.zeros(1, 3, height, width)
