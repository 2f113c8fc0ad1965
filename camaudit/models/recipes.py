"""The preprocessing that published weights were trained with, in camaudit's own terms, and whether that is the same.

A library's transform can do what `camaudit.types.Preprocessing` cannot say. So the recipe is held against the transform
itself on two pictures, a wide and a tall one: a recipe that cannot be repeated is refused, never approximated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from camaudit.config import PreprocessingConfig
from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL import Image
    from torch import nn

    Transform = Callable[[Image.Image], torch.Tensor]

# of values in [0, 1]: what two implementations of the same filter differ by; a resize by one pixel more is well above
_MEAN_DIFFERENCE = 0.002
_SIDES = ((300, 420), (410, 310))


def torchvision_recipe(name: str, weights: str | None = None) -> PreprocessingConfig:
    """The recipe of torchvision's weights of that architecture.

    Args:
        name: of the architecture.
        weights: such as ``IMAGENET1K_V2``; torchvision's default where left out.

    Raises:
        ModelError: there are no such weights.
    """
    return _presets_config(torchvision_transform(name, weights))


def torchvision_transform(name: str, weights: str | None = None) -> Any:
    """The own transform of torchvision's weights; arguments as `torchvision_recipe`."""
    from torchvision import models

    known: Any = models.get_model_weights(name)
    if weights is None:
        return known.DEFAULT.transforms()
    wanted = weights.rpartition(".")[2]
    if wanted not in known.__members__:
        msg = f"torchvision has no weights {weights!r} of {name}; it has {', '.join(known.__members__)}. Correct model.weights_recipe."
        raise ModelError(msg)
    return known[wanted].transforms()


def _presets_config(recipe: Any) -> PreprocessingConfig:
    return PreprocessingConfig(
        resize=_one(recipe.resize_size),
        crop=_one(recipe.crop_size),
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
        interpolation=recipe.interpolation.value,
    )


def timm_recipe(module: nn.Module) -> PreprocessingConfig:
    """The recipe of timm's weights of that architecture."""
    recipe = _timm_config(module)
    _, height, width = recipe["input_size"]
    ratio = recipe["crop_pct"]
    sides = (int(height / ratio), int(width / ratio))
    squashed = height != width or recipe["crop_mode"] == "squash"
    return PreprocessingConfig(
        resize=sides if squashed else sides[0],
        crop=height if height == width else (height, width),
        mean=recipe["mean"],
        std=recipe["std"],
        interpolation="bilinear" if recipe["interpolation"] == "bilinear" else "bicubic",
    )


def timm_transform(module: nn.Module) -> Transform:
    """The own transform of timm for an architecture's weights."""
    from timm.data import transforms_factory

    recipe = _timm_config(module)
    transform: Transform = transforms_factory.create_transform(**recipe)
    return transform


def _timm_config(module: nn.Module) -> dict[str, Any]:
    from timm.data import config as timm_config

    found: dict[str, Any] = timm_config.resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    return found


def processor_recipe(processor: Any) -> PreprocessingConfig | None:
    """The recipe of a transformers image processor; None where it does more than can be repeated.

    Mean and standard deviation are measured on black and white, whatever the processor rescales by; the geometry is the
    first of those its settings can mean that repeats what it does.
    """
    transform = processor_transform(processor)
    try:
        black, white, red = (transform(_plain(colour)) for colour in ((0,) * 3, (255,) * 3, (255, 0, 0)))
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError):
        return None
    if black.ndim != 3 or len(black) != 3:
        return None
    row, column = black.shape[1] // 2, black.shape[2] // 2
    low, high, first = (picture[:, row, column].double() for picture in (black, white, red))
    if not torch.allclose(
        first, torch.stack([high[0], low[1], low[2]]), atol=1e-4
    ):  # channels in another order
        return None
    std = 1 / (high - low)
    mean = -low * std
    kinds = {0: "nearest", 2: "bilinear", 3: "bicubic"}
    values = {
        "mean": [round(value, 6) for value in mean.tolist()],
        "std": [round(value, 6) for value in std.tolist()],
        "interpolation": kinds.get(int(getattr(processor, "resample", 2) or 0), "bicubic"),
    }
    for resize, crop in _geometries(processor):
        recipe = PreprocessingConfig.model_validate({"resize": resize, "crop": crop, **values})
        if repeats(recipe, transform):
            return recipe
    return None


