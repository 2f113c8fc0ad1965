"""Numbers and names as the report says them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from camaudit.statistics import MINIMUM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from camaudit.types import Effect

NARROW = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


class Metric(NamedTuple):
    """How a metric is said.

    Attributes:
        name: in plain words, to stand in a sentence.
        unit: behind the number.
        scale: what the number is multiplied by.
        decimals: at the least.
        signed: whether a positive number gets its sign.
    """

    name: str
    unit: str
    scale: float
    decimals: int
    signed: bool


METRICS: Mapping[str, Metric] = {
    "mass": Metric("share of the evidence", f"{NARROW}%", 100, 0, signed=False),
    "area": Metric("share of the area", f"{NARROW}%", 100, 0, signed=False),
    "excess": Metric("evidence beyond its share of the area", " points", 100, 0, signed=True),
    "lift": Metric("evidence as a multiple of the area (log2)", "", 1, 2, signed=True),
    "pointing": Metric("maximum on the region or near it", f"{NARROW}%", 100, 0, signed=False),
    "pointing_centre": Metric(
        "centre of the picture on the region or near it", f"{NARROW}%", 100, 0, signed=False
    ),
    "shift": Metric("shift of the margin beyond control edits", " SD", 1, 2, signed=True),
    "shift_region": Metric("shift of the margin when the region is edited", " SD", 1, 2, signed=True),
    "shift_control": Metric("shift of the margin under control edits", " SD", 1, 2, signed=True),
    "response": Metric("size of the shift beyond control edits, up or down", " SD", 1, 2, signed=True),
    "flip_control": Metric("predictions that flip under control edits", f"{NARROW}%", 100, 0, signed=False),
    "flip": Metric("predictions that flip", f"{NARROW}%", 100, 0, signed=False),
    "rate": Metric("accuracy", f"{NARROW}%", 100, 0, signed=False),
    "accuracy": Metric("difference of the accuracy", " points", 100, 0, signed=True),
    "accuracy_lost": Metric("accuracy lost when it is edited away", " points", 100, 0, signed=True),
    "accuracy_change": Metric("change of the accuracy", " points", 100, 0, signed=True),
    "accuracy_gap": Metric("gap between the accuracies", " points", 100, 0, signed=False),
    "contrast": Metric("difference of the margin within labels", " SD", 1, 2, signed=True),
    "margin": Metric("difference of the margin", " SD", 1, 2, signed=True),
    "cramers_v": Metric("association of group and label (Cramér’s V)", "", 1, 2, signed=False),
    "exchange": Metric("shift of the margin with such donors", " SD", 1, 2, signed=True),
    "exchange_spread": Metric("spread of the margin over donors", " SD", 1, 2, signed=False),
    "transplant": Metric("shift of the margin where it is put in", " SD", 1, 2, signed=True),
    "recast": Metric("shift of the margin when images are made to look so", " SD", 1, 2, signed=True),
    "gain": Metric("area under the curve, against what is no map", "", 1, 2, signed=True),
    "zero_mass": Metric("maps without any evidence", f"{NARROW}%", 100, 0, signed=False),
    "correlation": Metric("rank correlation with the map itself", "", 1, 2, signed=False),
}


def metric(name: str) -> Metric:
    """How a metric is said; one that is not known is called by its id."""
    return METRICS.get(name, Metric(name.replace("_", " "), "", 1, 2, signed=True))


def named(name: str) -> str:
    """A metric's name and unit, as a table's title has them."""
    said = metric(name)
    unit = said.unit.strip(f" {NARROW}")
    return f"{said.name[0].upper()}{said.name[1:]}{', in ' + unit if unit else ''}"


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """A plain number with a real minus sign, or a dash where there is none."""
    if not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):,.{decimals}f}"
    if not text.strip("0.,"):
        return "0"
    sign = MINUS if value < 0 else "+" if signed else ""
    return sign + text


def amount(name: str, value: float, *, decimals: int | None = None) -> str:
    """A metric's value with its unit."""
    said = metric(name)
    if not math.isfinite(value):
        return NOTHING
    text = number(value * said.scale, said.decimals if decimals is None else decimals, signed=said.signed)
    unit = " point" if said.unit == " points" and text.strip(f"+{MINUS}") == "1" else said.unit
    return text + unit


def estimate(effect: Effect, *, decimals: int | None = None) -> str:
    """An effect's mean with its unit, in as many decimals as its interval bears where none are given."""
    return amount(effect.name, effect.estimate, decimals=_decimals(effect) if decimals is None else decimals)


def interval(effect: Effect, *, decimals: int | None = None) -> str:
    """An effect's interval, without unit: it stands behind the estimate."""
    if not (math.isfinite(effect.low) and math.isfinite(effect.high)):
        return ""
    said = metric(effect.name)
    decimals = _decimals(effect) if decimals is None else decimals
    ends = (number(end * said.scale, decimals, signed=said.signed) for end in (effect.low, effect.high))
    return " to ".join(ends)


def undefined(effect: Effect) -> str:
    """Why an effect has no interval; empty where it has one."""
    if math.isfinite(effect.low) and math.isfinite(effect.high) and math.isfinite(effect.estimate):
        return ""
    if effect.n == 0:
        return "no image in which it is defined"
    if effect.n < MINIMUM:
        return f"too few images for an interval, at least {MINIMUM} are needed"
    return "too few independent images for an interval, or no variation between them"


def share(value: float) -> str:
    """A share in percent."""
    if not math.isfinite(value):
        return NOTHING
    percent = 100 * value
    if 0 < percent < 1:
        return f"{percent:.1f}{NARROW}%" if percent >= 0.05 else f"under 0.1{NARROW}%"
    return f"{percent:.0f}{NARROW}%"


def unbroken(sentence: str) -> str:
    """A sentence in which no line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=%|SD\b)", NARROW, sentence)


def rate(value: float) -> str:
    """A share in percent with one decimal, for accuracies."""
    return NOTHING if not math.isfinite(value) else f"{100 * value:.1f}{NARROW}%"


def lift(value: float) -> str:
    """A lift, which is stored as a logarithm to base 2, as a factor."""
    return NOTHING if not math.isfinite(value) else f"×{NARROW}{2**value:.1f}"


def count(value: float) -> str:
    """A whole number with separators."""
    return f"{int(value):,}"


def adjusted(value: float) -> str:
    """A p-value after correction for multiplicity; empty where nothing was tested."""
    if not math.isfinite(value):
        return ""
    return "q < 0.001" if value < 0.001 else f"q = {value:.3f}" if value < 0.1 else f"q = {value:.2f}"


def scope(target_class: str, target: str) -> str:
    """The images that an output target's class stands for, as the beginning of a sentence."""
    if target == "predicted":
        return f"Where the model says {target_class}"
    return f"In images of {target_class}" if target == "label" else f"For the score of {target_class}"


def region(name: str | None) -> str:
    """A region's name; a union's parts are joined by words."""
    return "" if name is None else listing(name.split("+"))


def made_by(provider: str | None) -> str:
    """What stands behind the role of a region that nobody annotated."""
    return "" if provider is None else f", made by {listing(provider.split('+'))}"


def listing(names: Iterable[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    *rest, last = list(names) or [""]
    return f"{', '.join(rest)} and {last}" if rest else last


def plural(number_of: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{number_of:,} {one if number_of == 1 else many or one + 's'}"


def _decimals(effect: Effect) -> int:
    """As many decimals as the interval's width bears."""
    said = metric(effect.name)
    width = (effect.high - effect.low) * said.scale
    return said.decimals + 1 if said.scale == 100 and math.isfinite(width) and width < 5 else said.decimals
