"""Several fills are one decision: all must agree; and what an attribute costs in accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camaudit.findings import Evidence, Policy, decide
from camaudit.findings.evidence import over_fills
from camaudit.findings.ladder import Answer, used
from tests.findings.tables import CLEAR, FILLS, NAN, WIDE, effect, evidence

if TYPE_CHECKING:
    from camaudit.types import Finding

_numbers = st.floats(-1, 1).map(lambda value: round(value, 3))
_intervals = st.tuples(_numbers, st.floats(0.01, 0.5), st.sampled_from([CLEAR, WIDE]))


@given(st.lists(_intervals, min_size=1, max_size=4))
def test_the_hull_decides_only_what_every_fill_decides(given: list[tuple[float, float, float]]) -> None:
    policy = Policy()
    fills = [effect(middle, middle - reach, middle + reach, q=q) for middle, reach, q in given]
    quiet = effect(0.0, -0.01, 0.01, name="response", q=WIDE)
    whole = over_fills(fills)
    assert whole is not None
    answer = used(whole, quiet, policy)
    each = [used(one, quiet, policy) for one in fills]
    if answer is Answer.YES:
        assert set(each) == {Answer.YES}
        assert len({np.sign(one.estimate) for one in fills}) == 1
    if answer is Answer.NO:
        assert all(max(abs(one.low), abs(one.high)) < policy.least_shift for one in fills)
    assert whole.low <= whole.estimate <= whole.high


def test_one_effect_spans_the_fills() -> None:
    first, second = effect(0.3, 0.2, 0.4, q=0.01, n=40), effect(0.1, -0.1, 0.35, q=0.2, n=38)
    whole = over_fills([first, second])
    assert whole is not None
    assert (whole.low, whole.high, whole.q, whole.n) == (-0.1, 0.4, 0.2, 38)
    assert whole.estimate == pytest.approx(0.2)
    assert over_fills([]) is None
    assert over_fills([first]) == replace(first)


def test_a_fill_without_an_interval_leaves_it_open() -> None:
    whole = over_fills([effect(0.3, 0.2, 0.4), effect(0.3, NAN, NAN, n=4)])
    assert used(whole, whole, Policy()) is Answer.OPEN


def _but(of: Evidence, fill: str, **numbers: float) -> Evidence:
    """The evidence with other numbers of the shifts of one fill."""
    table = of.effects.copy()
    mine = (table["method"] == fill) & table["metric"].isin(["shift", "response"])
    for name, value in numbers.items():
        table.loc[mine, name] = value
    return replace(of, effects=table)


def test_fills_that_disagree_decide_nothing() -> None:
    both = evidence("attribute", "no", "yes")
    assert {f.status for f in decide(both) if f.region} == {"issue"}
    torn = _but(both, FILLS[1], estimate=0.0, low=-0.05, high=0.05, q=WIDE)
    assert {f.status for f in decide(torn) if f.region} == {"insufficient"}


def test_one_fill_alone_decides_and_the_title_says_so() -> None:
    single = replace(evidence("attribute", "no", "yes"), fills=(FILLS[0],))
    for finding in (f for f in decide(single) if f.region):
        assert finding.status == "issue"
        assert f"with one fill only, {FILLS[0]}" in finding.title
    for finding in (f for f in decide(evidence("attribute", "no", "yes")) if f.region):
        assert "one fill" not in finding.title


def _paying(*numbers: float, target: str = "predicted", followed: str = "yes", n: int = 40) -> list[Finding]:
    """Findings where editing the attribute away takes so much from the accuracy: estimate, low, high, q."""
    base = evidence("attribute", "no", followed)
    rows = [
        {
            "metric": "accuracy",
            "method": fill,
            "target": target,
            "target_class": of,
            "region": "hair",
            "role": "attribute",
            "group": "",
            "value": "",
            **dict(zip(("estimate", "low", "high", "q"), numbers, strict=True)),
            "p": numbers[3],
            "n": n,
        }
        for of in ("", "nurse", "doctor")
        for fill in FILLS
    ]
    table = pd.concat([base.effects, pd.DataFrame(rows)], ignore_index=True)
    return [f for f in decide(replace(base, effects=table)) if f.region]


@pytest.mark.parametrize("target", ["predicted", "label"])
def test_an_attribute_without_which_more_images_are_right_harms(target: str) -> None:
    for finding in _paying(-0.08, -0.12, -0.04, CLEAR, target=target):
        assert (finding.status, finding.rung, finding.answers["harms"]) == ("issue", "harms", "yes")
        whose = f" of {finding.target_class}" if target == "label" and finding.target_class else ""
        assert (
            f"8 % more of the images{whose} are right once it is edited away than once as much elsewhere is (4 % to 12 %)"
            in finding.title
        )
        assert finding.effect is not None
        assert finding.effect.name == "shift"
        assert finding.evidence["harms"].name == "accuracy"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.10, 0.05, 0.15, CLEAR), "no"),  # it helps
        ((-0.01, -0.04, 0.02, WIDE), "no"),
        ((-0.03, -0.09, 0.03, WIDE), "open"),
        ((-0.30, NAN, NAN, NAN), "open"),
    ],
)
def test_else_it_is_used_and_no_more(numbers: tuple[float, ...], said: str) -> None:
    for finding in _paying(*numbers):
        assert (finding.rung, finding.answers["harms"]) == ("used", said)


def test_what_is_not_used_harms_nobody_and_without_labels_nobody_can_say() -> None:
    assert all(
        "harms" not in finding.answers for finding in _paying(-0.08, -0.12, -0.04, CLEAR, followed="no")
    )
    assert all("harms" not in finding.answers for finding in _paying(NAN, NAN, NAN, NAN, n=0))


def test_effects_of_the_fills_are_averaged_by_sample() -> None:
    of = evidence("attribute", "no", "yes")
    cell = next(cell for cell in of.cells("attribute") if cell.target_class == "nurse")
    table = of.measurements.copy()
    mine = (table["method"] == FILLS[1]) & (table["metric"] == "shift") & (table["sample"] == "s3")
    table.loc[mine, "value"] = 9.0
    assert replace(of, measurements=table).edited_values("shift", cell)["s3"] == pytest.approx(6.0)
    assert replace(of, fills=()).edited_values("shift", cell).empty