def processor_transform(processor: Any) -> Transform:
    """A transformers image processor as a function from an image to its input, (3, height, width)."""

    def transform(image: Image.Image) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=image, return_tensors="pt")["pixel_values"]
        return pixels[0]

    return transform


def _geometries(processor: Any) -> Iterator[tuple[Any, Any]]:
    """Every resize and crop that the settings of an image processor can mean, the plain meaning first."""
    size, crop_size = (dict(getattr(processor, name, None) or {}) for name in ("size", "crop_size"))
    size, crop_size = ({key: value for key, value in of.items() if value} for of in (size, crop_size))
    crop = (
        _square((crop_size["height"], crop_size["width"]))
        if getattr(processor, "do_center_crop", None) and {"height", "width"} <= crop_size.keys()
        else None
    )
    if not getattr(processor, "do_resize", True):
        yield None, crop
    ratio = getattr(processor, "crop_pct", None)
    shortest = size.get("shortest_edge")
    if shortest:
        yield shortest, crop
        # ConvNeXt and PoolFormer, then LeViT
        for larger in ([int(shortest / ratio)] if ratio else []) + [int(256 / 224 * shortest)]:
            yield larger, crop or shortest
        yield (shortest, shortest), crop
    if {"height", "width"} <= size.keys():
        sides = (size["height"], size["width"])
        yield sides, crop
        if ratio:
            yield int(sides[0] / ratio), crop or _square(sides)


def check_repeats(recipe: PreprocessingConfig, transform: Transform, *, of: str) -> None:
    """A recipe does what the library's own transform does.

    Raises:
        ModelError: it does not, because the transform does what cannot be said in a recipe.
    """
    if not repeats(recipe, transform):
        msg = (
            f"The preprocessing of {of} cannot be repeated: it does more than resize, crop in the centre and normalise (such "
            "as padding, or another order of channels). Give model.preprocessing."
        )
        raise ModelError(msg)


def repeats(recipe: PreprocessingConfig, transform: Transform) -> bool:
    """Whether a recipe gives what a transform gives, up to the rounding of two implementations of the same filter."""
    std = torch.tensor(recipe.std)[:, None, None]
    for sides in _SIDES:
        picture = _textured(sides)
        try:
            theirs = transform(picture)
        except (RuntimeError, TypeError, ValueError):
            return False
        ours = _transformed(picture, recipe)
        if theirs.shape != ours.shape or _difference(theirs * std, ours * std) > _MEAN_DIFFERENCE:
            return False
    return True


def _difference(theirs: torch.Tensor, ours: torch.Tensor) -> float:
    """Mean absolute difference; where half a pixel is to be rounded, libraries crop one pixel apart."""
    inner = theirs[:, 1:-1, 1:-1]
    height, width = ours.shape[1:]
    return min(
        float((inner - ours[:, y : height - 2 + y, x : width - 2 + x]).abs().mean())
        for y in range(3)
        for x in range(3)
    )


def _transformed(picture: Image.Image, recipe: PreprocessingConfig) -> torch.Tensor:
    from torchvision.transforms import InterpolationMode, functional

    image: Any = picture
    if recipe.resize is not None:
        image = functional.resize(image, _several(recipe.resize), InterpolationMode(recipe.interpolation))
    if recipe.crop is not None:
        image = functional.center_crop(image, _several(recipe.crop))
    pixels: torch.Tensor = functional.to_tensor(image)
    return (pixels - torch.tensor(recipe.mean)[:, None, None]) / torch.tensor(recipe.std)[:, None, None]


def _textured(sides: tuple[int, int]) -> Image.Image:
    """Waves of about 20 pixels with another direction in each channel, (height, width): they show a shift, and no aliasing."""
    from PIL import Image

    rows, columns = np.mgrid[: sides[0], : sides[1]]
    waves = [np.sin((rows * a + columns * b) / 3.3) for a, b in ((1, 0.2), (0.2, 1), (0.8, -0.7))]
    return Image.fromarray(np.stack([127.5 + 110 * wave for wave in waves], -1).astype(np.uint8))


def _plain(colour: tuple[int, ...]) -> Image.Image:
    from PIL import Image

    return Image.new("RGB", (320, 320), colour)


def _one(sides: Sequence[int]) -> int | tuple[int, int]:
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _square(sides: tuple[int, int]) -> int | tuple[int, int]:
    return sides[0] if sides[0] == sides[1] else sides


def _several(side: int | tuple[int, int]) -> list[int]:
    return list(side) if isinstance(side, tuple) else [side]
