"""Localisation against a literal twin that enlarges the map to the image and loops over pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from camaudit.measure import LOCALISATION_METRICS, localisation

CENTRE = "pointing_centre"  # the only one that looks at no map


def _literal(one: Tensor, region: Tensor, valid: Tensor) -> dict[str, float]:
    """Every metric of one map and one region that is annotated and not empty."""
    height, width = region.shape
    large = functional.interpolate(one[None, None], (height, width), mode="bilinear", align_corners=False)[
        0, 0
    ]
    inside = image = mass = total = 0.0
    for i in range(height):
        for j in range(width):
            if not valid[i, j]:
                continue
            inside += float(region[i, j])
            image += 1
            mass += float(large[i, j]) * float(region[i, j])
            total += float(large[i, j])
    area, share = inside / image, mass / total
    best = (0, 0)
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            if one[i, j] > one[best]:  # strictly: of equal maxima the first in reading order
                best = (i, j)
    top = [(best[axis] + 0.5) * region.shape[axis] / one.shape[axis] - 0.5 for axis in (0, 1)]
    middle = [(height - 1) / 2, (width - 1) / 2]
    return {
        "area": area,
        "mass": share,
        "excess": share - area,
        "lift": math.log2(share / area) if share > 0 else -math.inf,
        "outside_inside": _outside_inside(total - mass, mass, image - inside, inside),
        "pointing": _hit(top, region, valid),
        "pointing_centre": _hit(middle, region, valid),
    }


def _outside_inside(beyond: float, mass: float, outside: float, inside: float) -> float:
    if outside < 0.5:
        return math.nan
    return beyond / outside / (mass / inside) if mass > 0 else math.inf


def _hit(point: list[float], region: Tensor, valid: Tensor) -> float:
    for i in range(region.shape[0]):
        for j in range(region.shape[1]):
            near = (i - point[0]) ** 2 + (j - point[1]) ** 2 <= 15**2
            if near and valid[i, j] and region[i, j] > 0.5:
                return 1.0
    return 0.0


@settings(max_examples=20, deadline=None)
@given(
    frame=st.tuples(st.integers(6, 48), st.integers(6, 48)),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    padding=st.integers(0, 4),
    seed=st.integers(0, 2**16),
)
def test_every_metric_equals_its_literal_twin(
    frame: tuple[int, int], grid: tuple[int, int], padding: int, seed: int
) -> None:
    (height, width), (h, w) = frame, grid
    random = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 2, h, w, dtype=torch.float64, generator=random)
    maps = torch.where(maps > 0.5, maps, 0.0)
    maps[:, :, 0, 0] += 0.1
    coverage = (torch.rand(2, 3, height, width, generator=random) > 0.8).double()
    coverage[:, :, 0, -1] = 1
    valid = torch.ones(2, height, width, dtype=torch.bool)
    valid[1, height - padding :] = False
    found = localisation(maps, coverage, valid)
    assert tuple(found) == LOCALISATION_METRICS
    for b in range(2):
        for t in range(2):
            for r in range(3):
                expected = _literal(maps[b, t], coverage[b, r], valid[b])
                for name, value in expected.items():
                    got = float(found[name][b, t, r])
                    assert got == pytest.approx(value, abs=1e-10, nan_ok=True), name


def _square(size: int, rows: slice, columns: slice) -> Tensor:
    region = torch.zeros(size, size)
    region[rows, columns] = 1
    return region


def _all(size: int) -> Tensor:
    return torch.ones(1, size, size, dtype=torch.bool)


def test_disjoint_regions_that_cover_the_image_share_all_of_the_mass() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (2, 33, 47))
    valid = torch.ones(2, 33, 47, dtype=torch.bool)
    valid[0, :, 40:] = False
    coverage = torch.stack([(labels == value).double() for value in range(4)], dim=1)
    found = localisation(torch.rand(2, 3, 5, 7), coverage, valid)
    for metric, whole in (("mass", 1.0), ("area", 1.0), ("excess", 0.0)):
        torch.testing.assert_close(found[metric].sum(-1), torch.full((2, 3), whole, dtype=torch.float64))


def test_a_uniform_map_has_no_excess() -> None:
    coverage = torch.rand(1, 2, 32, 32)
    found = localisation(torch.full((1, 1, 4, 4), 0.3), coverage, _all(32))
    torch.testing.assert_close(found["mass"], found["area"])
    torch.testing.assert_close(found["lift"], torch.zeros(1, 1, 2, dtype=torch.float64), rtol=0, atol=1e-6)


def test_an_empty_or_unannotated_region_is_not_defined() -> None:
    empty, unknown = torch.zeros(32, 32), torch.full((32, 32), torch.nan)
    known = _square(32, slice(8), slice(8))
    found = localisation(torch.rand(1, 1, 4, 4), torch.stack([empty, unknown, known])[None], _all(32))
    for metric in LOCALISATION_METRICS:
        assert found[metric][0, 0].isnan().tolist() == [True, True, False], metric


def test_a_map_without_mass_is_not_defined() -> None:
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 1, 1, 1] = 1
    found = localisation(maps, _square(32, slice(16), slice(32))[None, None], _all(32))
    for metric in LOCALISATION_METRICS:
        assert found[metric][0, :, 0].isnan().tolist() == [metric != CENTRE, False], metric


def test_a_region_on_padding_alone_is_empty() -> None:
    valid = _all(32)
    valid[:, 16:] = False
    found = localisation(torch.rand(1, 1, 4, 4), _square(32, slice(16, 32), slice(32))[None, None], valid)
    assert all(bool(found[metric].isnan().all()) for metric in LOCALISATION_METRICS)


def test_padding_takes_no_part() -> None:
    valid = _all(32)
    valid[:, :, 24:] = False
    region = _square(32, slice(32), slice(12))[None, None]
    maps = torch.rand(1, 1, 4, 4)
    found = localisation(maps, region, valid)
    assert float(found["area"]) == pytest.approx(0.5)
    spread = region.clone()
    spread[..., 24:] = 1
    for metric, value in localisation(maps, spread, valid).items():
        torch.testing.assert_close(value, found[metric])


def test_no_mass_in_a_region_is_a_lift_of_minus_infinity_and_no_hit() -> None:
    maps = torch.zeros(1, 1, 8, 8)
    maps[..., 7, 7] = 1
    found = localisation(maps, _square(64, slice(8), slice(8))[None, None], _all(64))
    assert float(found["mass"]) == 0
    assert float(found["lift"]) == -math.inf
    assert float(found["pointing"]) == 0


@pytest.mark.parametrize(("away", "hit"), [(15, 1.0), (16, 0.0)])
def test_the_pointing_game_may_miss_by_15_pixels(away: int, hit: float) -> None:
    maps = torch.zeros(1, 1, 63, 63)
    maps[..., 31, 31] = 1
    region = _square(63, slice(31, 32), slice(31 + away, 32 + away))[None, None]
    found = localisation(maps, region, _all(63))
    assert float(found["pointing"]) == hit
    assert float(found["pointing_centre"]) == hit


def test_of_equal_maxima_the_first_in_reading_order_counts() -> None:
    maps = torch.zeros(1, 1, 8, 8)
    maps[..., 0, 7] = maps[..., 7, 0] = 1
    corners = torch.stack([_square(64, slice(4), slice(60, 64)), _square(64, slice(60, 64), slice(4))])[None]
    assert localisation(maps, corners, _all(64))["pointing"].flatten().tolist() == [1.0, 0.0]


def test_a_region_thinner_than_a_pixel_can_be_hit() -> None:
    maps = torch.zeros(1, 1, 8, 8)
    maps[..., 0, 0] = 1
    thin = torch.stack([_square(64, slice(4), slice(4)), _square(64, slice(60, 64), slice(60, 64))]) * 0.3
    assert localisation(maps, thin[None], _all(64))["pointing"].flatten().tolist() == [1.0, 0.0]


def test_a_scale_of_the_map_does_not_matter() -> None:
    maps, coverage = torch.rand(1, 1, 4, 4), torch.rand(1, 2, 32, 32)
    expected = localisation(maps, coverage, _all(32))
    for metric, value in localisation(maps * 2**-20, coverage, _all(32)).items():
        torch.testing.assert_close(value, expected[metric], rtol=1e-5, atol=1e-7)
