"""The ranking measures against literal twins, and against scikit-learn where it has the same."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from camaudit.measure.ranking import RANKING_METRICS, TOP, ranking


def _one(pixels: Tensor, region: Tensor, valid: Tensor | None = None) -> dict[str, float]:
    """The measures of one map and one region, each (height, width)."""
    real = torch.ones_like(region) if valid is None else valid
    found = ranking(pixels[None, None], region[None, None], real[None])
    return {name: float(values) for name, values in found.items()}


def _share_among(values: list[float], mine: list[bool], count: int) -> float:
    """Mean over every order that the pixels could be in, of how many of the first `count` are the region's."""
    shares = [
        sum(mine[place] for place in order[:count]) / count
        for order in permutations(range(len(values)))
        if all(values[one] >= values[other] for one, other in pairwise(order))
    ]
    return sum(shares) / len(shares)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=6, max_size=6))
@settings(max_examples=25, deadline=None)
def test_rank_accuracy_is_the_mean_over_all_orders_of_equal_pixels(cells: list[tuple[int, bool]]) -> None:
    values, mine = [float(value) for value, _ in cells], [belongs for _, belongs in cells]
    found = _one(torch.tensor(values).reshape(2, 3), torch.tensor(mine).reshape(2, 3))
    if not any(mine):
        assert all(math.isnan(value) for value in found.values())
        return
    assert found["rank_accuracy"] == pytest.approx(_share_among(values, mine, sum(mine)))
    assert found["topk_intersection"] == pytest.approx(_share_among(values, mine, 1))


@given(st.integers(0, 2**16), st.integers(1, 40), st.booleans())
@settings(max_examples=40, deadline=None)
def test_auroc_and_average_precision_are_scikit_learns(seed: int, levels: int, padded: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, levels, (2, 2, 9, 11), generator=random).double()
    regions = torch.rand(2, 3, 9, 11, generator=random) > 0.6
    valid = torch.ones(2, 9, 11, dtype=torch.bool)
    if padded:
        valid[1, :, 8:] = False
    found = ranking(pixels, regions, valid)
    for b in range(2):
        for t in range(2):
            for r in range(3):
                mine = regions[b, r][valid[b]].numpy()
                scores = pixels[b, t][valid[b]].numpy()
                place = (b, t, r)
                assert float(found["auroc"][place]) == pytest.approx(roc_auc_score(mine, scores))
                expected = average_precision_score(mine, scores)
                assert float(found["average_precision"][place]) == pytest.approx(expected, rel=1e-6)


def test_a_map_that_is_the_region_is_perfect_and_its_opposite_is_not() -> None:
    region = torch.zeros(20, 20, dtype=torch.bool)
    region[3:9, 4:12] = True
    assert _one(region.float(), region) == pytest.approx(dict.fromkeys(RANKING_METRICS, 1.0))
    opposite = _one((~region).float(), region)
    assert (opposite["rank_accuracy"], opposite["topk_intersection"], opposite["auroc"]) == (0, 0, 0)


def test_a_constant_map_says_what_chance_would() -> None:
    region = torch.zeros(10, 10, dtype=torch.bool)
    region[:3] = True
    found = _one(torch.full((10, 10), 0.7), region)
    assert found == pytest.approx(
        {"rank_accuracy": 0.3, "topk_intersection": 0.3, "auroc": 0.5, "average_precision": 0.3}
    )


def test_a_region_that_is_the_whole_image_has_no_auroc() -> None:
    found = _one(torch.rand(6, 6), torch.ones(6, 6, dtype=torch.bool))
    assert math.isnan(found.pop("auroc"))
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_padding_takes_no_part() -> None:
    region, valid = torch.zeros(8, 8, dtype=torch.bool), torch.ones(8, 8, dtype=torch.bool)
    region[2:5, 1:4] = True
    valid[:, 6:] = False
    pixels = torch.rand(8, 8)
    bright = pixels.clone()
    bright[:, 6:] = 100
    spread = region.clone()
    spread[:, 6:] = True
    assert _one(bright, spread, valid) == pytest.approx(_one(pixels[:, :6], region[:, :6]))


def test_the_top_is_a_thousand_pixels_of_the_usual_input() -> None:
    assert round(TOP * 224 * 224) == 1004
