"""CAM401 to CAM404: who is classified worse, and whether the data let one expect it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camaudit.findings.building import effect_of, enough, finding, listed, share, signed
from camaudit.findings.codes import ASSOCIATION, CONFLICTING, REVERSAL, WORST_GROUP
from camaudit.findings.outcomes import Outcomes, outcomes
from camaudit.statistics.harms import (
    BETWEEN,
    Aligned,
    Association,
    aligned_conflicting,
    cell_table,
    crossed,
    group_gaps,
    judged,
    pmi,
    simpson,
)
from camaudit.statistics.multiplicity import benjamini_hochberg
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding, Said, Status

FEW = 30
"""Images below which a rate comes with a warning."""
_LEAST_ASSOCIATION = 0.1
"""Cramer's V below which label and group go together so little that no image is called bias-aligned."""


def harms_findings(evidence: Evidence, policy: Policy) -> list[Finding]:
    """Who pays, one column of groups after the other."""
    why = _nothing(evidence)
    if why:
        advice = "Name group columns in data.columns.groups, and label the images."
        return [
            finding(code, "not_applicable", f"{what} was not examined: {why}.", advice)
            for code, what in (
                (WORST_GROUP, "Whether a group is classified worse"),
                (CONFLICTING, "Whether bias-conflicting images fare worse"),
                (REVERSAL, "Whether a comparison of groups turns round within labels"),
                (ASSOCIATION, "Whether groups go with the label"),
            )
        ]
    associations = _associations(evidence)
    return [
        *_worst(evidence, policy),
        *_conflicting(evidence, policy, associations),
        *(_reversal(evidence, group, policy) for group in evidence.groups),
        *(_association(evidence, group, associations[group], policy) for group in evidence.groups),
    ]


def _nothing(evidence: Evidence) -> str:
    if not evidence.groups:
        return "the data have no group column"
    if "label" not in evidence.samples or "correct" not in evidence.samples:
        return "the run has no labels"
    if judged(evidence.samples).empty:
        return "no image has a label that a prediction could be right about"
    return ""


# ------------------------------------------------------------------ CAM401


def _worst(evidence: Evidence, policy: Policy) -> list[Finding]:
    table = group_gaps(evidence.samples, evidence.groups, seed=evidence.seed)
    cells = cell_table(evidence.samples, evidence.groups)
    alone = table[~table["group"].str.contains(BETWEEN, regex=False)]
    findings = []
    for group in evidence.groups:
        mine = alone[(alone["group"] == group)]
        known = mine[mine["values"] >= 2]
        findings += [_gap_finding(evidence, row, cells, policy) for _, row in known.iterrows()]
        missing = [str(label) for label in mine.loc[mine["values"] < 2, "label"] if label]
        if missing:
            findings.append(_too_small(group, missing, policy))
    for group in dict.fromkeys(table["group"]):
        if group in set(evidence.groups):
            continue
        mine = table[(table["group"] == group) & (table["values"] >= 2)]
        beyond = [_beyond(row, alone, policy) for _, row in mine.iterrows()]
        findings += [
            _gap_finding(evidence, row, cells, policy)
            for (_, row), more in zip(mine.iterrows(), beyond, strict=True)
            if more
        ]
    return findings


def _beyond(row: pd.Series, alone: pd.DataFrame, policy: Policy) -> bool:
    """Whether two columns together show a gap that neither shows: it is reported only then."""
    parts = str(row["group"]).split(BETWEEN)
    single = alone.loc[(alone["label"] == row["label"]) & alone["group"].isin(parts), "gap"]
    return _gap_status(row, policy) == "issue" and bool(row["gap_low"] > single.max() + policy.least_gap)


def _gap_status(row: pd.Series, policy: Policy) -> Status:
    if math.isnan(row["gap_low"]):
        return "insufficient"
    if row["gap_low"] > 0 and row["q"] <= policy.level:
        return "issue" if row["gap"] >= policy.least_gap else "tip"
    return "passed" if row["ratio_low"] >= policy.fair_ratio else "insufficient"


