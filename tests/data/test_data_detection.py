"""COCO, Pascal VOC and YOLO: the same photographs, regions by hand, COCO's own tools as second opinion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from camaudit.config import DataConfig, RolesConfig, parse_section
from camaudit.data import coco, open_dataset, voc, yolo
from camaudit.data.masks import region_masks
from camaudit.errors import ConfigError, DataError
from tests import small_datasets as small

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from camaudit.data import Dataset
    from camaudit.types import Sample


def _masks(sample: Sample) -> dict[str, NDArray[np.bool_]]:
    with Image.open(sample.image) as image:
        return dict(region_masks(sample.regions, (image.height, image.width)))


def _block(size: tuple[int, int], rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    mask[rows, columns] = True
    return mask


BIRD = _block((30, 40), slice(4, 12), slice(5, 15))
WATER = _block((30, 40), slice(20, 30), slice(0, 40))


def _again(data: Dataset) -> None:
    """The configuration of a dataset reads it again."""
    again = open_dataset(data.source, data.roles)
    assert again.samples == data.samples
    assert again.fingerprint() == data.fingerprint()
    assert DataConfig.model_validate(json.loads(data.source.model_dump_json())) == data.source


# ------------------------------------------------------------------ COCO


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with numpy 2
def test_coco_regions_are_what_cocos_own_tools_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small.write_coco(tmp_path)
    data = coco(tmp_path / "images", path, objects=["bird"])
    theirs = COCO(str(path))
    assert [sample.id for sample in data.samples] == ["a.png", "b.png"]
    assert data.regions == {"bird": "object", "water": "context"}
    for sample in data.samples:
        (key,) = [key for key, of in theirs.imgs.items() if of["file_name"] == sample.id]
        for name, mask in _masks(sample).items():
            annotations = theirs.loadAnns(theirs.getAnnIds(key, theirs.getCatIds([name])))
            expected = np.zeros(mask.shape, dtype=bool)
            for annotation in annotations:
                expected |= theirs.annToMask(annotation).astype(bool)
            assert np.array_equal(mask, expected), (sample.id, name)
    assert np.array_equal(_masks(data.samples[0])["bird"], BIRD)
    assert [[region.instances for region in sample.regions] for sample in data.samples] == [[1, 1], [3, 0]]
    assert not data.problems
    _again(data)


@pytest.mark.parametrize(
    ("options", "birds"),
    [({}, 3), ({"crowd": "ignore"}, 2)],
)
def test_coco_crowds(tmp_path: Path, options: dict[str, Any], birds: int) -> None:
    data = coco(tmp_path / "images", small.write_coco(tmp_path), **options)
    bird, water = data.samples[1].regions
    assert (bird.instances, water.instances) == (birds, 0)
    crowd = small.crowd_mask().astype(bool)
    assert _masks(data.samples[1])["bird"][crowd].all() == (birds == 3)
    assert not _masks(data.samples[1])["water"].any()


def test_what_nobody_looked_for_is_no_region(tmp_path: Path) -> None:
    data = coco(tmp_path / "images", small.write_coco(tmp_path), exhaustive=False)
    assert [[region.name for region in sample.regions] for sample in data.samples] == [
        ["bird", "water"],
        ["bird"],
    ]


@pytest.mark.parametrize(
    ("rule", "labels"),
    [("largest", ["water", "bird"]), ("only", [None, None]), ("none", [None, None])],
)
def test_labels_of_instances(tmp_path: Path, rule: Any, labels: list[str | None]) -> None:
    data = coco(tmp_path / "images", small.write_coco(tmp_path), label=rule)
    assert [sample.label for sample in data.samples] == labels
    assert data.problem_counts == ({"no-label": 2} if rule == "only" else {})


def test_only_the_named_categories_label(tmp_path: Path) -> None:
    path = small.write_coco(tmp_path)
    data = coco(tmp_path / "images", path, label="largest", label_names={"bird": "Vogel"})
    assert [sample.label for sample in data.samples] == ["Vogel", "Vogel"]
    data = coco(tmp_path / "images", path, label="only", label_names={"bird": "Vogel"})
    assert [sample.label for sample in data.samples] == ["Vogel", None]


def test_the_way_to_a_label_has_to_be_said(tmp_path: Path) -> None:
    values = {"format": "coco", "path": small.write_coco(tmp_path), "images": tmp_path / "images"}
    with pytest.raises(
        ConfigError, match=r"data\.label is missing: coco labels instances.* largest, only, none"
    ):
        open_dataset(parse_section(DataConfig, values, where="x"), RolesConfig())
    with pytest.raises(ConfigError, match=r"data\.label: table needs data\.table"):
        open_dataset(parse_section(DataConfig, {**values, "label": "table"}, where="x"), RolesConfig())


def test_regions_of_several_categories_and_derived_ones(tmp_path: Path) -> None:
    data = coco(
        tmp_path / "images",
        small.write_coco(tmp_path),
        regions={"all": ["bird", "water"], "bird": "bird"},
        derive={"background": "not all", "rest": "background or (all and not bird)"},
        attributes=["background"],
    )
    masks = _masks(data.samples[0])
    assert np.array_equal(masks["all"], BIRD | WATER)
    assert np.array_equal(masks["background"], ~(BIRD | WATER))
    assert np.array_equal(masks["rest"], ~BIRD)
    assert data.samples[0].regions[0].instances == 2
    assert data.regions["background"] == "attribute"
    _again(data)


def test_a_side_table_gives_labels_groups_splits_and_subjects(tmp_path: Path) -> None:
    path = small.write_coco(tmp_path)
    (tmp_path / "labels.csv").write_text(
        "file,y,place,part,who\n2,1,sea,test,p\na.png,0,land,train,\nc.png,0,sea,test,q\n"
    )
    data = coco(
        tmp_path / "images",
        path,
        label="table",
        table=tmp_path / "labels.csv",
        columns={"image": "file", "label": "y", "groups": ["place"], "split": "part", "subject": "who"},
        label_names={"0": "landbird", "1": "waterbird"},
    )
    first, second = data.samples
    assert (first.label, first.groups, first.split, first.subject) == (
        "landbird",
        {"place": "land"},
        "train",
        None,
    )
    assert (second.label, second.groups, second.split, second.subject) == (
        "waterbird",
        {"place": "sea"},
        "test",
        "p",
    )
    assert data.groups == ("place",)
    assert [(problem.kind, problem.where) for problem in data.problems] == [
        ("no-sample", f"{tmp_path}/labels.csv, row 4")
    ]
    assert [sample.id for sample in data.select("test").samples] == ["b.png"]
    assert data.sample("b.png") == second
    assert data.select("test").sample("a.png") is None
    _again(data)


def test_panoptic_segments(tmp_path: Path) -> None:
    data = coco(tmp_path / "images", small.write_panoptic(tmp_path), kind="panoptic", label="largest")
    first, second = data.samples
    assert np.array_equal(_masks(first)["bird"], BIRD)
    assert np.array_equal(_masks(first)["water"], WATER)
    assert first.label == "water"
    assert second.regions == ()
    assert data.problem_counts == {"no-annotation": 1, "no-label": 1}
    _again(data)


def test_keypoints_are_discs_where_they_are_visible(tmp_path: Path) -> None:
    path = small.write_coco(tmp_path, small.keypoint_values())
    data = coco(tmp_path / "images", path, kind="keypoints", radius=3, derive={"head": "nose or eye"})
    nose, eye, head = data.samples[0].regions
    assert (nose.instances, eye.instances) == (2, 0)
    masks = _masks(data.samples[0])
    rows, columns = np.mgrid[:30, :40] + 0.5
    expected = ((columns - 10) ** 2 + (rows - 10) ** 2 <= 9) | ((columns - 30) ** 2 + (rows - 20) ** 2 <= 9)
    assert np.array_equal(masks["nose"], expected)
    assert np.array_equal(masks["head"], expected)
    assert not masks["eye"].any()
    assert data.samples[1].regions == ()
    assert head.instances is None
    with pytest.raises(ConfigError, match=r"data\.options\.radius is missing"):
        coco(tmp_path / "images", path, kind="keypoints")
    _again(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("said", ["stored", "shown", "nothing"])
def test_cocos_frame_is_that_of_the_stored_pixels(tmp_path: Path, orientation: int, said: str) -> None:
    """A white rectangle in the file and its annotation stay one after the image is turned."""
    values = small.coco_values()
    values["images"] = values["images"][:1]
    values["annotations"] = values["annotations"][:1]
    swapped = orientation >= 5
    shape = {"height": 30, "width": 40}
    if said == "nothing":
        shape = {}
    elif said == "shown" and swapped:
        shape = {"height": 40, "width": 30}
    values["images"][0] = {"id": 1, "file_name": "a.png", **shape}
    path = small.write_coco(tmp_path, values)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(BIRD.astype(np.uint8) * 255).save(tmp_path / "images/a.png", exif=exif)
    sample = coco(tmp_path / "images", path).samples[0]
    from camaudit.data import open_image

    shown = np.asarray(open_image(sample.image))[..., 0] > 0
    found = region_masks(sample.regions, shown.shape)["bird"]  # type: ignore[arg-type]
    if said == "shown" and swapped:  # the annotation says it is in the turned frame already
        assert np.array_equal(found, _block((40, 30), slice(4, 12), slice(5, 15)))
    else:
        assert np.array_equal(found, shown)


def test_annotations_of_another_size_than_the_image_are_refused(tmp_path: Path) -> None:
    path = small.write_coco(tmp_path)
    Image.new("RGB", (80, 60)).save(tmp_path / "images/a.png")
    sample = coco(tmp_path / "images", path).samples[0]
    with pytest.raises(
        DataError, match=r"a\.png are for an image of 40x30, but it is 80x60 \(width x height\)"
    ):
        region_masks(sample.regions, (60, 80))


# ------------------------------------------------------------------ Pascal VOC


def test_voc_boxes_count_from_one_and_hold_their_last_pixel(tmp_path: Path) -> None:
    data = voc(small.write_voc(tmp_path), label="largest", objects=["bird"])
    first, second = data.samples
    assert (first.id, first.label) == ("a", "boat")
    assert np.array_equal(_masks(first)["bird"], BIRD)
    assert np.array_equal(_masks(first)["boat"], WATER)
    assert [region.instances for region in second.regions] == [2, 0]
    assert _masks(second)["bird"].sum() == 25 + 4
    assert data.regions == {"bird": "object", "boat": "context"}
    _again(data)


@pytest.mark.parametrize("shapes", ["class", "object"])
def test_voc_masks(tmp_path: Path, shapes: str) -> None:
    data = voc(small.write_voc(tmp_path), shapes=shapes, regions={"bird": "bird", "ship": "boat"})
    masks = _masks(data.samples[0])
    assert np.array_equal(masks["bird"], BIRD)
    assert np.array_equal(masks["ship"], WATER)
    assert data.samples[1].regions == ()  # VOC segments only some of its images
    assert data.problem_counts == {"no-mask": 1}
    assert [region.instances for region in data.samples[0].regions] == (
        [None, None] if shapes == "class" else [1, 1]
    )
    _again(data)


def test_voc_lists_legends_and_tables(tmp_path: Path) -> None:
    small.write_voc(tmp_path)
    data = voc(tmp_path, shapes="class", image_set="Main/train", legend={3: "feathers"})
    assert [(sample.id, [region.name for region in sample.regions]) for sample in data.samples] == [
        ("a", ["feathers"])
    ]
    assert [len(voc(tmp_path, shapes="class").samples[0].regions)] == [20]
    (tmp_path / "labels.jsonl").write_text('{"image": "a.png", "label": 1}\n{"image": "b", "label": 2}\n')
    data = voc(tmp_path, label="table", table=tmp_path / "labels.jsonl")
    assert [sample.label for sample in data.samples] == ["1", "2"]
    _again(data)


# ------------------------------------------------------------------ YOLO


def test_yolo_boxes_and_polygons_are_shares_of_the_shown_image(tmp_path: Path) -> None:
    data = yolo(small.write_yolo(tmp_path), label="largest")
    first, second = data.samples
    assert (first.id, first.split, first.label) == ("images/train/a.png", "train", "water")
    assert np.array_equal(_masks(first)["bird"], BIRD)
    assert np.array_equal(_masks(first)["water"], WATER)
    assert (second.split, [region.instances for region in second.regions]) == ("val", [2, 0])
    assert [sample.id for sample in yolo(tmp_path, split="val").samples] == ["images/val/b.png"]
    _again(data)


def test_yolo_lists_of_images_and_numbered_names(tmp_path: Path) -> None:
    small.write_yolo(tmp_path)
    (tmp_path / "list.txt").write_text("./images/val/b.png\n\nimages/train/a.png\n")
    (tmp_path / "data.yaml").write_text("test: list.txt\nnames: {0: bird, 7: water}\n")
    data = yolo(tmp_path, exhaustive=False)
    assert [(sample.id, sample.split) for sample in data.samples] == [
        ("images/val/b.png", "test"),
        ("images/train/a.png", "test"),
    ]
    assert data.problem_counts == {"unknown-category": 1}
    assert [region.name for region in data.samples[1].regions] == ["bird"]
    _again(data)


def test_a_yolo_image_without_labels_shows_nothing(tmp_path: Path) -> None:
    small.write_yolo(tmp_path)
    (tmp_path / "labels/val/b.txt").unlink()
    data = yolo(tmp_path)
    assert [region.instances for region in data.samples[1].regions] == [0, 0]
    assert data.problem_counts == {"no-annotation": 1}
    assert not yolo(tmp_path, exhaustive=False).samples[1].regions


def test_a_yolo_folder_outside_is_meant_or_refused(tmp_path: Path) -> None:
    small.write_yolo(tmp_path / "there")
    (tmp_path / "here").mkdir()
    text = small.YOLO_YAML.replace("path: .", "path: ../there")
    (tmp_path / "here/data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"'\.\./there' leads out of .*allow_outside: true"):
        yolo(tmp_path / "here")
    for found in (
        yolo(tmp_path / "here", allow_outside=True),
        yolo(tmp_path / "here", root=tmp_path / "there"),
    ):
        assert [sample.id for sample in found.samples] == ["images/train/a.png", "images/val/b.png"]
