"""How well providers find planted overlays on photographs, and what they find where there are none.

    python benchmarks/overlays.py [--count 60] [--share 0.3 0.5 1] [--kind tag watermark stamp block clean] [--varied]

Crops of the demo's photographs, in two classes; a share of the first one's images gets an overlay. Images: precision and
recall of "this image has it". Pixels: what is covered of the overlay's box where it is found, and the share of an image that
is region beyond it. ``clean`` has no overlay; ``composed`` are the demo's own images, which have none either.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from camaudit.config.providers import OPTIONS
from camaudit.data import open_image, table
from camaudit.demo.compose import compose
from camaudit.providers import all_providers
from tests.providers.planted import Planted, plant

WORDS = ("repeated_patch", "text_overlay")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--count", type=int, default=60)
    asked.add_argument("--share", type=float, nargs="+", default=[0.3, 0.5, 1.0])
    asked.add_argument(
        "--kind", nargs="+", default=["tag", "watermark", "stamp", "block", "clean", "composed"]
    )
    asked.add_argument("--varied", action="store_true")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    print("provider        overlay    share  precision recall  covered beyond  false images  ms an image")
    for kind in given.kind:
        for share in given.share if kind not in {"clean", "composed"} else [0.0]:
            with tempfile.TemporaryDirectory() as folder:
                planted = made(Path(folder), kind, share, given)
                for word in WORDS:
                    print(f"{word:15} {kind:10} {share:5.1f}  {measured(word, planted)}", flush=True)


def made(folder: Path, kind: str, share: float, given: argparse.Namespace) -> Planted:
    if kind == "composed":
        composed = compose(folder, per_class=8, test_per_cell=max(given.count // 2, 1))
        samples = list(table(composed.test).samples)
        sizes = [open_image(sample.image).size[::-1] for sample in samples]
        return Planted(samples, [np.zeros(size, dtype=bool) for size in sizes])
    overlay = None if kind == "clean" else kind
    return plant(folder, overlay, share, count=given.count, seed=given.seed, varied=given.varied)


def measured(word: str, planted: Planted) -> str:
    make = all_providers()[word].finder
    assert make is not None
    started = time.process_time()
    find = make({"x": OPTIONS[word]()}, planted.samples, torch.device("cpu"))
    found = [find(open_image(sample.image))["x"].mask for sample in planted.samples]
    spent = time.process_time() - started
    pairs = list(zip(found, planted.truth, strict=True))
    hits = [(mask & truth).sum() / truth.sum() for mask, truth in pairs if (mask & truth).any()]
    there, said = (sum(bool(mask.any()) for mask in masks) for masks in (planted.truth, found))
    false = sum(bool(mask.any()) and not truth.any() for mask, truth in pairs)
    beyond = np.mean([(mask & ~truth).mean() for mask, truth in pairs])
    precision = f"{len(hits) / said:9.2f}" if said else "        –"
    recall = f"{len(hits) / there:6.2f}" if there else "     –"
    covered = f"{np.mean(hits):8.2f}" if hits else "       –"
    return f"{precision} {recall} {covered} {beyond:7.4f} {false:6} / {len(pairs) - there:<4} {1000 * spent / len(pairs):9.1f}"


if __name__ == "__main__":
    main()
