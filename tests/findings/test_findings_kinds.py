"""An attribute that every image has: its kind is asked about, not its absence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.findings import Evidence, decide
from camaudit.findings.kinds import everywhere, telling_kind
from tests.findings.tables import FILLS, evidence

if TYPE_CHECKING:
    from camaudit.types import Finding

COUNT = 80


def with_kinds(
    apart: float, *, shift: float, groups: tuple[str, ...] = ("gender",), absent: int = 0
) -> Evidence:
    """Every image has hair; editing it away takes `shift` from the score, `apart` more from that of women."""
    names = [f"s{i}" for i in range(COUNT)]
    women = np.arange(COUNT) % 2 == 0
    noise = np.random.default_rng(0).normal(0, 0.05, COUNT)
    values = shift + apart * women + noise
    common = {"target": "predicted", "target_class": "nurse", "region": "hair", "role": "attribute"}
    rows = [
        pd.DataFrame({"sample": names, "method": fill, "metric": "shift", "value": values, **common})
        for fill in FILLS
    ]
    areas = np.where(np.arange(COUNT) < absent, np.nan, 0.1)
    rows.append(
        pd.DataFrame({"sample": names, "method": "gradcam", "metric": "area", "value": areas, **common})
    )
    samples = pd.DataFrame({"sample": names, "group_gender": np.where(women, "woman", "man")})
    tables = evidence("attribute", "yes", "yes")
    effects = tables.effects[tables.effects["target_class"] == "nurse"]
    return replace(
        tables,
        effects=effects,
        measurements=pd.concat(rows),
        samples=samples,
        groups=groups,
        classes=["nurse", "doctor"],
    )


def of_hair(tables: Evidence) -> list[Finding]:
    """The findings about hair."""
    return [found for found in decide(tables) if found.code in {"CAM101", "CAM102"}]


def test_what_the_edit_does_to_every_image_is_no_use() -> None:
    (finding,) = of_hair(with_kinds(0.0, shift=0.8))
    assert finding.answers["used"] == "no"
    assert finding.status == "tip"  # the maps lie on it


@pytest.mark.parametrize("shift", [-0.8, 0.0, 0.8])
def test_a_kind_that_speaks_for_the_class_is_use_whatever_its_absence_does(shift: float) -> None:
    (finding,) = of_hair(with_kinds(0.5, shift=shift))
    assert (finding.status, finding.answers["used"]) == ("issue", "yes")
    assert finding.effect is not None
    assert finding.effect.estimate == pytest.approx(0.5, abs=0.05)
    assert "more where gender is woman than elsewhere" in finding.title


def test_the_kind_named_is_the_one_that_speaks_for_the_class() -> None:
    (finding,) = of_hair(with_kinds(-0.5, shift=0.2))
    assert finding.effect is not None
    assert finding.effect.estimate == pytest.approx(0.5, abs=0.05)
    assert "more where gender is man than elsewhere" in finding.title


def test_without_groups_an_absence_decides_nothing() -> None:
    (finding, *_) = of_hair(with_kinds(0.5, shift=0.8, groups=()))
    assert (finding.status, finding.answers["used"]) == ("insufficient", "open")
    assert "every image has it" in finding.title
    assert "Name a group column" in finding.advice


def test_an_attribute_that_some_images_lack_is_asked_as_before() -> None:
    tables = with_kinds(0.0, shift=0.8, absent=5)
    assert not everywhere(tables, "hair")
    assert {finding.answers["used"] for finding in of_hair(tables)} == {"yes"}


def test_a_group_of_few_decides_nothing() -> None:
    tables = with_kinds(0.5, shift=0.8)
    gender = tables.samples["group_gender"].where(np.arange(COUNT) < 12, "man")
    (finding,) = of_hair(replace(tables, samples=tables.samples.assign(group_gender=gender)))
    assert finding.answers["used"] == "open"
    assert "fewer than 10 images" in finding.title


def test_the_difference_is_that_of_the_means_with_subjects_as_units() -> None:
    tables = with_kinds(0.3, shift=0.1)
    cell = next(cell for cell in tables.cells("attribute") if cell.target_class)
    single = telling_kind(tables, cell)
    assert single is not None
    shift = tables.values("shift", FILLS[0], cell)
    women = (tables.samples["group_gender"] == "woman").to_numpy()
    assert single.effect.estimate == pytest.approx(shift[women].mean() - shift[~women].mean())
    paired = tables.samples.assign(subject=[f"p{i // 4}{i % 2}" for i in range(COUNT)])
    together = telling_kind(replace(tables, samples=paired), cell)
    assert together is not None
    assert together.effect.estimate == pytest.approx(single.effect.estimate)
    assert together.effect.high - together.effect.low != pytest.approx(single.effect.high - single.effect.low)
