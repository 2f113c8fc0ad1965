"""CAM201: can the maps of a method be believed, on this model and these images?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings.building import share
from camaudit.findings.codes import ATTRIBUTE_ATTENDED, ATTRIBUTE_HIDDEN, MAPS_TRUSTED, OBJECT_MISSED
from camaudit.findings.ladder import Answer
from camaudit.measure.trust import SAME, randomisation
from camaudit.statistics import mean_interval, proportion_interval
from camaudit.types import Effect, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.findings.policy import Policy
    from camaudit.types import Said, Status

CORRELATION = "correlation"
"""Name of the effects that are mean rank correlations with a method's own maps."""

_WEIGHTS = ("head", "half", "all", "late", "early")
_CORRELATIONS = ("noise", *_WEIGHTS, "other_class", "agreement")
_FROM_MAPS = {code.id for code in (ATTRIBUTE_ATTENDED, ATTRIBUTE_HIDDEN, OBJECT_MISSED)}
_CURVES = {"deletion": -1, "insertion": 1, "road": -1}
"""Of each curve whether more (1) or less (-1) of it is good."""
_BASELINES = ("random", "centre")
_AGAINST = frozenset({"counterfactual_gradcam"})
"""Methods whose maps show what speaks against a class: without it the score rises."""
_MOST_EMPTY = 0.5
_SAID: dict[Answer, Said] = {Answer.YES: "yes", Answer.NO: "no", Answer.OPEN: "open"}


@dataclass(frozen=True)
class Trust:
    """What the checks say of one method.

    Attributes:
        method: its id.
        effects: mean and interval of each check that was made; see `camaudit.measure.trust.check_maps`.
        answer: whether its maps can be believed.
        reasons: what it failed, or why it cannot be said: the middles of sentences.
        alike: samples, those first whose maps a random head changes least.
    """

    method: str
    effects: Mapping[str, Effect]
    answer: Answer
    reasons: tuple[str, ...]
    alike: tuple[str, ...] = ()

    @property
    def said(self) -> Said:
        """The answer, as findings have it."""
        return _SAID[self.answer]


def trusted(
    table: pd.DataFrame | None, samples: pd.DataFrame, methods: Sequence[str], policy: Policy
) -> list[Trust]:
    """What the checks say of each method, in order.

    Args:
        table: see `camaudit.types.AuditedRun`; None: nobody asked.
        samples: the run's samples; those of one subject are one unit.
        methods: ids of the run's methods.
        policy: the thresholds.
    """
    if table is None:
        return []
    subjects = samples.set_index("sample")["subject"] if "subject" in samples else pd.Series(dtype=object)
    rows = table.assign(subject=subjects.reindex(table["sample"]).to_numpy())
    return [_trust(method, rows[rows["method"] == method], policy) for method in methods]


def believed(judged: Sequence[Trust], methods: Sequence[str]) -> str:
    """The method that findings are made from: the first that does not fail; none (an empty text) where all do."""
    failed = {trust.method for trust in judged if trust.answer is Answer.NO}
    return next((method for method in methods if method not in failed), "")


def with_trust(finding: Finding, trust: Trust | None) -> Finding:
    """A finding about a region, and what the checks say of the maps it was made from, where it was made from maps."""
    if trust is None or finding.code not in _FROM_MAPS or finding.status == "not_applicable":
        return finding
    head = trust.effects.get("head")
    believable = finding.rung == "attended" and trust.answer is Answer.YES
    return replace(
        finding,
        rung="trusted" if believable else finding.rung,
        evidence={**finding.evidence, **({"trusted": head} if head is not None else {})},
        answers={**finding.answers, "trusted": trust.said},
    )


