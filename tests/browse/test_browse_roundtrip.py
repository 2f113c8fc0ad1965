"""From a dataset to FiftyOne and back: labels, groups, regions and ids are what they were."""

from __future__ import annotations

import dataclasses
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from camaudit.browse import remove, to_fiftyone
from camaudit.browse.names import identifier
from camaudit.config import load_config
from camaudit.data import (
    celeba,
    coco,
    fiftyone,
    folder,
    huggingface,
    isic,
    pets,
    region_mask,
    table,
    torch_dataset,
    voc,
    waterbirds,
    yolo,
)
from camaudit.data.images import image_size, open_image
from camaudit.errors import RunError
from camaudit.runs import run_config
from tests import small_audit, small_datasets
from tests.data.collection_files import (
    celeba_folder,
    celebamask_folder,
    mask,
    pets_folder,
    picture,
    waterbirds_folder,
)
from tests.synthetic_run import SyntheticRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from camaudit.data import Dataset
    from camaudit.types import AttributionMap, Sample

pytestmark = pytest.mark.mongo


# ------------------------------------------------------------------ every format


def _table(path: Path) -> Dataset:
    small_audit.write_data(path, count=4)
    return table(
        path / "table.csv",
        id="id",
        groups=["colour"],
        subject="subject",
        mask="mask",
        legend=small_audit.LEGEND,
    )


def _folder(path: Path) -> Dataset:
    for number, name in enumerate(("cat", "dog")):
        picture(path / "images" / name / "a.png", (9, 7), seed=number)
        mask(path / "masks" / name / "a.png", np.full((9, 7), number, dtype=np.uint8))
    return folder(path / "images", masks=path / "masks", legend={1: "pet", 0: "rest"})


def _panoptic(path: Path) -> Dataset:
    return coco(path / "images", small_datasets.write_panoptic(path), kind="panoptic")


def _celeba(path: Path) -> Dataset:
    lists, masks = celeba_folder(path / "lists"), celebamask_folder(path / "hq")
    parts = {"hair": "hair", "eyes": ["l_eye", "r_eye"]}
    return celeba(lists, label="Blond_Hair", groups=["Male"], masks=masks, regions=parts)


def _isic(path: Path) -> Dataset:
    picture(path / "ISIC_0000000.jpg", (8, 8))
    mask(path / "masks" / "ISIC_0000000_segmentation.png", np.tri(8, dtype=np.uint8) * 255)
    (path / "metadata.csv").write_text("isic_id,diagnosis,sex,patient_id\nISIC_0000000,nevus,female,IP_1\n")
    return isic(path / "metadata.csv", label="diagnosis", groups=["sex"], masks=path / "masks")


def _pixels(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (12, 10, 3), dtype=np.uint8), np.eye(12, 10, dtype=np.uint8) * 255


def _huggingface(path: Path) -> Dataset:
    pairs = [_pixels(seed) for seed in range(3)]
    features = datasets.Features(
        image=datasets.Image(), hair=datasets.Image(), label=datasets.ClassLabel(names=["doctor", "nurse"]), sex=datasets.Value("string")
    )  # fmt: skip
    columns = {
        "image": [Image.fromarray(image) for image, _ in pairs],
        "hair": [Image.fromarray(hair) for _, hair in pairs],
        "label": [0, 1, 0],
        "sex": ["f", "m", "f"],
    }
    whole = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(train=whole.select([0, 1]), test=whole.select([2])).save_to_disk(path / "hf")
    return huggingface(path / "hf", groups=["sex"], masks={"hair": "hair"})


class _Items:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, hair = _pixels(index)
        return {"image": image, "label": index % 2, "hair": hair, "sex": "fm"[index % 2]}


