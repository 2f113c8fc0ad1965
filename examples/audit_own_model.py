"""Audit a model of your own, on a table of your own.

python examples/audit_own_model.py demo

The argument is the folder that ``make demo`` wrote; its table and weights stand in for yours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
from safetensors.torch import load_file

import camaudit as ca


def main(folder: Path) -> None:
    net = timm.create_model("tf_efficientnet_lite0", num_classes=2)  # any torch.nn.Module
    net.load_state_dict(load_file(folder / "models" / "biased.safetensors"))

    data = ca.data.table(
        folder / "data" / "test.csv",
        groups=["gender"],
        subject="person",
        mask="mask",
        legend={1: "tool", 2: "coat", 3: "shirt", 4: "hair", 5: "face"},
        objects=["tool"],
        attributes=["hair", "face"],
    )
    recipe = ca.Preprocessing(resize=224, crop=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    model = ca.load_model(net, classes=["doctor", "nurse"], preprocessing=recipe)

    run = ca.audit(data, model, out=folder / "runs" / "own", methods=["gradcam"])
    print(run.verdict.headline)
    for finding in run.findings[:3]:
        print(f"{finding.code} {finding.status}: {finding.title}")
    print(run.report(folder / "own.html"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
