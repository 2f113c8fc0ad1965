"""CAM302 and CAM303: groups whose scores differ, where no annotated attribute is why, or none is annotated.

CAM301, about the look of the whole image, is in `camaudit.findings.appearance`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camaudit.findings.appearance import associated_looks, look_findings
from camaudit.findings.building import effect_of, enough, finding, listed, signed, sized
from camaudit.findings.codes import ATTRIBUTE_TRANSPLANTED, GLOBAL_LOOK, GROUP_UNSEEN, MATCHED_GROUPS
from camaudit.findings.looks import LOOKS
from camaudit.findings.outcomes import Contrast, Outcomes, answer, contrasts, outcomes, speaking, towards
from camaudit.statistics.matching import paired_differences
from camaudit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from camaudit.findings.codes import Code
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding, Status


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
        *look_findings(evidence, outcome, policy, used),
        *_groups(evidence, outcome, policy, attributes),
    ]


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
    asked = [
        one
        for one in attributes
        if one.role == "attribute" and not one.group and one.code != ATTRIBUTE_TRANSPLANTED.id
    ]
    open_ = any(one.answers.get("used") == "open" for one in asked)
    untested = bool(asked) and not any("used" in one.answers for one in asked)
    why = "was not tested" if untested else "is undecided" if open_ else ""
    return [_group_finding(evidence, outcome, group, policy, undecided=why) for group in evidence.groups]


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
    evidence: Evidence, outcome: Outcomes, group: str, policy: Policy, *, undecided: str
) -> Finding:
    """What a group does; `undecided` says why it is not known whether an annotated attribute is used, and is empty where it is."""
    sides = group_sides(outcome, group, policy)
    found = contrasts(outcome, sides, seeds=[evidence.seed + 100 + i for i in range(len(sides))])
    known = [one for one in found.values() if one.target_class]
    if not known:
        return _too_few(GROUP_UNSEEN, group, policy)
    strongest = max(known, key=lambda one: (max(one.found.low, -one.found.high), abs(one.found.estimate)))
    status = answer(strongest, policy)
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
        title += f"; whether the model uses {regions} {undecided}, so it cannot be said whether a heatmap could show why."
        status = "insufficient" if status == "issue" else status
    else:
        title += f"; it was not found to use {regions}, so what makes the difference is not visible to a heatmap of these regions."
    looks = associated_looks(outcome, strongest)
    if looks:
        title += f" In these images {listed(looks)} of the whole image differs too."
    samples, counter = speaking(outcome, strongest)
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
    status = answer(one, policy)
    effect = effect_of("contrast", one.found, one.q)
    if status in {"passed", "insufficient"}:
        return _no_group(MATCHED_GROUPS, status, group, one, policy=policy)
    goes = "for" if effect.estimate > 0 else "against"
    title = (
        f"Images with {group}: {one.name} speak {goes} {one.target_class} more than images without that have the same label and "
        f"{by}, by {sized(effect)} over {effect.n // 2} pairs. No attribute is annotated, so nothing was edited: this is weaker "
        "evidence, and not visible to a heatmap alone."
    )
    samples, counter = speaking(outcome, one)
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
