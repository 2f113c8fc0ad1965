"""Whether attribution maps depend on what a network has learnt: weights are re-initialised, and maps held against each other.

``python -m benchmarks.randomisation [--images N] [--photographs FOLDER] [--json FILE] [--quick]``

Adebayo et al. 2018 (arXiv:1810.03292) re-initialise a trained network from its head down, or one layer at a time, and hold
the maps against the trained network's by Spearman's rank correlation and SSIM. Here: EfficientNet-Lite0 with its ImageNet
weights; a stage (the head, the last convolution, seven stages of blocks, the stem) gets the values, batch norm's statistics
included, of the same architecture as it is initialised; the class is the one that the trained network predicts.

The rule, in `camaudit.measure.trust.rule`, was fixed before anything was measured. All figures here are medians over
images, with 95 % bootstrap intervals, of the rank correlation with the trained network's map on the map's own grid:

- *noise*: the map of the image with Gaussian noise, 2 % of its range, from the same network. Nothing that matters has
  changed: this is what a map keeps by itself. A method that draws at random draws anew for every map.
- *head*: after the head alone is re-initialised, so that no class means anything any more.
- *all*: from the wholly random network.

A method **fails** where the interval of *head* lies above 0.9: its maps do not know what the classes are. It **passes** where
the intervals of both *head* and *all* lie below half of the lower end of *noise*. Everything between is **open**. The
same two bounds on *other class* (a class drawn at random, the same network) say whether maps tell classes apart.

Why not the cascade's curve alone: top-down randomisation leaves much of a forward pass as it was, so that methods which
multiply by activations or inputs look insensitive to it (Binder et al. 2023, arXiv:2211.12486); the verdict depends on
order, scaling and similarity (Hedström et al. 2024, arXiv:2401.06465); and where the image itself tells what can be
evidence, maps of different networks are alike rightly (Yona and Greenfeld 2021, arXiv:2110.14297). Hence a ceiling instead of
1, the head alone first, raw maps ranked and not rescaled, and *twins*: how alike the maps of two random networks are, which
is what image and architecture alone make. A pass says that maps depend on the weights, not that they are right.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import bootstrap
from skimage.metrics import structural_similarity
from timm import create_model

from camaudit.demo.train import ARCHITECTURE, load_imagenet, pixels
from camaudit.explain import explain
from camaudit.explain.noise import noisy
from camaudit.explain.targets import Classes, Probability
from camaudit.explain.upsampling import upsample
from camaudit.measure.trust import NOISE as SIGMA
from camaudit.measure.trust import randomisation, rank_correlations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

SCENES = Path(__file__).parents[1] / "camaudit" / "demo" / "assets" / "scenes"
STAGES = (
    ("classifier",),
    ("conv_head", "bn2"),
    *((f"blocks.{place}",) for place in range(6, -1, -1)),
    ("conv_stem", "bn1"),
)
"""Of EfficientNet-Lite0, from the head down."""
NOISE, OTHER, TWINS = "noise", "other class", "twins"
HEAD, HALF, ALL = "cascade 1", "cascade 5", f"cascade {len(STAGES)}"
CASCADE = tuple(f"cascade {depth}" for depth in range(1, len(STAGES) + 1))
ALONE = tuple(f"alone {depth}" for depth in range(2, len(STAGES) + 1))  # the first is the cascade's first
BATCH = 4


@dataclass(frozen=True)
class Group:
    """Methods that are measured alike.

    Attributes:
        methods: ids.
        share: of the images.
        changes: to the weights.
        options: of the methods; what makes them cheaper.
        layer: the target layer.
        probability: whether the score is a probability.
        against: explained is the class drawn at random: against the predicted one nothing speaks.
    """

    methods: tuple[str, ...]
    share: float
    changes: tuple[str, ...]
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    layer: str = "auto"
    probability: bool = False
    against: bool = False

    @property
    def drawn(self) -> tuple[str, ...]:
        """The methods that draw at random."""
        return tuple(name for name in self.methods if name in {"rise", "smoothgrad", "smooth_gradcampp"})


GROUPS = {
    "layer": Group(
        (
            *("cam", "gradcam", "gradcampp", "xgradcam", "hirescam", "layercam"),
            *("eigencam", "eigen_gradcam", "finercam", "ablationcam"),
        ),
        1,
        (*CASCADE, *ALONE),
    ),
    "against": Group(("counterfactual_gradcam",), 1, (*CASCADE, *ALONE), against=True),
    "input": Group(
        ("gradient", "guided_backprop", "deconvnet", "guided_gradcam", "fullgrad"), 0.3, (*CASCADE, *ALONE)
    ),
    "copies": Group(
        ("smoothgrad", "integrated_gradients", "smooth_gradcampp"),
        0.4,
        (HEAD, HALF, ALL),
        {
            "smoothgrad": {"samples": 10},
            "integrated_gradients": {"steps": 10},
            "smooth_gradcampp": {"samples": 10},
        },
    ),
    # a layer of 320 channels in place of 1,280
    "scorecam": Group(("scorecam",), 0.2, (HEAD, ALL), layer="blocks.6"),
    "rise": Group(("rise",), 0.1, (HEAD, ALL), {"rise": {"masks": 200}}, probability=True),
}


def randomised(trained: nn.Module, stages: Sequence[int], seed: int) -> nn.Module:
    """A copy of EfficientNet-Lite0 of which some of `STAGES` are as the architecture is initialised."""
    fresh = _untrained(seed)
    changed = copy.deepcopy(trained)
    for stage in stages:
        for name in STAGES[stage]:
            changed.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
    return changed.eval()


@lru_cache(maxsize=2)
def _untrained(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: nn.Module = create_model(ARCHITECTURE, pretrained=False)
    return fresh


def stages_of(change: str) -> list[int]:
    """What ``cascade 3`` (the three stages from the head down) or ``alone 3`` (the third) re-initialises."""
    kind, depth = change.split()
    return list(range(int(depth))) if kind == "cascade" else [int(depth) - 1]


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's, of two maps (h, w); 0 where one is constant and has no order to share, NaN where both are."""
    return float(rank_correlations(one[None], other[None])[0])


