"""Batches that fit a stated memory, and what happens where they do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from camaudit.errors import ExplainError
from camaudit.explain import explain
from camaudit.explain.budget import MOST_ROWS, Allocations, Batches

CPU = torch.device("cpu")
MIB = 2**20


def test_allocations_count_what_is_held() -> None:
    weight = torch.ones(1024, 1024)
    with Allocations() as counted:
        one = weight.T + 1  # 4 MiB; the view is none
        two = one * 2  # 4 MiB
        del one
        two.mul_(2)
        torch.cat([two, two])  # 8 MiB, beside the 4 that are held
    assert counted.peak == 12 * MIB
    assert counted.largest == 8 * MIB


def _rows_of(width: int, failing: int | None = None) -> tuple[list[int], object]:
    seen: list[int] = []

    def run(start: int, stop: int) -> Tensor:
        seen.append(stop - start)
        if failing is not None and stop - start > failing:
            raise torch.OutOfMemoryError
        return torch.arange(start, stop)[:, None] + torch.zeros(stop - start, width)

    return seen, run


@pytest.mark.parametrize("memory", [1, MIB, 8 * MIB])
def test_memory_bounds_the_rows(memory: int) -> None:
    width = 1024  # the zeros and the sum: 8 KiB a row
    seen, run = _rows_of(width)
    found = Batches(memory, CPU)(2000, run)  # type: ignore[arg-type]
    assert torch.equal(found[:, 0], torch.arange(2000.0))
    assert max(seen[1:]) <= max(1, min(MOST_ROWS, memory // (8 * width)))
    assert max(seen[1:]) >= max(1, min(MOST_ROWS, memory // (8 * width)) // 2)


@pytest.mark.parametrize(("failing", "largest"), [(1, 1), (3, 2), (100, 64)])
def test_what_does_not_fit_is_tried_with_half(failing: int, largest: int) -> None:
    seen, run = _rows_of(1, failing)
    found = Batches(2**40, CPU)(1000, run)  # type: ignore[arg-type]
    assert torch.equal(found[:, 0], torch.arange(1000.0))
    fitted = [rows for rows in seen if rows <= failing]
    assert max(fitted) == largest
    assert sum(fitted) == 1000
    assert len(seen) - len(fitted) <= 9  # halves of 512


def test_a_row_that_does_not_fit_is_said() -> None:
    _, run = _rows_of(1, 0)
    with pytest.raises(ExplainError, match="not enough memory"):
        Batches(2**40, CPU)(10, run)  # type: ignore[arg-type]


def test_another_error_is_not_taken_for_it() -> None:
    def run(_start: int, _stop: int) -> Tensor:
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        Batches(2**40, CPU)(10, run)


class _Small(nn.Module):
    """A model that cannot take many images at once, as if its device were small."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.conv, self.pool, self.head = nn.Conv2d(3, 8, 3), nn.AdaptiveMaxPool2d(1), nn.Linear(8, 3)
        self.fits, self.rows = fits, [0]

    def forward(self, images: Tensor) -> Tensor:
        self.rows.append(len(images))
        if len(images) > self.fits:
            msg = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
            raise RuntimeError(msg)
        out: Tensor = self.head(self.pool(self.conv(images).relu()).flatten(1))
        return out


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "rise"])
def test_maps_do_not_depend_on_what_fits(method: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    maps = []
    weights = _Small(1000).double().eval().state_dict()
    for fits in (3, 1000):
        model = _Small(fits).double().eval()
        model.load_state_dict(weights)
        options = {"rise": {"masks": 20}} if method == "rise" else {}
        maps.append(
            explain(model, images, methods=[method], targets=[0, 1], layer="conv", options=options)[method]
        )
        assert min(model.rows[1:]) >= 1
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-10, atol=1e-12)
