"""Explain one image: where is the evidence for each class?

python examples/explain_image.py demo/models/biased.safetensors demo/data/images/test-doctor-man-0000.jpg out.png

Writes the image beside the overlays for doctor and for nurse.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image

import camaudit as ca
from camaudit.data import Frame, open_image
from camaudit.report.drawing import overlay

CLASSES = ["doctor", "nurse"]


def main(weights: str, path: str, out: str) -> None:
    recipe = ca.Preprocessing(resize=224, crop=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    model = ca.load_model("tf_efficientnet_lite0", weights=weights, classes=CLASSES, preprocessing=recipe)

    image = open_image(path)
    picture = Frame.of((image.height, image.width), recipe).image(image)  # as the model sees it
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    inputs = (pixels - torch.tensor(recipe.mean)[:, None, None]) / torch.tensor(recipe.std)[:, None, None]

    maps = ca.explain(model.module, inputs, methods=["gradcam"], targets=[0, 1], layer=model.target_layer)
    drawn = [np.asarray(overlay(picture, values)) for values in maps["gradcam"][0].numpy()]
    Image.fromarray(np.concatenate([picture, *drawn], axis=1)).save(out)
    scores = ", ".join(
        f"{name} {score:.2f}" for name, score in zip(CLASSES, maps.logits[0].tolist(), strict=True)
    )
    print(f"scores before softmax: {scores}; layer {maps.layer}; {out}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