def similarity(one: Tensor, other: Tensor) -> float:
    """SSIM of two maps (h, w), each divided by its maximum, at the size of the image; 7x7 windows."""
    drawn = []
    for of in (one, other):
        image = upsample(of[None, None].float(), (224, 224))[0, 0]
        drawn.append((image / image.max().clamp(min=torch.finfo(image.dtype).tiny)).numpy())
    return float(structural_similarity(*drawn, data_range=1.0))


def maps_of(
    model: nn.Module, images: Tensor, group: Group, classes: Sequence[Tensor], seed: int
) -> dict[str, Tensor]:
    """Raw maps by method, (batch, targets, h, w)."""
    targets: list[Any] = [Classes(of) for of in classes]
    if group.probability:
        targets = [Probability(of) for of in targets]
    options = {name: dict(of) for name, of in group.options.items()}
    for name in group.drawn:
        options.setdefault(name, {})["seed"] = seed
    found = explain(model, images, methods=group.methods, targets=targets, layer=group.layer, options=options)
    return {name: found[name] for name in group.methods}


def compared(
    trained: nn.Module, images: Tensor, group: Group, changes: Sequence[str], seed: int
) -> Iterator[tuple[int, str, str, float, float]]:
    """Of each image, method and condition the rank correlation and, at the ends of the cascade, SSIM."""
    with torch.inference_mode():
        own = trained(images).argmax(1)
    shift = torch.randint(1, 1000, own.shape, generator=torch.Generator().manual_seed(seed))
    other = (own + shift) % 1000
    if group.against:
        own, other = other, own
    before = maps_of(trained, images, group, [own, other], 0)
    original = {name: maps[:, 0] for name, maps in before.items()}

    def held(
        condition: str, left: Mapping[str, Tensor], right: Mapping[str, Tensor]
    ) -> Iterator[tuple[int, str, str, float, float]]:
        for name, maps in left.items():
            for place, pair in enumerate(zip(maps, right[name], strict=True)):
                alike = similarity(*pair) if condition in {HEAD, ALL} else float("nan")
                yield place, name, condition, rank_correlation(*pair), alike

    def under(model: nn.Module, pictures: Tensor = images, draw: int = 1) -> dict[str, Tensor]:
        return {name: of[:, 0] for name, of in maps_of(model, pictures, group, [own], draw).items()}

    yield from held(OTHER, original, {name: maps[:, 1] for name, maps in before.items()})
    (copy_of,) = noisy(images, 1, SIGMA, seed)
    yield from held(NOISE, original, under(trained, copy_of))
    for change in changes:
        maps = under(randomised(trained, stages_of(change), seed))
        yield from held(change, original, maps)
        if change == ALL and HALF in changes:
            twin = under(randomised(trained, stages_of(change), seed + 10_000), draw=2)
            yield from held(TWINS, maps, twin)


