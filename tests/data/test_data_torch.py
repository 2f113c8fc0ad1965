"""PyTorch datasets: tuples and dicts, Pillow images, arrays and tensors, read when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from camaudit.data import batches, open_image, region_mask, torch_dataset
from camaudit.data.images import image_size
from camaudit.errors import ConfigError, DataError
from camaudit.types import Preprocessing, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CLASSES = ["cat", "dog"]
PLAIN = Preprocessing(None, None, (0.5,) * 3, (0.5,) * 3)


def pixels(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (6, 9, 3), dtype=np.uint8)


class Items(torch.utils.data.Dataset[Any]):
    """Items that a function makes of their number; counts how often it is asked."""

    def __init__(self, make: Callable[[int], Any], count: int = 3) -> None:
        self.make, self.count, self.asked = make, count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        return self.make(index)


def channels_first(number: int) -> torch.Tensor:
    return torch.from_numpy(pixels(number)).permute(2, 0, 1)


IMAGES: dict[str, Callable[[int], Any]] = {
    "pillow": lambda number: Image.fromarray(pixels(number)),
    "array": pixels,
    "array of floats": lambda number: pixels(number) / 255,
    "tensor": channels_first,
    "tensor of floats": lambda number: channels_first(number).float() / 255,
    "tensor of half floats": lambda number: (channels_first(number).double() / 255).requires_grad_(),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_the_same_pixels_whatever_the_image_is(kind: str) -> None:
    items = Items(lambda number: (IMAGES[kind](number), number % 2))
    data = torch_dataset(items, classes=CLASSES)
    assert [sample.id for sample in data.samples] == ["0", "1", "2"]
    assert [sample.label for sample in data.samples] == ["cat", "dog", "cat"]
    for number, sample in enumerate(data.samples):
        assert (np.asarray(open_image(sample.image)) == pixels(number)).all()
        assert image_size(sample.image) == (6, 9)
    (batch,) = batches(data.samples, PLAIN, {}, 4)
    assert (batch.images == np.stack([pixels(number) for number in range(3)])).all()


@pytest.mark.parametrize("shape", [(6, 9), (1, 6, 9), (6, 9, 1)])
def test_grey_images(shape: tuple[int, ...]) -> None:
    values = pixels(0)[..., 0].reshape(shape)
    image: Any = torch.from_numpy(values) if shape[0] == 1 else values
    (sample,) = torch_dataset(Items(lambda _: (image, 0), 1), classes=CLASSES).samples
    assert (np.asarray(open_image(sample.image)) == pixels(0)[..., :1]).all()


@pytest.mark.parametrize("label", [1, np.int64(1), torch.tensor(1), torch.tensor([1]), np.array(1), "dog"])
def test_labels_of_many_kinds(label: Any) -> None:
    assert torch_dataset(Items(lambda _: (pixels(0), label), 1), classes=CLASSES).samples[0].label == "dog"


def test_dicts_with_masks_groups_and_subjects() -> None:
    def item(number: int) -> dict[str, Any]:
        return {
            "pixel_values": channels_first(number),
            "target": number % 2,
            "hair": torch.from_numpy(pixels(number)[..., 0] > 128)[None],
            "parts": None if number == 2 else Image.fromarray(pixels(number)[..., 1] % 3),
            "sex": None if number == 1 else "f",
            "person": torch.tensor(number // 2),
        }

    data = torch_dataset(
        Items(item),
        classes=CLASSES,
        image="pixel_values",
        label="target",
        regions={"hair": "hair"},
        mask="parts",
        legend={1: "tool", 2: "coat"},
        groups={"sex": "sex"},
        subject="person",
        objects=["tool"],
        attributes=["hair"],
    )
    assert [dict(sample.groups) for sample in data.samples] == [{"sex": "f"}, {}, {"sex": "f"}]
    assert [sample.subject for sample in data.samples] == ["0", "0", "1"]
    assert data.regions == {"tool": "object", "hair": "attribute", "coat": "context"}
    for number, sample in enumerate(data.samples):
        masks = {region.name: region_mask(region, (6, 9)) for region in sample.regions}
        assert set(masks) == ({"hair"} if number == 2 else {"hair", "tool", "coat"})
        assert (masks["hair"] == (pixels(number)[..., 0] > 128)).all()
        assert number == 2 or (masks["coat"] == (pixels(number)[..., 1] % 3 == 2)).all()


def test_several_splits_and_no_labels() -> None:
    data = torch_dataset(
        {"train": Items(pixels, 2), "test": Items(pixels, 1)}, classes=CLASSES, labelled=False
    )
    assert [sample.id for sample in data.samples] == ["train/0", "train/1", "test/0"]
    assert [sample.split for sample in data.samples] == ["train", "train", "test"]
    assert {sample.label for sample in data.samples} == {None}


def test_images_are_asked_for_when_they_are_needed() -> None:
    items = Items(lambda number: (pixels(number), 0), 5)
    data = torch_dataset(items, classes=CLASSES)
    assert items.asked == 5
    open_image(data.samples[3].image)
    assert items.asked == 6


def test_an_item_that_fails_is_left_out_or_skipped_and_counted() -> None:
    broken = {1}

    def item(number: int) -> tuple[Any, int]:
        if number in broken:
            raise OSError("the disk is gone")
        return pixels(number), 0

    data = torch_dataset(Items(item), classes=CLASSES)
    assert [sample.id for sample in data.samples] == ["0", "2"]
    assert data.problem_counts == {"bad-image": 1}
    assert "OSError: the disk is gone" in data.problems[0].message
    broken.add(2)
    (batch,) = batches(data.samples, PLAIN, {}, 4)
    assert [sample.id for sample in batch.samples] == ["0"]
    assert isinstance(batch.skipped[0], Skipped)
    assert "the disk is gone" in batch.skipped[0].reason


BAD: dict[str, tuple[Any, str]] = {
    "normalised": ((channels_first(0).float() / 255 - 0.5, 0), "it was normalised"),
    "not a number": ((torch.full((3, 6, 9), float("nan")), 0), "holds floats from nan to nan"),
    "16 bits": ((pixels(0).astype(np.uint16), 0), "holds uint16"),
    "channels last": (
        (torch.from_numpy(pixels(0)), 0),
        r"shape \(6, 9, 3\); give a tensor \(3, height, width\)",
    ),
    "channels first": ((np.moveaxis(pixels(0), -1, 0), 0), "give an array"),
    "four dimensions": ((np.zeros((1, 6, 9, 3), np.uint8), 0), "has the shape"),
    "an empty image": ((np.zeros((0, 9, 3), np.uint8), 0), "has the shape"),
    "no image": (("a.jpg", 0), "is a str; it must be a Pillow image"),
    "a class too many": ((pixels(0), 2), "the label is 2, which is neither a class"),
    "a negative label": ((pixels(0), -1), "the label is -1"),
    "an unknown name": ((pixels(0), "cow"), "the label is 'cow'"),
    "a float": ((pixels(0), 0.5), "the label is 0.5"),
    "a boolean": ((pixels(0), True), "the label is True"),
    "one-hot": ((pixels(0), torch.tensor([0, 1])), "the label is tensor"),
    "too few parts": ((pixels(0),), "it is a tuple without 1; it has 1 parts"),
    "an image alone": (pixels(0), "the label is"),
    "a dict without an image": ({"x": pixels(0), "label": 0}, "a dict without 'image'; it has 'x', 'label'"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_item_that_cannot_be_used_is_refused_with_a_sentence(name: str) -> None:
    item, message = BAD[name]
    with pytest.raises(DataError, match=message) as error:
        torch_dataset(Items(lambda _: item, 1), classes=CLASSES)
    assert "item 0" in str(error.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (
            np.zeros((9, 6), np.uint8),
            r"the mask of 'hair' has the shape \(9, 6\), but its image is 6 high and 9 wide",
        ),
        ("mask.png", "the mask of 'hair' is a str"),
        (np.full((6, 9), "x"), "holds <U1"),
    ],
)
def test_a_mask_that_cannot_be_used(mask: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        torch_dataset(Items(lambda _: (pixels(0), 0, mask), 1), classes=CLASSES, regions={"hair": 2})


def test_datasets_that_are_none() -> None:
    class Endless(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield pixels(0), 0

    with pytest.raises(DataError, match="Hand over a map-style dataset"):
        torch_dataset(Endless(), classes=CLASSES)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no image to audit"):
        torch_dataset(Items(pixels, 0), classes=CLASSES)
    with pytest.raises(ConfigError, match="needs both mask"):
        torch_dataset(Items(pixels), classes=CLASSES, mask=2)
