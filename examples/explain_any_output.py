"""Beyond classification: a map for any scalar of what a model returns.

A target is a function of the model's output that gives one number an image, and everything else stays as it is. Each
function below is one case; copy the one you need. They run, on small models, in tests/explain/test_explain_examples.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import camaudit as ca

if TYPE_CHECKING:
    from collections.abc import Sequence


def segmentation(model: nn.Module, images: Tensor, label: int, region: Tensor, layer: str) -> Tensor:
    """Why does the model call this region so? `region`: boolean, (height, width); output as torchvision's, a dict.

    The last layer with a place is the answer itself here, so name an earlier one, such as the backbone's last.
    """

    def score(output: dict[str, Tensor]) -> Tensor:
        return output["out"][:, label][:, region].mean(1)

    return ca.explain(model, images, targets=score, layer=layer)["gradcam"]


def detection(model: nn.Module, images: Tensor, box: int, label: int) -> Tensor:
    """Why this box, and why of this class? Output as of transformers' detectors: logits (batch, boxes, classes)."""

    def score(output: Any) -> Tensor:
        return output.logits[:, box, label]

    return ca.explain(model, images, targets=score)["gradcam"]


def caption_word(model: nn.Module, images: Tensor, words: Tensor, word: int) -> Tensor:
    """Why does the caption go on with this word? `words`: tokens so far, (batch, length), of an encoder-decoder."""

    def score(output: Any) -> Tensor:
        return output.logits[:, -1, word]

    return ca.explain(model, images, targets=score, context={"decoder_input_ids": words})["gradcam"]


class Answering(nn.Module):
    """A BLIP model that answers questions, as one call: image, question and the answer so far to the next word."""

    def __init__(self, blip: Any) -> None:
        super().__init__()
        self.blip = blip

    def forward(self, images: Tensor, question: Tensor, answer: Tensor) -> Tensor:
        """Scores of the next word, (batch, vocabulary)."""
        seen = self.blip.vision_model(images)[0]
        asked = self.blip.text_encoder(input_ids=question, encoder_hidden_states=seen)[0]
        scores: Tensor = self.blip.text_decoder(input_ids=answer, encoder_hidden_states=asked).logits[:, -1]
        return scores


def answer_word(blip: Any, images: Tensor, question: Tensor, answer: Tensor, word: int) -> Tensor:
    """Why this word of the answer? All tokens (batch, length)."""
    asked = {"question": question, "answer": answer}
    return ca.explain(Answering(blip), images, targets=word, context=asked)["gradcam"]


def similarity(model: nn.Module, images: Tensor, reference: Tensor) -> Tensor:
    """What makes these images like the reference? For embeddings of metric learning; both (batch, 3, h, w)."""
    with torch.inference_mode():
        embedding = model(reference)
    return ca.explain(model, images, targets=ca.targets.Similarity(embedding.clone()))["gradcam"]


def neuron(model: nn.Module, images: Tensor, layer: str, channel: int, position: Sequence[int]) -> Tensor:
    """What does one neuron, or (with the position left out) a whole feature map, respond to?"""
    target = ca.targets.Neuron(layer, channel, tuple(position))
    return ca.explain(model, images, methods=["deconvnet"], targets=target)["deconvnet"]
