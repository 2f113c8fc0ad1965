"""Duplicates: planted ones are found, exactly and nearly, and others are not."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dct

from camaudit.data import Dataset, duplicates, folder, one_subject_each
from camaudit.data.duplicates import close_pairs, fingerprint
from camaudit.errors import DataError
from camaudit.types import Sample

if TYPE_CHECKING:
    from pathlib import Path


def scene(seed: int, side: int = 96) -> Image.Image:
    """A picture with the slow changes of a photograph, which JPEG keeps."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def sample(
    path: Path, image: Image.Image, label: str = "a", split: str | None = None, **more: object
) -> Sample:
    image.save(path)
    return Sample(path.name, path, label, split=split, **more)  # type: ignore[arg-type]


def test_equal_pixels_are_found_however_they_are_written(tmp_path: Path) -> None:
    image = scene(0)
    samples = [
        sample(tmp_path / "a.png", image, split="train"),
        sample(tmp_path / "b.bmp", image, split="train"),
        sample(tmp_path / "other.png", scene(1), split="train"),
        sample(tmp_path / "c.tiff", image, split="train"),
    ]
    found = duplicates(Dataset.of(samples))
    (group,) = found.groups
    assert group.kind == "exact"
    assert [of.id for of in group.samples] == ["a.png", "b.bmp", "c.tiff"]
    assert group.distances == (0, 0, 0)
    assert found.images == 4
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.bmp").read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_smaller_and_compressed_copies_are_near(tmp_path: Path, seed: int) -> None:
    image = scene(seed)
    samples = [
        sample(tmp_path / "a.png", image, split="train"),
        sample(tmp_path / "half.png", image.resize((48, 48)), split="test"),
        *(sample(tmp_path / f"{other}.png", scene(100 + other), split="train") for other in range(20)),
    ]
    compressed = io.BytesIO()
    image.save(compressed, "JPEG", quality=20)
    samples.append(sample(tmp_path / "rough.png", Image.open(compressed), split="test"))
    found = duplicates(Dataset.of(samples))
    (group,) = found.groups
    assert group.kind == "near"
    assert {of.id for of in group.samples} == {"a.png", "half.png", "rough.png"}
    assert group.splits == ("test", "train")
    assert max(group.distances) <= 4
    assert not duplicates(Dataset.of(samples), near=None).groups


def test_the_table_and_the_warnings_tell_the_three_problems_apart(tmp_path: Path) -> None:
    across, contradicting, within = (scene(seed) for seed in range(3))
    samples = [
        sample(tmp_path / "w1.png", within, split="train"),
        sample(tmp_path / "w2.png", within, split="train"),
        sample(tmp_path / "c1.png", contradicting, "a", split="train"),
        sample(tmp_path / "c2.png", contradicting, "b", split="train"),
        sample(tmp_path / "x1.png", across, split="train"),
        sample(tmp_path / "x2.png", across, split="test"),
    ]
    found = duplicates(Dataset.of(samples))
    table = found.table()
    assert list(table["sample"]) == ["x1.png", "x2.png", "c1.png", "c2.png", "w1.png", "w2.png"]
    assert list(table["across_splits"]) == [True, True, False, False, False, False]
    assert list(table["contradicting"]) == [False, False, True, True, False, False]
    assert list(table["group"]) == [0, 0, 1, 1, 2, 2]
    first, second, third = found.warnings()
    assert first.startswith(
        "2 images in 1 groups of duplicates lie in more than one split, such as x1.png (train, a)"
    )
    assert "x2.png (test, a)" in first
    assert "c1.png (train, a) and c2.png (train, b). Correct the labels" in second
    assert "no independent observations" in third


def test_none_are_an_empty_table(tmp_path: Path) -> None:
    found = duplicates(
        Dataset.of([sample(tmp_path / "a.png", scene(0)), sample(tmp_path / "b.png", scene(1))])
    )
    assert found.groups == ()
    assert found.warnings() == []
    assert found.table().empty
    assert "across_splits" in found.table()


def test_pictures_without_a_pattern_are_only_compared_exactly(tmp_path: Path) -> None:
    grey = [Image.new("RGB", (40, 40), (value,) * 3) for value in (100, 100, 130)]
    samples = [sample(tmp_path / f"{number}.png", image) for number, image in enumerate(grey)]
    found = duplicates(Dataset.of(samples))
    (group,) = found.groups
    assert [of.id for of in group.samples] == ["0.png", "1.png"]
    assert found.flat == ("0.png", "1.png", "2.png")


def test_images_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    samples = [
        sample(tmp_path / "a.png", scene(0)),
        Sample("broken.png", tmp_path / "broken.png", "a"),
        sample(tmp_path / "b.png", scene(0)),
    ]
    seen: list[int] = []
    found = duplicates(Dataset.of(samples), progress=seen.append)
    assert [of.sample for of in found.skipped] == ["broken.png"]
    assert len(found.groups) == 1
    assert seen == [1, 2, 3]


