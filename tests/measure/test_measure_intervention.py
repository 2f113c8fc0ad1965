"""Blur, control edits and scores after edits, also on a model whose reliance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from camaudit.measure import Pictures, blur, controls, edited_scores, margins

SIDE = 56  # two pixels a step of the search


# ------------------------------------------------------------------ blur


@pytest.mark.parametrize(
    ("height", "width", "sigma"), [(32, 32, 0.08), (24, 40, 0.2), (40, 33, 0.013), (9, 12, 0.5)]
)
def test_blur_is_scipys_gaussian_filter(height: int, width: int, sigma: float) -> None:
    images = torch.rand(2, 3, height, width, dtype=torch.float64)
    deviation = sigma * min(height, width)
    expected = ndimage.gaussian_filter(
        images.numpy(), (0, 0, deviation, deviation), mode="reflect", truncate=4
    )
    torch.testing.assert_close(blur(images, sigma), torch.from_numpy(expected), rtol=0, atol=1e-10)
    single = blur(images.float(), sigma)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), torch.from_numpy(expected), rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), sigma=st.floats(0.001, 2), value=st.floats(-3, 3))
def test_blur_keeps_a_constant(height: int, width: int, sigma: float, value: float) -> None:
    images = torch.full((1, 1, height, width), value)
    torch.testing.assert_close(blur(images, sigma), images, rtol=1e-5, atol=1e-5)


def test_blur_keeps_the_mean_and_commutes_with_flips() -> None:
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    blurred = blur(images, 0.1)
    torch.testing.assert_close(blurred.mean((-2, -1)), images.mean((-2, -1)), rtol=0, atol=1e-10)
    torch.testing.assert_close(blur(images.flip(-1), 0.1), blurred.flip(-1), rtol=0, atol=1e-12)
    assert blurred.std() < images.std()


# ------------------------------------------------------------------ controls


def _rectangle(top: int, left: int, height: int, width: int) -> Tensor:
    region = torch.zeros(SIDE, SIDE)
    region[top : top + height, left : left + width] = 1
    return region


ALL = torch.ones(SIDE, SIDE, dtype=torch.bool)


def _distance(region: Tensor) -> float:
    """Pixels from the centre of mass to the centre of the image."""
    rows, columns = torch.meshgrid(
        *(torch.arange(side) - (side - 1) / 2 for side in region.shape), indexing="ij"
    )
    return math.hypot(*(float((region * axis).sum() / region.sum()) for axis in (rows, columns)))


@settings(max_examples=25, deadline=None)
@given(top=st.integers(0, 40), left=st.integers(0, 40), height=st.integers(4, 14), width=st.integers(4, 14))
def test_controls_have_the_regions_shape_and_lie_elsewhere_in_the_image(
    top: int, left: int, height: int, width: int
) -> None:
    region = _rectangle(top, left, height, width)
    found = controls(region, region, ALL, 5)
    assert found.shape == (5, SIDE, SIDE)
    area = float(region.sum())
    for copy in found:
        assert 0.85 * area <= float(copy.sum()) <= area
        assert float((copy * region).sum()) <= 0.6 * area
        rows, columns = (copy.amax(axis).nonzero()[:, 0] for axis in (1, 0))
        # one rectangle of the same sides, up to what the border took
        assert int(rows[-1] - rows[0] + 1) * int(columns[-1] - columns[0] + 1) == int(copy.sum())
        assert int(rows[-1] - rows[0] + 1) <= height
        assert int(columns[-1] - columns[0] + 1) <= width
    for i in range(5):
        for j in range(i):
            assert not torch.equal(found[i], found[j])


def test_a_copy_of_a_textured_region_is_that_region_moved() -> None:
    region = torch.zeros(SIDE, SIDE)
    region[6:14, 8:20] = torch.rand(8, 12) * 0.5 + 0.5
    for copy in controls(region, region, ALL, 5):
        if copy.sum() < region.sum() * 0.999:
            continue
        rows, columns = (copy.amax(axis).nonzero()[:, 0] for axis in (1, 0))
        torch.testing.assert_close(
            copy[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], region[6:14, 8:20]
        )


def test_controls_are_matched_in_distance_to_the_centre() -> None:
    random = torch.Generator().manual_seed(0)
    missed, at_random = [], []
    for _ in range(20):
        top, left = torch.randint(0, SIDE - 10, (2,), generator=random).tolist()
        region = _rectangle(top, left, 10, 10)
        own = _distance(region)
        missed += [abs(_distance(copy) - own) for copy in controls(region, region, ALL, 5)]
        for _ in range(5):
            there = torch.randint(0, SIDE - 10, (2,), generator=random).tolist()
            at_random.append(abs(_distance(_rectangle(*there, 10, 10)) - own))
    assert np.mean(missed) < 0.5 * np.mean(at_random)


def test_controls_keep_away_from_what_else_is_annotated() -> None:
    region, other = _rectangle(4, 4, 10, 10), _rectangle(4, 42, 10, 10)
    # without the other region its mirrored place is the best match
    free = controls(region, region, ALL, 5)
    kept = controls(region, torch.maximum(region, other), ALL, 5)
    assert float((kept * other).sum()) < float((free * other).sum())


@settings(max_examples=25, deadline=None)
@given(top=st.integers(0, 36), left=st.integers(0, 36), seed=st.integers(0, 2**16))
def test_a_control_lies_at_most_a_quarter_on_what_else_is_annotated(top: int, left: int, seed: int) -> None:
    region = _rectangle(top, left, 12, 12)
    random = torch.Generator().manual_seed(seed)
    other = torch.zeros(SIDE, SIDE)
    for _ in range(6):
        y, x = torch.randint(0, SIDE - 14, (2,), generator=random).tolist()
        other[y : y + 14, x : x + 14] = 1
    others = torch.where(region > 0, 0, other)
    for copy in controls(region, torch.maximum(region, other), ALL, 5):
        assert float((copy * others).sum()) <= 0.3 * float(
            region.sum()
        )  # the search is on cells of two pixels


def test_where_only_what_is_annotated_is_left_there_is_no_control() -> None:
    region = _rectangle(20, 20, 12, 12)
    everywhere = torch.ones(SIDE, SIDE)
    assert len(controls(region, region, ALL, 5)) == 5
    assert len(controls(region, everywhere, ALL, 5)) == 0


def test_controls_stay_on_the_image_where_it_is_padded() -> None:
    valid = ALL.clone()
    valid[36:] = False
    region = _rectangle(6, 6, 8, 8)
    found = controls(region, region, valid, 5)
    assert len(found) == 5
    assert not bool(found[:, ~valid].any())
    assert float(found.sum((-2, -1)).min()) >= 0.85 * float(region.sum())


@pytest.mark.parametrize(
    "region",
    [
        _rectangle(0, 0, 0, 0),
        torch.full((SIDE, SIDE), 0.4),
        _rectangle(0, 0, SIDE, SIDE),
        _rectangle(3, 3, 50, 50),
    ],
    ids=["empty", "faint", "everything", "too large"],
)
def test_a_region_that_is_empty_or_too_large_has_no_control(region: Tensor) -> None:
    assert controls(region, region, ALL, 5).shape == (0, SIDE, SIDE)


def test_controls_are_deterministic_and_do_not_change_their_arguments() -> None:
    region = _rectangle(10, 30, 12, 6)
    before = region.clone()
    first, second = (controls(region, region, ALL, 5) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(region, before)
    assert torch.equal(controls(region, region, ALL, 3), first[:3])


@pytest.mark.parametrize("size", [(40, 64), (100, 84), (224, 224)])
def test_controls_of_other_frames(size: tuple[int, int]) -> None:
    region = torch.zeros(size)
    region[2:12, 3:15] = 1
    found = controls(region, region, torch.ones(size, dtype=torch.bool), 5)
    assert found.shape == (5, *size)
    assert float((found * region).sum((-2, -1)).max()) <= 0.6 * float(region.sum())


# ------------------------------------------------------------------ margins and edited scores


def test_margins_are_the_score_beyond_the_best_other() -> None:
    logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 4.0, 9.0]])
    assert margins(logits, torch.tensor([1, 0])).tolist() == [3.0, -5.0]
    assert margins(logits[:, :2], torch.tensor([0, 1])).tolist() == [-4.0, 0.0]


def _corner_model(images: Tensor) -> Tensor:
    """Two scores: the mean of the upper left quarter, and zero."""
    half = images.shape[-1] // 2
    score = images[:, :, :half, :half].mean((1, 2, 3))
    return torch.stack([score, torch.zeros_like(score)], dim=1)


def _pictures(images: Tensor, *, sigma: float = 0.1) -> Pictures:
    """Images in [0, 1] of a model that takes them so."""
    frames = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    return Pictures(
        images=images,
        frames=frames.numpy(),
        valid=ALL.expand(len(images), -1, -1),
        encode=lambda frames: frames.permute(0, 3, 1, 2).float() / 255,
        sigma=sigma,
    )


@pytest.mark.parametrize("fill", ["blur", "mean", "inpaint"])
def test_an_edit_of_nothing_changes_nothing(fill: str) -> None:
    images = torch.rand(3, 3, SIDE, SIDE)
    rows, edits = torch.arange(3), torch.zeros(3, SIDE, SIDE)
    found = edited_scores(_pictures(images), fill, rows, edits, _corner_model, chunk=2)
    torch.testing.assert_close(found, _corner_model(images))


def test_an_edit_takes_every_pixel_that_it_touches_and_no_other() -> None:
    images = torch.rand(2, 3, SIDE, SIDE)
    edits = torch.stack([torch.full((SIDE, SIDE), share) for share in (1.0, 0.25, 0.0)])
    edits, rows = edits.repeat(2, 1, 1), torch.tensor([0, 0, 0, 1, 1, 1])
    found = edited_scores(_pictures(images), "blur", rows, edits, _corner_model, chunk=3)
    before, filled = _corner_model(images), _corner_model(blur(images, 0.1))
    torch.testing.assert_close(found[0::3], filled)
    torch.testing.assert_close(found[1::3], filled)
    torch.testing.assert_close(found[2::3], before)


def test_scores_after_edits_do_not_depend_on_the_chunk() -> None:
    images, rows = torch.rand(3, 3, SIDE, SIDE), torch.tensor([2, 0, 0, 1, 2])
    edits = (torch.rand(5, SIDE, SIDE) > 0.8).float()
    for fill in ("blur", "mean", "inpaint"):
        whole, parts = (
            edited_scores(_pictures(images), fill, rows, edits, _corner_model, chunk=size) for size in (5, 2)
        )
        torch.testing.assert_close(whole, parts)


def test_the_shift_finds_what_a_model_uses_and_nothing_else() -> None:
    """The model averages the upper left quarter: an edit there moves it, an edit elsewhere does not."""
    images = torch.zeros(2, 3, SIDE, SIDE)
    used, unused = _rectangle(4, 4, 8, 8), _rectangle(44, 44, 8, 8)
    images[:, :, 4:12, 4:12] = images[:, :, 44:52, 44:52] = 1
    before = margins(_corner_model(images), torch.zeros(2, dtype=torch.long))
    assert before.tolist() == pytest.approx([64 / 28**2] * 2)
    for region, expected in ((used, 64 / 28**2), (unused, 0.0)):
        copies = controls(region, torch.maximum(used, unused), ALL, 5)
        edits, rows = torch.cat([region[None], copies]).repeat(2, 1, 1), torch.arange(2).repeat_interleave(6)
        after = edited_scores(_pictures(images), "inpaint", rows, edits, _corner_model, chunk=8)
        drops = before[:, None] - margins(after, torch.zeros(12, dtype=torch.long)).view(2, 6)
        shift = drops[:, 0] - drops[:, 1:].mean(1)
        if expected:
            assert float(shift.min()) > 0.7 * expected
        else:
            assert float(shift.abs().max()) < 0.05 * (64 / 28**2)
