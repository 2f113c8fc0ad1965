"""captum: maps on the layer's grid are raw by themselves; its ReLU is asked for where it has one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from captum import attr as theirs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from benchmarks.networks import Case


def _targets(case: Case) -> Tensor:
    return torch.tensor(case.classes, device=case.images.device)


def gradcam(case: Case) -> Tensor:
    """As it comes: of tokens (batch, tokens, channels) it takes the first dimension for the channels."""
    found = theirs.LayerGradCam(case.model, case.module).attribute(
        case.images.clone(), _targets(case), relu_attributions=True
    )
    return found[:, 0].detach()


def hirescam(case: Case) -> Tensor:
    """Its gradient times activation, summed over the channels, and a ReLU of ours."""
    found = theirs.LayerGradientXActivation(case.model, case.module).attribute(
        case.images.clone(), _targets(case)
    )
    return case.grid.split(found.detach()).sum(1).relu()


def gradient(case: Case) -> Tensor:
    """Signed, (batch, 3, height, width)."""
    return theirs.Saliency(case.model).attribute(
        case.images.clone().requires_grad_(), _targets(case), abs=False
    )


def integrated_gradients(case: Case, *, steps: int = 8) -> Tensor:
    """From black, by the rule of Gauss and Legendre, signed, (batch, 3, height, width)."""
    return theirs.IntegratedGradients(case.model).attribute(
        case.images.clone(), target=_targets(case), n_steps=steps
    )


def guided_backprop(case: Case) -> Tensor:
    """Signed, (batch, 3, height, width)."""
    return _rectified(theirs.GuidedBackprop, case)


def deconvnet(case: Case) -> Tensor:
    """Signed, (batch, 3, height, width)."""
    return _rectified(theirs.Deconvolution, case)


def _rectified(kind: type[theirs.GuidedBackprop | theirs.Deconvolution], case: Case) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that it sets hooks
        return kind(case.model).attribute(case.images.clone().requires_grad_(), _targets(case)).detach()


METHODS: Mapping[str, Callable[[Case], Tensor]] = {
    "gradcam": gradcam,
    "hirescam": hirescam,
    "gradient": gradient,
    "integrated_gradients": integrated_gradients,
    "guided_backprop": guided_backprop,
    "deconvnet": deconvnet,
}
