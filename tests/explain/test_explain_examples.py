"""The example of outputs beyond classes, on small models of torchvision and transformers, against plain autograd."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torchvision import models as torchvision_models

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "explain_any_output.py"
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("explain_any_output", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seeded(make: Any) -> Any:
    torch.manual_seed(0)
    return make().eval()


def gradcam(model: nn.Module, layer: str, scalar: Any, tokens: tuple[int, int, int] | None = None) -> Tensor:
    """By autograd through the whole network, image by image; `tokens`: prefix and grid of a sequence."""
    maps = []
    for row in range(len(IMAGES)):
        kept: list[Tensor] = []
        handle = model.get_submodule(layer).register_forward_hook(partial(_keep, kept))
        score = scalar(IMAGES[row : row + 1].clone().requires_grad_(), row)
        handle.remove()
        (gradient,) = torch.autograd.grad(score.sum(), kept[-1])
        grids = [kept[-1].detach(), gradient]
        if tokens is not None:
            prefix, height, width = tokens
            grids = [grid[:, prefix:].mT.unflatten(-1, (height, width)) for grid in grids]
        maps.append(torch.einsum("k,khw->hw", grids[1][0].mean((-2, -1)), grids[0][0]).relu())
    return torch.stack(maps)


def _keep(kept: list[Tensor], _module: nn.Module, _inputs: object, output: Any) -> None:
    kept.append(output if isinstance(output, Tensor) else output[0])


def close(found: Tensor, expected: Tensor) -> None:
    assert expected.any()
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_a_segmentation_class_over_a_region(example: ModuleType) -> None:
    model = seeded(
        lambda: torchvision_models.segmentation.lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=4
        )
    )
    region = torch.zeros(32, 32, dtype=torch.bool)
    region[10:30, 20:30] = True
    found = example.segmentation(model, IMAGES, 2, region, "classifier.cbr")

    def scalar(image: Tensor, _row: int) -> Tensor:
        return model(image)["out"][0, 2][region].mean()

    close(found, gradcam(model, "classifier.cbr", scalar))


class Detector(nn.Module):
    """One box a place, as single-shot detectors: logits (batch, boxes, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 64, 100 * 4), nn.Unflatten(1, (100, 4)))

    def forward(self, images: Tensor) -> Any:
        return transformers.modeling_outputs.ImageClassifierOutput(logits=self.head(self.trunk(images)))


def test_a_detection(example: ModuleType) -> None:
    model = seeded(Detector)

    def scalar(image: Tensor, _row: int) -> Tensor:
        return model(image).logits[0, 7, 1]

    close(example.detection(model, IMAGES, 7, 1), gradcam(model, "trunk", scalar))


def test_tokens_after_the_patches_are_refused(example: ModuleType) -> None:
    """YOLOS puts its detection tokens at the end: as many tokens before the patches would be another grid."""
    config = transformers.YolosConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=[32, 32],
        patch_size=8, num_detection_tokens=5, num_labels=3, initializer_range=0.3,
    )  # fmt: skip
    model = seeded(lambda: transformers.YolosForObjectDetection(config))
    with pytest.raises(ModelError, match="order of the tokens"):
        example.detection(model, IMAGES, 2, 1)


def test_the_next_word_of_a_caption(example: ModuleType) -> None:
    encoder = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        initializer_range=0.3,
    )  # fmt: skip
    decoder = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1,
        initializer_range=0.3, add_cross_attention=True, is_decoder=True,
    )  # fmt: skip
    both = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    model = seeded(lambda: transformers.VisionEncoderDecoderModel(both))
    words = torch.tensor([[0, 7, 9], [0, 3, 4]])
    found = example.caption_word(model, IMAGES, words, 11)

    def scalar(image: Tensor, row: int) -> Tensor:
        return model(image, decoder_input_ids=words[row : row + 1]).logits[0, -1, 11]

    # the decoder reads every token of the encoder: the last norm's places decide
    close(found, gradcam(model, "encoder.layernorm", scalar, (1, 4, 4)))


def test_a_word_of_an_answer(example: ModuleType) -> None:
    text = {
        "vocab_size": 60, "hidden_size": 24, "encoder_hidden_size": 24, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.3, "bos_token_id": 1, "sep_token_id": 2,
    }  # fmt: skip
    vision = {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
        "patch_size": 8, "initializer_range": 0.3,
    }  # fmt: skip
    config = transformers.BlipConfig(text_config=text, vision_config=vision, projection_dim=24)
    blip = seeded(lambda: transformers.BlipForQuestionAnswering(config))
    question, answer = torch.tensor([[5, 6, 7], [8, 9, 10]]), torch.tensor([[1, 12], [1, 13]])
    found = example.answer_word(blip, IMAGES, question, answer, 20)
    whole = example.Answering(blip)

    def scalar(image: Tensor, row: int) -> Tensor:
        return whole(image, question[row : row + 1], answer[row : row + 1])[0, 20]

    close(found, gradcam(whole, "blip.vision_model", scalar, (1, 4, 4)))


def test_the_likeness_of_two_images(example: ModuleType) -> None:
    model = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    found = example.similarity(model, IMAGES, IMAGES.flip(0))

    def scalar(image: Tensor, row: int) -> Tensor:
        reference = model(IMAGES.flip(0)[row : row + 1]).detach()
        return nn.functional.cosine_similarity(model(image), reference)

    close(found, gradcam(model, "1", scalar))


def test_a_neuron_responds_to_its_receptive_field_alone(example: ModuleType) -> None:
    model = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.ReLU(),
            nn.Conv2d(6, 4, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
    )
    found = example.neuron(model, IMAGES, "3", 2, (10, 12))[:, 0]
    field = torch.zeros(32, 32, dtype=torch.bool)
    field[10:15, 12:17] = True
    assert found[:, field].any()
    assert not found[:, ~field].any()
