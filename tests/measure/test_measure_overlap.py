"""Intersection over union, of pixels and of boxes, against literal twins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from camaudit.measure.overlap import OVERLAP_METRICS, overlap

SHARES = {"iou": 0.15, "iou_25": 0.25, "iou_50": 0.5, "iou_75": 0.75}
Cells = set[tuple[int, int]]


def _one(pixels: Tensor, region: Tensor, valid: Tensor | None = None) -> dict[str, float]:
    """The measures of one map and one region, each (height, width)."""
    real = torch.ones_like(region) if valid is None else valid
    found = overlap(pixels[None, None], region[None, None], real[None])
    return {name: float(values) for name, values in found.items()}


def _cells(mask: Tensor) -> Cells:
    return {(i, j) for i in range(mask.shape[0]) for j in range(mask.shape[1]) if mask[i, j]}


def _parts(cells: Cells) -> list[Cells]:
    """Connected by sides, in reading order of their first cell."""
    left, parts = set(cells), []
    for start in sorted(cells):
        if start not in left:
            continue
        part, todo = set(), [start]
        while todo:
            cell = todo.pop()
            if cell in left:
                left.remove(cell)
                part.add(cell)
                i, j = cell
                todo += [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
        parts.append(part)
    return parts


def _boxed(cells: Cells) -> Cells:
    rows, columns = [i for i, _ in cells], [j for _, j in cells]
    return {
        (i, j)
        for i in range(min(rows), max(rows) + 1)
        for j in range(min(columns), max(columns) + 1)
    }  # fmt: skip


def _iou(one: Cells, other: Cells) -> float:
    return len(one & other) / len(one | other)


def _literal(pixels: Tensor, region: Tensor, valid: Tensor) -> dict[str, float]:
    real, mine = _cells(valid), _cells(region & valid)
    top = max(float(pixels[cell]) for cell in real)
    if not mine or top <= 0:
        return dict.fromkeys(OVERLAP_METRICS, math.nan)
    bright = {
        name: {cell for cell in real if float(pixels[cell]) >= share * top} for name, share in SHARES.items()
    }
    largest = max(_parts(bright["iou"]), key=len)  # of equal ones the first
    return {name: _iou(of, mine) for name, of in bright.items()} | {
        "box_iou": _iou(_boxed(largest), _boxed(mine))
    }


@given(st.integers(0, 2**16), st.floats(0, 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_metric_equals_its_literal_twin(seed: int, dark: float, padded: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.rand(2, 2, 7, 9, generator=random, dtype=torch.float64)
    pixels = torch.where(torch.rand(pixels.shape, generator=random) < dark, 0.0, pixels)
    regions = torch.rand(2, 2, 7, 9, generator=random) > 0.7
    valid = torch.ones(2, 7, 9, dtype=torch.bool)
    if padded:
        valid[1, 5:] = False
    found = overlap(pixels, regions, valid)
    assert tuple(found) == OVERLAP_METRICS
    for b in range(2):
        for t in range(2):
            for r in range(2):
                expected = _literal(pixels[b, t], regions[b, r], valid[b])
                got = {name: float(values[b, t, r]) for name, values in found.items()}
                assert got == pytest.approx(expected, nan_ok=True)


def test_a_map_that_is_the_region_covers_it_wholly() -> None:
    region = torch.zeros(12, 12, dtype=torch.bool)
    region[2:7, 3:8] = True
    assert _one(region.float(), region) == pytest.approx(dict.fromkeys(OVERLAP_METRICS, 1.0))


def test_the_box_is_that_of_the_largest_part_alone() -> None:
    pixels = torch.zeros(12, 12)
    pixels[1:5, 1:5] = 1
    pixels[10, 10] = 1
    region = torch.zeros(12, 12, dtype=torch.bool)
    region[1:5, 1:9] = True
    assert _one(pixels, region)["box_iou"] == pytest.approx(0.5)


def test_a_map_without_mass_and_a_region_without_pixels_are_not_defined() -> None:
    region, empty = torch.ones(5, 5, dtype=torch.bool), torch.zeros(5, 5, dtype=torch.bool)
    for found in (_one(torch.zeros(5, 5), region), _one(torch.rand(5, 5), empty)):
        assert all(math.isnan(value) for value in found.values())
