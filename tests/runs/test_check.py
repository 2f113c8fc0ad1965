"""The dry run: regions in the images' own frame, sizes that no batch can hold, and a time that is the second batch's."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from camaudit.config import load_config
from camaudit.runs import check
from tests import small_audit

if TYPE_CHECKING:
    from pathlib import Path

LOOSE = {"resize": 32, "crop": None, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return small_audit.write_audit(tmp_path, count=20)


def replace_image(audit: Path, number: int, mask: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Another image and mask, of the mask's size."""
    Image.new("RGB", mask.shape[::-1]).save(audit.parent / "images" / f"{number:02}.png")
    Image.fromarray(mask).save(audit.parent / "masks" / f"{number:02}.png")


def test_a_small_region_at_the_border_is_not_empty(audit: Path) -> None:
    mask = np.zeros((300, 640), dtype=np.uint8)
    mask[:3, :2] = 1
    for number in range(20):
        replace_image(audit, number, mask)
    regions = check(load_config(audit)).regions.set_index("region")
    assert regions.loc["shape", ["annotated", "empty"]].tolist() == [20, 0]
    assert regions.loc["shape", "area"] == pytest.approx(6 / (300 * 640))
    assert regions.loc["bar", ["annotated", "empty"]].tolist() == [20, 20]
    assert np.isnan(regions.loc["bar", "area"])


def test_a_sample_without_masks_is_not_annotated(audit: Path) -> None:
    table = audit.parent / "table.csv"
    table.write_text(table.read_text().replace("masks/07.png", ""))
    assert set(check(load_config(audit)).regions["annotated"]) == {19}


@pytest.mark.parametrize("number", [0, 3, 19])
def test_images_of_several_sizes_in_the_models_frame_are_a_problem_wherever_they_are(
    audit: Path, number: int
) -> None:
    replace_image(audit, number, np.ones((48, 96), dtype=np.uint8))
    assert check(load_config(audit)).problems == ()  # a crop makes them equal
    small_audit.write_config(audit, model={"preprocessing": LOOSE})
    (problem,) = check(load_config(audit)).problems
    assert "2 different sizes" in problem
    assert f"64x32 of {audit.parent / 'images' / f'{number:02}.png'}" in problem
    assert "Set model.preprocessing.crop" in problem


def test_the_time_is_that_of_a_batch_after_another(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def slow_at_first(batch: Any, *_: object) -> None:
        sizes.append(len(batch.samples))
        time.sleep(0.5 if len(sizes) == 1 else 0.01)

    monkeypatch.setattr(sys.modules["camaudit.runs.check"], "measure_batch", slow_at_first)
    seconds = check(load_config(audit)).seconds
    assert seconds is not None
    assert 0.02 < seconds < 0.5
    assert sizes == [8, 8]


def test_too_little_memory_is_a_problem(audit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        msg = "CUDA out of memory. Tried to allocate 9 GiB. More of it."
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(sys.modules["camaudit.runs.check"], "measure_batch", full)
    (problem,) = check(load_config(audit)).problems
    assert "batches of 8 images: CUDA out of memory." in problem
    assert "audit.batch_size" in problem
