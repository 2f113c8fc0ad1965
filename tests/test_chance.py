"""What a test draws by chance depends on no other test."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch


def _drawn() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(()).item()  # noqa: NPY002 - it is what is asked about


@pytest.fixture(scope="module")
def shared() -> tuple[float, float, float]:
    return _drawn()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_and_what_they_share_draw_the_same(turn: str, shared: tuple[float, float, float]) -> None:
    own = torch.rand((), generator=torch.Generator()).item()  # with the seed that torch starts with
    expected = random.Random(0).random(), np.random.RandomState(0).random_sample(), own
    assert _drawn() == shared == expected
    assert _drawn() != expected
