"""Bringing regions to the grid is the adjoint of enlarging maps to the image."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from camaudit.measure import to_grid

SIDES = st.integers(1, 40)
CELLS = st.integers(1, 12)


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, h=CELLS, w=CELLS, seed=st.integers(0, 2**16))
def test_it_is_the_exact_adjoint_and_keeps_sums(height: int, width: int, h: int, w: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    region = torch.rand(2, height, width, dtype=torch.float64, generator=random)
    small = torch.rand(2, h, w, dtype=torch.float64, generator=random)
    large = functional.interpolate(small[:, None], (height, width), mode="bilinear", align_corners=False)[
        :, 0
    ]
    brought = to_grid(region, (h, w))
    torch.testing.assert_close((region * large).sum(), (brought * small).sum(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(brought.sum((-2, -1)), region.sum((-2, -1)), rtol=1e-10, atol=1e-10)


def test_leading_axes_dtype_and_the_identity() -> None:
    region = torch.rand(2, 3, 5, 7)
    assert to_grid(region, (2, 3)).shape == (2, 3, 2, 3)
    assert to_grid(region, (2, 3)).dtype == torch.float32
    torch.testing.assert_close(to_grid(region, (5, 7)), region)
