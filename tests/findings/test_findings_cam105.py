"""CAM105: an attribute moves the score of images that it is put into."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from camaudit.findings import Evidence, Policy, decide
from tests.findings.tables import SHIFT, evidence

if TYPE_CHECKING:
    from camaudit.types import Finding


def _evidence(moves: str, *, plain: str | None = None, n: int = 40, seen: str = "no") -> Evidence:
    """An attribute that is not used where it is, and what it does in images that lack it.

    Args:
        moves: what it does beyond what images without it show in that place.
        plain: what it does at all; the same where left out.
        n: images.
        seen: whether maps lie on it.
    """
    base = evidence("attribute", seen, "no")
    rows = [
        {
            "metric": metric,
            "method": "transplant",
            "target": "predicted",
            "target_class": of,
            "region": "hair",
            "role": "attribute",
            "group": "",
            "value": "",
            **dict(zip(("estimate", "low", "high", "q"), numbers, strict=True)),
            "p": numbers[3],
            "n": n,
        }
        for of in ("nurse", "doctor")
        for metric, numbers in (
            ("shift", SHIFT[moves]),
            ("shift_region", SHIFT[plain or moves]),
        )
        if numbers is not None
    ]
    transplants = pd.DataFrame(
        [
            (f"s{i}", "s0", "hair", "predicted", of, float(i), float(i))
            for of in ("nurse", "doctor")
            for i in range(10)
        ],
        columns=["sample", "donor", "region", "target", "target_class", "shift", "shift_region"],
    )
    return replace(
        base,
        effects=pd.concat([base.effects, pd.DataFrame(rows)], ignore_index=True),
        transplants=transplants,
    )


def _found(of: Evidence, policy: Policy | None = None) -> list[Finding]:
    return [finding for finding in decide(of, policy) if finding.code == "CAM105"]


@pytest.mark.parametrize(
    ("moves", "plain", "status", "said"),
    [
        ("yes", None, "issue", "yes"),
        ("raises", None, "issue", "yes"),
        ("both ways", None, "passed", "no"),  # in its class: its direction is what it is pasted for
        ("no", None, "passed", "no"),
        ("open", None, "insufficient", "open"),
        ("few", None, "insufficient", "open"),
        ("yes", "no", "insufficient", "open"),  # anything pasted there would do it
        ("no", "yes", "insufficient", "open"),  # the piece of another image lowers what the paste raises
    ],
)
def test_what_a_paste_does_decides(moves: str, plain: str | None, status: str, said: str) -> None:
    found = _found(_evidence(moves, plain=plain))
    assert [finding.target_class for finding in sorted(found, key=lambda f: f.target_class or "")] == [
        "doctor",
        "nurse",
    ]
    for finding in found:
        assert (finding.status, finding.answers) == (status, {"used": said})
        assert finding.rung == ("used" if status == "issue" else None)
        assert finding.region == "hair"
        assert finding.advice


def test_the_title_tells_the_direction_and_whose_attribute_it_is() -> None:
    raised = _found(_evidence("yes"))[0].title
    assert "pasting hair of another image raises the score by 0.40 SD (0.30 to 0.50)" in raised
    assert "lowers the score by 0.40 SD (0.30 to 0.50)" in _found(_evidence("raises"))[0].title
    assert "against nothing pasted and against what images without it show in that place" in raised


def test_too_few_images_are_said_so() -> None:
    assert "only 4 images can be used, and 10 are needed" in _found(_evidence("few", n=4))[0].title


def test_exemplars_are_the_images_that_it_moves_most() -> None:
    finding = _found(_evidence("yes"), Policy(exemplars=2))[0]
    assert (finding.samples, finding.counter_samples) == (("s9", "s8"), ("s0", "s1"))
    assert _found(_evidence("raises"), Policy(exemplars=2))[0].samples == ("s0", "s1")


def test_the_interval_spans_both_ways_to_ask() -> None:
    finding = _found(_evidence("yes", plain="both ways"))[0]
    assert finding.effect is not None
    assert (finding.effect.low, finding.effect.high) == (-0.05, 0.50)


def test_nothing_to_put_it_into_is_not_applicable_with_the_reason() -> None:
    of = _evidence("yes")
    assert of.transplants is not None
    (finding,) = _found(replace(of, transplants=of.transplants.iloc[:0]))
    assert finding.status == "not_applicable"
    assert "every image has it, or none has" in finding.title


def test_where_nobody_asked_nothing_is_said() -> None:
    assert _found(replace(_evidence("yes"), transplants=None)) == []
