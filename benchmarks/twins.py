"""The slow twins of `tests.explain.literal`, put to any network: one image at a time, autograd through all of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tests.explain import literal, literal_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.networks import Case

OPTIONS: Mapping[str, Mapping[str, float]] = {
    "integrated_gradients": {"steps": 8},
    "rise": {"masks": 4},
    "smooth_gradcampp": {"samples": 3},
    "smoothgrad": {"samples": 3},
}
"""Of ours, where a twin would take long; the twins know them."""


class Rest(nn.Module):
    """The network behind a layer: (1, channels, h, w) in place of the layer's grid for one image, scores out."""

    def __init__(self, case: Case, image: Tensor) -> None:
        super().__init__()
        self.case, self.image = case, image

    def forward(self, activation: Tensor) -> Tensor:
        """(1, classes)."""
        handle = self.case.module.register_forward_hook(
            lambda _module, _inputs, output: self.case.grid.put(
                output, activation.clone()
            )  # a ReLU in place may follow
        )
        with torch.no_grad():
            scores: Tensor = self.case.model(self.image[None])
        handle.remove()
        return scores


def layer(case: Case, image: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """Activation and gradient of one image, (channels, h, w) each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of backward hooks on views
        pair = literal.activation_and_gradient(case.model, case.module, image, target)
    activation, gradient = (case.grid.split(part[None])[0] for part in pair)
    return activation, gradient


def _of_layer(formula: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Case, Tensor, int], Tensor]:
    return lambda case, image, target: formula(*layer(case, image, target))


def _cam(case: Case, image: Tensor, target: int) -> Tensor:
    linear = [part for part in case.model.modules() if isinstance(part, nn.Linear)][-1]
    return literal.cam(layer(case, image, target)[0], linear.weight[target].detach())


def _smooth_gradcampp(case: Case, image: Tensor, target: int) -> Tensor:
    copies = literal_network.noise(image, 3, 0.15, 0)
    gradients = [layer(case, copy, target)[1] for copy in copies]
    return literal.smooth_gradcampp(layer(case, image, target)[0], gradients)


def _finercam(case: Case, image: Tensor, target: int) -> Tensor:
    with torch.no_grad():
        (scores,) = case.model(image[None])
    others = sorted(set(range(len(scores))) - {target}, key=lambda c: abs(float(scores[c] - scores[target])))
    rivals = [layer(case, image, other)[1] for other in others[:3]]
    return literal.finercam(*layer(case, image, target), rivals, 0.6)


def _ablationcam(case: Case, image: Tensor, target: int) -> Tensor:
    activation, rest = layer(case, image, target)[0], Rest(case, image)
    without = literal_network.ablated_scores(rest, activation, target)
    return literal.ablationcam(activation, float(rest(activation[None])[0, target]), without)


def _scorecam(case: Case, image: Tensor, target: int) -> Tensor:
    return literal_network.scorecam(case.model, layer(case, image, target)[0], image, target)


def _gradient(case: Case, image: Tensor, target: int) -> Tensor:
    return literal.largest(literal_network.gradient(case.model, image, target))


def _smoothgrad(case: Case, image: Tensor, target: int) -> Tensor:
    return literal_network.smoothgrad(case.model, literal_network.noise(image, 3, 0.15, 0), target)


def _rise(case: Case, image: Tensor, target: int) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    masks = literal_network.rise_masks(size, 4, 7, 0.5, 0)
    return literal_network.rise(case.model, image, masks, 0.5, target)


def _sequence(case: Case) -> nn.Sequential:
    """A sequence of sequences as one, nothing of it in place: what the twins that go back layer by layer need."""
    assert isinstance(case.model, nn.Sequential)
    leaves = []
    for part in case.model:
        leaves += list(part) if isinstance(part, nn.Sequential) else [part]
    return nn.Sequential(*(nn.ReLU() if isinstance(leaf, nn.ReLU) else leaf for leaf in leaves)).eval()


def _modified(rule: str) -> Callable[[Case, Tensor, int], Tensor]:
    def twin(case: Case, image: Tensor, target: int) -> Tensor:
        found = literal_network.modified_gradient(_sequence(case), image, target, rule)  # type: ignore[arg-type]
        return literal.largest(found)

    return twin


def _guided_gradcam(case: Case, image: Tensor, target: int) -> Tensor:
    cam = literal.gradcam(*layer(case, image, target))
    return _modified("guided")(case, image, target) * literal.upsample(cam, image.shape[-2], image.shape[-1])


def _fullgrad(case: Case, image: Tensor, target: int) -> Tensor:
    return literal_network.fullgrad(_sequence(case), image, target)


def _attention(case: Case, image: Tensor, target: int) -> tuple[list[Tensor], list[Tensor]]:
    """Of every block of timm's vision transformer: weights, and their derivatives by the block's own score."""
    blocks = case.model.get_submodule("blocks")
    kept: list[Tensor] = []
    outputs: list[Tensor] = []
    fused = [block.attn.fused_attn for block in blocks]  # type: ignore[union-attr]
    handles = []
    for block in blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False
        handles.append(block.attn.attn_drop.register_forward_hook(lambda _m, _i, out: kept.append(out)))
        handles.append(block.register_forward_hook(lambda _m, _i, out: outputs.append(out)))
    try:
        with torch.enable_grad():
            case.model(image[None].clone().requires_grad_())
            slopes = []
            for weights, output in zip(list(kept), list(outputs), strict=True):
                alike = output.mean(1, keepdim=True).expand_as(output)
                scores = case.model.forward_head(case.model.norm(alike))  # type: ignore[operator]
                slopes.append(torch.autograd.grad(scores[0, target], weights, retain_graph=True)[0][0])
    finally:
        for handle in handles:
            handle.remove()
        for block, before in zip(blocks, fused, strict=True):  # type: ignore[arg-type]
            block.attn.fused_attn = before
    return [weights[0].detach() for weights in kept], slopes


def _attention_rollout(case: Case, image: Tensor, target: int) -> Tensor:
    return literal.attention_rollout(_attention(case, image, target)[0], case.grid.prefix, *case.grid.size)


def _legrad(case: Case, image: Tensor, target: int) -> Tensor:
    return literal.legrad(_attention(case, image, target)[1], case.grid.prefix, *case.grid.size)


TWINS: Mapping[str, Callable[[Case, Tensor, int], Tensor]] = {
    "cam": _cam,
    "gradcam": _of_layer(literal.gradcam),
    "counterfactual_gradcam": _of_layer(literal.counterfactual_gradcam),
    "gradcampp": _of_layer(literal.gradcampp),
    "smooth_gradcampp": _smooth_gradcampp,
    "xgradcam": _of_layer(literal.xgradcam),
    "hirescam": _of_layer(literal.hirescam),
    "layercam": _of_layer(literal.layercam),
    "eigencam": _of_layer(lambda activation, _gradient: literal.eigencam(activation)),
    "eigen_gradcam": _of_layer(literal.eigen_gradcam),
    "finercam": _finercam,
    "ablationcam": _ablationcam,
    "scorecam": _scorecam,
    "fullgrad": _fullgrad,
    "gradient": _gradient,
    "smoothgrad": _smoothgrad,
    "guided_backprop": _modified("guided"),
    "deconvnet": _modified("deconv"),
    "guided_gradcam": _guided_gradcam,
    "rise": _rise,
    "attention_rollout": _attention_rollout,
    "legrad": _legrad,
}
"""By our id; integrated gradients has none here: its twin needs thousands of steps, captum's rule is the same."""

ONLY: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("fullgrad", "guided_backprop", "deconvnet", "guided_gradcam"), frozenset({"VGG"})),
    **dict.fromkeys(("attention_rollout", "legrad"), frozenset({"ViT"})),
    "cam": frozenset({"ResNet", "RegNet"}),
}
"""Networks whose parts the twin can follow one by one, or, of CAM, which have its head."""
