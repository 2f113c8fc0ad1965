"""FiftyOne datasets and views on a real MongoDB."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from camaudit.config import DataConfig, RolesConfig
from camaudit.data import fiftyone, open_dataset, region_mask
from camaudit.errors import ConfigError, DataError
from camaudit.types import Instances
from tests.data.collection_files import picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from camaudit.types import Sample

pytestmark = pytest.mark.mongo

HEIGHT, WIDTH = 20, 30
COUNT = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wards")


@pytest.fixture
def wards(mongo: str, folder: Path) -> Iterator[Any]:
    """Four images; the last one has no label, no group and no annotations."""
    import fiftyone as fo

    made = fo.Dataset(f"wards-{uuid.uuid4().hex[:8]}", persistent=True)
    samples = []
    for number in range(COUNT):
        path = folder / f"{number}.png"
        picture(path, (HEIGHT, WIDTH), seed=number)
        sample = fo.Sample(
            filepath=str(path), tags=["train" if number < 2 else "test", *(["night"] if number == 1 else [])]
        )
        if number < COUNT - 1:
            sample["truth"] = fo.Classification(label=("doctor", "nurse")[number % 2])
            sample["ward"] = fo.Classification(label="north", floor=number)
            sample["age"] = 30 + number
            sample["person"] = f"p{number // 2}"
            sample["parts"] = fo.Detections(detections=_detections(fo, number))
        samples.append(sample)
    made.add_samples(samples, progress=False, dynamic=True)
    yield made
    if fo.dataset_exists(made.name):
        made.delete()


def _detections(fo: Any, number: int) -> list[Any]:
    exact = fo.Detection(
        label="hair", bounding_box=[3 / WIDTH, 2 / HEIGHT, 6 / WIDTH, 4 / HEIGHT], mask=_blob()
    )
    box = fo.Detection(label="hair", bounding_box=[0.5, 0.5, 0.2, 0.1])
    coarse = fo.Detection(label="tool", bounding_box=[0.0, 0.0, 0.2, 0.2], mask=np.array([[True, False]]))
    return [[exact, box], [coarse], []][number]


def _blob() -> NDArray[np.bool_]:
    mask = np.ones((4, 6), dtype=bool)
    mask[0, 0] = mask[3, 5] = False
    return mask


def masks(sample: Sample) -> dict[str, NDArray[np.bool_]]:
    return {region.name: region_mask(region, (HEIGHT, WIDTH)) for region in sample.regions}


def test_labels_groups_splits_subjects_and_ids(wards: Any) -> None:
    data = fiftyone(
        wards.name,
        label="truth",
        groups={"ward": "ward", "floor": "ward.floor", "age": "age", "night": "tags:night"},
        split=["train", "test"],
        subject="person",
    )
    assert [sample.id for sample in data.samples] == wards.values("id")
    assert [str(sample.image) for sample in data.samples] == wards.values("filepath")
    assert [sample.label for sample in data.samples] == ["doctor", "nurse", "doctor", None]
    assert dict(data.samples[1].groups) == {"ward": "north", "floor": "1", "age": "31", "night": "yes"}
    assert dict(data.samples[3].groups) == {"night": "no"}
    assert [sample.split for sample in data.samples] == ["train", "train", "test", "test"]
    assert [sample.subject for sample in data.samples] == ["p0", "p0", "p1", None]
    assert data.groups == ("ward", "floor", "age", "night")
    assert data.problem_counts == {"no-label": 1}
    assert len(data.select("test")) == 2


def test_detections_are_masks_and_boxes(wards: Any) -> None:
    data = fiftyone(wards.name, regions=["parts"], attributes=["hair"])
    first, second, third, fourth = (masks(sample) for sample in data.samples)
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[2:6, 3:9] = _blob()
    expected[10:12, 15:21] = True
    assert (first["hair"] == expected).all()
    assert not first["tool"].any()  # looked for, and not there
    assert second["tool"][:4, :3].all()
    assert second["tool"].sum() == 12  # the left half of a box of 6 x 4
    assert not third["hair"].any()
    assert fourth == {}  # nobody looked
    assert data.samples[0].regions[0].instances == 2
    assert data.regions == {"hair": "attribute", "tool": "context"}


def test_what_is_not_exhaustive_was_not_looked_for(wards: Any) -> None:
    data = fiftyone(wards.name, regions=["parts"], exhaustive=False)
    assert [set(masks(sample)) for sample in data.samples] == [{"hair"}, {"tool"}, set(), set()]


def test_regions_may_unite_labels(wards: Any) -> None:
    names = {"things": ["hair", "tool"], "top": "hair"}
    data = fiftyone(wards.name, regions=["parts"], names=names)
    plain = fiftyone(wards.name, regions=["parts"])
    for sample, apart in zip(data.samples, plain.samples, strict=True):
        united, parts = masks(sample), masks(apart)
        assert list(united) == (["things", "top"] if parts else [])
        assert not parts or (united["things"] == (parts["hair"] | parts["tool"])).all()


@pytest.mark.parametrize("where", ["database", "file"])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2)], ids=["same", "half"])
def test_segmentations_by_their_targets(wards: Any, folder: Path, where: str, size: tuple[int, int]) -> None:
    import fiftyone as fo

    values = np.zeros(size, dtype=np.uint8)
    values[: size[0] // 2] = 1
    values[size[0] // 2 :, : size[1] // 3] = 7
    if where == "file":
        Image.fromarray(values).save(folder / "mask.png")
        segmentation = fo.Segmentation(mask_path=str(folder / "mask.png"))
    else:
        segmentation = fo.Segmentation(mask=values)
    first = wards.first()
    first["scene"] = segmentation
    first.save()
    wards.mask_targets = {"scene": {1: "sky", 7: "sea"}}
    wards.save()
    data = fiftyone(wards.name, regions=["scene", "parts"])
    found = masks(data.samples[0])
    assert set(found) == {"sky", "sea", "hair", "tool"}
    assert found["sky"][:10].all()
    assert found["sky"].sum() == 10 * WIDTH
    assert found["sea"].sum() == 10 * 10
    assert set(masks(data.samples[1])) == {"hair", "tool"}
    assert data.samples[0].regions[0].instances is None


def test_colours_polylines_and_keypoints(wards: Any, folder: Path) -> None:
    import fiftyone as fo

    colours = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    colours[:5] = (255, 109, 4)
    Image.fromarray(colours).save(folder / "colours.png")
    first = wards.first()
    first["scene"] = fo.Segmentation(mask_path=str(folder / "colours.png"))
    first["shapes"] = fo.Polylines(
        polylines=[fo.Polyline(label="bed", points=[[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]], closed=True)]
    )
    first["joints"] = fo.Keypoints(
        keypoints=[fo.Keypoint(label="hand", points=[(0.5, 0.5), (float("nan"), float("nan"))])]
    )
    first.save()
    wards.mask_targets = {"scene": {"#ff6d04": "sky"}}
    wards.save()
    data = fiftyone(wards.name, regions=["scene", "shapes", "joints"], radius=0.1)
    found = masks(data.samples[0])
    assert found["sky"].sum() == 5 * WIDTH
    assert found["bed"].sum() == HEIGHT * WIDTH / 2
    assert found["hand"].sum() == 12  # pixels whose centre is within 2 of the corner of four pixels
    assert found["hand"][9:11, 14:16].all()


def test_a_label_that_cannot_be_used_leaves_its_region_out_and_is_counted(wards: Any) -> None:
    import fiftyone as fo

    first = wards.first()
    first["parts"] = fo.Detections(
        detections=[
            fo.Detection(label="hair", bounding_box=[0.1, 0.1, float("nan"), 0.2]),
            fo.Detection(label="tool", bounding_box=[0.1, 0.1, 0.2, 0.2]),
        ]
    )
    first["shapes"] = fo.Polylines(polylines=[fo.Polyline(label="bed", points=[[(0, 0), (1, 1), (0, 1)]])])
    first.save()
    data = fiftyone(wards.name, regions=["parts", "shapes"])
    assert set(masks(data.samples[0])) == {"tool"}
    assert data.problem_counts == {"bad-shape": 2}
    assert "not closed" in data.problems[1].message


def test_a_saved_view_and_a_view_of_python(wards: Any) -> None:
    import fiftyone as fo

    view = wards.match(fo.ViewField("truth.label") == "doctor").sort_by("id", reverse=True)
    wards.save_view("doctors", view)
    saved = fiftyone(wards.name, view="doctors", label="truth", regions=["parts"])
    python = fiftyone(view, label="truth", regions=["parts"])
    assert [sample.id for sample in saved.samples] == view.values("id")
    assert list(saved.samples) == list(python.samples)
    assert saved.source.options_as(type(saved.source.options)).view == "doctors"  # type: ignore[attr-defined]
    assert python.source.format == "memory"  # it cannot be read again
    assert fiftyone(wards, label="truth").source.format == "fiftyone"


def test_a_configuration_says_the_same(wards: Any) -> None:
    options = {
        "dataset": wards.name,
        "label": "truth",
        "regions": ["parts"],
        "groups": {"ward": "ward.label"},
    }
    source = DataConfig.model_validate(
        {"format": "fiftyone", "options": options, "derive": {"rest": "not (hair or tool)"}}
    )
    data = open_dataset(source, RolesConfig(object=["tool"]))
    found = masks(data.samples[0])
    assert (found["rest"] == ~(found["hair"] | found["tool"])).all()
    assert all(isinstance(region.shape, Instances) for region in data.samples[0].regions[:2])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"view": "doktors"}, DataError, "has no saved view 'doktors'"),
        ({"label": "trut"}, DataError, "no field 'trut'; did you mean 'truth'"),
        ({"label": "parts"}, DataError, "holds a Detections"),
        ({"groups": {"t": "tags"}}, DataError, "'tags' holds a "),
        ({"regions": ["truth"]}, DataError, "holds Classification; regions come from"),
        (
            {"regions": ["parts"], "names": {"x": "hare"}},
            DataError,
            "no instance has the label 'hare'; did you mean 'hair'",
        ),
        ({"regions": ["parts", "parts"]}, ConfigError, "more than once"),
        ({"regions": ["parts"], "objects": ["head"]}, DataError, "which is no region"),
        ({"split": ["train", "night"]}, DataError, "it has the tags train and night"),
        ({"radius": -1}, ConfigError, "radius"),
    ],
)
def test_what_cannot_be_read_is_said(
    wards: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fiftyone(wards.name, **arguments)


def test_a_dataset_that_is_not_there_and_a_segmentation_without_targets(wards: Any) -> None:
    import fiftyone as fo

    with pytest.raises(DataError, match="FiftyOne has no dataset 'nowhere-at-all'"):
        fiftyone("nowhere-at-all")
    first = wards.first()
    first["scene"] = fo.Segmentation(mask=np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
    first["joints"] = fo.Keypoints(keypoints=[])
    first.save()
    with pytest.raises(DataError, match="nothing says what its pixel values mean"):
        fiftyone(wards.name, regions=["scene"])
    with pytest.raises(ConfigError, match=r"set data\.options\.radius"):
        fiftyone(wards.name, regions=["joints"])


def test_a_dataset_of_videos_is_refused(mongo: str, tmp_path: Path) -> None:
    import fiftyone as fo

    made = fo.Dataset(f"films-{uuid.uuid4().hex[:8]}")
    made.media_type = "video"
    try:
        with pytest.raises(DataError, match="holds videos; only samples of images"):
            fiftyone(made.name)
    finally:
        made.delete()
