"""CAM301 to CAM303: what goes with the score and has no place in the image, or none that anybody annotated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings.building import effect_of, enough, finding, listed, share, signed, sized
from camaudit.findings.codes import GLOBAL_LOOK, GROUP_UNSEEN, MATCHED_GROUPS
from camaudit.findings.looks import LOOKS, phrase
from camaudit.findings.outcomes import Contrast, Outcomes, contrasts, outcomes, towards
from camaudit.statistics.groups import association_of
from camaudit.statistics.matching import paired_differences
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.statistics.rates import gap
from camaudit.statistics.splits import halves, split
from camaudit.statistics.stratified import LEAST
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from camaudit.findings.codes import Code
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding, Said, Status

_ASSOCIATED = 0.3
"""Cramer's V from which a look is named as going with a group."""


def invisible_findings(evidence: Evidence, policy: Policy, attributes: Sequence[Finding]) -> list[Finding]:
    """What a heatmap cannot show.

    Args:
        evidence: the run's tables.
        policy: the thresholds.
        attributes: the findings about annotated attributes.
    """
    outcome = outcomes(evidence)
    if isinstance(outcome, str):
        return [
            finding(code, "not_applicable", f"{what}: {outcome}.", "Nothing has to be done.")
            for code, what in (
                (GLOBAL_LOOK, "Whether the score goes with the look of the whole image was not examined"),
                (GROUP_UNSEEN, "Whether the score goes with a group was not examined"),
            )
        ]
    used = [one for one in attributes if one.role == "attribute" and one.status == "issue"]
    return [
        *_looks(evidence, outcome, policy, used),
        *_groups(evidence, outcome, policy, attributes),
    ]


# ------------------------------------------------------------------ CAM301: looks of the whole image


def _looks(evidence: Evidence, outcome: Outcomes, policy: Policy, used: Sequence[Finding]) -> list[Finding]:
    known = [name for name in LOOKS if f"look_{name}" in outcome.samples]
    cuts = look_sides(outcome, known)
    if not cuts:
        why = "every image has the same" if known else "this run has not measured them; run the audit again"
        title = (
            f"The looks of the whole image (blur, light, colour, compression) could not be compared: {why}."
        )
        return [finding(GLOBAL_LOOK, "not_applicable", title, "Nothing has to be done.")]
    found = contrasts(outcome, cuts, seeds=[evidence.seed + i for i in range(len(cuts))])
    alone = {name: one for name, one in found.items() if one.target_class}
    statuses = {name: _answer(one, policy) for name, one in alone.items()}
    single = [
        _look_finding(outcome, one, statuses[name], policy, used)
        for name, one in alone.items()
        if statuses[name] in {"issue", "tip"}
    ]
    return [*single, *_other_looks(found, statuses, policy)]


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
        if cut.modes and _fewest(outcome.labels[has], high[has]) < LEAST:
            high = values > halves(values)
        if not math.isnan(cut.at):
            found[name] = (high, has)
    return found


def _fewest(labels: NDArray[np.object_], high: NDArray[np.bool_]) -> int:
    return int(pd.crosstab(labels, high).to_numpy().min())


def _answer(one: Contrast, policy: Policy) -> Status:
    """Whether a contrast is an issue, a tip (there, but small), absent, or undecided."""
    found = one.found
    if math.isnan(found.low) or math.isnan(found.p):
        return "insufficient"
    clear = max(found.low, -found.high) > 0 and one.q <= policy.level
    if clear and max(found.low, -found.high) > policy.least_look:
        return "issue"
    if max(abs(found.low), abs(found.high)) >= policy.most_look:
        return "insufficient"
    return "tip" if clear else "passed"