@dataclass(frozen=True)
class Interval:
    """A median over images and its 95 % interval."""

    median: float
    low: float
    high: float
    images: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def interval(values: Sequence[float]) -> Interval:
    """Of the median, by a percentile bootstrap over the images of which there is a number."""
    known = np.asarray([value for value in values if not np.isnan(value)])
    if not known.size:
        return Interval(*(float("nan"),) * 3, 0)
    middle = float(np.median(known))
    if known.min() == known.max():
        return Interval(middle, middle, middle, len(known))
    found = bootstrap(
        (known,), np.median, n_resamples=2000, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = found.confidence_interval
    return Interval(middle, float(low), float(high), len(known))


def decided(noise: Interval, first: Interval, *further: Interval) -> str:
    """What the rule makes of them, the first of which can fail; see the module's docstring."""
    return randomisation(noise, first, further)


def by_condition(rows: Sequence[Sequence[Any]], metric: int = 3) -> dict[str, dict[str, Interval]]:
    """Intervals by method and condition of `metric`, the place of a row's number: 3 rank correlation, 4 SSIM."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        values.setdefault(row[1], {}).setdefault(row[2], []).append(row[metric])
    return {
        name: {condition: interval(of) for condition, of in found.items()} for name, found in values.items()
    }


def table(rows: Sequence[Sequence[Any]]) -> str:
    """The ends of the scale and the outcome, a row a method, as Markdown."""
    ranks, alike = by_condition(rows), by_condition(rows, 4)
    shown = {
        "noise": NOISE,
        "head": HEAD,
        "half": HALF,
        "all": ALL,
        "twins": TWINS,
        "other class": OTHER,
    }
    lines = [
        f"| method | n | {' | '.join(shown)} | SSIM head | SSIM all | randomisation | by class |",
        "| --- |" + " --- |" * (len(shown) + 5),
    ]
    for name, found in sorted(ranks.items(), key=lambda of: -of[1][HEAD].median):
        outcome = decided(found[NOISE], found[HEAD], found[ALL])
        by_class = {"passes": "yes", "fails": "no", "open": "open"}[decided(found[NOISE], found[OTHER])]
        cells = [str(found.get(of, "–")) for of in shown.values()]
        cells += [f"{alike[name][of].median:.2f}" for of in (HEAD, ALL)]
        lines.append(f"| {name} | {found[HEAD].images} | {' | '.join(cells)} | {outcome} | {by_class} |")
    return "\n".join(lines)


def curves(rows: Sequence[Sequence[Any]]) -> str:
    """Medians of the cascade and of each stage alone, a row a method, as Markdown."""
    names = [stage[0] for stage in STAGES]
    parts = []
    for title, changes in (("down to", CASCADE), ("alone", (HEAD, *ALONE))):
        lines = [f"| {title} | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
        for name, found in sorted(by_condition(rows).items()):
            if all(change in found for change in changes):
                lines.append(
                    f"| {name} | {' | '.join(f'{found[change].median:.2f}' for change in changes)} |"
                )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def photographs(folder: Path | None, most: int) -> list[Path]:
    """Scenes of the demo and the folder's ``imagenet_*.jpg``, in turn, so that every beginning has some of both."""
    lists = [sorted(SCENES.glob("*.jpg"))]
    if folder is not None:
        lists.append(sorted(folder.glob("imagenet_*.jpg")))
    longest = max(len(of) for of in lists)
    return [of[place] for place in range(longest) for of in lists if place < len(of)][:most]


def measured(
    paths: Sequence[Path], groups: Sequence[str], kept: Path | None, *, quick: bool
) -> list[list[Any]]:
    """Rows of image, method, condition, rank correlation, SSIM; what the file has is not measured again."""
    trained = load_imagenet()
    rows: list[list[Any]] = json.loads(kept.read_text()) if kept is not None and kept.exists() else []
    for title in groups:
        group = GROUPS[title]
        count = max(1, round(len(paths) * group.share))
        done = {row[0] for row in rows if row[1] == group.methods[-1]}
        left = [path for path in paths[:count] if path.name not in done]
        for start in range(0, len(left), BATCH):
            batch = left[start : start + BATCH]
            changes = (HEAD, HALF, ALL) if quick else group.changes
            images = torch.stack([pixels(path) for path in batch])
            seed = paths.index(batch[0])  # its own random networks for every batch
            rows += [
                [batch[place].name, *rest] for place, *rest in compared(trained, images, group, changes, seed)
            ]
            if kept is not None:
                kept.write_text(json.dumps(rows))
            print(f"{title}: {len(done) + start + len(batch)} of {count}", file=sys.stderr, flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.randomisation")
    parser.add_argument("--images", type=int, default=40, help="at most; some methods see a share of them")
    parser.add_argument(
        "--photographs", type=Path, help="a folder with imagenet_*.jpg, such as foolbox/data of foolbox 3.3.4"
    )
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument(
        "--json", type=Path, help="rows, kept batch by batch; a second call goes on from them"
    )
    parser.add_argument("--quick", action="store_true", help="two images, few changes, the cheap methods")
    chosen = parser.parse_args(arguments)
    paths = photographs(chosen.photographs, 2 if chosen.quick else chosen.images)
    groups = ["layer"] if chosen.quick else chosen.groups
    rows = measured(paths, groups, chosen.json, quick=chosen.quick)
    print(table(rows), "" if chosen.quick else curves(rows), sep="\n\n")


if __name__ == "__main__":
    main()
