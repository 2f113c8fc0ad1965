"""CAM104: the score follows the background, as other samples' backgrounds show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from camaudit.findings import Evidence, Policy, conclude, decide
from tests.findings.tables import CLEAR, NAN, WIDE, evidence

if TYPE_CHECKING:
    from camaudit.types import Finding

# what the background of one kind does, against the other: estimate, low, high, q
KIND = {
    "yes": (0.60, 0.30, 0.90, CLEAR),
    "lowers": (-0.60, -0.90, -0.30, CLEAR),
    "no": (0.02, -0.06, 0.10, WIDE),
    "open": (0.15, -0.05, 0.35, WIDE),
    "few": (0.40, NAN, NAN, NAN),
}


def _evidence(*kinds: str, seen: str = "no", exchanged: bool = True, item: bool = True) -> Evidence:
    """A background without controls; effects of the kinds place0, place1, ... of donors on both classes."""
    base = evidence("attribute", seen, "few", region="background")
    effects = base.effects.copy()
    effects.loc[effects["metric"].isin(["shift", "response"]), "n"] = 0
    rows = [
        {
            "metric": "exchange",
            "method": "exchange",
            "target": "predicted",
            "target_class": of,
            "region": "background",
            "role": "attribute",
            "group": "place",
            "value": f"place{i}",
            **dict(zip(("estimate", "low", "high", "q"), KIND[kind], strict=True)),
            "p": KIND[kind][3],
            "n": 40,
        }
        for of in ("nurse", "doctor")
        for i, kind in enumerate(kinds)
    ]
    samples = pd.DataFrame({"sample": [f"s{i}" for i in range(10)], "group_place": ["place0", "place1"] * 5})
    ids = [f"s{i}" for i in range(10)]
    exchanges = pd.DataFrame(
        [
            (sample, donor, "background", "background", "predicted", of, float(i) * (donor == "s0"))
            for of in ("nurse", "doctor")
            for i, sample in enumerate(ids)
            for donor in ("s0", "s1")
        ],
        columns=["sample", "donor", "region", "put", "target", "target_class", "value"],
    )
    areas = [
        {
            "sample": sample,
            "method": method,
            "target": "predicted",
            "target_class": "nurse" if number % 2 else "doctor",
            "region": "background",
            "role": "attribute",
            "metric": metric,
            "value": value,
        }
        for number, sample in enumerate(ids)
        for method, metric, value in (
            ("gradcam", "area", 0.9),
            ("mean", "shift", NAN),
            ("inpaint", "shift", NAN),
        )
    ]
    return replace(
        base,
        effects=pd.concat([effects, pd.DataFrame(rows)], ignore_index=True),
        measurements=pd.DataFrame(areas),
        samples=samples,
        roles={"background": "attribute", **({"bird": "object"} if item else {})},
        parts={"background": ("background",), "bird": ("bird",)},
        exchanges=exchanges if exchanged else exchanges.iloc[:0],
    )


def _of_code(found: list[Finding], code: str = "CAM104") -> list[Finding]:
    return [finding for finding in found if finding.code == code]


@pytest.mark.parametrize(
    ("kinds", "seen", "status", "rung", "said"),
    [
        (("yes", "lowers"), "no", "issue", "used", "yes"),
        (("yes", "no"), "yes", "issue", "used", "yes"),
        (("open", "lowers"), "no", "issue", "used", "yes"),
        (("no", "no"), "no", "passed", None, "no"),
        (("no", "no"), "yes", "tip", "attended", "no"),
        (("no", "open"), "no", "insufficient", None, "open"),
        (("few", "no"), "yes", "insufficient", "attended", "open"),
        ((), "no", "insufficient", None, "open"),
    ],
)
def test_what_other_backgrounds_do_decides(
    kinds: tuple[str, ...], seen: str, status: str, rung: str | None, said: str
) -> None:
    found = _of_code(decide(_evidence(*kinds, seen=seen)))
    assert {finding.target_class for finding in found} == {"nurse", "doctor"}
    for finding in found:
        assert (finding.status, finding.rung, finding.answers["used"]) == (status, rung, said)
        assert (finding.region, finding.role, finding.group) == ("background", "attribute", {})
        assert finding.severity == pytest.approx(0.6 if status == "issue" else 0)


def test_nothing_is_said_of_it_by_cam101_which_had_no_controls() -> None:
    assert not _of_code(decide(_evidence("yes", "lowers")), "CAM101")


def test_the_title_names_the_kind_that_raises_the_score() -> None:
    finding = _of_code(decide(_evidence("lowers", "yes")))[0]
    assert (
        "0.60 SD (0.30 to 0.90) higher on backgrounds whose place is place1 than on the others"
        in finding.title
    )
    assert finding.effect is not None
    assert finding.effect.estimate == 0.6


def test_exemplars_are_the_samples_whose_score_the_background_moves_most() -> None:
    finding = _of_code(decide(_evidence("yes", "lowers"), Policy(exemplars=3)))[0]
    assert finding.samples == ("s9", "s8", "s7")
    assert finding.counter_samples == ("s0", "s1", "s2")


def test_a_background_that_is_used_makes_the_verdict_an_issue_and_an_undecided_one_leaves_it_open() -> None:
    assert conclude(decide(_evidence("yes", "lowers"))).status == "issue"
    assert conclude(decide(_evidence("open", "open"))).status == "insufficient"


@pytest.mark.parametrize(
    ("item", "why"), [(False, "no region is annotated as the object"), (True, "no image has bird")]
)
def test_what_could_not_be_exchanged_is_not_applicable_with_the_reason(*, item: bool, why: str) -> None:
    found = decide(_evidence(exchanged=False, item=item))
    (finding,) = _of_code(found)
    assert finding.status == "not_applicable"
    assert why in finding.title
    assert {f.status for f in _of_code(found, "CAM101")} == {"insufficient"}


def test_samples_without_an_interval_are_not_too_few() -> None:
    (finding, *_) = _of_code(decide(_evidence("few", "few")))
    assert "too few subjects, or too few donors of each kind, were met" in finding.title
    assert "samples can be used" not in finding.title


def test_why_no_object_was_put_elsewhere_is_not_made_up() -> None:
    (finding,) = _of_code(decide(_evidence(exchanged=False)))
    assert "may be turned off (audit.intervention.exchange)" in finding.title
