"""CAM403: a comparison of groups that turns round within labels (Simpson)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camaudit.findings.building import effect_of, finding, points
from camaudit.findings.codes import REVERSAL
from camaudit.statistics.harms import (
    simpson,
)

if TYPE_CHECKING:
    from camaudit.findings.evidence import Evidence
    from camaudit.findings.policy import Policy
    from camaudit.types import Finding


def reversal_finding(evidence: Evidence, group: str, policy: Policy) -> Finding:
    """Whether the pooled comparison of a column's groups turns round within labels."""
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
        f"({points(pooled)}), but within labels {worse}, by {abs(100 * within.estimate):.0f} ({points(within)}): the groups have "
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
