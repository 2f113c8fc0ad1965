"""Regions from models on disk, against what the libraries' own post-processing makes of the same outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from camaudit.config.providers import OPTIONS
from camaudit.errors import CamauditError
from camaudit.providers import Found, all_providers
from tests.providers import tiny_models

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (44, 60)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("segformer", "maskformer", "clipseg", "owlvit", "gdino"):
        getattr(tiny_models, name)(folder / name)
    tiny_models.lraspp(folder / "lraspp.pt")
    return folder


def picture() -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 255, (*SIZE, 3), dtype=np.uint8))


def found(word: str, model: Path, image: Image.Image | None = None, **regions: Any) -> dict[str, Found]:
    """What is found for each region, given by name its options."""
    asked = {
        name: OPTIONS[word].model_validate({"model": model, **options}) for name, options in regions.items()
    }
    make = all_providers()[word].finder
    assert make is not None
    return dict(make(asked, [], torch.device("cpu"))(image or picture()))


@pytest.mark.parametrize("name", ["segformer", "maskformer"])
def test_semantic_segmentation_is_that_of_transformers(models: Path, name: str) -> None:
    from transformers import (
        MaskFormerForInstanceSegmentation,
        MaskFormerImageProcessor,
        SegformerForSemanticSegmentation,
        SegformerImageProcessor,
    )

    classes: Any = {
        "segformer": (SegformerForSemanticSegmentation, SegformerImageProcessor),
        "maskformer": (MaskFormerForInstanceSegmentation, MaskFormerImageProcessor),
    }[name]
    model, processor = (of.from_pretrained(models / name) for of in classes)
    with torch.inference_mode():
        output = model.eval()(**processor(images=picture(), return_tensors="pt"))
    (theirs,) = processor.post_process_semantic_segmentation(output, target_sizes=[SIZE])
    ours = found(
        "segmentation", models / name, **{label: {"labels": [label]} for label in tiny_models.LABELS}
    )
    for number, label in enumerate(tiny_models.LABELS):
        assert (ours[label].mask == (theirs == number).numpy()).mean() > 0.99
    assert sum(region.mask.sum() for region in ours.values()) == SIZE[0] * SIZE[1]


def test_torchvision_segmentation_is_the_argmax_of_its_output(models: Path) -> None:
    options = {"architecture": "lraspp_mobilenet_v3_large", "categories": ["a", "b", "c"]}
    ours = found(
        "segmentation", models / "lraspp.pt", **{name: {**options, "labels": [name]} for name in "abc"}
    )
    united = found("segmentation", models / "lraspp.pt", x={**options, "labels": ["a", "b"]})["x"]
    assert (sum(ours[name].mask.astype(int) for name in "abc") == 1).all()
    assert np.array_equal(united.mask, ours["a"].mask | ours["b"].mask)


def test_score_and_entropy_are_means_over_the_mask(models: Path) -> None:
    ours = found("segmentation", models / "segformer", x={"labels": ["face"], "threshold": 0.0})["x"]
    rest = found("segmentation", models / "segformer", x={"labels": ["wall", "hair"], "threshold": 0.0})["x"]
    assert ours.mask.all()
    assert ours.score + rest.score == pytest.approx(1, abs=1e-5)
    assert ours.entropy == pytest.approx(rest.entropy, abs=1e-5)
    assert 0 < ours.entropy <= 1
    nothing = found("segmentation", models / "segformer", x={"labels": ["face"], "threshold": 1.0})["x"]
    assert not nothing.mask.any()
    assert np.isnan(nothing.score)


def test_clipseg_takes_the_most_of_its_labels(models: Path) -> None:
    face, hair, both = (
        found("open_vocabulary", models / "clipseg", x={"labels": labels, "threshold": 0.5})["x"].mask
        for labels in (["face"], ["hair"], ["face", "hair"])
    )
    assert both.any()
    assert np.array_equal(both, face | hair)


@pytest.mark.parametrize(("name", "threshold"), [("owlvit", 0.0), ("gdino", 0.0)])
def test_detected_boxes_are_drawn_in_the_image(models: Path, name: str, threshold: float) -> None:
    ours = found("open_vocabulary", models / name, x={"labels": ["face", "hair"], "threshold": threshold})[
        "x"
    ]
    assert ours.mask.shape == SIZE
    assert ours.mask.any()
    assert 0 <= ours.score <= 1


@pytest.mark.parametrize(
    ("word", "name", "options", "said"),
    [
        ("segmentation", "clipseg", {}, "is not a segmentation model"),
        ("open_vocabulary", "segformer", {}, "is not an open-vocabulary model"),
        ("segmentation", "nowhere", {}, "no folder with a config.json"),
        ("segmentation", "segformer", {"labels": ["hare"]}, "does not know 'hare'; did you mean 'hair'"),
        ("segmentation", "segformer", {"categories": ["a", "face"]}, "3 outputs, but 2 categories"),
        ("segmentation", "lraspp.pt", {}, "architecture is missing"),
        ("segmentation", "lraspp.pt", {"architecture": "lraspp"}, "there is no 'lraspp'"),
        ("segmentation", "lraspp.pt", {"architecture": "lraspp_mobilenet_v3_large"}, "does not know 'face'|head"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_used_is_refused(
    models: Path, word: str, name: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CamauditError, match=said):
        found(word, models / name, x={"labels": ["face"], **options})


def test_a_folder_without_its_weights_is_refused(models: Path, tmp_path: Path) -> None:
    tiny_models.segformer(tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CamauditError, match="cannot be loaded"):
        found("segmentation", tmp_path / "broken", x={"labels": ["face"]})
