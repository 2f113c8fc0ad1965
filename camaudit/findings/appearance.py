"""CAM301: the score goes with the look of the whole image, which has no place in it.

Two questions are asked of every look. Do images that have much of it speak for another class than images of the same label that
have little? And does the score follow, on average towards one class, when the whole image is made to look otherwise? What
is only seen may be content that comes with the look; what only follows may be a look that never varies in such images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings.building import effect_of, enough, finding, listed, share, signed, sized
from camaudit.findings.codes import GLOBAL_LOOK
from camaudit.findings.looks import LOOKS, phrase
from camaudit.findings.outcomes import Contrast, answer, contrasts, speaking, towards
from camaudit.statistics.groups import association_of
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.rates import gap
from camaudit.statistics.splits import halves, split
from camaudit.statistics.stratified import LEAST, class_means
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from camaudit.findings.evidence import Evidence
    from camaudit.findings.outcomes import Outcomes
    from camaudit.findings.policy import Policy
    from camaudit.statistics.stratified import Difference
    from camaudit.types import Finding, Rung, Said, Status

_ASSOCIATED = 0.3
"""Cramer's V from which a look is named as going with a group."""


@dataclass(frozen=True)
class Look:
    """What is known of one look.

    Attributes:
        name: such as ``sharpness``.
        seen: images with much of it against images with little.
        followed: images with more of it against themselves; None where it was not changed.
        status: what both come to.
    """

    name: str
    seen: Contrast
    followed: Contrast | None
    status: Status


def look_findings(
    evidence: Evidence, outcome: Outcomes, policy: Policy, used: Sequence[Finding]
) -> list[Finding]:
    """One finding for every look that makes a difference, one for those that make none, one for those left open.

    Args:
        evidence: the run's tables.
        outcome: the samples that can be compared.
        policy: the thresholds.
        used: findings about attributes that are used.
    """
    known = [name for name in LOOKS if f"look_{name}" in outcome.samples]
    cuts = look_sides(outcome, known)
    if not cuts:
        why = "every image has the same" if known else "this run has not measured them; run the audit again"
        title = (
            f"The looks of the whole image (blur, light, colour, compression) could not be compared: {why}."
        )
        return [finding(GLOBAL_LOOK, "not_applicable", title, "Nothing has to be done.")]
    seen = contrasts(outcome, cuts, seeds=[evidence.seed + i for i in range(len(cuts))])
    followed = _followed(evidence, outcome, seen)
    looks = [
        Look(name, one, followed.get(name), _status(one, followed.get(name), policy))
        for name, one in seen.items()
    ]
    single = [_look_finding(outcome, look, policy, used) for look in looks if look.status in {"issue", "tip"}]
    same = [look for look in looks if look.status == "passed"]
    left = [look for look in looks if look.status == "insufficient"]
    rest = [*([_passed(same)] if same else []), *([_undecided(left, policy)] if left else [])]
    return [*single, *rest]


