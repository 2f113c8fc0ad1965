"""What no heatmap shows: how images look as a whole, from the least to the most, and how each side is classified."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camaudit.findings.looks import LOOKS, phrase
from camaudit.report import plots, words
from camaudit.statistics.rates import rate, wilson
from camaudit.statistics.splits import split
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from markupsafe import Markup
    from numpy.typing import NDArray

    from camaudit.report.album import Album
    from camaudit.types import AuditedRun

UNSEEN = ("CAM301", "CAM302", "CAM303")
"""Codes of findings about what has no place in the image, or none that anybody annotated."""
STRIP = 5
"""Pictures of a strip, from the least to the most."""


class Side(NamedTuple):
    """One side of a look's cut, and the accuracy there."""

    name: str
    accuracy: str
    interval: str
    n: int


class Look(NamedTuple):
    """One look of the whole image: pictures from the least to the most, and both sides' accuracy."""

    name: str
    low: str
    high: str
    strip: tuple[Markup, ...]
    sides: tuple[Side, ...]
    plot: Markup | None


class Looks(NamedTuple):
    """The looks that vary, and the names of those that do not."""

    rows: tuple[Look, ...]
    constant: str
    axis: Markup


def looks(run: AuditedRun, album: Album) -> Looks | None:
    """Every look that was measured and varies; None where none was measured."""
    names = [name for name in LOOKS if f"look_{name}" in run.samples]
    if not names:
        return None
    scale = plots.percent_axis("rate")
    found = {name: _look(run, album, name, scale) for name in names}
    constant = words.listing(phrase(name)[2] for name, look in found.items() if look is None)
    return Looks(tuple(look for look in found.values() if look), constant, plots.axis_labels(scale))


def _look(run: AuditedRun, album: Album, name: str, scale: plots.Axis) -> Look | None:
    samples = run.samples
    values = samples[f"look_{name}"].to_numpy(dtype=np.float64)
    cut = split(values)
    if math.isnan(cut.at):
        return None
    low, high, noun = phrase(name)
    strip = tuple(album.thumbnail(run, sample) for sample in _spread(samples["sample"], values))
    parts = [
        _side(samples[chosen], said) for chosen, said in ((values <= cut.at, low), (values > cut.at, high))
    ]
    known = [effect for _, effect in parts if math.isfinite(effect.estimate)]
    plot = None
    if known:
        points = [
            plots.Point(e.estimate, e.low, e.high, mark)
            for (_, e), mark in zip(parts, ("", "second"), strict=True)
        ]
        spoken = "; ".join(f"{side.name}: accuracy {side.accuracy}, {side.interval}" for side, _ in parts)
        plot = plots.interval_plot(scale, points, spoken)
    return Look(noun, low, high, strip, tuple(side for side, _ in parts) if known else (), plot)


def _spread(samples: pd.Series, values: NDArray[np.float64]) -> Sequence[str]:
    """Samples at even steps from the least to the most."""
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    places = np.unique(np.linspace(0, len(order) - 1, STRIP).round().astype(int))
    return [str(samples.iloc[order[place]]) for place in places]


def _side(table: pd.DataFrame, name: str) -> tuple[Side, Effect]:
    judged = table[table["label"].notna() & table["correct"].notna()]
    if judged.empty:
        nothing = Effect("rate", math.nan, math.nan, math.nan, math.nan, math.nan, 0)
        return Side(name, words.rate(math.nan), "", 0), nothing
    subjects = judged["subject"]
    known = subjects.astype(object).to_numpy() if subjects.notna().all() else None
    found = rate(judged["correct"].to_numpy(dtype=bool), known)
    effect = Effect("rate", found.share, *wilson(found), math.nan, math.nan, found.n)
    return Side(name, words.rate(effect.estimate), words.interval(effect, decimals=0), found.n), effect
