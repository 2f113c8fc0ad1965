"""The faithfulness measures against literal twins, and on models whose answer is known."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from camaudit.measure import blur, imputation
from camaudit.measure.faithfulness import CURVES, PASSES, STEPS, Asking, curves, masked, shares_before
from camaudit.measure.imputation import impute, noisily
from camaudit.measure.trust import check_faithfulness, passes_of_faithfulness

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 12
BATCH = 3


def _confidence(weights: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A model that adds up an image's pixels; each sample of the batch has its own weights, (batch, height, width)."""

    def confidence(images: Tensor, rows: Tensor) -> Tensor:
        return (images.double().mean(1) * weights[rows]).sum((-2, -1)).sigmoid()

    return confidence


@pytest.fixture
def asking() -> Asking:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, SIDE, SIDE, generator=random, dtype=torch.float64)
    weights = torch.randn(BATCH, SIDE, SIDE, generator=random, dtype=torch.float64)
    return Asking(images, _confidence(weights), seed=0, chunk=5)


def _own(asking: Asking) -> Tensor:
    return asking.confidence(asking.images, torch.arange(len(asking.images)))


# ------------------------------------------------------------------ imputation


def _imputed(image: Tensor, missing: Tensor) -> Tensor:
    """One channel, by a dense linear system written out pixel by pixel."""
    height, width = image.shape
    cells = [(i, j) for i in range(height) for j in range(width) if missing[i, j]]
    matrix, right = np.zeros((len(cells), len(cells))), np.zeros(len(cells))
    for row, (i, j) in enumerate(cells):
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                k, m = i + down, j + across
                if (down, across) == (0, 0) or not (0 <= k < height and 0 <= m < width):
                    continue
                weight = 1 / 6 if 0 in {down, across} else 1 / 12
                matrix[row, row] += weight
                if missing[k, m]:
                    matrix[row, cells.index((k, m))] -= weight
                else:
                    right[row] += weight * float(image[k, m])
    filled = image.clone()
    for cell, value in zip(cells, np.linalg.solve(matrix, right) if cells else [], strict=True):
        filled[cell] = float(value)
    return filled


@given(st.integers(0, 2**16), st.floats(0, 0.95), st.tuples(st.integers(2, 21), st.integers(2, 19)))
@settings(max_examples=25, deadline=None)
def test_imputation_solves_the_linear_system(seed: int, share: float, size: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 2, *size, generator=random, dtype=torch.float64)
    missing = torch.rand(2, *size, generator=random) < share
    missing[:, 0, 0] = False
    found = impute(images, missing)
    for b in range(2):
        for c in range(2):
            torch.testing.assert_close(found[b, c], _imputed(images[b, c], missing[b]), rtol=0, atol=1e-9)