def _gap_finding(evidence: Evidence, row: pd.Series, cells: pd.DataFrame, policy: Policy) -> Finding:
    status = _gap_status(row, policy)
    label, group = str(row["label"]), str(row["group"])
    gap, low, high, p, q = (float(row[name]) for name in ("gap", "gap_low", "gap_high", "p", "q"))
    effect = Effect("accuracy_gap", gap, low, high, p, q, int(row["n"]))
    answers: dict[str, Said] = {"issue": "yes", "tip": "yes", "passed": "no"}
    shown, against = _gap_exemplars(evidence, label, group, str(row["worst"]), policy)
    return finding(
        WORST_GROUP,
        status,
        _gap_title(row, cells, status, policy),
        _gap_advice(row, status, effect, policy),
        rung="harms" if status in {"issue", "tip"} else None,
        severity=effect.estimate if status == "issue" else 0.0,
        target_class=label or None,
        group={group: str(row["worst"])},
        effect=effect,
        evidence={"harms": effect},
        answers={"harms": answers.get(status, "open")},
        samples=shown,
        counter_samples=against,
    )


def _gap_title(row: pd.Series, cells: pd.DataFrame, status: Status, policy: Policy) -> str:
    label, group, worst, best = (str(row[name]) for name in ("label", "group", "worst", "best"))
    about = f"In images of {label}" if label else "Over all labels"
    cell = cells[(cells["label"] == label) & (cells["group"] == group) & (cells["value"] == worst)].iloc[0]
    rates = (
        f"{share(row['worst_accuracy'])} of the {row['n_worst']} images with {group}: {worst} are right, and "
        f"{share(row['best_accuracy'])} of the {row['n_best']} with {best}"
    )
    interval = f"{100 * row['gap_low']:.0f} to {100 * row['gap_high']:.0f} points"
    mistake = ""
    if cell["mistaken_for"] and status == "issue":
        mistake = f"; {share(cell['mistaken_share'])} are taken for {cell['mistaken_for']}"
    warned = ""
    if min(row["n_worst"], row["n_best"]) < FEW:
        warned = f" One of these groups has fewer than {FEW} images: read the figures with care."
    if row["left_out"]:
        warned += f" {row['left_out']} value(s) with fewer than {policy.least_samples} images were left out."
    if status == "insufficient":
        return f"{about}, it cannot be said whether groups fare alike: {rates}, which leaves {interval} open.{warned}"
    if status == "passed":
        return f"{about}, no value of {group} is classified much worse: {rates} ({interval} apart).{warned}"
    ratio = f"a ratio of {row['ratio']:.2f}, where {policy.fair_ratio:g} to {1 / policy.fair_ratio:g} counts as alike"
    return f"{about}, {rates}: {interval} apart, {ratio}{mistake}.{warned}"


def _gap_advice(row: pd.Series, status: Status, effect: Effect, policy: Policy) -> str:
    worst, group = row["worst"], row["group"]
    if status == "issue":
        of = f" of {row['label']}" if row["label"] else ""
        return (
            f"Collect more images{of} with {group}: {worst}, weigh them up in training, or retrain the last layer on data in which "
            "all groups are equally frequent; look at the exemplars first."
        )
    if status == "insufficient":
        wanted = enough(effect, policy.least_gap * 1.5)
        return f"About {wanted} images of this kind would do." if wanted else "Add images of every group."
    return "Nothing has to be done."