def _look_finding(
    outcome: Outcomes, one: Contrast, status: Status, policy: Policy, used: Sequence[Finding]
) -> Finding:
    low, high, noun = phrase(one.name)
    effect = effect_of("contrast", one.found, one.q)
    harm = _harm(outcome, one, policy)
    if status == "issue" and used:
        status = "tip"  # what is used and has a place may be what looks like this
    side, other = (high, low) if one.found.estimate > 0 else (low, high)
    title = (
        f"Images that are {side} speak for {one.target_class} more than images of the same label that are {other}, by "
        f"{sized(effect)}; {noun} has no place in the image, so this is not visible to a heatmap."
    )
    if used:
        name = listed((used[0].region or "an attribute").split("+"))
        title += f" The model uses {name}, which may be what goes with {noun}."
    if harm is not None and harm[1]:
        title += f" {harm[2]}"
    samples, against = _exemplars(outcome, one)
    answers: dict[str, Said] = {"harms": "yes" if harm[1] else "open"} if harm is not None else {}
    return finding(
        GLOBAL_LOOK,
        status,
        title,
        _look_advice(noun, side, other, one.target_class, status),
        rung="harms" if harm is not None and harm[1] and status == "issue" else None,
        severity=abs(effect.estimate) if status == "issue" else 0.0,
        target_class=one.target_class,
        effect=effect,
        evidence={"harms": harm[0]} if harm is not None else {},
        answers=answers,
        samples=samples[: policy.exemplars],
        counter_samples=against[: policy.exemplars],
    )