def trust_finding(trust: Trust, policy: Policy) -> Finding:
    """The finding about one method."""
    program = bool(trust.effects) and "head" not in trust.effects
    statuses: dict[Answer, Status] = {
        Answer.YES: "passed",
        Answer.NO: "issue",
        Answer.OPEN: "not_applicable" if program else "insufficient",
    }
    fails = trust.answer is Answer.NO
    decided = trust.effects.get("head")
    return Finding(
        code=MAPS_TRUSTED.id,
        title=_title(trust),
        status=statuses[trust.answer],
        rung="trusted" if trust.answer is Answer.YES else None,
        severity=0.5 if fails else 0.0,
        target_class=None,
        region=None,
        role=None,
        group={},
        effect=decided,
        evidence={"trusted" if check == "head" else check: effect for check, effect in trust.effects.items()},
        answers={"trusted": trust.said},
        samples=trust.alike[: policy.exemplars] if fails else (),
        counter_samples=() if fails else trust.alike[: policy.exemplars],
        advice=_advice(trust),
    )


def _trust(method: str, rows: pd.DataFrame, policy: Policy) -> Trust:
    parts = {str(check): of for check, of in rows.groupby("check", sort=False)}
    parts = {check: of for check, of in parts.items() if check.split("_")[0] not in _CURVES} | _gains(parts)
    effects = {check: _effect(check, of, policy) for check, of in parts.items()}
    answer, reasons = _decided(method, effects, policy)
    head = rows[(rows["check"] == "head") & rows["value"].notna()]
    ranked = head.sort_values("value", ascending=False, kind="stable")["sample"]
    return Trust(method, effects, answer, reasons, tuple(str(name) for name in ranked))