def _gap_exemplars(
    evidence: Evidence, label: str, group: str, worst: str, policy: Policy
) -> tuple[list[str], list[str]]:
    """Errors of the worst group, the surest first, and what is right in it, the surest first."""
    known = judged(evidence.samples)
    inside = known[
        (crossed(known, group.split(BETWEEN)) == worst) & ((known["label"] == label) if label else True)
    ]
    ordered = inside.sort_values(["confidence", "sample"], ascending=[False, True], kind="stable")
    right = ordered["correct"].astype(bool)
    names = ordered["sample"].astype(str)
    return list(names[~right])[: policy.exemplars], list(names[right])[: policy.exemplars]


def _too_small(group: str, labels: Sequence[str], policy: Policy) -> Finding:
    several = listed(labels) if len(labels) <= 5 else f"{len(labels)} labels"
    title = (
        f"Whether the values of {group} are classified alike within {several} cannot be said: fewer than two of them have "
        f"{policy.least_samples} images there."
    )
    advice = f"At least {policy.least_samples} images of two values are needed in each label, and {FEW} are better."
    return finding(WORST_GROUP, "insufficient", title, advice, group={group: ""})


# ------------------------------------------------------------------ CAM402


def _associations(evidence: Evidence) -> dict[str, tuple[Association, str]]:
    """By group column how closely it goes with the label, and in which data: the training set's, where it is known."""
    found = {}
    for group in evidence.groups:
        column = f"group_{group}"
        training = evidence.training
        if training is not None and column in training:
            found[group] = (pmi(training, "label", column, seed=evidence.seed), "training")
        else:
            found[group] = (pmi(judged(evidence.samples), "label", column, seed=evidence.seed), "audited")
    return found


def _conflicting(
    evidence: Evidence, policy: Policy, associations: Mapping[str, tuple[Association, str]]
) -> list[Finding]:
    outcome = outcomes(evidence)
    tried: list[tuple[str, Aligned, str]] = []
    findings = []
    for group, (association, where) in associations.items():
        why = outcome if isinstance(outcome, str) else _unaligned(group, association, where, policy)
        if why:
            advice = "Name the training set's table in audit.training, where the association lies there."
            findings.append(
                finding(CONFLICTING, "not_applicable", f"No image is bias-aligned by {group}: {why}.", advice)
            )
        elif not isinstance(outcome, str):
            margin = pd.Series(outcome.own, index=outcome.samples.index)
            found = aligned_conflicting(
                outcome.samples, group, association.information, margin, seed=evidence.seed
            )
            tried.append((group, found, where))
    q = benjamini_hochberg([found.accuracy.p for _, found, _ in tried])
    if not isinstance(outcome, str):
        findings += [
            _aligned_finding(
                outcome,
                group,
                found,
                where,
                effect=effect_of("accuracy", found.accuracy, float(adjusted)),
                policy=policy,
            )
            for (group, found, where), adjusted in zip(tried, q, strict=True)
        ]
    return findings


def _unaligned(group: str, association: Association, where: str, policy: Policy) -> str:
    effect = association.effect
    if math.isnan(effect.estimate):
        return f"label and {group} have fewer than two values, or fewer than {policy.least_samples} {where} images have both"
    if effect.p > policy.level or effect.estimate < _LEAST_ASSOCIATION:
        return (
            f"in the {where} images it hardly goes with the label (Cramér's V {effect.estimate:.2f}, "
            f"{effect.low:.2f} to {effect.high:.2f})"
        )
    return ""


