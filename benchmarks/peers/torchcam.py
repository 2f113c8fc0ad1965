"""torchcam: raw maps are its own with ``normalized=False``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchcam import methods as theirs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.networks import Case


def raw(kind: type[theirs.core._CAM], case: Case, **options: Any) -> Tensor:
    """The map on the layer's grid."""
    transform = case.grid.split if case.has_tokens else None
    with kind(case.model, case.module, reshape_transform=transform, **options) as extractor:
        scores = case.model(case.images.clone())
        (found,) = extractor(case.classes, scores, normalized=False)
    return found.detach()


def cam(case: Case) -> Tensor:
    """Given the last linear layer: it finds none by itself where there are several."""
    linear = [part for part in case.model.modules() if isinstance(part, nn.Linear)]
    return raw(theirs.CAM, case, fc_layer=linear[-1])


def finercam(case: Case) -> Tensor:
    """With its defaults: three references, strength 0.6."""
    transform = case.grid.split if case.has_tokens else None
    with theirs.FinerCAM(case.model, case.module, reshape_transform=transform) as extractor:
        (found,) = extractor(case.classes, case.model(case.images.clone()), normalized=False)
    return found.detach()


def legrad(model: nn.Module, images: Tensor, classes: list[int]) -> Tensor:
    """Of a vision transformer of torchvision's: over all of its blocks."""
    blocks: Any = model.get_submodule("encoder.layers")
    with theirs.LeGrad(model, list(blocks)) as extractor, torch.enable_grad():
        model(images)
        (found,) = extractor(classes, normalized=False)
    return found.detach()


METHODS: Mapping[str, Callable[[Case], Tensor]] = {
    "cam": cam,
    "gradcam": partial(raw, theirs.GradCAM),
    "gradcampp": partial(raw, theirs.GradCAMpp),
    "smooth_gradcampp": partial(raw, theirs.SmoothGradCAMpp, std=1e-30),
    "xgradcam": partial(raw, theirs.XGradCAM),
    "layercam": partial(raw, theirs.LayerCAM),
    "scorecam": partial(raw, theirs.ScoreCAM),
    "finercam": finercam,
}