def _gains(parts: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """By ``deletion_over_random`` and the like, how much better each map does than what is no map; above 0 is good."""
    found = {}
    for curve, good in _CURVES.items():
        for baseline in _BASELINES:
            other = parts.get(f"{curve}_{baseline}")
            if curve in parts and other is not None:
                pairs = parts[curve].merge(other[["sample", "draw", "value"]], on=["sample", "draw"])
                gain = good * (pairs["value_x"] - pairs["value_y"])
                found[f"{curve}_over_{baseline}"] = pairs.assign(value=gain)
    return found


def _effect(check: str, rows: pd.DataFrame, policy: Policy) -> Effect:
    """Of the mean, over subjects, and of a change of the weights over the random networks: of two intervals their hull."""
    known = rows[rows["value"].notna()]
    if check == "zero_mass":
        intervals = [proportion_interval(float(known["value"].sum()), len(known))]
    else:
        units = ["subject", "draw"] if check in _WEIGHTS else ["subject"]
        intervals = [mean_interval(known["value"], known[unit]) for unit in units]
    estimate, _, _, n = intervals[0]
    low = float(np.min([found.low for found in intervals])) if n >= policy.least_samples else math.nan
    high = float(np.max([found.high for found in intervals])) if n >= policy.least_samples else math.nan
    if check not in _CORRELATIONS:
        return Effect(check, estimate, low, high, math.nan, math.nan, n)
    low, high = max(low, -1.0), min(high, 1.0)  # NaN stays NaN
    return Effect(CORRELATION, estimate, low, high, math.nan, math.nan, n)


def _decided(method: str, effects: Mapping[str, Effect], policy: Policy) -> tuple[Answer, tuple[str, ...]]:
    """The rule: what fails a method, and what it takes to pass."""
    worse = "" if method in _AGAINST else _worse_than_random(effects)
    failed = tuple(filter(None, (_knows_no_class(effects), _empty(effects), worse)))
    if failed:
        return Answer.NO, failed
    open_ = tuple(filter(None, (_too_few(effects, policy), _undecided(effects), _perhaps_empty(effects))))
    return (Answer.OPEN, open_[:1]) if open_ else (Answer.YES, ())


def _knows_no_class(effects: Mapping[str, Effect]) -> str:
    head = effects.get("head")
    if head is None or not head.low > SAME:
        return ""
    return (
        f"with a head that knows nothing they stay as they were, with a rank correlation of {_figures(head)}"
    )


def _empty(effects: Mapping[str, Effect]) -> str:
    empty = effects.get("zero_mass")
    if empty is None or not empty.low > _MOST_EMPTY:
        return ""
    return _share_empty(empty)


def _worse_than_random(effects: Mapping[str, Effect]) -> str:
    gains = [effects.get(f"{curve}_over_random") for curve in ("deletion", "insertion")]
    if not all(gain is not None and gain.high < 0 for gain in gains):
        return ""
    return "the score follows random places more than what they mark, when it is taken away and when it is given back"


def _too_few(effects: Mapping[str, Effect], policy: Policy) -> str:
    if not effects:
        return f"the run is too small to examine them on {policy.least_samples} images within 30 % of its forward passes"
    if "head" not in effects:
        return "the model is a program, whose layers cannot be re-initialised"
    deciding = [effects[name] for name in ("noise", "head", "all") if name in effects]
    fewest = min(effect.n for effect in deciding)
    if fewest < policy.least_samples:
        return f"only {fewest} images have a map that can be compared, and {policy.least_samples} are needed"
    if any(math.isnan(effect.low) for effect in deciding):
        return "their rank correlations have no interval"
    return ""


def _undecided(effects: Mapping[str, Effect]) -> str:
    noise, head = effects.get("noise"), effects.get("head")
    if noise is None or head is None:
        return ""
    further = [effects["all"]] if "all" in effects else []
    if randomisation(noise, head, further) != "open":
        return ""
    bound = noise.low / 2
    worst = max((head, *further), key=lambda effect: effect.high)
    which = "with a random head" if worst is head else "with every layer random"
    start = f"{which} their rank correlation with what they were is {_figures(worst)}, which is not below {bound:.2f}"
    if not worst.estimate < bound:
        return f"{start}, half of what noise leaves"
    enough = math.ceil(worst.n * ((worst.high - worst.estimate) / (bound - worst.estimate)) ** 2)
    return f"{start}, half of what noise leaves, for sure: about {enough} images would do"


def _share_empty(empty: Effect) -> str:
    found, low, high = map(share, (empty.estimate, empty.low, empty.high))
    return f"{found} of them are empty ({low} to {high})"


def _perhaps_empty(effects: Mapping[str, Effect]) -> str:
    empty = effects.get("zero_mass")
    if empty is None or not empty.high > _MOST_EMPTY:
        return ""
    return _share_empty(empty)


def _title(trust: Trust) -> str:
    about = f"The maps of {trust.method}"
    images = max((effect.n for effect in trust.effects.values()), default=0)
    on = f"examined on {images} images"
    if trust.answer is Answer.NO:
        return f"{about} cannot be believed here: {', and '.join(trust.reasons)}; {on}."
    if trust.answer is Answer.OPEN:
        where = f"; {on}" if images else ""
        return (
            f"Whether the maps of {trust.method} can be believed cannot be said: {trust.reasons[0]}{where}."
        )
    head, whole = trust.effects["head"], trust.effects.get("all")
    random = f", with every layer random {whole.estimate:.2f}" if whole is not None else ""
    return (
        f"{about} depend on what the model has learnt: with a random head their rank correlation with what they were is "
        f"{_figures(head)}{random}, where noise alone leaves {trust.effects['noise'].estimate:.2f}; {on}."
    ).replace("-", "−")


def _advice(trust: Trust) -> str:
    if trust.answer is Answer.NO:
        return (
            "Conclude nothing from these maps; name another method first in audit.methods, such as hirescam."
        )
    if trust.answer is Answer.OPEN:
        return "Examine more images (audit.trust.samples), or hold the maps against those of another method."
    return "Nothing has to be done. That maps depend on the model does not say that they are right about it."


def _figures(effect: Effect) -> str:
    text = f"{effect.estimate:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    return text.replace("-", "−")