def _look_advice(noun: str, side: str, other: str, target_class: str, status: Status) -> str:
    if status == "tip":
        return f"Look at the exemplars: does {noun} come with something else in these images?"
    return (
        f"Find out where the {side} and the {other} images come from: two cameras, sources or pipelines? Vary {noun} at random "
        f"in training (augmentation), or collect {target_class} images that are {other} and others that are {side}, and train again."
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


def _exemplars(outcome: Outcomes, one: Contrast) -> tuple[list[str], list[str]]:
    """Images of the side that speaks for the class by how far they do, beyond their label; the strongest, the weakest."""
    side = one.compared & (one.second if one.found.estimate > 0 else ~one.second)
    margin = pd.Series(outcome.margins[one.target_class])
    beyond = (margin - margin.groupby(outcome.labels).transform("mean"))[side]
    order = beyond.sort_values(ascending=False, kind="stable").index
    names = outcome.samples["sample"].astype(str)
    half = len(order) // 2
    return [names[i] for i in order[: len(order) - half]], [names[i] for i in order[::-1][:half]]


def _other_looks(found: dict[str, Contrast], statuses: dict[str, Status], policy: Policy) -> list[Finding]:
    """One finding for the looks that make no difference, one for those that cannot be judged."""
    results = []
    passed = [name for name, status in statuses.items() if status == "passed"]
    if passed:
        largest = max((found[name] for name in passed), key=lambda one: abs(one.found.estimate))
        effect = effect_of("contrast", largest.found, largest.q)
        title = (
            f"No class gains from {listed([phrase(name)[2] for name in passed])} of the whole image: the largest difference within "
            f"labels is {signed(effect.estimate)} SD ({signed(effect.low)} to {signed(effect.high)}), for {phrase(largest.name)[2]}."
        )
        results.append(finding(GLOBAL_LOOK, "passed", title, "Nothing has to be done.", effect=effect))
    open_ = [name for name in found if statuses.get(name, "insufficient") == "insufficient"]
    if open_:
        results.append(_undecided_looks([found[name] for name in open_], policy))
    return results


def _undecided_looks(open_: Sequence[Contrast], policy: Policy) -> Finding:
    nouns = listed([phrase(one.name)[2] for one in open_])
    known = [effect_of("contrast", one.found, one.q) for one in open_ if one.target_class]
    wanted = [n for effect in known if (n := enough(effect, policy.most_look / 2)) is not None]
    if len(known) == len(open_) and wanted:
        widest = max(known, key=lambda effect: effect.high - effect.low)
        title = (
            f"Whether the score goes with {nouns} of the whole image cannot be said: a difference within labels of "
            f"{signed(widest.low)} to {signed(widest.high)} SD is possible with {widest.n} images."
        )
        advice = f"About {max(*wanted, widest.n + 1)} images of this kind would do."
        return finding(GLOBAL_LOOK, "insufficient", title, advice, effect=widest)
    title = f"Whether the score goes with {nouns} of the whole image cannot be said: too few images of some label are on one side."
    advice = (
        f"At least {policy.least_samples} images (or subjects) of every label are needed on each side: collect images in which "
        "these do not go with the label."
    )
    return finding(GLOBAL_LOOK, "insufficient", title, advice)


# ------------------------------------------------------------------ CAM302, CAM303: groups


def _groups(
    evidence: Evidence, outcome: Outcomes, policy: Policy, attributes: Sequence[Finding]
) -> list[Finding]:
    annotated = any(role == "attribute" for role in evidence.roles.values())
    code = GROUP_UNSEEN if annotated else MATCHED_GROUPS
    if not evidence.groups:
        title = "The data have no group column, so groups could not be compared."
        return [finding(code, "not_applicable", title, "Name group columns in data.columns.groups.")]
    used = [one for one in attributes if one.role == "attribute" and one.status == "issue"]
    if used:
        title = (
            f"The model uses {listed((used[0].region or 'an attribute').split('+'))}, which has a place in the image: "
            "whether groups differ beyond that was not asked."
        )
        return [finding(code, "not_applicable", title, "Mend that first, then audit again.")]
    if not annotated:
        return [_matched(evidence, outcome, group, policy) for group in evidence.groups]
    open_ = [one for one in attributes if one.role == "attribute" and one.answers.get("used") == "open"]
    return [
        _group_finding(evidence, outcome, group, policy, undecided=bool(open_ and not open_[0].group))
        for group in evidence.groups
    ]


def group_sides(
    outcome: Outcomes, group: str, policy: Policy
) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """By value of a group column: which images have it, and which have any; of two values only the second."""
    column = outcome.samples[f"group_{group}"]
    known = column.notna().to_numpy(dtype=bool)
    counts = column[known].astype(str).value_counts()
    values = sorted(str(value) for value, n in counts.items() if n >= policy.least_samples and value != "")
    if len(values) < 2:
        return {}
    text = column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
    return {value: (text == value, known) for value in (values[1:] if len(values) == 2 else values)}


def _group_finding(
    evidence: Evidence, outcome: Outcomes, group: str, policy: Policy, *, undecided: bool
) -> Finding:
    sides = group_sides(outcome, group, policy)
    found = contrasts(outcome, sides, seeds=[evidence.seed + 100 + i for i in range(len(sides))])
    known = [one for one in found.values() if one.target_class]
    if not known:
        return _too_few(GROUP_UNSEEN, group, policy)
    strongest = max(known, key=lambda one: (max(one.found.low, -one.found.high), abs(one.found.estimate)))
    status = _answer(strongest, policy)
    effect = effect_of("contrast", strongest.found, strongest.q)
    about = {group: strongest.name}
    if status in {"passed", "insufficient"}:
        return _no_group(GROUP_UNSEEN, status, group, strongest, policy=policy)
    goes, against = ("for", "more") if effect.estimate > 0 else ("against", "more")
    title = (
        f"Images with {group}: {strongest.name} speak {goes} {strongest.target_class} {against} than other images of the same "
        f"label, by {sized(effect)}"
    )
    regions = listed(
        [name for name, role in evidence.roles.items() if role == "attribute" and "+" not in name]
    )
    if undecided:
        title += f"; whether the model uses {regions} is undecided, so it cannot be said whether a heatmap could show why."
        status = "insufficient" if status == "issue" else status
    else:
        title += f"; it was not found to use {regions}, so what makes the difference is not visible to a heatmap of these regions."
    looks = associated_looks(outcome, strongest)
    if looks:
        title += f" In these images {listed(looks)} of the whole image differs too."
    samples, counter = _exemplars(outcome, strongest)
    return finding(
        GROUP_UNSEEN,
        status,
        title,
        _group_advice(group, looks),
        severity=abs(effect.estimate) if status == "issue" else 0.0,
        target_class=strongest.target_class,
        group=about,
        effect=effect,
        samples=samples[: policy.exemplars],
        counter_samples=counter[: policy.exemplars],
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


def _group_advice(group: str, looks: Sequence[str]) -> str:
    first = (
        f"See CAM301 for {listed(looks)}: pictures of these groups seem to come from different sources. "
        if looks
        else f"Annotate what else goes with {group}, and audit again. "
    )
    return (
        first
        + f"Balance {group} within each class in the training set, or retrain the last layer on data that is."
    )


def _no_group(code: Code, status: Status, group: str, one: Contrast, *, policy: Policy) -> Finding:
    effect = effect_of("contrast", one.found, one.q)
    interval = f"{signed(effect.estimate)} SD ({signed(effect.low)} to {signed(effect.high)})"
    if status == "passed":
        title = f"Within labels no class gains from {group}: {one.name} differs from the rest by {interval} of the margin at most."
        return finding(code, status, title, "Nothing has to be done.", effect=effect)
    title = f"Whether the score goes with {group} cannot be said: {one.name} differs from the rest by {interval} within labels."
    wanted = enough(effect, policy.most_look / 2)
    advice = (
        f"About {wanted} images of this kind would do."
        if wanted
        else "Add images of every group in every class."
    )
    return finding(code, status, title, advice, group={group: one.name}, effect=effect)


def _too_few(code: Code, group: str, policy: Policy) -> Finding:
    title = f"Whether the score goes with {group} cannot be said: no two of its values have enough images in every label."
    advice = f"At least {policy.least_samples} images (or subjects) of every value are needed in each label."
    return finding(code, "insufficient", title, advice, group={group: ""})


def _matched(evidence: Evidence, outcome: Outcomes, group: str, policy: Policy) -> Finding:
    """Pairs of images of two groups that have the same label and look alike, or show the same subject."""
    sides = group_sides(outcome, group, policy)
    tried = []
    names = [name for name in LOOKS if f"look_{name}" in outcome.samples]
    looks = outcome.samples[[f"look_{name}" for name in names]].to_numpy(dtype=np.float64)
    for index, (value, (second, compared)) in enumerate(sides.items()):
        for of, margin in outcome.margins.items():
            found = paired_differences(
                margin,
                second,
                compared,
                outcome.labels,
                covariates=looks,
                subjects=outcome.subjects,
                of=of,
                seed=evidence.seed + index,
            )
            tried.append((value, of, found))
            if len(outcome.margins) == 2:
                break
    q = benjamini_hochberg([found.difference.p for _, _, found in tried])
    known = [
        (
            towards(
                Contrast(value, of, found.difference, float(adjusted), *sides[value]), list(outcome.margins)
            ),
            found.by,
        )
        for (value, of, found), adjusted in zip(tried, q, strict=True)
        if found.difference.n
    ]
    if not known:
        return _too_few(MATCHED_GROUPS, group, policy)
    one, by = max(known, key=lambda of: (max(of[0].found.low, -of[0].found.high), abs(of[0].found.estimate)))
    status = _answer(one, policy)
    effect = effect_of("contrast", one.found, one.q)
    if status in {"passed", "insufficient"}:
        return _no_group(MATCHED_GROUPS, status, group, one, policy=policy)
    goes = "for" if effect.estimate > 0 else "against"
    title = (
        f"Images with {group}: {one.name} speak {goes} {one.target_class} more than images without that have the same label and "
        f"{by}, by {sized(effect)} over {effect.n // 2} pairs. No attribute is annotated, so nothing was edited: this is weaker "
        "evidence, and not visible to a heatmap alone."
    )
    samples, counter = _exemplars(outcome, one)
    return finding(
        MATCHED_GROUPS,
        status,
        title,
        f"Annotate what goes with {group} as attribute regions, so that it can be edited, and audit again.",
        severity=abs(effect.estimate) / 2 if status == "issue" else 0.0,
        target_class=one.target_class,
        group={group: one.name},
        effect=effect,
        samples=samples[: policy.exemplars],
        counter_samples=counter[: policy.exemplars],
    )