def _as_it_stands(images: Tensor, missing: Tensor) -> Tensor:
    """The system of a large image, solved as it stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imputation, "EXACT", max(missing.shape))
        return impute(images, missing)


def test_a_large_image_is_solved_as_it_stands_up_to_a_size() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(1, 1, imputation.EXACT, 20, generator=random, dtype=torch.float64)
    missing = torch.rand(1, imputation.EXACT, 20, generator=random) < 0.6
    found = impute(images, missing)[0, 0]
    torch.testing.assert_close(found, _imputed(images[0, 0], missing[0]), rtol=0, atol=1e-9)
    larger = functional.pad(images, (0, 0, 1, 0)), functional.pad(missing, (0, 0, 1, 0))
    off = (_as_it_stands(*larger)[0, 0] - _imputed(larger[0][0, 0], larger[1][0])).abs().max()
    assert off < 1e-9
    assert (impute(*larger) - _as_it_stands(*larger)).abs().max() > 1e-6


def _photograph(height: int, width: int) -> Tensor:
    """Texture as natural images have it: amplitudes fall as the inverse of the frequency (Field 1987)."""
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (down.square() + across.square()).sqrt().clamp(min=1 / max(height, width))
    noise = torch.randn(3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.fft.irfft2(torch.fft.rfft2(noise) / frequency, s=(height, width))[None]


@pytest.mark.parametrize("grid", [7, 14, 224])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8])
def test_in_a_large_image_what_is_solved_at_half_the_size_is_off_by_half_a_percent(
    grid: int, share: float
) -> None:
    images = _photograph(224, 224)
    maps = torch.rand(1, grid, grid, generator=torch.Generator().manual_seed(1))
    missing = shares_before(maps, (224, 224)) < share
    off = (impute(images, missing) - _as_it_stands(images, missing))[0][:, missing[0]]
    deviation = images[0].std((-2, -1))
    assert (off.square().mean(1).sqrt() / deviation).max() < 0.005
    assert (off.abs().amax(1) / deviation).max() < 0.05


def test_images_that_lack_the_same_pixels_are_imputed_as_alone() -> None:
    images = torch.rand(3, 2, 14, 11)
    missing = (torch.rand(2, 14, 11) < 0.5)[[0, 1, 0]]
    together = impute(images, missing)
    assert together.dtype == images.dtype
    for place in range(3):
        alone = impute(images[place : place + 1], missing[place : place + 1])[0]
        torch.testing.assert_close(together[place], alone, rtol=0, atol=1e-6)


def test_a_constant_image_stays_constant_and_the_known_stay_as_they_are() -> None:
    images = torch.full((1, 3, 40, 30), 0.3)
    missing = torch.rand(1, 40, 30) < 0.8
    missing[0, 5, 5] = False
    torch.testing.assert_close(impute(images, missing), images, rtol=0, atol=1e-4)
    images = torch.rand(1, 3, 40, 30)
    kept = ~missing[:, None].expand_as(images)
    assert torch.equal(impute(images, missing)[kept], images[kept])
    assert torch.equal(noisily(images, missing, seed=0)[kept], images[kept])


def test_an_image_of_which_nothing_is_known_is_left_alone() -> None:
    images = torch.rand(2, 1, 9, 9)
    missing = torch.ones(2, 9, 9, dtype=torch.bool)
    missing[1, 4:] = False
    found = impute(images, missing)
    assert torch.equal(found[0], images[0])
    assert not torch.equal(found[1], images[1])


def test_the_noise_is_a_hundredth_of_the_range_and_repeatable() -> None:
    images = torch.zeros(1, 1, 64, 64)
    images[..., 0, 0] = 5
    missing = torch.ones(1, 64, 64, dtype=torch.bool)
    missing[:, 0] = False
    change = noisily(images, missing, seed=3) - impute(images, missing)
    assert float(change[:, :, 1:].std()) == pytest.approx(0.05, rel=0.1)
    assert torch.equal(noisily(images, missing, seed=3), noisily(images, missing, seed=3))


# ------------------------------------------------------------------ curves


def test_pixels_rank_by_the_upsampled_map_and_equal_ones_by_reading_order() -> None:
    maps = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    large = functional.interpolate(maps[None].double(), (6, 6), mode="bilinear", align_corners=False)[0, 0]
    ranked = sorted(((i, j) for i in range(6) for j in range(6)), key=lambda at: -float(large[at]))
    found = shares_before(maps, (6, 6))[0]
    assert [float(found[at]) for at in ranked] == pytest.approx([place / 36 for place in range(36)])


def _literal(asking: Asking, before: Tensor, place: int) -> dict[str, float]:
    """Of one sample, image by image; a step is taken when its pixels' shares before are smaller."""
    image = asking.images[place]
    mean = image.mean((-2, -1), keepdim=True)
    soft = blur(image[None], 0.05)[0]

    def asked(picture: Tensor) -> float:
        return float(asking.confidence(picture[None], torch.tensor([place]))[0])

    deleted, inserted = [], []
    for step in range(STEPS + 1):
        gone, come = image.clone(), soft.clone()
        for i in range(SIDE):
            for j in range(SIDE):
                if float(before[place, i, j]) < step / STEPS - 1e-12:
                    gone[:, i, j] = mean[:, 0, 0]
                    come[:, i, j] = image[:, i, j]
        deleted.append(asked(gone))
        inserted.append(asked(come))
    imputed = [
        asked(noisily(image[None], before[place][None] < share, seed=asking.seed)[0])
        for share in (0.2, 0.4, 0.6, 0.8)
    ]
    area = [sum((a + b) / 2 for a, b in pairwise(of)) / STEPS for of in (deleted, inserted)]
    return {"deletion": area[0], "insertion": area[1], "road": sum(imputed) / 4}


