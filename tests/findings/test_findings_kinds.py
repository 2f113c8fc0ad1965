"""An attribute that every image has: its kind is asked about, by exchange, not its absence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.findings import Evidence, Policy, decide
from camaudit.findings.kinds import everywhere
from tests.findings.tables import CLEAR, NAN, WIDE, evidence

if TYPE_CHECKING:
    from camaudit.types import Finding

COUNT = 40
# what hair of women does against that of men in one image: estimate, low, high, q
APART = {
    "yes": (0.50, 0.40, 0.60, CLEAR),
    "lowers": (-0.50, -0.60, -0.40, CLEAR),
    "no": (0.02, -0.06, 0.10, WIDE),
    "open": (0.15, -0.05, 0.35, WIDE),
    "few": (0.50, NAN, NAN, NAN),
}


def with_kinds(
    apart: str,
    *,
    absence: str = "yes",
    groups: tuple[str, ...] = ("gender",),
    absent: int = 0,
    n: int = COUNT,
) -> Evidence:
    """Every image has hair; taking it away does `absence`, exchanging it `apart`."""
    tables = evidence("attribute", "yes", absence)
    names = [f"s{i}" for i in range(COUNT)]
    areas = pd.DataFrame({"sample": names, "value": np.where(np.arange(COUNT) < absent, np.nan, 0.1)})
    areas = areas.assign(
        method="gradcam",
        metric="area",
        target="predicted",
        target_class="nurse",
        region="hair",
        role="attribute",
    )
    common = {"metric": "exchange", "method": "exchange", "target": "predicted", "region": "hair"}
    rows = [
        {
            **common,
            "target_class": "nurse",
            "role": "attribute",
            "group": "gender",
            "value": value,
            "p": APART[apart][3],
            "n": n,
            **dict(zip(("estimate", "low", "high", "q"), numbers, strict=True)),
        }
        for value, numbers in (("woman", APART[apart]), ("man", _mirrored(APART[apart])))
    ]
    exchanges = pd.DataFrame(
        [
            (sample, donor, "hair", "attribute", "predicted", "nurse", float(i) * (donor == "s0"))
            for i, sample in enumerate(names)
            for donor in ("s0", "s1")
        ],
        columns=["sample", "donor", "region", "put", "target", "target_class", "value"],
    )
    mine = tables.effects[tables.effects["target_class"] == "nurse"]
    return replace(
        tables,
        effects=pd.concat([mine, pd.DataFrame(rows)] if groups else [mine], ignore_index=True),
        measurements=areas,
        samples=pd.DataFrame({"sample": names, "group_gender": ["woman", "man"] * (COUNT // 2)}),
        exchanges=exchanges if groups and not absent else None,
        groups=groups,
        classes=["nurse", "doctor"],
    )


def _mirrored(numbers: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    estimate, low, high, q = numbers
    return -estimate, -high, -low, q


def of_hair(tables: Evidence, policy: Policy | None = None) -> list[Finding]:
    """The findings about hair."""
    return [found for found in decide(tables, policy) if found.code in {"CAM101", "CAM102"}]


def test_what_its_absence_does_is_no_use() -> None:
    (finding,) = of_hair(with_kinds("no"))
    assert finding.answers["used"] == "no"
    assert finding.status == "tip"  # the maps lie on it
    assert "with hair of images whose gender is woman the same image scores +0.02 SD" in finding.title


@pytest.mark.parametrize("absence", ["yes", "no", "raises"])
def test_a_kind_that_moves_the_score_is_use_whatever_its_absence_does(absence: str) -> None:
    (finding,) = of_hair(with_kinds("yes", absence=absence))
    assert (finding.status, finding.answers["used"]) == ("issue", "yes")
    assert finding.effect is not None
    assert (finding.effect.estimate, finding.effect.name) == (0.5, "exchange")
    assert (
        "the same image scores 0.50 SD (0.40 to 0.60) higher with hair of images whose gender is woman than with hair of the others"
        in finding.title
    )


def test_the_kind_named_is_the_one_that_speaks_for_the_class() -> None:
    (finding,) = of_hair(with_kinds("lowers"))
    assert finding.effect is not None
    assert finding.effect.estimate == 0.5
    assert "higher with hair of images whose gender is man" in finding.title


def test_an_interval_that_holds_both_decides_nothing() -> None:
    (finding,) = of_hair(with_kinds("open"))
    assert (finding.status, finding.answers["used"]) == ("insufficient", "open")
    assert "the interval holds both" in finding.title
    assert "more of each kind of hair" in finding.advice


def test_exemplars_are_the_images_that_it_moves_most() -> None:
    (finding,) = of_hair(with_kinds("yes"), Policy(exemplars=2))
    assert (finding.samples, finding.counter_samples) == (("s39", "s38"), ("s0", "s1"))


def test_without_groups_an_absence_decides_nothing() -> None:
    (finding, *_) = of_hair(with_kinds("yes", groups=()))
    assert (finding.status, finding.answers["used"]) == ("insufficient", "open")
    assert "every image has it" in finding.title
    assert "Name a group column" in finding.advice


def test_where_nothing_was_exchanged_an_absence_decides_nothing() -> None:
    tables = with_kinds("yes")
    rows = tables.effects[tables.effects["metric"] != "exchange"]
    (finding,) = of_hair(replace(tables, effects=rows, exchanges=None))
    assert (finding.status, finding.answers["used"]) == ("insufficient", "open")
    assert "leave audit.intervention.exchange on" in finding.advice


def test_what_was_exchanged_is_judged_by_its_kind_though_some_images_lack_it() -> None:
    tables = with_kinds("yes")
    (finding,) = of_hair(replace(tables, measurements=with_kinds("yes", absent=5).measurements))
    assert finding.effect is not None
    assert finding.effect.name == "exchange"


def test_a_kind_without_an_interval_does_not_hide_one_that_has_one() -> None:
    tables = with_kinds("open")
    rows = tables.effects.copy()
    rows.loc[rows["value"] == "woman", ["estimate", "low", "high", "q"]] = (0.8, NAN, NAN, NAN)
    (finding,) = of_hair(replace(tables, effects=rows))
    assert "whose gender is man" in finding.title


def test_an_attribute_that_some_images_lack_is_asked_as_before() -> None:
    tables = with_kinds("no", absent=5)
    assert not everywhere(tables, "hair")
    assert {finding.answers["used"] for finding in of_hair(tables)} == {"yes"}


def test_too_few_images_decide_nothing() -> None:
    (finding,) = of_hair(with_kinds("few", n=4))
    assert finding.answers["used"] == "open"
    assert "it can be exchanged in too few images, or for too few of each kind" in finding.title


def test_what_its_absence_does_is_told_with_its_direction() -> None:
    (finding,) = of_hair(with_kinds("no", absence="open", groups=()))
    assert (
        "editing it away changes the score by +0.08 SD (−0.05 to +0.21) beyond the controls, but every"
        in finding.title
    )
