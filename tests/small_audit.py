"""A tiny audit that is real: images and masks on disk, a network that is loaded by name, a configuration.

Forty images of 48 x 48 pixels, two classes. A ``disc`` shows a bright disc, a ``square`` a bright square (the object);
a coloured bar at the top (the attribute) is red in most discs and blue in most squares; a frame at the bottom is context.
The network is untrained: what it says about the images does not matter, that it always says the same does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 48
CLASSES = ("disc", "square")
LEGEND = {1: "shape", 2: "bar", 3: "frame"}
ARCHITECTURE = "test_efficientnet"
COUNT = 40


def write_audit(folder: Path, *, count: int = COUNT, **changes: dict[str, Any]) -> Path:
    """A whole audit in a folder; `changes` of its sections, such as ``audit={"seed": 1}``. Path of the YAML file."""
    write_data(folder, count=count)
    write_weights(folder / "weights.safetensors")
    return write_config(folder / "audit.yaml", **changes)


def write_config(path: Path, **changes: dict[str, Any]) -> Path:
    """The YAML file of the audit, with changed keys in its sections."""
    values = settings()
    for section, of in changes.items():
        values[section] = {**values[section], **of}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def settings() -> dict[str, dict[str, Any]]:
    """The audit's configuration as plain values."""
    return {
        "model": {
            "source": "timm",
            "name": ARCHITECTURE,
            "weights": "weights.safetensors",
            "classes": list(CLASSES),
            "preprocessing": {"resize": 64, "crop": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        },
        "data": {
            "format": "table",
            "path": "table.csv",
            "columns": {"id": "id", "groups": ["colour"], "split": "split", "subject": "subject"},
            "regions": {"column": "mask", "legend": dict(LEGEND)},
        },
        "roles": {"object": ["shape"], "attribute": ["bar"], "context": ["frame"]},
        "audit": {
            "methods": ["gradcam"],
            "targets": ["predicted", "label"],
            "device": "cpu",
            "batch_size": 8,
            "trust": {"enabled": False},  # its own tests turn it on
        },
    }


def write_weights(path: Path, *, outputs: int = 2, seed: int = 0) -> None:
    """Random weights of the tiny network that give differing predictions."""
    save_file(network(outputs=outputs, seed=seed).state_dict(), path)


def network(*, outputs: int = 2, seed: int = 0) -> torch.nn.Module:
    """The tiny network in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module: torch.nn.Module = timm.create_model(ARCHITECTURE, num_classes=outputs)
        head = module.get_submodule("classifier")
        assert isinstance(head, torch.nn.Linear)
        torch.nn.init.normal_(head.weight, std=50.0)
        torch.nn.init.zeros_(head.bias)
        if outputs == 2:
            head.bias.data[1] = 1.45  # so that both classes are predicted
    return module.eval()


def write_data(folder: Path, *, count: int = COUNT) -> pd.DataFrame:
    """Images, masks and ``table.csv``."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for number in range(count):
        label = CLASSES[number % 2]
        colour = ("red", "blue")[(number % 2) ^ (number % 5 == 0)]
        image, mask = draw(number, label, colour)
        Image.fromarray(image).save(folder / "images" / f"{number:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:02}.png")
        rows.append(
            {
                "id": f"s{number:02}",
                "image": f"images/{number:02}.png",
                "label": label,
                "colour": colour,
                "split": "test",
                "subject": f"p{number // 2}",
                "mask": f"masks/{number:02}.png",
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(folder / "table.csv", index=False)
    return table


def draw(number: int, label: str, colour: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image and its indexed mask."""
    random = np.random.default_rng(number)
    image = random.integers(60, 120, (SIDE, SIDE, 3), dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = random.integers(18, 32, 2)
    inside = (
        (rows - y) ** 2 + (columns - x) ** 2 <= 49
        if label == "disc"
        else (abs(rows - y) <= 6) & (abs(columns - x) <= 6)
    )
    image[inside], mask[inside] = 230, 1
    image[1:8, 8:40], mask[1:8, 8:40] = (200, 30, 30) if colour == "red" else (30, 30, 200), 2
    image[44:48], mask[44:48] = 20, 3
    return image, mask
