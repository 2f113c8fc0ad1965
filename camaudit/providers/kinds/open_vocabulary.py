"""Regions from an open-vocabulary model on disk: labels are free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from camaudit.data.shapes import draw_box
from camaudit.providers.local import open_local
from camaudit.providers.registry import Found, finder
from camaudit.providers.soft import found_in
from camaudit.types import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from camaudit.config.providers import OpenVocabularyOptions
    from camaudit.providers.registry import Finder
    from camaudit.types import Sample

_KINDS = {
    "clipseg": "CLIPSegForImageSegmentation",
    "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES": "AutoModelForZeroShotObjectDetection",
}


@finder("open_vocabulary", by_model=True)
def open_vocabulary(
    asked: Mapping[str, OpenVocabularyOptions], _: Sequence[Sample], device: torch.device
) -> Finder:
    """What CLIPSeg, OWL-ViT, OWLv2 or Grounding DINO finds for labels in free text.

    Raises:
        ModelError: the model cannot be loaded.
    """
    first = next(iter(asked.values()))
    model, processor = open_local(
        first.model, _KINDS, what="an open-vocabulary model", processor="AutoProcessor"
    )
    model.to(device)
    one = _segmented if model.config.model_type == "clipseg" else _detected

    def find(image: Image.Image) -> Mapping[str, Found]:
        with torch.inference_mode():
            return {name: one(model, processor, image, options, device) for name, options in asked.items()}

    return find


def _segmented(
    model: Any, processor: Any, image: Image.Image, options: OpenVocabularyOptions, device: torch.device
) -> Found:
    """CLIPSeg: a map a label; a pixel belongs to the region where any label's sigmoid reaches the threshold."""
    labels = list(options.labels)
    inputs = processor(text=labels, images=[image] * len(labels), padding=True, return_tensors="pt")
    logits = model(**inputs.to(device)).logits.float()
    maps = logits if logits.ndim == 3 else logits[None]  # of one label it has no first axis
    probability = maps.sigmoid().amax(0).cpu().numpy()
    return found_in(probability, probability >= options.threshold, (image.height, image.width))


def _detected(
    model: Any, processor: Any, image: Image.Image, options: OpenVocabularyOptions, device: torch.device
) -> Found:
    """Boxes: their union."""
    size = (image.height, image.width)
    labels = list(options.labels)
    inputs = processor(text=[labels], images=image, return_tensors="pt").to(device)
    output = model(**inputs)
    post: Callable[..., Any] = processor.post_process_grounded_object_detection
    if model.config.model_type.startswith("owl"):
        (boxes,) = post(output, threshold=options.threshold, target_sizes=[size])
    else:
        (boxes,) = post(
            output,
            inputs["input_ids"],
            threshold=options.threshold,
            text_threshold=options.threshold,
            target_sizes=[size],
        )
    mask = np.zeros(size, dtype=bool)
    for left, top, right, bottom in boxes["boxes"].double().cpu().tolist():
        mask |= draw_box(Box(left, top, right - left, bottom - top), size)
    if not mask.any():
        return Found(mask)
    return Found(mask, float(boxes["scores"].float().mean()))
