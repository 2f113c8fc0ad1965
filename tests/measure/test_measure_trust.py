"""What the checks of maps say of networks and methods whose answer is known."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor, nn

from camaudit.errors import ModelError
from camaudit.explain.targets import Classes
from camaudit.measure.trust import (
    Question,
    Randomised,
    changes_of,
    check_maps,
    find_stages,
    randomisation,
    rank_correlations,
    reinitialise,
    to_common_grid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES = 6


class Small(nn.Module):
    """Convolutions, pooling and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 32, 3, stride=2, padding=1)
        self.seen = nn.ReLU()
        self.head = nn.Linear(32, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        return self.seen(self.last(self.norm(self.stem(images)).relu()))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).mean((-2, -1)))
        return logits


class Fixed(Small):
    """Features that look at no image."""

    def features(self, images: Tensor) -> Tensor:
        return super().features(torch.ones_like(images).cumsum(-1) / 10)


class Attention(nn.Module):
    """Parameters of its own, and inside of an attention that calls its parts without their forward."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 16, 8))
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).mT + self.position
        logits: Tensor = self.head(self.attention(tokens, tokens, tokens)[0].mean(1))
        return logits


def _made(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind().eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _owners(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if list(part.parameters(recurse=False))]


# ------------------------------------------------------------------ stages


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext", "test_resnet"])
def test_every_parameter_is_in_one_stage_and_the_head_is_the_first(name: str) -> None:
    module = timm.create_model(name, num_classes=3).eval()
    stages = find_stages(module, torch.rand(1, 3, 96, 96))
    assert sorted(part for stage in stages for part in stage) == sorted(_owners(module))
    head = module.get_submodule(stages[0][0])
    assert isinstance(head, nn.Linear)
    assert head.out_features == 3
    assert not any(part.training for part in module.modules())


def test_stages_are_in_the_order_of_a_pass_and_a_norm_goes_with_its_layer() -> None:
    assert find_stages(_made(Small), torch.rand(1, 3, 32, 32)) == [("head",), ("last",), ("stem", "norm")]


def test_what_is_never_called_goes_with_what_is_around_it() -> None:
    stages = find_stages(_made(Attention), torch.rand(1, 3, 32, 32))
    assert stages[0] == ("head",)
    assert stages[1] == ("attention", "attention.out_proj")
    assert set(stages[-1]) >= {"", "patches"}


def test_a_module_that_is_used_twice_is_in_one_stage() -> None:
    twice = nn.Linear(4, 4)
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), twice, twice)
    assert find_stages(module, torch.rand(1, 3, 2, 2)) == [("2",), ("1",)]


def test_nothing_without_parameters_has_stages() -> None:
    assert find_stages(nn.Flatten(), torch.rand(1, 3, 2, 2)) == []
    assert changes_of([]) == {}


def test_what_would_be_the_same_twice_is_asked_once() -> None:
    one, two, three = ("c",), ("b",), ("a",)
    assert changes_of([one]) == {"head": [one]}
    assert changes_of([one, two]) == {"head": [one], "all": [one, two], "early": [two]}
    assert list(changes_of([one, two, three])) == ["head", "all", "half", "early", "late"]
    assert changes_of([one, two, three])["half"] == [one, two]


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("kind", [Small, Attention])
def test_a_stage_is_drawn_anew_and_comes_back(kind: type[nn.Module]) -> None:
    module = _made(kind)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.full((8,), 3.0)
    before = copy.deepcopy(module.state_dict())
    other = Randomised(module)
    for stage in find_stages(module, torch.rand(1, 3, 32, 32)):
        with other.but([stage], 1) as network:
            now = network.state_dict()
            changed = {name for name, value in now.items() if not torch.equal(value, before[name])}
        owned = {name.rpartition(".")[0] for name in changed}
        assert owned == set(stage)
        assert any(name.endswith(("weight", "position")) for name in changed)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_statistics_of_a_norm_are_forgotten() -> None:
    norm = nn.BatchNorm2d(4)
    norm(torch.rand(8, 4, 5, 5) * 9)
    with torch.no_grad():
        norm.weight.fill_(7)
        reinitialise(norm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    for value, expected in ((norm.running_mean, 0.0), (norm.running_var, 1.0), (norm.weight, 1.0)):
        assert torch.equal(value, torch.full((4,), expected))


def test_draws_are_repeatable_and_leave_the_generator_alone() -> None:
    module, stage = _made(Small), [("head",)]
    state = torch.random.get_rng_state()
    drawn = []
    for seed in (1, 1, 2):
        with Randomised(module).but(stage, seed) as network:
            drawn.append(network.get_parameter("head.weight").clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_signal_survives_in_a_deep_network_without_norms() -> None:
    layers = [layer for _ in range(30) for layer in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())]
    module = nn.Sequential(nn.Conv2d(3, 8, 1), *layers).eval()
    images = torch.rand(1, 3, 8, 8)
    with Randomised(module).but(find_stages(module, images), 0) as network, torch.no_grad():
        assert 1e-4 < float(network(images).std()) < 1e4


def test_a_weight_behind_a_parametrisation_is_drawn_anew() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))
    module = nn.Sequential(nn.Flatten(), layer).eval()
    images = torch.rand(1, 6)
    with torch.no_grad():
        before = module(images)
        with Randomised(module).but(find_stages(module, images), 0) as network:
            assert not torch.allclose(network(images), before)
        assert torch.equal(module(images), before)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_a_program_is_refused() -> None:
    program = torch.jit.trace(_made(Small), torch.rand(1, 3, 32, 32))
    with pytest.raises(ModelError, match="TorchScript"):
        Randomised(program)


# ------------------------------------------------------------------ comparing


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=12, max_size=12))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    ones, others = (torch.tensor([float(pair[i]) for pair in pairs]).reshape(1, 3, 4) for i in (0, 1))
    found = float(rank_correlations(ones, others)[0])
    constant = [bool(of.min() == of.max()) for of in (ones, others)]
    if any(constant):
        assert math.isnan(found) if all(constant) else found == 0
        return
    assert found == pytest.approx(spearmanr(ones.flatten(), others.flatten()).statistic)


def test_a_value_that_is_no_number_has_no_rank() -> None:
    unknown = torch.rand(1, 2, 2)
    unknown[0, 0, 0] = torch.nan
    assert np.isnan(rank_correlations(unknown, torch.rand(1, 2, 2))).all()


def test_maps_on_two_grids_are_compared_on_the_coarser() -> None:
    fine = torch.arange(16.0).reshape(1, 4, 4)
    one, other = to_common_grid(fine, torch.rand(1, 2, 2))
    assert one.shape == other.shape == (1, 2, 2)
    assert one[0, 0, 0] == fine[0, :2, :2].mean()


# ------------------------------------------------------------------ checks


def _checked(
    module: nn.Module, images: Tensor, methods: Sequence[str], *, layer: str = "seen", classes: int = CLASSES
) -> dict[tuple[str, str], float]:
    """Mean of each check over draws of four images."""
    found: dict[tuple[str, str], list[float]] = {}
    other = Randomised(module)
    changes = changes_of(find_stages(module, images[:1]))
    for draw, part in enumerate(images.split(4)):
        with torch.no_grad():
            own = module(part).argmax(1)
        question = Question(methods, Classes(own), Classes((own + 1) % classes), layer, reference=True)
        numbers, _ = check_maps(module, part, question, changes, other, seed=draw)
        for key, values in numbers.items():
            found.setdefault(key, []).extend(values.tolist())
    return {key: float(np.nanmean(values)) for key, values in found.items()}


def test_cam_on_a_linear_head_depends_on_the_weights(images: Tensor) -> None:
    found = _checked(_made(Small), images, ["cam", "gradcam"])
    assert abs(found["cam", "head"]) < 0.4
    assert abs(found["cam", "all"]) < 0.4
    assert found["cam", "noise"] > 0.9
    assert found["cam", "zero_mass"] < 0.5
    for check in ("head", "all", "noise", "other_class", "late", "early"):
        assert found["gradcam", check] == pytest.approx(found["cam", check], abs=1e-6)
    assert found["cam", "agreement"] == pytest.approx(
        1, abs=1e-6
    )  # a linear head: the closed form is the same


def test_a_method_that_looks_at_no_class_does_not_notice_a_random_head(images: Tensor) -> None:
    found = _checked(_made(Small), images, ["eigencam"])
    assert found["eigencam", "head"] == pytest.approx(1)
    assert found["eigencam", "other_class"] == pytest.approx(1)
    assert found["eigencam", "all"] < 0.9


def test_a_method_that_ignores_the_model_notices_nothing(images: Tensor) -> None:
    module = nn.Sequential(nn.Identity(), _made(Small)).eval()  # maps of the image itself
    found = _checked(module, images, ["eigencam"], layer="0")
    for check in ("head", "half", "all", "late", "early"):
        assert found["eigencam", check] == pytest.approx(1), check


def test_a_map_that_does_not_look_at_the_image_is_the_same_under_noise(images: Tensor) -> None:
    found = _checked(_made(Fixed), images, ["eigencam"])
    assert found["eigencam", "noise"] == pytest.approx(1)
    assert found["eigencam", "head"] == pytest.approx(1)


def test_a_map_without_mass_has_no_order_and_is_counted(images: Tensor) -> None:
    module = _made(Small)
    with torch.no_grad():
        module.get_parameter("head.weight").fill_(-1.0)  # nothing speaks for any class
    own = torch.zeros(4, dtype=torch.int64)
    question = Question(["cam"], Classes(own), None, "seen", reference=False)
    numbers, maps = check_maps(
        module, images[:4], question, changes_of(find_stages(module, images[:1])), Randomised(module), seed=0
    )
    assert float(maps["cam"].sum()) == 0
    assert numbers["cam", "zero_mass"].tolist() == [1.0] * 4
    others = {check: values for (_, check), values in numbers.items() if check != "zero_mass"}
    assert others
    assert all(np.isnan(values).all() for values in others.values())
    assert "other_class" not in others
    assert "agreement" not in others


def test_without_the_reference_methods_are_held_against_each_other(images: Tensor) -> None:
    module = _made(Small)
    question = Question(["gradcam", "hirescam"], Classes(0), None, "seen", reference=False)
    numbers, _ = check_maps(module, images[:2], question, {}, None, seed=0)
    assert np.nanmin(numbers["gradcam", "agreement"]) == pytest.approx(1)
    assert {check for _, check in numbers} == {"agreement", "noise", "zero_mass"}


# ------------------------------------------------------------------ the rule


class Ends(NamedTuple):
    """An interval."""

    low: float
    high: float


@pytest.mark.parametrize(
    ("noise", "head", "whole", "outcome"),
    [
        ((0.9, 0.95), (0.91, 0.99), (0.0, 0.1), "fails"),
        ((0.9, 0.95), (0.89, 0.99), (0.0, 0.1), "open"),
        ((0.9, 0.95), (0.1, 0.44), (0.0, 0.1), "passes"),
        ((0.9, 0.95), (0.1, 0.46), (0.0, 0.1), "open"),
        ((0.9, 0.95), (0.1, 0.2), (0.0, 0.5), "open"),
        ((0.2, 0.95), (0.05, 0.2), (0.0, 0.05), "open"),
        ((math.nan, math.nan), (0.1, 0.2), (0.0, 0.1), "open"),
        ((0.9, 0.95), (math.nan, math.nan), (0.0, 0.1), "open"),
    ],
)
def test_the_rule(
    noise: tuple[float, float], head: tuple[float, float], whole: tuple[float, float], outcome: str
) -> None:
    assert randomisation(Ends(*noise), Ends(*head), [Ends(*whole)]) == outcome


def test_the_rule_needs_no_more_for_failing_when_more_is_known() -> None:
    ends = [Ends(low / 10, low / 10 + 0.05) for low in range(10)]
    outcomes = [randomisation(Ends(0.9, 1.0), head) for head in ends]
    ranks = [("passes", "open", "fails").index(outcome) for outcome in outcomes]
    assert all(one <= other for one, other in pairwise(ranks))
    assert set(outcomes) == {"passes", "open"}
