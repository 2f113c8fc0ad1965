"""The four fills, against what they say they are, and on a linear model whose every shift is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from camaudit.measure import FILLS, Pictures, blur, edited_scores
from camaudit.measure.fills import inpainted

SIDE = 40


def _encode(frames: Tensor) -> Tensor:
    return frames.permute(0, 3, 1, 2).float() / 255


def _pictures(frames: np.ndarray, *, valid: Tensor | None = None, donors: bool = False) -> Pictures:
    count, height, width = frames.shape[:3]
    others = np.random.default_rng(9).integers(0, 255, (3, height, width, 3), dtype=np.uint8)
    taken = torch.zeros(3, height, width)
    taken[0] = 1  # all of the first donor is taken
    taken[1, :, : width // 2] = 1  # the left half of the second
    return Pictures(
        images=_encode(torch.from_numpy(frames)),
        frames=frames,
        valid=torch.ones(count, height, width, dtype=torch.bool) if valid is None else valid,
        encode=_encode,
        sigma=0.1,
        others=others if donors else None,
        taken=taken if donors else None,
        order=torch.tensor([[0, 1, 2]] * count) if donors else None,
    )


def _frames(count: int = 2, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, SIDE, SIDE, 3), dtype=np.uint8)


def _box(top: int, left: int, height: int, width: int) -> Tensor:
    covered = torch.zeros(SIDE, SIDE)
    covered[top : top + height, left : left + width] = 1
    return covered


def test_mean_is_the_colour_of_the_image_outside_the_edit() -> None:
    frames, edits = _frames(), torch.stack([_box(4, 6, 10, 12), _box(20, 0, 9, 40)])
    pictures = _pictures(frames)
    filled = FILLS["mean"](pictures, torch.tensor([1, 0]), edits)
    for place, row in enumerate((1, 0)):
        outside = frames[row][edits[place].numpy() == 0].mean(0) / 255
        expected = torch.from_numpy(outside).float()[:, None, None].expand(3, SIDE, SIDE)
        torch.testing.assert_close(filled[place], expected, rtol=0, atol=1e-5)


def test_mean_leaves_padding_out_and_falls_back_where_nothing_is_outside() -> None:
    frames = _frames(1)
    valid = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    valid[:, 30:] = False
    frames[:, 30:] = 0
    everything = FILLS["mean"](_pictures(frames, valid=valid), torch.tensor([0]), torch.ones(1, SIDE, SIDE))
    expected = frames[0, :30].reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(everything[0, :, 0, 0].numpy(), expected, atol=1e-5)


def test_blur_is_the_blurred_image_whatever_the_edit() -> None:
    pictures = _pictures(_frames())
    filled = FILLS["blur"](pictures, torch.tensor([1, 1]), torch.stack([_box(0, 0, 3, 3), _box(9, 9, 9, 9)]))
    torch.testing.assert_close(filled, blur(pictures.images, 0.1)[[1, 1]])


def test_inpainting_is_teleas_where_nothing_is_reduced() -> None:
    frame, covered = _frames(1)[0], _box(10, 12, 8, 9).numpy()
    valid = np.ones((SIDE, SIDE), dtype=bool)
    hole = cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8))
    expected = cv2.inpaint(frame, hole, 3, cv2.INPAINT_TELEA)
    found = inpainted(frame, covered, valid)
    np.testing.assert_array_equal(found[covered > 0], expected[covered > 0])
    np.testing.assert_array_equal(found[covered == 0], frame[covered == 0])


@pytest.mark.parametrize("size", [(40, 40), (224, 224), (130, 300)])
def test_inpainting_continues_a_plain_wall_and_forgets_what_stood_before_it(size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), (90, 120, 150), dtype=np.uint8)
    covered = np.zeros(size, dtype=np.float32)
    covered[12:30, 8:25] = 1
    frame[12:30, 8:25] = (255, 0, 0)
    found = inpainted(frame, covered, np.ones(size, dtype=bool))
    assert int(np.abs(found.astype(int) - (90, 120, 150)).max()) <= 3


def test_inpainting_does_not_continue_padding() -> None:
    frame = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    valid = np.ones((SIDE, SIDE), dtype=bool)
    valid[:, 30:] = False
    frame[:, 30:] = 0
    covered = _box(10, 22, 10, 8).numpy()  # up to the padding
    found = inpainted(frame, covered, valid)
    assert int(found[covered > 0].min()) >= 198


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_inpainting_nothing_or_everything_leaves_the_frame(share: float) -> None:
    frame = _frames(1)[0]
    covered = np.full((SIDE, SIDE), share, dtype=np.float32)
    np.testing.assert_array_equal(inpainted(frame, covered, np.ones((SIDE, SIDE), dtype=bool)), frame)


def test_swap_takes_the_first_donor_with_nothing_there() -> None:
    pictures = _pictures(_frames(), donors=True)
    assert pictures.others is not None
    edits = torch.stack([_box(5, 25, 8, 8), _box(5, 2, 8, 8)])  # right half: second donor; left half: third
    filled = FILLS["swap"](pictures, torch.tensor([0, 1]), edits)
    torch.testing.assert_close(filled, _encode(torch.from_numpy(pictures.others[[1, 2]])))


def test_swap_takes_the_donor_with_the_least_there_where_all_have_something() -> None:
    pictures = _pictures(_frames(1), donors=True)
    assert pictures.taken is not None
    assert pictures.others is not None
    pictures.taken[2, :, 10:] = 1
    filled = FILLS["swap"](
        pictures, torch.tensor([0]), _box(5, 4, 8, 12)[None]
    )  # half of it is free in the third
    torch.testing.assert_close(filled, _encode(torch.from_numpy(pictures.others[[2]])))


def test_a_swap_without_donors_is_refused() -> None:
    with pytest.raises(ValueError, match="needs donors"):
        FILLS["swap"](_pictures(_frames(1)), torch.tensor([0]), _box(1, 1, 4, 4)[None])


@settings(max_examples=15, deadline=None)
@given(
    fill=st.sampled_from(sorted(FILLS)),
    top=st.integers(0, 28),
    left=st.integers(0, 28),
    chunk=st.integers(1, 5),
)
def test_an_edit_of_a_linear_model_is_the_closed_form(fill: str, top: int, left: int, chunk: int) -> None:
    """score(image) = <weights, image>, so the score after an edit is <weights, image + touched (filled - image)>."""
    pictures = _pictures(_frames(3, seed=top), donors=True)
    weights = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(left))
    rows = torch.tensor([2, 0, 1])
    edits = _box(top, left, 12, 12).expand(3, -1, -1) * torch.tensor([1.0, 0.5, 0.001])[:, None, None]
    touched = _box(top, left, 12, 12).expand(3, -1, -1) * torch.tensor([1.0, 1.0, 0.0])[:, None, None]

    def score(images: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", images, weights)

    found = edited_scores(pictures, fill, rows, edits, score, chunk=chunk)
    for place, row in enumerate(rows.tolist()):
        filled = FILLS[fill](pictures, rows[place : place + 1], touched[place : place + 1])[0]
        image = pictures.images[row].double()
        change = touched[place].double() * (filled.double() - image)
        expected = torch.einsum("chw,kchw->k", image + change, weights.double())
        torch.testing.assert_close(found[place].double(), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("fill", ["inpaint", "mean", "swap"])  # a blur keeps the colours of what it blurs
@pytest.mark.parametrize("resampling", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_nothing_of_a_region_is_left_where_an_image_was_reduced(
    fill: str, resampling: Image.Resampling
) -> None:
    """Filled as far as it was covered, a pixel of the rim showed what was left of the region, which is its outline."""
    place = np.zeros((101, 101), dtype=np.float32)
    place[31:46, 17:64] = 1
    large = np.where(place[..., None] > 0, np.uint8([255, 0, 255]), np.uint8([40, 90, 40]))
    frame = np.array(Image.fromarray(large).resize((SIDE, SIDE), resampling))
    covered = np.clip(np.asarray(Image.fromarray(place).resize((SIDE, SIDE), resampling)), 0, 1)
    assert ((covered > 0.02) & (covered < 0.98)).any()
    pictures = _pictures(frame[None], donors=True)
    pictures = replace(pictures, others=np.full((3, SIDE, SIDE, 3), (40, 90, 40), dtype=np.uint8))

    def redness(images: Tensor) -> Tensor:
        return (images[:, 0] - 40 / 255).clamp(min=0).amax((-2, -1))[:, None]

    edit = torch.from_numpy(covered)[None]
    before = redness(pictures.images)
    after = edited_scores(pictures, fill, torch.tensor([0]), edit, redness, chunk=1)
    assert float(after) < 0.06 * float(before)  # the resampling's own ripple
