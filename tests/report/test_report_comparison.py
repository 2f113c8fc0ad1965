from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from camaudit.report.comparison import choose, distances, render_comparison
from tests.report.html_reader import Reader

if TYPE_CHECKING:
    import pandas as pd

    from tests.synthetic_run import SyntheticRun


def test_distance_is_the_share_that_moves(biased: SyntheticRun) -> None:
    def other(*places: tuple[int, int]) -> SyntheticRun:
        values = np.zeros((7, 7), dtype=np.float32)
        for place in places:
            values[place] = 3.0
        made = dataclasses.replace(biased.attribution("img_000"), values=values)
        return biased.but(attribution=lambda *_: made)

    def between(a: SyntheticRun, b: SyntheticRun) -> float:
        return distances(a, b, ["img_000"])["img_000"]

    assert between(biased, biased) == 0
    assert between(other((0, 0)), other((6, 6))) == pytest.approx(1)
    assert between(other((0, 0)), other((0, 0), (6, 6))) == pytest.approx(0.5)
    assert distances(other(), biased, ["img_000"]) == {}


def test_the_coarser_grid_decides(biased: SyntheticRun) -> None:
    fine = np.kron(biased.attribution("img_000").values, np.ones((2, 2), dtype=np.float32))
    finer = biased.but(
        manifest=dataclasses.replace(biased.manifest, grid=(14, 14)),
        attribution=lambda sample: dataclasses.replace(biased.attribution(sample), values=fine),
    )
    assert distances(biased, finer, ["img_000"])["img_000"] == pytest.approx(0, abs=1e-6)


def test_rows_take_turns_between_the_cells(biased: SyntheticRun, balanced: SyntheticRun) -> None:
    moved = distances(biased, balanced, biased.samples["sample"])
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
    assert text[both:].count("CAM104") == 2


def test_two_runs_of_one_name_are_told_apart(biased: SyntheticRun, differences: pd.DataFrame) -> None:
    page = render_comparison(biased, biased, differences)
    assert "biased (A) and biased (B), picture by picture" in page
