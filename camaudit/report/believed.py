"""Whether the maps can be believed: every check of every method, its interval beside what noise alone leaves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from camaudit.findings.trust import CORRELATION
from camaudit.report import judgement, plots, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from camaudit.types import AuditedRun, Effect, Finding

TRUST = "CAM201"


class Check(NamedTuple):
    """How a check is said.

    Attributes:
        name: what was done.
        meaning: what it should come to.
        unlike: whether the value should be low.
    """

    name: str
    meaning: str
    unlike: bool


CHECKS: Mapping[str, Check] = {
    "noise": Check("a little noise on the image", "alike: the ceiling of what follows", unlike=False),
    "head": Check("the head re-initialised", "unlike: no class means anything any more", unlike=True),
    "half": Check("the upper half re-initialised", "unlike", unlike=True),
    "all": Check("everything re-initialised", "unlike: the network has never learnt", unlike=True),
    "late": Check("the stage below the head re-initialised alone", "unlike", unlike=True),
    "early": Check("the first stage re-initialised alone", "unlike", unlike=True),
    "other_class": Check("the map of another class", "unlike, to be evidence about one class", unlike=True),
    "agreement": Check("the map of the reference method", "alike", unlike=False),
}
"""Checks whose value is a rank correlation with the map itself, in the order of the page."""


GAINS: Mapping[str, Check] = {
    "deletion_over_random": Check("taken away, against random places", "above 0", unlike=False),
    "insertion_over_random": Check("given back, against random places", "above 0", unlike=False),
    "road_over_random": Check("painted over (ROAD), against random places", "above 0", unlike=False),
    "deletion_over_centre": Check(
        "taken away, against the centre", "above 0, unless objects are there", unlike=False
    ),
    "insertion_over_centre": Check(
        "given back, against the centre", "above 0, unless objects are there", unlike=False
    ),
    "road_over_centre": Check(
        "painted over (ROAD), against the centre", "above 0, unless objects are there", unlike=False
    ),
}
"""Checks of whether the score follows what the map marks, in the order of the page."""


class CheckRow(NamedTuple):
    """One check of one method."""

    name: str
    meaning: str
    plot: Markup | None
    estimate: str
    interval: str
    n: int
    reason: str


class Believed(NamedTuple):
    """One method: what was found, and its checks; of the ones that are no correlation a row each."""

    method: str
    card: judgement.Card
    rows: tuple[CheckRow, ...]
    axis: Markup
    gains: tuple[CheckRow, ...]
    gain_axis: Markup
    others: tuple[judgement.Row, ...]


def believed(run: AuditedRun) -> list[Believed]:
    """The methods in the order of the run; empty where no map was examined."""
    found = [
        (of_method(finding, run.manifest.methods), finding)
        for finding in run.findings
        if finding.code == TRUST
    ]
    found = [(method, finding) for method, finding in found if method and finding.evidence]
    lows = [
        effect.low
        for _, finding in found
        for effect in finding.evidence.values()
        if effect.name == CORRELATION
    ]
    scale = plots.axis(CORRELATION, [*lows, 1.0])
    gains = [of for _, finding in found for check, of in finding.evidence.items() if check in GAINS]
    gain = plots.axis("gain", [end for of in gains for end in (of.low, of.high, of.estimate)])
    found.sort(key=lambda pair: run.manifest.methods.index(pair[0]))
    return [_believed(run, method, finding, scale, gain) for method, finding in found]


def of_method(finding: Finding, methods: Sequence[str]) -> str:
    """The method that a finding about maps is about: the first that its title names."""
    return next((word for word in finding.title.split() if word in methods), "")


def _believed(
    run: AuditedRun, method: str, finding: Finding, scale: plots.Axis, gain: plots.Axis
) -> Believed:
    mine = {"head" if check == "trusted" else check: effect for check, effect in finding.evidence.items()}
    rows = (_row(CHECKS[check], mine[check], scale, mine.get("noise")) for check in CHECKS if check in mine)
    others = (
        judgement.row("", effect, _axis(check, effect))
        for check, effect in mine.items()
        if check not in CHECKS and check not in GAINS and effect.n
    )
    gains = (
        _row(GAINS[check], replace(mine[check], name="gain"), gain, None) for check in GAINS if check in mine
    )
    return Believed(
        method,
        judgement.card(run, finding, {}, None, 0),
        tuple(rows),
        plots.axis_labels(scale),
        tuple(gains),
        plots.axis_labels(gain),
        tuple(others),
    )


def _axis(check: str, effect: Effect) -> plots.Axis:
    """Shares have the whole way, others an axis of their own."""
    if check == "zero_mass":
        return plots.percent_axis(check)
    return plots.axis(effect.name, (effect.low, effect.high, effect.estimate))


def _row(check: Check, effect: Effect, scale: plots.Axis, ceiling: Effect | None) -> CheckRow:
    plot = None
    if math.isfinite(effect.estimate):
        top = ceiling.estimate if ceiling is not None else math.nan
        noise = f", noise alone leaves {words.number(top, 2)}" if math.isfinite(top) else ""
        spoken = f"{check.name}: {words.estimate(effect)}, 95{words.NARROW}% interval {words.interval(effect)}{noise}"
        point = plots.Point(effect.estimate, effect.low, effect.high)
        half = ceiling.low / 2 if ceiling is not None and check.unlike else math.nan
        plot = plots.interval_plot(scale, [point], spoken, chance=top, band=(scale.low, half))
    return CheckRow(
        check.name,
        check.meaning,
        plot,
        words.estimate(effect),
        words.interval(effect),
        effect.n,
        words.undefined(effect),
    )
