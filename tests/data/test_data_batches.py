"""Batches: order, what is skipped, and coverage of regions and their unions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from camaudit.data import Frame, batches
from camaudit.errors import DataError
from camaudit.types import Preprocessing, Region, Sample

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Preprocessing(24, 20, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PARTS = {"hair": ("hair",), "face": ("face",), "hair+face": ("hair", "face")}


def _mask(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((30, 40), dtype=bool)
    mask[rows, columns] = True
    return mask


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    random = np.random.default_rng(0)
    found = []
    for number in range(11):
        path = tmp_path / f"{number:02}.png"
        Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
        regions = (
            Region("hair", "attribute", _mask(slice(5, 15), slice(10, 22))),
            Region("face", "attribute", _mask(slice(12, 20 + number), slice(12, 22))),
        )
        found.append(Sample(f"s{number}", path, "cat", regions=regions))
    return found


def test_batches_come_in_order_and_whole(samples: list[Sample]) -> None:
    found = list(batches(samples, RECIPE, PARTS, 4))
    assert [batch.index for batch in found] == [0, 1, 2]
    assert [sample.id for batch in found for sample in batch.samples] == [f"s{i}" for i in range(11)]
    assert [batch.images.shape for batch in found] == [(4, 20, 20, 3), (4, 20, 20, 3), (3, 20, 20, 3)]
    for batch in found:
        assert batch.coverage.shape == (len(batch.samples), 3, 20, 20)
        assert batch.coverage.dtype == np.float32
        assert batch.valid.all()
        for row, sample in enumerate(batch.samples):
            with Image.open(sample.image) as image:
                frame = Frame.of((30, 40), RECIPE)
                assert np.array_equal(batch.images[row], frame.image(image))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_size_of_a_batch_and_the_threads_do_not_matter(samples: list[Sample], size: int) -> None:
    one, other = (list(batches(samples, RECIPE, PARTS, of)) for of in (size, 4))
    for field in ("images", "coverage", "valid"):
        assert np.array_equal(
            *(np.concatenate([getattr(batch, field) for batch in part]) for part in (one, other))
        )


def test_batches_that_are_not_needed_keep_the_numbers_of_the_others(samples: list[Sample]) -> None:
    found = list(batches(samples, RECIPE, PARTS, 4, skip=frozenset({0, 2})))
    assert [(batch.index, [sample.id for sample in batch.samples]) for batch in found] == [
        (1, ["s4", "s5", "s6", "s7"])
    ]
    assert not list(batches(samples, RECIPE, PARTS, 4, skip=frozenset(range(3))))


def test_a_union_is_made_before_resampling(samples: list[Sample]) -> None:
    (batch,) = batches(samples[:1], RECIPE, PARTS, 4)
    hair, face = (np.asarray(region.shape) for region in samples[0].regions)
    frame = Frame.of((30, 40), RECIPE)
    assert np.array_equal(batch.coverage[0, 0], frame.coverage(hair))
    assert np.array_equal(batch.coverage[0, 2], frame.coverage(hair | face))
    assert not np.allclose(batch.coverage[0, 2], np.clip(batch.coverage[0, :2].sum(0), 0, 1))


def test_not_annotated_is_nan_and_annotated_as_absent_is_zero(samples: list[Sample]) -> None:
    bare = Sample("bare", samples[0].image, "cat")
    half = Sample("half", samples[0].image, "cat", regions=samples[0].regions[:1])
    absent = Sample(
        "absent",
        samples[0].image,
        "cat",
        regions=(samples[0].regions[0], Region("face", "attribute", np.zeros((30, 40), dtype=bool))),
    )
    (batch,) = batches([bare, half, absent], RECIPE, PARTS, 4)
    unknown = np.isnan(batch.coverage).all((-2, -1))
    assert unknown.tolist() == [[True, True, True], [False, True, True], [False, False, False]]
    assert not np.isnan(batch.coverage[~unknown]).any()
    assert not batch.coverage[2, 1].any()
    assert np.array_equal(batch.coverage[2, 2], batch.coverage[2, 0])


def test_what_cannot_be_read_is_skipped_and_named(samples: list[Sample]) -> None:
    samples[1].image.write_bytes(samples[1].image.read_bytes()[:300])
    samples[2].image.unlink()
    samples[5] = Sample(
        "s5", samples[5].image, "cat", regions=(Region("hair", "attribute", np.ones((3, 3), bool)),)
    )
    first, second, third = batches(samples, RECIPE, PARTS, 4)
    assert [sample.id for sample in first.samples] == ["s0", "s3"]
    assert first.images.shape == (2, 20, 20, 3)
    assert [(skip.sample, skip.path) for skip in first.skipped] == [
        (sample.id, str(sample.image)) for sample in samples[1:3]
    ]
    assert "truncated" in first.skipped[0].reason
    assert "does not exist" in first.skipped[1].reason
    assert "the mask of region 'hair' is 3x3 but" in second.skipped[0].reason
    assert str(samples[5].image) in second.skipped[0].reason
    assert not third.skipped


def test_a_batch_of_which_nothing_could_be_read_is_empty(samples: list[Sample]) -> None:
    for sample in samples[:4]:
        sample.image.write_bytes(b"")
    first, *_ = batches(samples, RECIPE, PARTS, 4)
    assert first.samples == ()
    assert len(first.skipped) == 4
    assert len(first.images) == len(first.coverage) == len(first.valid) == 0


def test_frames_of_different_sizes_are_named(samples: list[Sample], tmp_path: Path) -> None:
    Image.new("RGB", (50, 30)).save(tmp_path / "wide.png")
    wide = Sample("wide", tmp_path / "wide.png", "cat")
    recipe = Preprocessing(24, None, RECIPE.mean, RECIPE.std)
    with pytest.raises(DataError, match=r"different sizes in the model's frame \(32x24, 40x24\)\. Set"):
        list(batches([samples[0], wide], recipe, {}, 4))


def test_a_reader_may_stop_early(samples: list[Sample]) -> None:
    found = batches(samples * 5, RECIPE, PARTS, 2)
    assert next(found).index == 0
    found.close()  # type: ignore[attr-defined]  # a generator
