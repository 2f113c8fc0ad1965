"""Malformed collections: each ends in a sentence that names the file and the row, or in a counted skip."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from camaudit.data import celeba, isic, pets, waterbirds
from camaudit.data.batches import read_sample
from camaudit.errors import CamauditError, ConfigError, DataError
from camaudit.types import Preprocessing, Skipped
from tests.data.collection_files import (
    BIRD_HEADER,
    BIRDS,
    celeba_folder,
    celebamask_folder,
    pets_folder,
    waterbirds_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from camaudit.data import Dataset

PLAIN = Preprocessing(None, None, (0.5,) * 3, (0.5,) * 3)


def _edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def _bird(**changes: str) -> list[str]:
    return [changes.get(name, value) for name, value in zip(BIRD_HEADER.split(","), BIRDS[0], strict=True)]


def _birds(folder: Path, **changes: str) -> Dataset:
    return waterbirds(waterbirds_folder(folder, [*BIRDS[1:], _bird(**changes)]))


def _broken_birds(folder: Path, text: bytes) -> Dataset:
    waterbirds_folder(folder)
    (folder / "metadata.csv").write_bytes(text)
    return waterbirds(folder)


def _faces(folder: Path, name: str, before: str, after: str) -> Dataset:
    _edit(celeba_folder(folder) / name, before, after)
    return celeba(folder, label="Blond_Hair", groups=["Male"])


def _hq(folder: Path, before: str, after: str) -> Dataset:
    masks = celebamask_folder(folder / "hq")
    _edit(masks / "CelebA-HQ-to-CelebA-mapping.txt", before, after)
    return celeba(celeba_folder(folder / "lists"), label="Male", masks=masks)


def _lesions(folder: Path, text: str, **options: Any) -> Dataset:
    (folder / "truth.csv").write_text(text)
    return isic(folder / "truth.csv", **options)


def _animals(folder: Path, before: str, after: str) -> Dataset:
    _edit(pets_folder(folder) / "annotations" / "trainval.txt", before, after)
    return pets(folder)


ONE_HOT = "image,MEL,NV\nISIC_1,0.0,1.0\n"
CASES: dict[str, tuple[Callable[[Path], Dataset], str]] = {
    # Waterbirds
    "birds: no folder": (lambda at: waterbirds(at / "nothing"), "nothing is not a folder"),
    "birds: no table": (waterbirds, "metadata.csv does not exist"),
    "birds: an empty table": (lambda at: _broken_birds(at, b""), "metadata.csv is empty"),
    "birds: a header alone": (lambda at: _broken_birds(at, BIRD_HEADER.encode()), "has no rows"),
    "birds: no text": (lambda at: _broken_birds(at, b"\x89PNG\r\n\x1a\n\0\0\0"), "metadata.csv"),
    "birds: latin letters": (
        lambda at: _broken_birds(at, BIRD_HEADER.encode() + b"\n1,\xe9/a.jpg,0,0,0,x\n"),
        "metadata.csv",
    ),
    "birds: a missing column": (
        lambda at: waterbirds(waterbirds_folder(at, header=BIRD_HEADER.replace("place,", "background,"))),
        "has no column 'place'",
    ),
    "birds: a label of three": (
        lambda at: _birds(at, y="2"),
        "row 4: the column 'y' is '2', which is none of 0 (landbird), 1 (waterbird)",
    ),
    "birds: a label by name": (lambda at: _birds(at, y="waterbird"), "row 4: the column 'y' is 'waterbird'"),
    "birds: no place": (lambda at: _birds(at, place=""), "row 4: the column 'place' is ''"),
    "birds: a fourth split": (lambda at: _birds(at, split="3"), "row 4: the column 'split' is '3'"),
    "birds: no name": (lambda at: _birds(at, img_filename=""), "row 4: the column 'img_filename' is empty"),
    "birds: no species": (
        lambda at: _birds(at, img_filename="a.jpg"),
        "row 4: 'a.jpg' lies in no folder that is named by a species",
    ),
    "birds: outside": (
        lambda at: _birds(at, img_filename="../001.Crow/a.jpg"),
        "row 4: '../001.Crow/a.jpg' leads out of",
    ),
    "birds: an absolute path": (lambda at: _birds(at, img_filename="/etc/001.Crow/passwd"), "leads out of"),
    "birds: one image twice": (lambda at: _birds(at, img_filename=BIRDS[1][1]), "have the same id"),
    "birds: a short row": (
        lambda at: _broken_birds(at, f"{BIRD_HEADER}\n1,001.Crow/a.jpg,1\n".encode()),
        "row 2",
    ),
    "birds: a long row": (
        lambda at: _broken_birds(at, f"{BIRD_HEADER}\n1,001.Crow/a.jpg,1,0,0,x,y,z\n".encode()),
        "metadata.csv",
    ),
    "birds: no segmentations": (
        lambda at: waterbirds(waterbirds_folder(at), segmentations=at / "segs"),
        "segs is not a folder. Give the folder of CUB's segmentations",
    ),
    "birds: a threshold of nothing": (
        lambda at: waterbirds(waterbirds_folder(at), threshold=0),
        "options.threshold",
    ),
    "birds: a role of a region that is not there": (
        lambda at: waterbirds(waterbirds_folder(at), objects=["bird"]),
        "roles.object names 'bird', which is no region",
    ),
    # CelebA
    "faces: no list": (lambda at: celeba(at, label="Male"), "list_attr_celeba.txt does not exist"),
    "faces: no such attribute": (
        lambda at: celeba(celeba_folder(at), label="Blonde"),
        "has no attribute 'Blonde'",
    ),
    "faces: no such group": (
        lambda at: celeba(celeba_folder(at, tables=True), label="Male", groups=["Young"]),
        "has no column 'Young'",
    ),
    "faces: an attribute of 0": (
        lambda at: _faces(at, "list_attr_celeba.txt", "000002.jpg  1  -1", "000002.jpg  1  0"),
        "row 4: the attribute 'Blond_Hair' is '0', which is neither 1 nor -1",
    ),
    "faces: a missing cell": (
        lambda at: _faces(at, "list_attr_celeba.txt", "000002.jpg  1  -1", "000002.jpg  -1"),
        "row 4: it has 3 cells where there are 4 columns",
    ),
    "faces: truncated": (
        lambda at: _faces(at, "list_attr_celeba.txt", "3\n", "202599\n"),
        "has 3 rows, and '202599' by its first line",
    ),
    "faces: no count": (
        lambda at: _faces(at, "list_attr_celeba.txt", "3\n", ""),
        "has no attribute 'Blond_Hair'",
    ),
    "faces: a split too many": (
        lambda at: _faces(at, "list_eval_partition.txt", "000003.jpg 2", "000003.jpg 9"),
        "list_eval_partition.txt, row 3: the column 'partition' is '9'",
    ),
    "faces: an image without a split": (
        lambda at: _faces(at, "list_eval_partition.txt", "000002.jpg 1\n", ""),
        "list_eval_partition has no row for 000002.jpg",
    ),
    "faces: another order": (
        lambda at: _faces(
            at, "identity_CelebA.txt", "000001.jpg 2880\n000002.jpg 2937", "000002.jpg 2937\n000001.jpg 2880"
        ),
        "Both must list the images in the same order",
    ),
    "faces: outside": (
        lambda at: _faces(at, "list_attr_celeba.txt", "000001.jpg", "../1.jpg"),
        "list_eval_partition has no row for ../1.jpg",
    ),
    "faces: one image twice": (
        lambda at: _faces(at, "list_attr_celeba.txt", "000002.jpg", "000001.jpg"),
        "list_eval_partition has no row for 000001.jpg",
    ),
    "faces: no masks": (
        lambda at: celeba(celeba_folder(at), label="Male", masks=at / "hq"),
        "hq is not a folder. Give the folder CelebAMask-HQ",
    ),
    "faces: a part that is none": (
        lambda at: celeba(
            celeba_folder(at), label="Male", masks=celebamask_folder(at / "hq"), regions={"x": "beard"}
        ),
        "'beard' is no part of CelebAMask-HQ",
    ),
    "faces: a mapping without a number": (
        lambda at: _hq(at, "4001 ", "four "),
        "row 3: 'four' is no number of an image",
    ),
    "faces: a mapping to one image twice": (
        lambda at: _hq(at, "000001.jpg", "000003.jpg"),
        "stands in row 2 too",
    ),
    "faces: a mapping to an unknown image": (
        lambda at: _hq(at, "000001.jpg", "009999.jpg"),
        "lacks 1 images of CelebAMask-HQ, such as 009999.jpg (4001.jpg)",
    ),
    "faces: one group twice": (
        lambda at: celeba(celeba_folder(at), label="Male", groups=["Male", "Male"]),
        "more than once",
    ),
    # ISIC
    "lesions: no table": (lambda at: isic(at / "truth.csv"), "truth.csv does not exist"),
    "lesions: no ids": (lambda at: _lesions(at, "file,MEL\na,1\n"), "has no column of ids"),
    "lesions: no rows": (lambda at: _lesions(at, "image,MEL\n"), "has no rows"),
    "lesions: no diagnosis": (lambda at: _lesions(at, f"{ONE_HOT}ISIC_2,0.0,0.0\n"), "row 3: it has no 1"),
    "lesions: two diagnoses": (
        lambda at: _lesions(at, f"{ONE_HOT}ISIC_2,1.0,1.0\n"),
        "row 3: it is 1 in MEL and NV",
    ),
    "lesions: a share": (
        lambda at: _lesions(at, f"{ONE_HOT}ISIC_2,0.3,0.7\n"),
        "row 3: the column 'MEL' is '0.3', not 0 or 1",
    ),
    "lesions: metadata without a label": (
        lambda at: _lesions(at, "isic_id,diagnosis\nISIC_1,nevus\n"),
        "Name the column of the diagnosis in data.options.label",
    ),
    "lesions: an empty label": (
        lambda at: _lesions(at, "isic_id,diagnosis\nISIC_1,nevus\nISIC_2,\n", label="diagnosis"),
        "row 3: the column 'diagnosis' is empty",
    ),
    "lesions: a label column that is not there": (
        lambda at: _lesions(at, "isic_id,diagnosis\nISIC_1,nevus\n", label="diagnose"),
        "did you mean 'diagnosis'",
    ),
    "lesions: a group that is not there": (
        lambda at: _lesions(at, ONE_HOT, groups=["sex"]),
        "has no column 'sex' (data.options.groups)",
    ),
    "lesions: an empty id": (
        lambda at: _lesions(at, f"{ONE_HOT},1.0,0.0\n"),
        "row 3: the column 'image' is empty",
    ),
    "lesions: one id twice": (
        lambda at: _lesions(at, f"{ONE_HOT}ISIC_1,1.0,0.0\n"),
        "have the same id 'ISIC_1'",
    ),
    "lesions: outside": (
        lambda at: _lesions(at, f"{ONE_HOT}../../x,1.0,0.0\n"),
        "row 3: '../../x.jpg' leads out of",
    ),
    "lesions: a zero byte": (
        lambda at: _lesions(at, f"{ONE_HOT}a\0b,1.0,0.0\n"),
        "cannot be the name of a file",
    ),
    "lesions: no masks": (
        lambda at: _lesions(at, ONE_HOT, masks=at / "m"),
        "m is not a folder. Give the folder of the lesion masks",
    ),
    "lesions: neither with a label": (
        lambda at: _lesions(at, ONE_HOT, label="NV", neither="x"),
        "neither is the class of rows without a 1",
    ),
    # Oxford-IIIT Pets
    "pets: no annotations": (pets, "annotations is not a folder"),
    "pets: a short line": (
        lambda at: _animals(at, "Abyssinian_101 1 1 1", "Abyssinian_101 1 1"),
        "trainval.txt, row 2: it has 3 cells",
    ),
    "pets: a third species": (
        lambda at: _animals(at, "Abyssinian_100 1 1 1", "Abyssinian_100 1 3 1"),
        "row 1: ",
    ),
    "pets: no number": (
        lambda at: _animals(at, "Abyssinian_100 ", "Abyssinian "),
        "row 1: 'Abyssinian' is no breed and number",
    ),
    "pets: a class of two breeds": (
        lambda at: _animals(at, "Abyssinian_101 1 1 1", "Abyssinian_101 7 1 1"),
        "row 2: Abyssinian is class 7",
    ),
    "pets: a dog among cats": (
        lambda at: _animals(at, "Abyssinian_100 1 1 1", "Abyssinian_100 1 2 1"),
        "is spelled like a cat",
    ),
    "pets: one image twice": (
        lambda at: _animals(at, "Abyssinian_101 ", "Abyssinian_100 "),
        "have the same id",
    ),
    "pets: in both splits": (
        lambda at: _animals(at, "Abyssinian_101 1 1 1", "american_bulldog_203 2 2 1"),
        "have the same id",
    ),
    "pets: outside": (lambda at: _animals(at, "Abyssinian_100 1 1 1", "../../a_1 1 2 1"), "leads out of"),
    "pets: an empty list": (
        lambda at: _animals(at, "Abyssinian_100 1 1 1\nAbyssinian_101 1 1 1\n", ""),
        "trainval.txt has no rows",
    ),
    "pets: no text": (
        lambda at: _animals(at, "Abyssinian_100 1", "Abyssinian_100\0 1"),
        "row 1: it holds a zero byte",
    ),
    "pets: a border that is none": (
        lambda at: pets(pets_folder(at), border="soft"),  # type: ignore[arg-type]
        "options.border",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_collection_ends_in_a_sentence(tmp_path: Path, name: str) -> None:
    read, message = CASES[name]
    with pytest.raises((DataError, ConfigError), match=re.escape(message)) as error:
        read(tmp_path)
    assert "Traceback" not in str(error.value)


def _skips(data: Dataset) -> dict[str, str]:
    read = [read_sample(sample, PLAIN, {name: [name] for name in data.regions}) for sample in data.samples]
    return {of.sample: of.reason for of in read if isinstance(of, Skipped)}


def test_what_an_image_or_a_mask_lacks_is_found_when_it_is_opened_and_counted(tmp_path: Path) -> None:
    folder = pets_folder(tmp_path / "pets")
    trimaps = folder / "annotations" / "trimaps"
    (folder / "images" / "Abyssinian_100.jpg").unlink()
    (trimaps / "Abyssinian_101.png").write_bytes(b"")
    Image.new("L", (3, 4)).save(trimaps / "american_bulldog_203.png")
    reasons = _skips(pets(folder))
    assert set(reasons) == {"Abyssinian_100", "Abyssinian_101", "american_bulldog_203"}
    assert "does not exist" in reasons["Abyssinian_100"]
    assert "cannot be read as a mask" in reasons["Abyssinian_101"]
    assert "is 3x4 but" in reasons["american_bulldog_203"]


def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = waterbirds_folder(tmp_path / "birds")
    image = folder / BIRDS[0][1]
    image.rename(tmp_path / "outside.jpg")
    image.symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(DataError, match="leads out of"):
        waterbirds(folder)


def test_names_in_any_script_and_long_ones(tmp_path: Path) -> None:
    text = "image,MEL,NV\n" + "\n".join(f"{name},1,0" for name in ("皮膚 1", "x" * 250, "é́", "a b")) + "\n"
    data = _lesions(tmp_path, text)
    assert [sample.id for sample in data.samples] == ["皮膚 1", "x" * 250, "é́", "a b"]
    assert len(_skips(data)) == 4  # there are no such images


# ------------------------------------------------------------------ fuzz


READERS: dict[str, tuple[Callable[[Path], Path], list[str], Callable[[Path], Dataset]]] = {
    "waterbirds": (
        waterbirds_folder,
        ["metadata.csv"],
        lambda folder: waterbirds(folder, segmentations=folder / "segmentations"),
    ),
    "celeba": (
        celeba_folder,
        ["list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"],
        lambda folder: celeba(folder, label="Male", groups=["Blond_Hair"]),
    ),
    "pets": (pets_folder, ["annotations/trainval.txt", "annotations/test.txt"], pets),
}


@pytest.fixture(scope="module", params=READERS)
def collection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    make, _, _ = READERS[request.param]
    return make(tmp_path_factory.mktemp(request.param)), request.param


EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 12),
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(["\n", ",", " ", '"', "\0", "-1", "../", "\ufeff", "1e9", "nan"]),
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(edits=EDITS, which=st.integers(0, 2))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_edited_text_ends_in_a_sentence_or_in_samples(
    collection: tuple[Path, str], edits: Any, which: int
) -> None:
    folder, name = collection
    _, files, read = READERS[name]
    path = folder / files[which % len(files)]
    before = path.read_bytes()
    text = before.decode()
    for share, cut, new in edits:
        at = int(share * len(text))
        text = text[:at] + new + text[at + cut :]
    try:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(CamauditError):
            data = read(folder)
            assert all(sample.label for sample in data.samples)
            _skips(data)
    finally:
        path.write_bytes(before)


@given(content=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_a_sentence_or_in_samples(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for head in (b"", b"image,MEL,NV\n"):
        path.write_bytes(head + content)
        with contextlib.suppress(CamauditError):
            assert len(isic(path))