def test_the_curves_equal_their_literal_twins(asking: Asking) -> None:
    before = shares_before(torch.rand(BATCH, 4, 4, generator=torch.Generator().manual_seed(1)), (SIDE, SIDE))
    found = curves(before, asking, _own(asking))
    assert tuple(found) == CURVES
    for place in range(BATCH):
        got = {name: float(values[place]) for name, values in found.items()}
        assert got == pytest.approx(_literal(asking, before, place), abs=1e-3)


def test_the_passes_are_as_many_as_are_said(asking: Asking) -> None:
    seen = []

    def counting(images: Tensor, rows: Tensor) -> Tensor:
        seen.append(len(images))
        assert len(images) <= asking.chunk
        return asking.confidence(images, rows)

    counted = Asking(asking.images, counting, seed=0, chunk=asking.chunk)
    curves(shares_before(torch.rand(BATCH, 4, 4), (SIDE, SIDE)), counted, _own(asking))
    assert sum(seen) == PASSES * BATCH
    seen.clear()
    maps = {"one": torch.rand(BATCH, 4, 4), "two": torch.rand(BATCH, 4, 4), "fine": torch.rand(BATCH, 12, 12)}
    check_faithfulness(maps, counted)
    assert sum(seen) == passes_of_faithfulness(3, 2) * BATCH


def test_a_map_of_what_the_model_uses_beats_random_ones_and_its_opposite_loses() -> None:
    weights = torch.zeros(BATCH, SIDE, SIDE, dtype=torch.float64)
    weights[:, 1:5, 6:10] = 1
    images = torch.rand(BATCH, 3, SIDE, SIDE, dtype=torch.float64) * 0.2
    images[:, :, 1:5, 6:10] += 0.8
    asking = Asking(images, _confidence(weights), seed=0, chunk=8)
    found = check_faithfulness({"right": weights, "wrong": 1 - weights}, asking)
    for good, name in ((-1, "deletion"), (1, "insertion"), (-1, "road")):
        assert (good * (found["right", name] - found["right", f"{name}_random"]) > 0).all(), name
        assert (good * (found["wrong", name] - found["wrong", f"{name}_random"]) < 0).all(), name
        np.testing.assert_array_equal(found["right", f"{name}_centre"], found["wrong", f"{name}_centre"])
    assert (found["right", "average_drop"] < found["wrong", "average_drop"]).all()


def test_a_map_without_mass_is_not_defined_and_spoils_no_other(asking: Asking) -> None:
    maps = torch.rand(BATCH, 4, 4)
    expected = check_faithfulness({"one": maps}, asking)
    maps = maps.clone()
    maps[1] = 0
    found = check_faithfulness({"one": maps}, asking)
    for (method, name), values in found.items():
        undefined = "random" not in name and "centre" not in name
        assert np.isnan(values).tolist() == [False, undefined, False], name
        np.testing.assert_allclose(values[[0, 2]], expected[method, name][[0, 2]], atol=1e-3)


# ------------------------------------------------------------------ masked images


def test_average_drop_and_increase_equal_their_literal_twins(asking: Asking) -> None:
    maps = torch.rand(BATCH, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    maps[2] = 0.5
    own = _own(asking)
    found = masked(maps, asking, own)
    for place in range(2):
        large = functional.interpolate(
            maps[place][None, None], (SIDE, SIDE), mode="bilinear", align_corners=False
        )
        scaled = (large - large.min()) / (large.max() - large.min())
        left = float(asking.confidence(asking.images[place][None] * scaled[0], torch.tensor([place]))[0])
        before = float(own[place])
        assert float(found["average_drop"][place]) == pytest.approx(max(0.0, before - left) / before)
        assert float(found["increase"][place]) == float(left > before)
    assert all(math.isnan(float(values[2])) for values in found.values())
