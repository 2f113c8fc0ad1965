"""What repeats, on photographs with planted overlays and on clean ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from camaudit.config.providers import OPTIONS
from camaudit.data import open_image
from camaudit.providers import all_providers
from camaudit.providers.overlays import FEWEST, Frames, edges, find_overlays, strokes
from tests.providers.planted import plant

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.providers.planted import Planted


def masks(word: str, planted: Planted) -> list[NDArray[np.bool_]]:
    make = all_providers()[word].finder
    assert make is not None
    find = make({"tag": OPTIONS[word]()}, planted.samples, torch.device("cpu"))
    return [find(open_image(sample.image))["tag"].mask for sample in planted.samples]


def rates(found: list[NDArray[np.bool_]], truth: list[NDArray[np.bool_]]) -> tuple[float, float, float]:
    """Precision and recall over images, and the mean share of an overlay's box that is covered where it is found."""
    said = np.array([bool(mask.any()) for mask in found])
    there = np.array([bool(mask.any()) for mask in truth])
    hit = np.array([bool((a & b).any()) for a, b in zip(found, truth, strict=True)])
    covered = [(a & b).sum() / b.sum() for a, b, met in zip(found, truth, hit, strict=True) if met]
    return hit.sum() / max(said.sum(), 1), hit.sum() / there.sum(), float(np.mean(covered))


@pytest.mark.parametrize(
    ("word", "kind", "share"),
    [
        ("repeated_patch", "tag", 0.5),
        ("repeated_patch", "watermark", 0.5),
        ("repeated_patch", "block", 0.5),
        ("text_overlay", "tag", 0.3),
        ("text_overlay", "stamp", 0.5),
    ],
)
def test_planted_overlays_are_found(tmp_path: Path, word: str, kind: str, share: float) -> None:
    planted = plant(tmp_path, kind, share)
    precision, recall, covered = rates(masks(word, planted), planted.truth)
    assert precision >= 0.8
    assert recall >= 0.85
    assert covered >= 0.6


@pytest.mark.parametrize("varied", [False, True])
def test_clean_photographs_have_none(tmp_path: Path, varied: bool) -> None:
    for seed, word in enumerate(("repeated_patch", "text_overlay")):
        planted = plant(tmp_path / word, None, 0, seed=seed, varied=varied)
        assert not any(mask.any() for mask in masks(word, planted))


def test_a_tag_keeps_its_corner_where_sizes_differ(tmp_path: Path) -> None:
    planted = plant(tmp_path, "tag", 0.5, varied=True)
    precision, recall, covered = rates(masks("text_overlay", planted), planted.truth)
    assert min(precision, recall, covered) >= 0.85


def test_a_plain_block_is_no_text(tmp_path: Path) -> None:
    planted = plant(tmp_path, "block", 1.0)
    found = masks("text_overlay", planted)
    covered = [mask[truth].mean() for mask, truth in zip(found, planted.truth, strict=True) if truth.any()]
    assert np.mean(covered) < 0.2


def test_an_aligned_collection_is_no_overlay(tmp_path: Path) -> None:
    planted = plant(tmp_path, None, 0, count=FEWEST)
    same = [planted.samples[0].__class__(str(n), planted.samples[0].image, "a") for n in range(30)]
    frames = Frames.of(same)
    assert frames is not None
    assert find_overlays(same, frames, edges, least=0.2) == []


def test_too_few_images_have_none(tmp_path: Path) -> None:
    planted = plant(tmp_path, "tag", 1.0, count=FEWEST // 2 - 1)
    assert not any(mask.any() for mask in masks("repeated_patch", planted))


def test_directions_that_are_random_give_one(tmp_path: Path) -> None:
    """Z is 1 on average where nothing repeats: the oracle of Rayleigh's test."""
    random = np.random.default_rng(0)
    fields = np.stack([edges(random.uniform(0, 255, (40, 50)).astype(np.float32)) for _ in range(200)])
    mean, square = fields.mean(0), np.square(fields).sum(1).mean(0)
    z = len(fields) * np.square(mean).sum(0) / square
    assert z.mean() == pytest.approx(1, abs=0.1)
    assert np.quantile(z, 0.99) == pytest.approx(-np.log(0.01), rel=0.15)


def test_only_thin_strokes_have_a_field() -> None:
    picture = np.full((60, 60), 100, dtype=np.float32)
    picture[10:40, 10:40] = 220  # a block, 30 pixels wide
    assert not strokes(picture).any()
    picture[50:53, 5:55] = 220  # a line, 3 pixels
    assert strokes(picture)[:, 48:55].any()
    assert not strokes(picture)[:, :45].any()