def _aligned_finding(
    outcome: Outcomes, group: str, found: Aligned, where: str, *, effect: Effect, policy: Policy
) -> Finding:
    margin = effect_of("margin", found.margin)
    status = _aligned_status(effect, policy)
    (usual, n_usual), (unusual, n_unusual) = found.aligned, found.conflicting
    of = f"the usual one of the label in the {where} images"
    if status == "insufficient" and not effect.n:
        title = (
            f"Whether images whose {group} is not {of} fare worse cannot be said: there are {n_unusual} of them, and "
            f"{policy.least_samples} a label are needed."
        )
        advice = (
            f"Add images whose {group} contradicts the label, at least {policy.least_samples} of each label."
        )
        return finding(CONFLICTING, status, title, advice, group={group: ""})
    title = (
        f"Where {group} is {of}, {share(usual)} of {n_usual} images are right, and {share(unusual)} of the {n_unusual} where it is "
        f"not: {signed(100 * effect.estimate)[:-3]} points ({_points(effect)}) within labels"
    )
    if margin.n and not math.isnan(margin.low):
        title += f", and {signed(margin.estimate)} SD ({signed(margin.low)} to {signed(margin.high)}) of the margin"
    samples, counter = _aligned_exemplars(outcome, found, policy)
    answers: dict[str, Said] = {"issue": "yes", "tip": "yes", "passed": "no"}
    wanted = enough(effect, policy.least_gap)
    return finding(
        CONFLICTING,
        status,
        f"{title}.",
        _aligned_advice(group, status, wanted),
        rung="harms" if status == "issue" else None,
        severity=abs(effect.estimate) if status == "issue" else 0.0,
        group={group: ""},
        effect=effect,
        evidence={"harms": effect},
        answers={"harms": answers.get(status, "open")},
        samples=samples,
        counter_samples=counter,
    )


def _aligned_status(effect: Effect, policy: Policy) -> Status:
    if math.isnan(effect.low):
        return "insufficient"
    if effect.low > 0 and effect.q <= policy.level:
        return "issue" if effect.estimate >= policy.least_gap else "tip"
    return "passed" if effect.high < 2 * policy.least_gap else "insufficient"


def _points(effect: Effect) -> str:
    return f"{100 * effect.low:.0f} to {100 * effect.high:.0f}".replace("-", "−")


def _aligned_exemplars(outcome: Outcomes, found: Aligned, policy: Policy) -> tuple[list[str], list[str]]:
    """Conflicting images with the lowest margin of their label, and those with the highest."""
    sides = found.is_aligned.reindex(outcome.samples["sample"]).to_numpy(dtype=object)
    against = np.array([side is False for side in sides])
    own = pd.Series(outcome.own, index=outcome.samples["sample"].astype(str))[against].sort_values(
        kind="stable"
    )
    half = len(own) // 2
    names = [str(name) for name in own.index]
    return names[: min(policy.exemplars, len(own) - half)], names[::-1][: min(policy.exemplars, half)]


def _aligned_advice(group: str, status: Status, wanted: int | None) -> str:
    if status == "issue":
        return (
            f"Collect training images whose {group} contradicts the label, or rebalance so that {group} does not tell it; "
            "retraining the last layer on balanced data often suffices."
        )
    if status == "insufficient":
        return f"About {wanted} images of this kind would do." if wanted else "Add bias-conflicting images."
    return "Nothing has to be done."


# ------------------------------------------------------------------ CAM403


def _reversal(evidence: Evidence, group: str, policy: Policy) -> Finding:
    found = simpson(evidence.samples, group, seed=evidence.seed)
    if not found:
        title = f"Whether a comparison by {group} turns round within labels cannot be said: too few images of two values in a label."
        advice = f"At least {policy.least_samples} images of every value are needed in each label."
        return finding(REVERSAL, "insufficient", title, advice, group={group: ""})
    turned = [one for one in found if one.reversed]
    if not turned:
        title = (
            f"No value of {group} is better off over all labels and worse off within them, or the reverse."
        )
        return finding(REVERSAL, "passed", title, "Nothing has to be done.")
    worst = max(turned, key=lambda one: abs(one.within.estimate))
    pooled, within = (effect_of("accuracy", of) for of in (worst.pooled, worst.within))
    better, worse = ("better", "worse") if pooled.estimate > 0 else ("worse", "better")
    title = (
        f"Over all labels images with {group}: {worst.value} fare {better} than the others, by {abs(100 * pooled.estimate):.0f} points "
        f"({_points(pooled)}), but within labels {worse}, by {abs(100 * within.estimate):.0f} ({_points(within)}): the groups have "
        "different shares of hard labels."
    )
    return finding(
        REVERSAL,
        "tip",
        title,
        f"Compare {group} within labels only; do not report its accuracies over all labels.",
        rung="harms",
        group={group: worst.value},
        effect=within,
        evidence={"harms": within},
        answers={"harms": "yes" if within.low > 0 or within.high < 0 else "open"},
    )