FORMATS: dict[str, Callable[[Path], Dataset]] = {
    "table": _table,
    "folder": _folder,
    "coco": lambda path: coco(path / "images", small_datasets.write_coco(path)),
    "panoptic": _panoptic,
    "voc": lambda path: voc(small_datasets.write_voc(path), label="largest"),
    "yolo": lambda path: yolo(small_datasets.write_yolo(path), label="largest"),
    "waterbirds": lambda path: waterbirds(waterbirds_folder(path), segmentations=path / "segmentations"),
    "celeba": _celeba,
    "isic": _isic,
    "pets": lambda path: pets(pets_folder(path)),
    "huggingface": _huggingface,
    "torch": lambda _: torch_dataset(
        _Items(), classes=["a", "b"], regions={"hair": "hair"}, groups={"sex": "sex"}
    ),
}


def _audited(data: Dataset, root: Path) -> SyntheticRun:
    """A simulated run over the samples of a dataset."""
    run = SyntheticRun(root, count=-(-len(data) // 4) * 4, name="audited")
    ids = {f"img_{number:03d}": sample.id for number, sample in enumerate(data.samples)}
    by_id = {sample.id: sample for sample in data.samples}
    theirs = {new: old for old, new in ids.items()}
    plain = run.attribution

    def ours(frame: pd.DataFrame) -> pd.DataFrame:
        kept = frame[frame["sample"].isin(ids)]
        return kept.assign(sample=kept["sample"].map(ids)).reset_index(drop=True)

    def attribution(sample: str, method: str | None = None, target: str | None = None) -> AttributionMap:
        return plain(theirs[sample], method, target)

    samples = ours(run.samples).drop(columns="group_gender")
    samples["label"] = [sample.label for sample in data.samples]
    samples["split"] = [sample.split for sample in data.samples]
    samples["subject"] = [sample.subject for sample in data.samples]
    for group in data.groups:
        samples[f"group_{group}"] = [sample.groups.get(group) for sample in data.samples]
    manifest = dataclasses.replace(run.manifest, groups=data.groups)
    return run.but(
        samples=samples,
        measurements=ours(run.measurements),
        clusters=ours(run.clusters),
        quadrants=ours(run.quadrants),
        findings=(),
        verdict=dataclasses.replace(run.verdict, finding=None),
        manifest=manifest,
        source=by_id.__getitem__,
        attribution=attribution,
    )


def _masks(sample: Sample) -> dict[str, NDArray[np.bool_]]:
    size = image_size(sample.image)
    return {region.name: region_mask(region, size) for region in sample.regions}


def _assert_back(data: Dataset, exported: Any, key: str) -> None:
    """Reads a run's fields again and compares them with the dataset, sample by sample."""
    groups = {name: f"{key}_group_{identifier(name)}" for name in data.groups}
    there = set(exported.get_field_schema())
    again = fiftyone(
        exported.name,
        label=f"{key}_label" if f"{key}_label" in there else None,
        regions=[f"{key}_regions"],
        groups=groups,
        split=f"{key}_split" if f"{key}_split" in there else None,
        subject=f"{key}_subject" if f"{key}_subject" in there else None,
    )
    ids = dict(zip(exported.values("id"), exported.values(f"{key}_sample"), strict=True))
    found: Mapping[str, Sample] = {ids[sample.id]: sample for sample in again.samples}
    assert set(found) == {sample.id for sample in data.samples}
    for sample in data.samples:
        back = found[sample.id]
        assert (back.label, back.split, back.subject) == (sample.label, sample.split, sample.subject)
        assert back.groups == sample.groups
        assert (np.asarray(open_image(back.image)) == np.asarray(open_image(sample.image))).all()
        theirs = _masks(back)
        for name, drawn in _masks(sample).items():
            # a region that is empty everywhere leaves nothing in FiftyOne that could be read
            assert (theirs[name] == drawn).all() if name in theirs else not drawn.any()
        assert {name for name, drawn in theirs.items() if drawn.any()} <= {
            region.name for region in sample.regions
        }


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_exported_is_read_again(name: str, tmp_path: Path, dataset: str) -> None:
    data = FORMATS[name](tmp_path / "data")
    exported = to_fiftyone(_audited(data, tmp_path), dataset, key="a")
    assert len(exported) == len(data)
    _assert_back(data, exported, "a")


def test_images_in_no_file_of_their_own_are_written_once_and_go_with_the_dataset(
    tmp_path: Path, dataset: str
) -> None:
    import fiftyone as fo

    data = FORMATS["huggingface"](tmp_path / "data")
    first = _audited(data, tmp_path / "first")
    exported = to_fiftyone(first, dataset, key="a")
    written = {Path(path) for path in exported.values("filepath")}
    assert {path.parent.parent for path in written} == {first.path.absolute() / "media" / "images"}
    second = _audited(data, tmp_path / "second")
    assert len(to_fiftyone(second, dataset, key="b")) == len(data)  # on the same samples
    assert not (second.path / "media" / "images").exists()
    with pytest.raises(RunError, match="holds other images"):
        to_fiftyone(_audited(_table(tmp_path / "other"), tmp_path / "third"), dataset, key="c")
    remove(dataset, "a")
    remove(dataset, "b")
    assert not fo.dataset_exists(dataset)
    assert not (first.path / "media").exists()


# ------------------------------------------------------------------ a dataset of the user's


@pytest.fixture
def theirs(mongo: str, tmp_path: Path) -> Iterator[Any]:
    """The small audit's images as samples, in another order, and one image twice."""
    import fiftyone as fo

    rows = small_audit.write_data(tmp_path / "images", count=12)
    made = fo.Dataset(f"theirs-{uuid.uuid4().hex[:8]}", persistent=True)
    samples = []
    for row in [*rows.to_dict("records")[::-1], rows.to_dict("records")[0]]:
        values = np.asarray(Image.open(tmp_path / "images" / row["mask"]))
        samples.append(
            fo.Sample(
                filepath=str(tmp_path / "images" / row["image"]),
                truth=fo.Classification(label=row["label"]),
                colour=row["colour"],
                person=row["subject"],
                scene=fo.Segmentation(mask=values),
            )
        )
    made.add_samples(samples, progress=False)
    made.mask_targets = {"scene": small_audit.LEGEND}
    made.save()
    yield made
    if fo.dataset_exists(made.name):
        made.delete()


def test_an_audit_of_a_saved_view_writes_onto_the_very_samples(theirs: Any, tmp_path: Path) -> None:
    before = {name: theirs.values(name) for name in ("id", "filepath", "truth.label", "colour")}
    theirs.save_view("later", theirs.skip(3))
    chosen = theirs.skip(3).values("id")
    small_audit.write_weights(tmp_path / "weights.safetensors")
    options = {
        "dataset": theirs.name,
        "view": "later",
        "label": "truth",
        "regions": ["scene"],
        "groups": {"colour": "colour"},
        "subject": "person",
    }
    values = {**small_audit.settings(), "data": {"format": "fiftyone", "options": options}}
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump(values))
    run = run_config(load_config(tmp_path / "audit.yaml"), tmp_path / "run")
    assert list(run.samples["sample"]) == chosen
    exported = to_fiftyone(run, theirs.name, key="audit")
    assert exported.name == theirs.name
    assert {name: exported.values(name) for name in before} == before
    assert exported.exists("audit_sample").values("id") == chosen
    assert exported.exists("audit_sample").values("audit_sample") == chosen
    predicted = dict(zip(run.samples["sample"], run.samples["predicted"], strict=True))
    for sample in exported.exists("audit_prediction"):
        assert sample["audit_prediction"].label == predicted[sample.id]
        assert sample["audit_label"].label == sample["truth"].label
    for sample in fiftyone(theirs.name, view="later", regions=["audit_regions"]).samples:
        source = run.source(sample.id)
        assert source.image == sample.image
        expected = _masks(source)
        assert all((drawn == expected[name]).all() for name, drawn in _masks(sample).items())
    remove(theirs.name, "audit")
    theirs.reload()
    assert not any(name.startswith("audit_") for name in theirs.get_field_schema())
    assert len(theirs) == 13
