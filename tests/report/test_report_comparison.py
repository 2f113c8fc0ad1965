from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from camaudit.errors import DataError
from camaudit.report.comparison import Shared, choose, distances, render_comparison
from tests.report.html_reader import Reader

if TYPE_CHECKING:
    from camaudit.types import AttributionMap
    from tests.synthetic_run import SyntheticRun


ONE = Shared(("img_000",), "gradcam", "predicted")


def test_distance_is_the_share_that_moves(biased: SyntheticRun) -> None:
    def other(*places: tuple[int, int]) -> SyntheticRun:
        values = np.zeros((7, 7), dtype=np.float32)
        for place in places:
            values[place] = 3.0
        made = dataclasses.replace(biased.attribution("img_000"), values=values)
        return biased.but(attribution=lambda *_: made)

    def between(a: SyntheticRun, b: SyntheticRun) -> float:
        return distances(a, b, ONE)["img_000"]

    assert between(biased, biased) == 0
    assert between(other((0, 0)), other((6, 6))) == pytest.approx(1)
    assert between(other((0, 0)), other((0, 0), (6, 6))) == pytest.approx(0.5)
    assert distances(other(), biased, ONE) == {}


def test_the_coarser_grid_decides(biased: SyntheticRun) -> None:
    fine = np.kron(biased.attribution("img_000").values, np.ones((2, 2), dtype=np.float32))
    finer = biased.but(
        manifest=dataclasses.replace(biased.manifest, grid=(14, 14)),
        attribution=lambda sample, *_: dataclasses.replace(biased.attribution(sample), values=fine),
    )
    assert distances(biased, finer, ONE)["img_000"] == pytest.approx(0, abs=1e-6)


def test_rows_take_turns_between_the_cells(biased: SyntheticRun, balanced: SyntheticRun) -> None:
    moved = distances(biased, balanced, Shared(tuple(biased.samples["sample"]), "gradcam", "predicted"))
    most, least = choose(biased, moved, 4, 2)
    rows = biased.samples.set_index("sample").loc[most]
    assert len(set(zip(rows["label"], rows["group_gender"], strict=True))) == 4
    others = [distance for sample, distance in moved.items() if sample not in most]
    assert [moved[sample] for sample in least] == sorted(others)[:2]


def test_findings_come_and_go(comparison: str) -> None:
    lines = Reader(comparison).lines
    text = [line.strip() for line in lines]
    only_first, only_second, both = (
        text.index(f"{title}") for title in ("Only in biased", "Only in balanced", "In both")
    )
    assert "CAM101" in text[only_first:only_second]
    assert "No issue and no tip." in text[only_second:both]
    assert text[both:].count("CAM101") == 2


def test_two_runs_of_one_name_are_told_apart(biased: SyntheticRun, differences: pd.DataFrame) -> None:
    page = render_comparison(biased, biased, differences)
    assert "biased (A) and biased (B), picture by picture" in page


def test_what_is_compared_is_the_first_that_both_have(
    biased: SyntheticRun, balanced: SyntheticRun, differences: pd.DataFrame
) -> None:
    """The second run's first method and target are others: its maps of them must not stand beside the first's."""
    asked = []

    def attribution(sample: str, method: str | None = None, target: str | None = None) -> AttributionMap:
        asked.append((method, target))
        return balanced.attribution(sample, method, target)

    manifest = dataclasses.replace(
        balanced.manifest, methods=("layercam", "gradcam"), targets=("label", "predicted")
    )
    other = balanced.but(manifest=manifest, attribution=attribution)
    page = render_comparison(biased, other, differences)
    assert set(asked) == {("gradcam", "predicted")}
    expected = render_comparison(biased, balanced, differences)
    pictures_to_findings = [
        made[
            made.index('<section aria-labelledby="rows">') : made.index('<section aria-labelledby="making">')
        ]
        for made in (page, expected)
    ]
    assert pictures_to_findings[0] == pictures_to_findings[1]
    assert "The maps that are compared are those of gradcam, for the predicted class." in page


@pytest.mark.parametrize("change", [{"methods": ("layercam",)}, {"targets": ("class:nurse",)}])
def test_runs_with_no_maps_in_common_are_not_compared(
    biased: SyntheticRun, differences: pd.DataFrame, change: dict[str, tuple[str, ...]]
) -> None:
    other = biased.but(manifest=dataclasses.replace(biased.manifest, **change))
    with pytest.raises(DataError, match=r"have no (attribution method|output target) in common"):
        render_comparison(biased, other, differences)


def test_a_table_is_called_after_its_metric(
    biased: SyntheticRun, balanced: SyntheticRun, differences: pd.DataFrame
) -> None:
    response = differences[differences["metric"] == "shift"].assign(metric="response")
    page = render_comparison(biased, balanced, pd.concat([differences, response]))
    for title in (
        "Evidence beyond its share of the area, in points",
        "Shift of the margin beyond control edits, in SD",
        "Size of the shift beyond control edits, up or down, in SD",
    ):
        assert page.count(f"<caption>{title}: all images</caption>") == 1