# ------------------------------------------------------------------ CAM404


def _association(evidence: Evidence, group: str, known: tuple[Association, str], policy: Policy) -> Finding:
    association, where = known
    effect = association.effect
    if math.isnan(effect.estimate):
        title = (
            f"Whether {group} goes with the label cannot be said: label or {group} has fewer than two values, or fewer than "
            f"{policy.least_samples} {where} images have both."
        )
        advice = (
            "Name the training set's table in audit.training, or audit images of several labels and groups."
        )
        return finding(ASSOCIATION, "insufficient", title, advice, group={group: ""}, effect=effect)
    size = f"Cramér's V {effect.estimate:.2f} ({effect.low:.2f} to {effect.high:.2f})"
    if effect.p > policy.level or effect.estimate < _LEAST_ASSOCIATION:
        title = f"In the {where} images {group} does not go with the label to speak of: {size}."
        advice = (
            "Nothing has to be done."
            if where == "training"
            else "Name the training set's table in audit.training: what a model learns lies there."
        )
        return finding(ASSOCIATION, "passed", title, advice, effect=effect)
    title = f"{_usual(association, group, where)}: {size}. {_predicted(evidence, group, association)}"
    return finding(
        ASSOCIATION,
        "tip",
        title,
        f"Whether the model has picked this up is what CAM402 answers; balance {group} within labels in the training set if it has.",
        group={group: ""},
        effect=effect,
    )


def _usual(association: Association, group: str, where: str) -> str:
    """Which value goes with each label most, for at most three labels."""
    counts, bits = association.counts, association.information
    said = []
    for label in list(bits.index)[:3]:
        value = bits.loc[label].idxmax()
        part = counts.loc[label, value] / counts.loc[label].sum()
        others = counts.drop(index=label)[value].sum() / max(counts.drop(index=label).to_numpy().sum(), 1)
        said.append(f"{share(part)} of {label} have {group}: {value} (elsewhere {share(others)})")
    more = f", and so on for {len(bits.index) - 3} more labels" if len(bits.index) > 3 else ""
    return f"In the {where} images " + ", ".join(said) + more


def _predicted(evidence: Evidence, group: str, association: Association) -> str:
    """What a model that knew the group alone would get right in the audited images, and what the model does."""
    known = judged(evidence.samples)
    known = known[known[f"group_{group}"].notna()]
    guess = association.counts.idxmax(axis=0)
    of = known[f"group_{group}"].astype(str).map(guess)
    if not len(known) or of.isna().any():
        return "The audited images have other values, so nothing follows for them."
    alone = float((of.to_numpy(dtype=object) == known["label"].astype(str).to_numpy(dtype=object)).mean())
    bits = association.information
    rarest = min(
        (
            (str(label), str(value), float(bits.loc[label, value]))
            for label in bits.index
            for value in bits.columns
        ),
        key=lambda cell: cell[2],
    )
    cell = known[(known["label"] == rarest[0]) & (known[f"group_{group}"] == rarest[1])]
    seen = ""
    if len(cell) >= 10:
        right, whole = float(cell["correct"].astype(bool).mean()), float(known["correct"].astype(bool).mean())
        seen = f"; seen: {share(right)} of its {len(cell)} audited images are right, against {share(whole)} of all"
    return (
        f"A model that knew only {group} would be right in {share(alone)} of the audited images, and worst at "
        f"{rarest[0]} with {group}: {rarest[1]}{seen}."
    )