def look_sides(
    outcome: Outcomes, names: Sequence[str]
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """By look: which images are high in it, and which have it at all; looks that do not vary are left out.

    Two modes are told apart where both occur often enough in every label, else halves.
    """
    found = {}
    for name in names:
        values = outcome.samples[f"look_{name}"].to_numpy(dtype=np.float64)
        has = np.isfinite(values)
        cut = split(values)
        high = values > cut.at
        if cut.modes and int(pd.crosstab(outcome.labels[has], high[has]).to_numpy().min()) < LEAST:
            high = values > halves(values)
        if not math.isnan(cut.at):
            found[name] = (high, has)
    return found


def _followed(evidence: Evidence, outcome: Outcomes, seen: Mapping[str, Contrast]) -> dict[str, Contrast]:
    """By look what changing it does, of the class that the comparison of images is about."""
    table = evidence.recasts
    if table is None or table.empty:
        return {}
    wide = table.pivot_table(index=["look", "sample"], columns="target_class", values="value")
    names = outcome.samples["sample"].astype(str)
    every = np.full(len(names), fill_value=True)
    tried: dict[str, Contrast] = {}
    for place, (name, one) in enumerate(seen.items()):
        if name not in wide.index.levels[0]:  # type: ignore[attr-defined]  # of two levels
            continue
        mine = pd.DataFrame(wide.loc[name]).reindex(names)
        open_ = _changeable(outcome, one, mine.notna().any(axis=1).to_numpy(dtype=bool))
        changes = {
            of: np.where(open_, mine[of].to_numpy(dtype=np.float64) / unit, np.nan)
            for of, unit in outcome.units.items()
        }
        means = class_means(changes, outcome.labels, outcome.subjects, seed=evidence.seed + 50 + place)
        classes = list(outcome.units)
        of = one.target_class if one.target_class in means else _strongest(means)
        turned = towards(Contrast(name, of, means[of], math.nan, every, every), classes)
        if one.target_class and turned.target_class != one.target_class and len(classes) == 2:
            turned = turned.reverse(one.target_class)
        tried[name] = turned
    q = benjamini_hochberg([one.found.p for one in tried.values()])
    return {name: one.with_q(float(adjusted)) for (name, one), adjusted in zip(tried.items(), q, strict=True)}


def _changeable(outcome: Outcomes, one: Contrast, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The images that a change in one direction only can change: a blur does little to what is blurred."""
    side = {"sharpness": one.second, "resolution": one.second, "compression": ~one.second}.get(one.name)
    if side is None:
        return changed
    inside = changed & side
    fewest = pd.Series(outcome.labels[inside]).value_counts().reindex(list(outcome.units), fill_value=0).min()
    return inside if fewest >= LEAST else changed


def _strongest(means: Mapping[str, Difference]) -> str:
    return max(means, key=lambda of: abs(means[of].estimate) if means[of].n else -1.0)


def _status(seen: Contrast, followed: Contrast | None, policy: Policy) -> Status:
    """What both questions come to; where nothing was changed, the first alone."""
    first: Status = answer(seen, policy) if seen.target_class else "insufficient"
    if followed is None or math.isnan(followed.found.low):
        return first
    found = followed.found
    beyond = max(found.low, -found.high) > policy.least_look and followed.q <= policy.level
    within = max(abs(found.low), abs(found.high)) < policy.least_look
    same = np.sign(found.estimate) == np.sign(seen.found.estimate)
    if beyond:
        # seen too, if only weakly: a look that is measured badly is seen less than it matters
        return "issue" if first in {"issue", "tip"} and same else "tip"
    if within:
        # what is seen all the same comes with something else
        return "tip" if first == "issue" else "passed"
    return first


def _look_finding(outcome: Outcomes, look: Look, policy: Policy, used: Sequence[Finding]) -> Finding:
    one, status = look.seen, look.status
    noun = phrase(look.name)[2]
    effect = effect_of("contrast", one.found, one.q)
    moved = None if look.followed is None else effect_of("recast", look.followed.found, look.followed.q)
    harm = _harm(outcome, one, policy)
    if status == "issue" and used and (moved is None or not _beyond(moved, policy)):
        status = "tip"  # what is used and has a place may be what looks like this
    title = _title(look, effect, moved, policy)
    if used:
        name = listed((used[0].region or "an attribute").split("+"))
        title += f" The model uses {name} too, which may go with {noun}."
    harmed = harm is not None and harm[1]
    if harm is not None and harmed:
        title += f" {harm[2]}"
    samples, against = speaking(outcome, one) if one.target_class else ([], [])
    answers: dict[str, Said] = {}
    evidence = {}
    if moved is not None:
        answers["used"] = "yes" if _beyond(moved, policy) else "no" if _within(moved, policy) else "open"
        evidence["used"] = moved
    if harm is not None:
        answers["harms"] = "yes" if harmed else "open"
        evidence["harms"] = harm[0]
    return finding(
        GLOBAL_LOOK,
        status,
        title,
        _advice(look, status),
        rung=_rung(answers, status),
        severity=abs(effect.estimate) if status == "issue" else 0.0,
        target_class=one.target_class or None,
        effect=effect if one.target_class else moved,
        evidence=evidence,
        answers=answers,
        samples=samples[: policy.exemplars],
        counter_samples=against[: policy.exemplars],
    )


def _rung(answers: Mapping[str, Said], status: Status) -> Rung | None:
    if status != "issue":
        return None
    return "harms" if answers.get("harms") == "yes" else "used" if answers.get("used") == "yes" else None


def _beyond(moved: Effect, policy: Policy) -> bool:
    return max(moved.low, -moved.high) > policy.least_look and moved.q <= policy.level


def _within(moved: Effect, policy: Policy) -> bool:
    return max(abs(moved.low), abs(moved.high)) < policy.least_look


def _title(look: Look, effect: Effect, moved: Effect | None, policy: Policy) -> str:
    low, high, noun = phrase(look.name)
    target = look.seen.target_class
    if answer(look.seen, policy) in {"issue", "tip"} and target:
        side, other = (high, low) if effect.estimate > 0 else (low, high)
        title = (
            f"Images that are {side} speak for {target} more than images of the same label that are {other}, by "
            f"{sized(effect)}; {noun} has no place in the image, so this is not visible to a heatmap."
        )
        if moved is None or math.isnan(moved.low):
            return title
        follows = f"the score for {target} by {signed(moved.estimate)} SD ({signed(moved.low)} to {signed(moved.high)})"
        but = (
            " Changing it in whole images changes"
            if _beyond(moved, policy)
            else " Changing it in whole images, though, changes"
        )
        return f"{title}{but} {follows}."
    about = look.followed.target_class if look.followed is not None else target
    size = "" if moved is None else f", by {sized(moved)} of the margin of {about}"
    return (
        f"When whole images are changed in {noun}, the score follows{size}; in these images it does not tell more than the "
        "label does, or they cannot show it. It has no place in the image, so this is not visible to a heatmap."
    )


def _advice(look: Look, status: Status) -> str:
    low, high, noun = phrase(look.name)
    target = look.seen.target_class or "every class"
    if status == "tip":
        return f"Look at the exemplars: does {noun} come with something else in these images? Vary it at random in training."
    return (
        f"Find out where the {low} and the {high} images come from: two cameras, sources or pipelines? Vary {noun} at random in "
        f"training (augmentation), or collect images of {target} that are {low} and others that are {high}, and train again."
    )


def _harm(outcome: Outcomes, one: Contrast, policy: Policy) -> tuple[Effect, bool, str] | None:
    """The largest difference of accuracy between the two sides within a label, and whether it is one."""
    low, high, _ = phrase(one.name)
    hits = outcome.samples["correct"].to_numpy(dtype=bool)
    sides = np.where(one.second, high, low).astype(object)
    labels = [label for label in sorted(set(outcome.labels)) if label in one.found.strata]
    found = []
    for label in labels:
        inside = one.compared & (outcome.labels == label)
        subjects = None if outcome.subjects is None else outcome.subjects[inside]
        found.append((label, gap(hits[inside], sides[inside], None, subjects, seed=0), int(inside.sum())))
    if not found:
        return None
    label, widest, n = max(found, key=lambda of: (of[1].difference.low, of[1].difference.estimate))
    p = min(1.0, widest.p * len(found))
    apart = widest.difference
    effect = Effect("accuracy", apart.estimate, apart.low, apart.high, p, p, n)
    inside = one.compared & (outcome.labels == label)
    rates = [float(hits[inside & (sides == name)].mean()) for name in (widest.worst, widest.best)]
    said = (
        f"Of the {label} images the {widest.worst} ones are right in {share(rates[0])}, "
        f"the {widest.best} ones in {share(rates[1])}."
    )
    return effect, apart.low > 0 and apart.estimate >= policy.least_gap and p <= policy.level, said


def _passed(looks: Sequence[Look]) -> Finding:
    """One finding for all looks that make no difference."""
    nouns = listed([phrase(look.name)[2] for look in looks])
    compared = [look for look in looks if look.seen.target_class]
    moved = [look.followed for look in looks if look.followed is not None and look.followed.target_class]
    title = f"No class gains from {nouns} of the whole image"
    effect = None
    if compared:
        one = max((look.seen for look in compared), key=lambda seen: abs(seen.found.estimate))
        effect = effect_of("contrast", one.found, one.q)
        title += (
            f": the largest difference within labels is {signed(effect.estimate)} SD ({signed(effect.low)} to {signed(effect.high)}), "
            f"for {phrase(one.name)[2]}"
        )
    if moved:
        most = max(moved, key=lambda followed: abs(followed.found.estimate))
        title += f"{', and' if compared else ':'} changing them in whole images moves the score by {signed(most.found.estimate)} SD at most"
    return finding(GLOBAL_LOOK, "passed", f"{title}.", "Nothing has to be done.", effect=effect)


def _undecided(looks: Sequence[Look], policy: Policy) -> Finding:
    """One finding for all looks of which nothing can be said."""
    nouns = listed([phrase(look.name)[2] for look in looks])
    known = [effect_of("contrast", look.seen.found, look.seen.q) for look in looks if look.seen.target_class]
    wanted = [n for effect in known if (n := enough(effect, policy.most_look / 2)) is not None]
    about = f"Whether the score goes with {nouns} of the whole image cannot be said:"
    if len(known) == len(looks) and wanted:
        widest = max(known, key=lambda effect: effect.high - effect.low)
        title = f"{about} a difference within labels of {signed(widest.low)} to {signed(widest.high)} SD is possible with {widest.n} images."
        advice = f"About {max(*wanted, widest.n + 1)} images of this kind would do."
        return finding(GLOBAL_LOOK, "insufficient", title, advice, effect=widest)
    advice = (
        f"At least {policy.least_samples} images (or subjects) of every label are needed on each side: collect images in which "
        "these do not go with the label."
    )
    return finding(
        GLOBAL_LOOK, "insufficient", f"{about} too few images of some label are on one side.", advice
    )


def associated_looks(outcome: Outcomes, one: Contrast) -> list[str]:
    """The nouns of the looks that go with one side of a comparison (Cramer's V, all labels together)."""
    names = [name for name in LOOKS if f"look_{name}" in outcome.samples]
    found = {}
    for name, (high, has) in look_sides(outcome, names).items():
        both = has & one.compared
        counts = np.array(
            [
                [int((both & (high == a) & (one.second == b)).sum()) for b in (False, True)]
                for a in (False, True)
            ]
        )
        effect = association_of(counts, seed=0)
        if effect.low > _ASSOCIATED:
            found[phrase(name)[2]] = effect.estimate
    return sorted(found, key=lambda noun: -found[noun])
