"""The pictures of ``docs/validity.md``: dose and response, rates by strength, by number of images and by masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np

from benchmarks.planted.grid import STRENGTHS
from benchmarks.planted.rates import proportion
from benchmarks.planted.shortcuts import GLOBAL, LOCAL
from benchmarks.planted.truth import BIASED, CLEAN

mpl.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

COLOURS: Final = {
    "background": "#3b7dd8",
    "watermark": "#8c8c8c",
    "patch": "#c2378f",
    "object": "#e08a1e",
    "frame": "#9c7a3c",
    "head": "#3c9c6e",
}
_MARKERS: Final = {"frozen": "o", "tuned": "s", "cnn": "^", "vit": "D"}


def dose_and_response(models: pd.DataFrame, path: Path) -> None:
    """What the edits say against what the twins say; one point a model."""
    figure, axes = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
    told = models[models["shortcut"].isin(LOCAL)].dropna(subset=["estimate"])
    axes.axvspan(-CLEAN, CLEAN, color="#000000", alpha=0.06, lw=0)
    for edge in (-BIASED, BIASED):
        axes.axvline(edge, color="#000000", alpha=0.25, lw=0.8, ls=":")
    ends = [min(told["effect"].min(), told["estimate"].min()) - 0.1, max(told["effect"].max(), 1.0) + 0.1]
    axes.plot(ends, ends, color="#000000", alpha=0.3, lw=0.8)
    for (shortcut, family), group in told.groupby(["shortcut", "family"]):
        shown = {"color": COLOURS[str(shortcut)], "marker": _MARKERS[str(family)], "s": 24, "alpha": 0.8}
        axes.scatter(group["effect"], group["estimate"], **shown)
    for shortcut in told["shortcut"].unique():
        axes.scatter([], [], color=COLOURS[shortcut], label=shortcut)
    for family in told["family"].unique():
        axes.scatter([], [], color="#555555", marker=_MARKERS[family], label=family)
    axes.set_xlabel("what the twins say: shift of the margin, SD")
    axes.set_ylabel("what the audit's edits say, SD")
    axes.legend(fontsize=8, frameon=False)
    _save(figure, path)


def by_strength(models: pd.DataFrame, path: Path) -> None:
    """How often each verdict is given, by how strongly a shortcut was planted."""
    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
    plain = models[models["along"] == 50]
    _rates(both[0], plain[plain["shortcut"].isin(LOCAL)], "used", "a local shortcut is called used")
    _rates(
        both[1], plain[plain["shortcut"].isin(GLOBAL)], "invisible", "a global one: not visible to a heatmap"
    )
    for axes in both:
        axes.set_xlabel("images that go along with the shortcut, %")
        axes.legend(fontsize=8, frameon=False)
    both[0].set_ylabel("share of the models")
    _save(figure, path)


def _rates(axes: Axes, models: pd.DataFrame, said: str, title: str) -> None:
    for family, group in models.groupby("family"):
        found = [proportion(group.loc[group["strength"] == strength, said]) for strength in STRENGTHS]
        there = [(s, rate) for s, rate in zip(STRENGTHS, found, strict=True) if rate.n]
        axes.plot(
            [s for s, _ in there], [r.estimate for _, r in there], marker=_MARKERS[str(family)], label=family
        )
    everything = [proportion(models.loc[models["strength"] == strength, said]) for strength in STRENGTHS]
    there = [(s, rate) for s, rate in zip(STRENGTHS, everything, strict=True) if rate.n]
    axes.fill_between(
        [s for s, _ in there],
        [r.low for _, r in there],
        [r.high for _, r in there],
        color="#000000",
        alpha=0.08,
        lw=0,
        label="all, 95 %",
    )
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(title, fontsize=10)


def severities(models: pd.DataFrame, path: Path) -> None:
    """What the maps, and what the edits, give clean and biased models."""
    figure, both = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    told = models[models["shortcut"].isin(LOCAL)]
    chance = np.random.default_rng(0)
    columns = (("attention", "share of the map in the mask (mean)"), ("estimate", "shift by the edits, SD"))
    for axes, (column, label) in zip(both, columns, strict=True):
        for row, kind in enumerate(("clean", "between", "biased")):
            values = told.loc[told["kind"] == kind, column].dropna().abs()
            colours = [COLOURS[name] for name in told.loc[values.index, "shortcut"]]
            axes.scatter(values, row + chance.uniform(-0.3, 0.3, len(values)), c=colours, s=14, alpha=0.8)
        axes.set_yticks(range(3), ["clean", "between", "biased"])
        axes.set_xlabel(label)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