def test_a_datasets_on_disk_samples_will_do(tmp_path: Path) -> None:
    for name, seed in (("x/1.png", 0), ("x/2.png", 1), ("y/1.png", 0)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        scene(seed).save(tmp_path / name)
    data = folder(tmp_path)
    found = duplicates(data)
    assert [group.labels for group in found.groups] == [("x", "y")]
    changed = one_subject_each(data, found)
    assert [of.subject for of in changed.samples] == ["duplicates of x/1.png", None, "duplicates of x/1.png"]
    assert type(changed.samples) is type(data.samples)


@pytest.mark.parametrize("near", [-1, 17, 64])
def test_a_threshold_that_tells_nothing_apart_is_refused(tmp_path: Path, near: int) -> None:
    with pytest.raises(DataError, match="near duplicates differ in 0 to 16 of 64 bits"):
        duplicates(Dataset.of([sample(tmp_path / "a.png", scene(0))]), near=near)


# ------------------------------------------------------------------ the hash and the search


@pytest.mark.parametrize("seed", range(3))
def test_the_hash_is_phash(seed: int) -> None:
    """By the definition: two one-dimensional transforms of the small grey copy, and signs about the median."""
    image = scene(seed)
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
    low = dct(dct(grey, axis=0), axis=1)[:8, :8]
    bits = "".join("1" if value > np.median(low) else "0" for value in low.ravel())
    assert fingerprint(image).pattern == int(bits, 2)


def test_what_is_equal_for_the_eye_but_not_in_pixels_is_not_exact() -> None:
    image = scene(0)
    other = image.copy()
    other.putpixel((0, 0), (1, 2, 3))
    assert fingerprint(image).pixels != fingerprint(other).pixels
    assert fingerprint(image).pixels != fingerprint(image.transpose(Image.Transpose.ROTATE_90)).pixels
    tall, wide = Image.new("RGB", (2, 8)), Image.new("RGB", (8, 2))
    assert fingerprint(tall).pixels != fingerprint(wide).pixels


@given(words=st.lists(st.integers(0, 2**64 - 1), max_size=40), near=st.integers(0, 16), data=st.data())
@settings(max_examples=60, deadline=None)
def test_close_pairs_are_all_pairs_that_are_close(words: list[int], near: int, data: st.DataObject) -> None:
    for word in list(words[:10]):  # some that are close
        flips = data.draw(st.lists(st.integers(0, 63), max_size=20))
        for flip in flips:
            word ^= 1 << flip  # noqa: PLW2901 - flipped bit by bit
        words.append(word)
    pairs, bits = close_pairs(np.array(words, dtype=np.uint64), near)
    expected = {
        (first, second): (words[first] ^ words[second]).bit_count()
        for first, second in itertools.combinations(range(len(words)), 2)
        if (words[first] ^ words[second]).bit_count() <= near
    }
    assert dict(zip(map(tuple, pairs.tolist()), bits.tolist(), strict=True)) == expected


def test_close_pairs_across_blocks() -> None:
    words = np.random.default_rng(0).integers(0, 2**63, 9000, dtype=np.uint64)
    words[8999] = words[3] ^ np.uint64(5)
    words[4097] = words[4095] ^ np.uint64(1)
    pairs, bits = close_pairs(words, 3)
    assert pairs.tolist() == [[3, 8999], [4095, 4097]]
    assert bits.tolist() == [2, 1]


# ------------------------------------------------------------------ a common subject


def test_duplicates_get_a_common_subject_and_bring_all_samples_of_theirs(tmp_path: Path) -> None:
    twin, lone = scene(0), scene(1)
    samples = [
        sample(tmp_path / "a.png", twin, subject="p1"),
        sample(tmp_path / "b.png", twin, subject="p2"),
        sample(tmp_path / "c.png", scene(2), subject="p2"),
        sample(tmp_path / "d.png", scene(3), subject="p3"),
        sample(tmp_path / "e.png", scene(4)),
        sample(tmp_path / "f.png", lone),
        sample(tmp_path / "g.png", lone),
    ]
    data = Dataset.of(samples)
    changed = one_subject_each(data, duplicates(data))
    subjects = [of.subject for of in changed.samples]
    assert subjects == ["p1", "p1", "p1", "p3", None, "duplicates of f.png", "duplicates of f.png"]
    assert [of.id for of in changed.samples] == [of.id for of in samples]


def test_chains_of_subjects_become_one(tmp_path: Path) -> None:
    pairs = [("p3", "p2"), ("p2", "p1"), ("p5", "p4")]
    samples = [
        sample(tmp_path / f"{number}{side}.png", scene(number), subject=pair[side])
        for number, pair in enumerate(pairs)
        for side in (0, 1)
    ]
    data = Dataset.of(samples)
    changed = one_subject_each(data, duplicates(data))
    subjects = [of.subject for of in changed.samples]
    assert len(set(subjects[:4])) == 1
    assert len(set(subjects[4:])) == 1
    assert subjects[0] != subjects[4]
