"""Regions from a semantic segmentation model on disk."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import torch

from camaudit.errors import ConfigError, ModelError
from camaudit.models.fitting import fit_weights
from camaudit.models.weights import read_checkpoint
from camaudit.providers.local import open_local
from camaudit.providers.registry import finder
from camaudit.providers.soft import found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from camaudit.config.providers import SegmentationOptions
    from camaudit.providers.registry import Finder, Found
    from camaudit.types import Sample

    # from an image to a probability a category, (categories, h, w)
    Probabilities = Callable[[Image.Image], torch.Tensor]

LARGEST = 1024  # pixels of the longer side that probabilities are brought to; a larger image gets its mask from there
_SIDE = 520  # shorter side of torchvision's segmentation models, as their weights' own recipes have it
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KINDS = {
    "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES": "AutoModelForSemanticSegmentation",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES": "AutoModelForUniversalSegmentation",
    "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES": "AutoModelForInstanceSegmentation",
}


@finder("segmentation", by_model=True)
def segmentation(
    asked: Mapping[str, SegmentationOptions], _: Sequence[Sample], device: torch.device
) -> Finder:
    """What a semantic segmentation model of transformers or torchvision takes for the named labels.

    Raises:
        ConfigError: the model does not know a label.
        ModelError: it cannot be loaded.
    """
    first = next(iter(asked.values()))
    opened = _torchvision if first.model.is_file() else _transformers
    categories, probabilities = opened(first, device)
    chosen = {name: _numbers(name, options, categories).to(device) for name, options in asked.items()}

    def find(image: Image.Image) -> Mapping[str, Found]:
        with torch.inference_mode():
            every = _enlarged(probabilities(image), (image.height, image.width))
            best = every.argmax(0)
            found = {}
            for name, numbers in chosen.items():
                probability = every[numbers].sum(0)
                least = asked[name].threshold
                inside = torch.isin(best, numbers) if least is None else probability >= least
                size = (image.height, image.width)
                found[name] = found_in(probability.cpu().numpy(), inside.cpu().numpy(), size)
        return found

    return find


def _numbers(name: str, options: SegmentationOptions, categories: Sequence[str]) -> torch.Tensor:
    for label in options.labels:
        if label not in categories:
            close = difflib.get_close_matches(label, categories, n=3)
            more = ", ..." if len(categories) > 12 else ""
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"it knows {', '.join(categories[:12])}{more}."
            )
            msg = f"data.provide.{name}.labels: {options.model} does not know {label!r}; {hint}"
            raise ConfigError(msg)
    return torch.tensor([at for at, category in enumerate(categories) if category in options.labels])


def _enlarged(probability: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    scale = min(LARGEST / max(size), 1)
    wanted = tuple(max(round(side * scale), 1) for side in size)
    return torch.nn.functional.interpolate(probability[None], wanted, mode="bilinear", align_corners=False)[0]


def _transformers(
    options: SegmentationOptions, device: torch.device
) -> tuple[tuple[str, ...], Probabilities]:
    model, processor = open_local(
        options.model, _KINDS, what="a segmentation model", processor="AutoImageProcessor"
    )
    model.to(device)
    listed = dict(model.config.id2label or {})
    categories = tuple(options.categories or (str(name) for _, name in sorted(listed.items())))
    _check_count(options, categories, model.config.num_labels)

    # what lies beyond a crop would be missing, and everything else at another place
    whole = {"do_center_crop": False} if getattr(processor, "do_center_crop", False) else {}

    def probabilities(image: Image.Image) -> torch.Tensor:
        inputs = processor(images=image, return_tensors="pt", **whole).to(device)
        return _without_padding(_of_output(model(**inputs)), inputs.get("pixel_mask"))

    return categories, probabilities


def _of_output(output: Any) -> torch.Tensor:
    """A probability a category, (categories, h, w)."""
    logits: torch.Tensor | None = getattr(output, "logits", None)
    if logits is not None:
        return logits[0].float().softmax(0)
    # MaskFormer's semantic inference (Cheng et al. 2021, section 3.4); the last class is "no object"
    classes = output.class_queries_logits[0].float().softmax(-1)[:, :-1]
    masks = output.masks_queries_logits[0].float().sigmoid()
    scores = torch.einsum("qc,qhw->chw", classes, masks)
    return scores / scores.sum(0).clamp(min=1)


def _without_padding(probability: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
    """Without the right and lower margin that a processor adds; `real` is 1 where the input shows the image."""
    if real is None:
        return probability
    rows, columns = (float(real[0].bool().any(axis).float().mean()) for axis in (1, 0))
    height, width = probability.shape[1:]
    return probability[:, : max(round(height * rows), 1), : max(round(width * columns), 1)]


def _torchvision(options: SegmentationOptions, device: torch.device) -> tuple[tuple[str, ...], Probabilities]:
    from torchvision import models
    from torchvision.transforms import functional

    known = models.list_models(module=models.segmentation)
    if options.architecture not in known:
        said = f"there is no {options.architecture!r}" if options.architecture else "architecture is missing"
        msg = (
            f"{options.model} is a file of weights, whose architecture torchvision must know: {said}; it has {', '.join(known)}. "
            "Name it in architecture, or give a folder of transformers."
        )
        raise ModelError(msg)
    named = models.get_model_weights(options.architecture).DEFAULT.meta["categories"]
    categories = tuple(options.categories or named)
    state = read_checkpoint(options.model).state
    auxiliary = any("aux_classifier." in key for key in state)
    made = models.get_model(
        options.architecture,
        weights=None,
        weights_backbone=None,
        num_classes=len(categories),
        aux_loss=auxiliary,
    )
    fit_weights(made, state, where=options.model, classes=categories)
    model = made.eval().to(device)

    def probabilities(image: Image.Image) -> torch.Tensor:
        pixels = functional.to_tensor(functional.resize(image, [_SIDE]))
        inputs = functional.normalize(pixels, list(_MEAN), list(_STD))[None].to(device)
        logits: torch.Tensor = model(inputs)["out"]
        return logits[0].softmax(0)

    return categories, probabilities


def _check_count(options: SegmentationOptions, categories: Sequence[str], outputs: int) -> None:
    if len(categories) != outputs:
        msg = f"{options.model} has {outputs} outputs, but {len(categories)} categories are named. Name every one, in their order."
        raise ModelError(msg)
