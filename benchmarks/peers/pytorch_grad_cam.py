"""pytorch-grad-cam: raw maps are what `get_cam_image` returns, taken down before the min-max; its ReLU applied."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_grad_cam as theirs
import torch
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget, FinerWeightedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from benchmarks.networks import Case


def raw(kind: type[theirs.base_cam.BaseCAM], case: Case, *, targets: Sequence[Any] | None = None) -> Tensor:
    """The map on the layer's grid, after their ReLU."""
    seen: list[np.ndarray[Any, Any]] = []
    with theirs_of(kind, case) as cam:
        make = cam.get_cam_image

        def taken_down(*args: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
            seen.append(make(*args, **kwargs))
            return seen[-1]

        cam.get_cam_image = taken_down
        cam(case.images.clone(), list(targets or map(ClassifierOutputTarget, case.classes)))
    return torch.from_numpy(np.maximum(seen[0], 0)).to(case.images.dtype)


def theirs_of(kind: type[theirs.base_cam.BaseCAM], case: Case) -> theirs.base_cam.BaseCAM:
    """Their object for this model and layer."""
    options: dict[str, Any] = {"reshape_transform": case.grid.split if case.has_tokens else None}
    if kind is theirs.AblationCAM:  # its default layer is one object that every instance shares
        options["ablation_layer"] = AblationLayerVit() if case.has_tokens else AblationLayer()
    return kind(case.model, [case.module], **options)


def final(kind: type[theirs.base_cam.BaseCAM], case: Case) -> Tensor:
    """What they return, each map rescaled to [0, 1], float32, on the image's grid."""
    with theirs_of(kind, case) as cam:
        found = cam(case.images.clone(), list(map(ClassifierOutputTarget, case.classes)))
    return torch.from_numpy(found)


def fullgrad(case: Case) -> Tensor:
    """What they return: no raw map can be had."""
    with theirs.FullGrad(case.model, []) as cam:
        return torch.from_numpy(cam(case.images.clone(), list(map(ClassifierOutputTarget, case.classes))))


def finercam(case: Case) -> Tensor:
    """Against the three classes nearest in score, as their `FinerCAM` picks them, with their strength of 1."""
    with torch.no_grad():
        scores = case.model(case.images)
    own = scores.gather(1, torch.tensor(case.classes)[:, None])
    order = (scores - own).abs().argsort(1)
    targets = [
        FinerWeightedTarget(target, row[1:4].tolist(), 1)
        for target, row in zip(case.classes, order, strict=True)
    ]
    return raw(theirs.GradCAM, case, targets=targets)


def guided_backprop(case: Case) -> Tensor:
    """Image by image, because they return the first only; (batch, 3, height, width), signed."""
    guided = theirs.GuidedBackpropReLUModel(case.model)
    found = [
        guided(image[None].clone(), target) for image, target in zip(case.images, case.classes, strict=True)
    ]
    return torch.from_numpy(np.stack(found)).movedim(-1, 1)


METHODS: Mapping[str, Callable[[Case], Tensor]] = {
    "gradcam": partial(raw, theirs.GradCAM),
    "gradcampp": partial(raw, theirs.GradCAMPlusPlus),
    "xgradcam": partial(raw, theirs.XGradCAM),
    "hirescam": partial(raw, theirs.HiResCAM),
    "layercam": partial(raw, theirs.LayerCAM),
    "eigencam": partial(raw, theirs.EigenCAM),
    "eigen_gradcam": partial(raw, theirs.EigenGradCAM),
    "scorecam": partial(raw, theirs.ScoreCAM),
    "ablationcam": partial(raw, theirs.AblationCAM),
    "fullgrad": fullgrad,
    "finercam": finercam,
    "guided_backprop": guided_backprop,
}
