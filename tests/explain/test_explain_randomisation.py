"""The ends of the randomisation check's scale, on trained weights, and the rule that decides."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from benchmarks.randomisation import (
    ALL,
    HEAD,
    STAGES,
    Group,
    Interval,
    by_condition,
    compared,
    decided,
    interval,
    maps_of,
    photographs,
    randomised,
    rank_correlation,
    similarity,
    stages_of,
    table,
)
from camaudit.demo.train import load_imagenet, pixels
from camaudit.explain import all_methods

if TYPE_CHECKING:
    from torch import Tensor

SAME = ("deconvnet", "eigencam", "gradcampp", "guided_backprop", "layercam")
OTHERS = ("cam", "counterfactual_gradcam", "gradcam", "hirescam", "xgradcam")


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return load_imagenet()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.stack([pixels(path) for path in photographs(None, 3)])


@pytest.fixture(scope="module")
def under_another_head(trained: nn.Module, images: Tensor) -> dict[str, float]:
    """Median rank correlation with the map of the trained network, by method."""
    group = Group((*SAME, *OTHERS), 1, (HEAD,))
    with torch.inference_mode():
        own = trained(images).argmax(1)
    before = maps_of(trained, images, group, [own], 0)
    after = maps_of(randomised(trained, stages_of(HEAD), 0), images, group, [own], 0)
    return {
        name: median(
            rank_correlation(left[0], right[0]) for left, right in zip(maps, after[name], strict=True)
        )
        for name, maps in before.items()
    }


@pytest.mark.parametrize("method", SAME)
def test_maps_that_do_not_know_the_classes_stay_when_the_head_is_random(
    method: str, under_another_head: dict[str, float]
) -> None:
    assert under_another_head[method] > 0.9
    assert all_methods()[method].randomisation == "fails"
    assert not all_methods()[method].class_discriminative


@pytest.mark.parametrize("method", OTHERS)
def test_maps_of_a_class_change_when_the_head_is_random(
    method: str, under_another_head: dict[str, float]
) -> None:
    assert under_another_head[method] < 0.5
    assert all_methods()[method].randomisation == "passes"
    assert all_methods()[method].class_discriminative


def test_every_weight_is_in_one_stage_and_no_other_stage_changes(trained: nn.Module) -> None:
    everything = randomised(trained, range(len(STAGES)), 0).state_dict()
    assert not [
        name
        for name, value in trained.state_dict().items()
        if value.is_floating_point() and value.std() > 0 and torch.equal(value, everything[name])
    ]
    third = randomised(trained, stages_of("alone 3"), 0).state_dict()
    changed = {name for name, value in trained.state_dict().items() if not torch.equal(value, third[name])}
    assert changed
    assert all(name.startswith("blocks.6.") for name in changed)
    assert stages_of("cascade 3") == [0, 1, 2]


def test_the_correlation_is_spearmans() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randint(0, 5, (2, 7, 7), generator=draw).double()
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.flatten(), other.flatten()).statistic)
    assert rank_correlation(one, one * 3 + 1) == pytest.approx(1)
    assert rank_correlation(one, torch.zeros(7, 7)) == 0
    assert torch.tensor(rank_correlation(torch.zeros(7, 7), torch.ones(7, 7))).isnan()
    assert similarity(one, one * 3) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([(0.95, 0.99), (0.1, 0.2)], "fails"),
        ([(0.85, 0.99), (0.1, 0.2)], "open"),
        ([(0.1, 0.39), (0.0, 0.39)], "passes"),
        ([(0.1, 0.41), (0.0, 0.2)], "open"),
        ([(0.1, 0.2), (0.0, 0.41)], "open"),
    ],
)
def test_the_rule(changed: list[tuple[float, float]], expected: str) -> None:
    noise = Interval(0.9, 0.8, 0.95, 9)
    assert decided(noise, *(Interval(low, low, high, 9) for low, high in changed)) == expected


def test_images_without_a_number_do_not_count() -> None:
    assert interval([0.5, float("nan"), 0.5]) == Interval(0.5, 0.5, 0.5, 2)
    assert interval([float("nan")]).images == 0


def test_the_tables_have_every_method(trained: nn.Module, images: Tensor) -> None:
    group = Group(("gradcam",), 1, (HEAD, ALL))
    rows = [[f"{place}.jpg", *rest] for place, *rest in compared(trained, images[:2], group, (HEAD, ALL), 0)]
    assert by_condition(rows)["gradcam"][HEAD].images == 2
    assert len(table(rows).splitlines()) == 3
