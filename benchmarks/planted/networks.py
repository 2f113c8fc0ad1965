"""The models: a new head on frozen ImageNet features, a fine-tuned last stage, a small network and a small ViT from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from sklearn.linear_model import LogisticRegression
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmarks.planted.memory import Memory, Remembered
from camaudit.demo.train import load_imagenet
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Family = Literal["frozen", "tuned", "cnn", "vit"]
FAMILIES: Final[tuple[Family, ...]] = ("frozen", "tuned", "cnn", "vit")
SMALL: Final = 64  # side in pixels of what networks from scratch see
MEAN: Final = (127 / 255,) * 3
STD: Final = (128 / 255,) * 3
BATCH: Final = 32


def preprocessing(family: Family, side: int) -> Preprocessing:
    """How the benchmark's images of `side` pixels become the input of a family."""
    small = SMALL if family in {"cnn", "vit"} else side
    return Preprocessing(resize=None if small == side else small, crop=None, mean=MEAN, std=STD)


def inputs(pixels: NDArray[np.uint8]) -> Tensor:
    """Images (n, side, side, 3) uint8 as a network takes them."""
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128


@dataclass(frozen=True)
class Backbone:
    """EfficientNet-Lite0 with its ImageNet weights in three parts.

    Attributes:
        trunk: stem and blocks up to the last stage; never trained.
        stage: the last stage and the convolution after it, (n, 1280, side / 32, side / 32).
    """

    trunk: nn.Module
    stage: nn.Module


@cache
def backbone() -> Backbone:
    """The parts; not to be changed."""
    whole: Any = load_imagenet().requires_grad_(requires_grad=False)
    trunk = nn.Sequential(whole.conv_stem, whole.bn1, *whole.blocks[:6])
    return Backbone(trunk.eval(), nn.Sequential(whole.blocks[6], whole.conv_head, whole.bn2).eval())


class Headed(nn.Module):
    """Trunk, last stage, mean over places, one linear layer."""

    def __init__(self, trunk: nn.Module, stage: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.trunk, self.stage = trunk, stage
        self.pool, self.flat, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), head

    def forward(self, images: Tensor) -> Tensor:
        """Scores, (n, 2)."""
        return self.after_trunk(self.trunk(images))

    def after_trunk(self, features: Tensor) -> Tensor:
        """Scores from the trunk's output."""
        return self.head(self.flat(self.pool(self.stage(features))))


@torch.no_grad()
def trunk_features(pixels: NDArray[np.uint8]) -> Tensor:
    """What the trunk makes of images, float16 (n, 192, side / 32, side / 32)."""
    parts = [backbone().trunk(inputs(part)).half() for part in _split(pixels)]
    return torch.cat(parts)


def _split(values: Any, size: int = BATCH) -> list[Any]:
    return [values[start : start + size] for start in range(0, len(values), size)]


@torch.no_grad()
def pooled(features: Tensor) -> Tensor:
    """Means over places of the last stage's output, (n, 1280)."""
    return torch.cat([backbone().stage(part.float()).mean((2, 3)) for part in _split(features)])


def frozen(features: Tensor, labels: NDArray[np.int64], memory: Memory) -> Headed:
    """A new head on frozen features.

    Args:
        features: pooled, (n, 1280).
        labels: (n,) 0 or 1.
        memory: of the trunk.
    """
    values = features.double().numpy()
    mean, scale = values.mean(0), values.std(0) + 1e-3
    fitted = LogisticRegression(C=0.01, max_iter=500).fit((values - mean) / scale, labels)
    weight = fitted.coef_[0] / scale
    bias = float(fitted.intercept_[0] - weight @ mean)
    head = nn.Linear(features.shape[1], 2)
    with torch.no_grad():
        row = torch.from_numpy(weight).float() / 2
        head.weight.copy_(torch.stack([-row, row]))
        head.bias.copy_(torch.tensor([-bias / 2, bias / 2]))
    return _ready(Headed(Remembered(backbone().trunk, memory), backbone().stage, head))


def tuned(
    features: Tensor, labels: NDArray[np.int64], memory: Memory, *, seed: int, epochs: int = 5
) -> Headed:
    """The last stage and a new head, trained on what the trunk makes of the images; batch norm stays as it was."""
    import copy

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stage = copy.deepcopy(backbone().stage)
        model = Headed(Remembered(backbone().trunk, memory), stage, nn.Linear(1280, 2)).eval()
        slow = [p for m in stage.modules() if isinstance(m, nn.Conv2d) for p in m.parameters(recurse=False)]
        for parameter in slow:
            parameter.requires_grad_(requires_grad=True)
        rates = [{"params": slow, "lr": 3e-4}, {"params": list(model.head.parameters()), "lr": 3e-3}]
        optimiser = torch.optim.AdamW(rates, weight_decay=0.01)
        _fit(model.after_trunk, features, labels, optimiser, epochs=epochs)
    return _ready(model)


def cnn(pixels: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int, epochs: int = 10) -> nn.Module:
    """Four convolutions trained from scratch on images of `SMALL` pixels; its maps are 8 x 8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 24, 2), (24, 48, 2), (48, 64, 2), (64, 64, 1)):
            layers += [
                nn.Conv2d(before, after, 3, stride, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
        _fit(model.train(), inputs(pixels), labels, optimiser, epochs=epochs, flips=True)
    return _ready(model)


def vit(pixels: NDArray[np.uint8], labels: NDArray[np.int64], *, seed: int, epochs: int = 12) -> nn.Module:
    """A small vision transformer trained from scratch on images of `SMALL` pixels, in 8 x 8 patches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VisionTransformer(
            img_size=SMALL, patch_size=8, embed_dim=64, depth=3, num_heads=4, num_classes=2
        )
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
        _fit(model.train(), inputs(pixels), labels, optimiser, epochs=epochs, flips=True)
    return _ready(model)


def _fit(
    network: Any,
    values: Tensor,
    labels: NDArray[np.int64],
    optimiser: torch.optim.Optimizer,
    *,
    epochs: int,
    flips: bool = False,
) -> None:
    truth = torch.from_numpy(labels)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for chosen in torch.randperm(len(values)).split(BATCH):
            part = values[chosen].float()
            if flips and torch.rand(()) < 0.5:
                part = part.flip(-1)
            loss = nn.functional.cross_entropy(network(part), truth[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


def _ready(model: nn.Module) -> Any:
    return model.eval().requires_grad_(requires_grad=False)
