"""CAM201: whether the maps of a method can be believed, and what follows for the other findings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.findings import CODES, conclude, decide, read_findings, write_findings
from tests.findings.tables import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.types import Finding

GOOD: Mapping[str, tuple[float, float]] = {
    "noise": (0.95, 0.02),
    "head": (0.05, 0.2),
    "half": (0.0, 0.2),
    "all": (0.0, 0.2),
    "other_class": (-0.1, 0.2),
    "agreement": (0.9, 0.05),
    "zero_mass": (0.0, 0.0),
}
"""Mean and deviation of each check."""


def table(methods: Mapping[str, Mapping[str, tuple[float, float]]], *, n: int = 40) -> pd.DataFrame:
    """A trust table in which every check has exactly this mean and deviation, over `n` images and as many networks."""
    spread = np.linspace(-1, 1, n)
    spread = spread / spread.std() if n else spread
    rows = [
        {
            "sample": f"s{i}",
            "method": method,
            "check": check,
            "value": mean + deviation * spread[i],
            "draw": i,
        }
        for method, checks in methods.items()
        for check, (mean, deviation) in checks.items()
        for i in range(n)
    ]
    return pd.DataFrame(rows, columns=["sample", "method", "check", "value", "draw"])


def asked(
    methods: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    n: int = 40,
    seen: str = "yes",
    followed: str = "no",
    order: tuple[str, ...] = (),
) -> list[Finding]:
    """All findings of a run with these checks; the maps that lie on the attribute are gradcam's."""
    found = evidence("attribute", seen, followed)
    names = order or tuple(methods) or ("gradcam",)
    return decide(replace(found, method=names[0], methods=names, trust=table(methods, n=n)))


def of_maps(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.code == "CAM201"]


def regions(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.code in {"CAM101", "CAM102"}]


def test_the_code_is_known() -> None:
    assert CODES["CAM201"].question.endswith("?")


def test_nobody_asked_nothing_said() -> None:
    findings = decide(evidence("attribute", "yes", "no"))
    assert not of_maps(findings)
    assert all("trusted" not in finding.answers for finding in findings)


def test_maps_that_depend_on_the_model_pass() -> None:
    findings = asked({"gradcam": GOOD})
    (finding,) = of_maps(findings)
    assert (finding.status, finding.rung, finding.answers) == ("passed", "trusted", {"trusted": "yes"})
    assert finding.effect is not None
    assert (finding.effect.estimate, finding.effect.n) == (pytest.approx(0.05), 40)
    assert finding.evidence["trusted"] == finding.effect
    assert set(finding.evidence) == (set(GOOD) - {"head"}) | {"trusted"}
    assert "with a random head their rank correlation with what they were is 0.05 (" in finding.title
    assert finding.title.endswith("where noise alone leaves 0.95; examined on 40 images.")


def test_a_region_that_believable_maps_lie_on_is_one_rung_higher() -> None:
    for finding in regions(asked({"gradcam": GOOD})):
        assert (finding.status, finding.rung) == ("tip", "trusted")
        assert finding.answers == {"attended": "yes", "used": "no", "trusted": "yes"}
        assert finding.evidence["trusted"].estimate == pytest.approx(0.05)
    for finding in regions(asked({"gradcam": GOOD}, followed="yes")):
        assert (finding.status, finding.rung) == ("issue", "used")


