"""Whether the maps can be believed: every check of every method, its interval beside what noise alone leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from camaudit.report import judgement, plots, words
from camaudit.statistics import MINIMUM, mean_interval
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from markupsafe import Markup

    from camaudit.types import AuditedRun, Finding

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
    """One method: its finding, and the checks; `sentence` stands where there is no finding."""

    method: str
    status: str
    said: str
    finding: Finding | None
    rows: tuple[CheckRow, ...]
    axis: Markup
    others: tuple[judgement.Row, ...]
    zero: str


def believed(run: AuditedRun) -> list[Believed]:
    """The methods in the order of the run; empty where no map was examined."""
    table = run.trust
    if table.empty:
        return []
    effects = {
        (str(method), str(check)): _mean(run, rows, str(check))
        for (method, check), rows in table.groupby(["method", "check"], sort=False)
    }
    lows = [effect.low for (_, check), effect in effects.items() if check in CHECKS]
    scale = plots.axis("correlation", [*lows, 1.0])
    made = []
    for method in run.manifest.methods:
        mine = {check: effect for (of, check), effect in effects.items() if of == method}
        if not mine:
            continue
        finding = next((f for f in run.findings if f.code == TRUST and method in f.title.split()), None)
        ceiling = mine.get("noise")
        rows = tuple(_row(CHECKS[check], mine[check], scale, ceiling) for check in CHECKS if check in mine)
        made.append(
            Believed(
                method=method,
                status=finding.status if finding else "not_applicable",
                said=judgement.STATUSES[finding.status] if finding else "",
                finding=finding,
                rows=rows,
                axis=plots.axis_labels(scale),
                others=tuple(
                    judgement.row("", effect, plots.axis(check, (effect.low, effect.high, effect.estimate)))
                    for check, effect in mine.items()
                    if check not in CHECKS and check != "zero_mass"
                ),
                zero=words.share(mine["zero_mass"].estimate) if "zero_mass" in mine else "",
            )
        )
    return made


def _mean(run: AuditedRun, rows: pd.DataFrame, check: str) -> Effect:
    values = rows["value"].dropna()
    subjects = run.samples.set_index("sample")["subject"].reindex(rows.loc[values.index, "sample"])
    known = subjects.notna().all() and len(subjects) > 0
    found = mean_interval(values, subjects.to_numpy(dtype=object) if known else None)
    ends = (found.low, found.high) if found.n >= MINIMUM else (math.nan, math.nan)
    return Effect(check, found.estimate, *ends, math.nan, math.nan, found.n)


def _row(check: Check, effect: Effect, scale: plots.Axis, ceiling: Effect | None) -> CheckRow:
    plot = None
    said = Effect("correlation", effect.estimate, effect.low, effect.high, effect.p, effect.q, effect.n)
    if math.isfinite(effect.estimate):
        top = ceiling.estimate if ceiling is not None else math.nan
        noise = f", noise alone leaves {words.number(top, 2)}" if math.isfinite(top) else ""
        spoken = (
            f"{check.name}: {words.estimate(said)}, 95{words.NARROW}% interval {words.interval(said)}{noise}"
        )
        point = plots.Point(effect.estimate, effect.low, effect.high)
        half = ceiling.low / 2 if ceiling is not None and check.unlike else math.nan
        plot = plots.interval_plot(scale, [point], spoken, chance=top, band=(scale.low, half))
    return CheckRow(
        check.name,
        check.meaning,
        plot,
        words.estimate(said),
        words.interval(said),
        effect.n,
        words.undefined(said),
    )
