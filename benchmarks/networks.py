"""Narrow networks of ten families, with random weights in which nothing is trivial."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import vgg
from torchvision.models.regnet import BlockParams

from camaudit.models.grids import Grid, grid_of
from camaudit.models.layers import module_at

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 96
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A network, a batch, and what is asked of it.

    Attributes:
        name: of the architecture.
        model: float64, in evaluation mode.
        layer: name of the target layer. Where the last layer is followed by pooling and one linear layer, an earlier one:
            behind the last, the gradient is the same at every place, and many methods are one.
        module: that layer.
        grid: how its output lies on the image.
        images: (batch, 3, height, width).
        classes: one an image.
    """

    name: str
    model: nn.Module
    layer: str
    module: nn.Module
    grid: Grid
    images: Tensor
    classes: list[int]

    @property
    def has_tokens(self) -> bool:
        """Whether the layer returns (batch, tokens, channels) or channels last."""
        return self.grid.layout != "channels_first"


def _resnet() -> nn.Module:
    return timm.create_model("resnet18", num_classes=CLASSES, channels=(8, 16, 24, 32), stem_width=8)


def _vgg() -> nn.Module:
    features = vgg.make_layers([8, "M", 12, "M", 16, 24, "M", 24, 24, "M", 32, 32])
    head = [nn.Linear(32 * 9, 32), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(32, CLASSES)]
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Sequential(*head))


def _densenet() -> nn.Module:
    return torchvision.models.DenseNet(8, (2, 3, 3, 2), 16, num_classes=CLASSES)


def _mobilenet() -> nn.Module:
    return torchvision.models.mobilenet_v3_small(num_classes=CLASSES, width_mult=0.25)


def _regnet() -> nn.Module:
    widths = BlockParams.from_init_params(depth=5, w_0=8, w_a=8, w_m=2, group_width=8, se_ratio=0.25)
    return torchvision.models.RegNet(widths, num_classes=CLASSES, stem_width=8)


def _shufflenet() -> nn.Module:
    return torchvision.models.ShuffleNetV2([1, 2, 2], [8, 16, 32, 48, 64], num_classes=CLASSES)


def _timm(name: str, **sizes: Any) -> Callable[[], nn.Module]:
    return partial(timm.create_model, name, num_classes=CLASSES, **sizes)


_convnext = _timm("convnext_atto", depths=(1, 1, 2, 1), dims=(16, 24, 32, 48))
_vit = _timm("vit_tiny_patch16_224", img_size=SIDE, depth=3, embed_dim=48)
_swin = _timm(
    "swin_tiny_patch4_window7_224",
    img_size=SIDE,
    window_size=6,
    embed_dim=16,
    depths=(1, 1, 2, 1),
    num_heads=(1, 2, 4, 8),
)

BUILT: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, int]]] = {
    "ResNet": (_resnet, "layer3", (7, 5)),
    "VGG": (_vgg, "0.14", (9, 1)),  # a ReLU before the last pooling
    "DenseNet": (_densenet, "features.norm5", (7, 2)),
    "MobileNetV3": (_mobilenet, "features.9", (0, 2)),
    "EfficientNet": (_timm("test_efficientnet"), "blocks.3", (0, 5)),
    "ConvNeXt": (_convnext, "stages.2.blocks.1.norm", (9, 1)),
    "RegNet": (_regnet, "trunk_output.block2", (8, 6)),
    "ShuffleNetV2": (_shufflenet, "stage4", (5, 3)),
    "ViT": (_vit, "blocks.2.norm1", (6, 9)),
    "Swin": (_swin, "layers.3.blocks.0.norm1", (5, 1)),
}
"""The architecture, the target layer of the comparison, and two classes of which Grad-CAM shows something."""


def case(name: str, *, batch: int = 2, dtype: torch.dtype = torch.float64, layer: str | None = None) -> Case:
    """One of `BUILT`, the same at every call."""
    build, inner, classes = BUILT[name]
    torch.manual_seed(0)
    model = lively(build()).to(dtype).eval()
    images = torch.randn(batch, 3, SIDE, SIDE, dtype=dtype, generator=torch.Generator().manual_seed(1))
    module = module_at(model, layer or inner)
    outputs: list[object] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    with torch.inference_mode():
        model(images)
    handle.remove()
    grid = grid_of(model, outputs[0], (SIDE, SIDE))
    assert grid is not None
    asked = [classes[image % 2] for image in range(batch)]
    return Case(name, model, layer or inner, module, grid, images, asked)


def lively(model: nn.Module) -> nn.Module:
    """The model with statistics, scales and biases as training would leave them: none zero, none one."""
    draw = torch.Generator().manual_seed(2)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.empty_like(like).uniform_(low, high, generator=draw)

    with torch.no_grad():
        for part in model.modules():
            if (
                isinstance(part, nn.BatchNorm2d)
                and part.running_mean is not None
                and part.running_var is not None
            ):
                part.running_mean.copy_(uniform(part.running_mean, -0.3, 0.3))
                part.running_var.copy_(uniform(part.running_var, 0.5, 1.5))
            if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
                part.weight.copy_(uniform(part.weight, 0.5, 1.5))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(uniform(parameter, -0.3, 0.3))
            elif name.endswith("gamma"):  # ConvNeXt starts with blocks that do nothing
                parameter.copy_(uniform(parameter, 0.5, 1.0))
    return model