FAILING: Mapping[str, tuple[Mapping[str, tuple[float, float]], str]] = {
    "the head does not matter": (
        GOOD | {"head": (0.97, 0.02)},
        "with a head that knows nothing they stay as they were, with a rank correlation of 0.97 (0.96 to 0.98)",
    ),
    "the maps are the same bit by bit": (GOOD | {"head": (1.0, 0.0)}, "of 1.00 (1.00 to 1.00)"),
    "worse than random": (
        GOOD
        | {"deletion": (0.6, 0.1), "deletion_random": (0.4, 0.05)}
        | {"insertion": (0.3, 0.1), "insertion_random": (0.5, 0.05)},
        "the score follows random places more than what they mark",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_maps_that_fail_are_an_issue(name: str) -> None:
    checks, why = FAILING[name]
    (finding,) = of_maps(asked({"gradcam": checks}))
    assert (finding.status, finding.rung, finding.answers) == ("issue", None, {"trusted": "no"})
    assert finding.title.startswith("The maps of gradcam cannot be believed here: ")
    assert why in finding.title
    assert finding.severity > 0
    assert finding.samples
    assert not finding.counter_samples


def test_maps_that_are_mostly_empty_fail() -> None:
    rows = table({"gradcam": GOOD})
    empty = rows["check"] == "zero_mass"
    rows.loc[empty, "value"] = [1.0] * 30 + [0.0] * 10
    rows.loc[~empty & rows["sample"].isin([f"s{i}" for i in range(30)]), "value"] = np.nan
    found = replace(evidence("attribute", "yes", "no"), methods=("gradcam",), trust=rows)
    (finding,) = of_maps(decide(found))
    assert finding.answers == {"trusted": "no"}
    assert "75 % of them are empty (60 % to 86 %)" in finding.title


OPEN: Mapping[str, tuple[Mapping[str, tuple[float, float]], str]] = {
    "in part": (GOOD | {"head": (0.7, 0.2)}, "which is not below 0.47, half of what noise leaves;"),
    "too wide": (GOOD | {"head": (0.4, 0.6)}, "half of what noise leaves, for sure: about "),
    "everything random": (GOOD | {"all": (0.6, 0.2)}, "with every layer random their rank correlation"),
    "unstable": (GOOD | {"noise": (0.2, 0.3)}, "half of what noise leaves"),
    "half of them empty": (
        GOOD | {"zero_mass": (0.5, 0.5)},
        "50 % of them are empty",
    ),
    "only the deletion is worse": (
        GOOD | {"head": (0.7, 0.2), "deletion": (0.6, 0.1), "deletion_random": (0.4, 0.05)},
        "which is not below",
    ),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_neither_fails_nor_passes_is_open(name: str) -> None:
    checks, why = OPEN[name]
    findings = asked({"gradcam": checks})
    (finding,) = of_maps(findings)
    assert (finding.status, finding.answers) == ("insufficient", {"trusted": "open"})
    assert finding.title.startswith("Whether the maps of gradcam can be believed cannot be said: ")
    assert why in finding.title
    # what is not shown to fail is used
    assert {finding.answers["attended"] for finding in regions(findings)} == {"yes"}
    assert {finding.rung for finding in regions(findings)} == {"attended"}


@pytest.mark.parametrize("n", [0, 4, 9])
def test_too_few_images_decide_nothing(n: int) -> None:
    (finding,) = of_maps(asked({"gradcam": GOOD | {"head": (0.99, 0.0)}}, n=n))
    assert (finding.status, finding.answers) == ("insufficient", {"trusted": "open"})
    why = f"only {n} images have a map" if n else "the run is too small to examine them on 10 images"
    assert why in finding.title


def test_the_layers_of_a_program_cannot_be_asked() -> None:
    (finding,) = of_maps(asked({"gradient": {"noise": (0.9, 0.1), "zero_mass": (0.0, 0.0)}}))
    assert (finding.status, finding.answers) == ("not_applicable", {"trusted": "open"})
    assert "the model is a program, whose layers cannot be re-initialised" in finding.title


def test_maps_of_what_speaks_against_a_class_may_be_worse_than_random() -> None:
    checks, _ = FAILING["worse than random"]
    (finding,) = of_maps(asked({"counterfactual_gradcam": checks}))
    assert finding.answers == {"trusted": "yes"}


def test_gains_are_differences_and_above_zero_is_good() -> None:
    (finding,) = of_maps(asked({"gradcam": FAILING["worse than random"][0]}))
    assert finding.evidence["deletion_over_random"].estimate == pytest.approx(-0.2)
    assert finding.evidence["insertion_over_random"].estimate == pytest.approx(-0.2)
    assert not {"deletion", "deletion_random", "road_over_random"} & set(finding.evidence)


# ------------------------------------------------------------------ what follows


BAD = FAILING["the head does not matter"][0]


def test_the_first_method_that_does_not_fail_decides() -> None:
    findings = asked({"eigencam": BAD, "gradcam": GOOD})
    assert [finding.status for finding in of_maps(findings)] == ["issue", "passed"]
    for finding in regions(findings):  # only gradcam's maps were measured
        assert finding.answers == {"attended": "yes", "used": "no", "trusted": "yes"}
    text = conclude(findings).text
    assert "One method's maps cannot be believed here and were left out." in text


def test_where_all_fail_nothing_is_said_about_where_they_lie() -> None:
    findings = asked({"gradcam": BAD, "eigencam": BAD})
    for finding in regions(findings):
        assert "attended" not in finding.answers
        assert (finding.answers["used"], finding.answers["trusted"]) == ("no", "no")
    assert conclude(findings).headline == "The maps cannot be trusted here"


def test_use_that_was_shown_by_edits_needs_no_map() -> None:
    findings = asked({"gradcam": BAD}, followed="yes")
    assert {(finding.status, finding.rung) for finding in regions(findings)} == {("issue", "used")}
    assert conclude(findings).status == "issue"
    assert conclude(findings).headline != "The maps cannot be trusted here"


def test_the_finding_survives_its_file() -> None:
    findings = asked({"gradcam": GOOD})
    _, back = read_findings(write_findings("run", conclude(findings), findings))
    (finding,) = of_maps(back)
    before = of_maps(findings)[0]
    assert finding.title == before.title
    assert finding.evidence["noise"].estimate == before.evidence["noise"].estimate
    assert math.isnan(finding.evidence["noise"].p)


def test_images_that_share_a_random_network_are_one_unit() -> None:
    rows = table({"gradcam": GOOD | {"head": (0.0, 0.3)}})
    alone = of_maps(decide(replace(evidence("attribute", "yes", "no"), methods=("gradcam",), trust=rows)))[0]
    shared = rows.assign(draw=rows["draw"] // 4)
    (finding,) = of_maps(
        decide(replace(evidence("attribute", "yes", "no"), methods=("gradcam",), trust=shared))
    )
    assert alone.effect is not None
    assert finding.effect is not None
    assert finding.effect.high - finding.effect.low > 1.5 * (alone.effect.high - alone.effect.low)


def test_images_of_one_subject_are_one_unit() -> None:
    found = replace(evidence("attribute", "yes", "no"), methods=("gradcam",), trust=table({"gradcam": GOOD}))
    people = pd.DataFrame(
        {"sample": [f"s{i}" for i in range(40)], "subject": [f"p{i // 4}" for i in range(40)]}
    )
    ends = [
        finding.evidence["noise"].high - finding.evidence["noise"].low
        for of in (found, replace(found, samples=people))
        for finding in of_maps(decide(of))
    ]
    assert ends[1] > 1.5 * ends[0]
