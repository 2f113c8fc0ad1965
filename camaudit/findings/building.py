"""A finding about a group or about whole images, which has no region."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.types import Effect, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.findings.codes import Code
    from camaudit.statistics.stratified import Difference
    from camaudit.types import Role, Rung, Said, Status


def finding(
    code: Code,
    status: Status,
    title: str,
    advice: str,
    *,
    rung: Rung | None = None,
    severity: float = 0.0,
    target_class: str | None = None,
    region: str | None = None,
    role: Role | None = None,
    group: Mapping[str, str] | None = None,
    effect: Effect | None = None,
    evidence: Mapping[str, Effect] | None = None,
    answers: Mapping[str, Said] | None = None,
    samples: Sequence[str] = (),
    counter_samples: Sequence[str] = (),
) -> Finding:
    """A finding; what is left out it does not have."""
    return Finding(
        code=code.id,
        title=title,
        status=status,
        rung=rung,
        severity=min(1.0, max(0.0, severity)),
        target_class=target_class,
        region=region,
        role=role,
        group=group or {},
        effect=effect,
        evidence=evidence or {},
        answers=answers or {},
        samples=tuple(samples),
        counter_samples=tuple(counter_samples),
        advice=advice,
    )


def effect_of(name: str, found: Difference, q: float = math.nan) -> Effect:
    """A difference within strata as an effect."""
    return Effect(
        name, float(found.estimate), float(found.low), float(found.high), found.p, float(q), found.n
    )


def enough(effect: Effect, reach: float) -> int | None:
    """How many samples of the same kind would make the interval reach no further than `reach` to either side.

    The width falls with the root of the number. None where nothing is known of the width.
    """
    now = (effect.high - effect.low) / 2
    if math.isnan(now) or effect.n == 0 or now <= 0:
        return None
    return math.ceil(effect.n * (now / reach) ** 2)


def signed(value: float) -> str:
    """A number with its sign, and with a minus that is one."""
    return f"{value:+.2f}".replace("-", "−")


def sized(effect: Effect) -> str:
    """The size of an effect in SD of the margin, with its interval."""
    low, high = sorted((abs(effect.low), abs(effect.high)))
    return f"{abs(effect.estimate):.2f} SD ({low:.2f} to {high:.2f})"


def share(value: float) -> str:
    """A share in whole percent, but never 100 % of what is not all, nor 0 % of what is there; in words where it is not known."""
    if not math.isfinite(value):
        return "an unknown share"
    rounded = round(100 * value)
    if (rounded == 100 and value < 1) or (rounded == 0 and value > 0):
        return f"{100 * value:.1f} %"
    return f"{rounded} %"


def listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def points(effect: Effect) -> str:
    """The interval of a difference of two rates, in points of a hundred."""
    return f"{100 * effect.low:.0f} to {100 * effect.high:.0f}".replace("-", "−")
