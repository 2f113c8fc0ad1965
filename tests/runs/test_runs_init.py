"""What ``camaudit init`` proposes for each format: it loads, names what is there, and a check of it says what is missing."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from camaudit.config import load_config
from camaudit.data import open_dataset
from camaudit.errors import CamauditError, DataError, RunError
from camaudit.runs.proposing import propose, skeleton
from camaudit.runs.proposing.models import outputs_of, weights_near
from tests import small_audit
from tests import small_datasets as small
from tests.command_line import camaudit
from tests.data import collection_files as collections
from tests.data import test_data_huggingface as huggingface
from tests.data.test_data_malformed import WRITERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _huggingface(home: Path) -> None:
    datasets.disable_progress_bars()
    huggingface.whole().save_to_disk(home / "saved")
    for path in (home / "saved").iterdir():
        shutil.move(path, home / path.name)


def _isic(home: Path) -> None:
    home.joinpath("truth.csv").write_text("image,MEL,NV\nISIC_1,1.0,0.0\nISIC_2,0.0,1.0\n")
    for number in (1, 2):
        collections.picture(home / "images" / f"ISIC_{number}.jpg")
        collections.mask(home / "masks" / f"ISIC_{number}_segmentation.png", np.ones((6, 6), np.uint8))


def _table(suffix: str) -> Callable[[Path], object]:
    def write(home: Path) -> None:
        table = small_audit.write_data(home, count=12)
        (home / "table.csv").unlink()
        if suffix == "parquet":
            table.to_parquet(home / "t.parquet")
        elif suffix == "jsonl":
            (home / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_dict("records")))
        else:
            table.to_csv(home / f"t.{suffix}", sep="\t" if suffix == "tsv" else ",", index=False)

    return write


def _two_folders(home: Path) -> None:
    for label in ("cat", "dog"):
        small.write_images(home / "images" / label)
        (home / "masks" / label).mkdir(parents=True)
        for name, size in small.SIZES.items():
            Image.fromarray(np.full(size, 3, np.uint8)).save(home / "masks" / label / name)


def _splits(home: Path) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            small.write_images(home / split / label)


SHAPE = {"region 1", "region 2", "region 3"}
# what is written, the format, the classes and the regions that are found
FORMATS: dict[str, tuple[Callable[[Path], object], str, set[str], set[str]]] = {
    "csv": (_table("csv"), "table", {"disc", "square"}, SHAPE),
    "tsv": (_table("tsv"), "table", {"disc", "square"}, SHAPE),
    "parquet": (_table("parquet"), "table", {"disc", "square"}, SHAPE),
    "jsonl": (_table("jsonl"), "table", {"disc", "square"}, SHAPE),
    "folders with masks": (_two_folders, "folder", {"cat", "dog"}, {"region 3"}),
    "folders in splits": (_splits, "folder", {"cat", "dog"}, set()),
    "coco": (WRITERS["coco"], "coco", {"water", "bird"}, {"bird", "water"}),
    "panoptic": (WRITERS["panoptic"], "coco", {"water"}, {"bird", "water"}),
    "keypoints": (WRITERS["keypoints"], "coco", set(), {"nose", "eye"}),
    "voc": (WRITERS["voc"], "voc", {"bird", "boat"}, {"bird", "boat"}),
    "yolo": (WRITERS["yolo"], "yolo", {"water", "bird"}, {"bird", "water"}),
    "waterbirds": (
        collections.waterbirds_folder,
        "waterbirds",
        {"landbird", "waterbird"},
        {"bird", "background"},
    ),
    "celeba": (collections.celeba_folder, "celeba", set(), set()),
    "pets": (collections.pets_folder, "pets", {"Abyssinian", "american_bulldog"}, {"pet", "background"}),
    "isic": (_isic, "isic", {"MEL", "NV"}, {"lesion", "background"}),
    "huggingface": (_huggingface, "huggingface", {"doctor", "nurse"}, {"hair"}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_is_recognised_and_its_configuration_can_be_used(tmp_path: Path, name: str) -> None:
    write, format_, classes, regions = FORMATS[name]
    home = tmp_path / "home"
    home.mkdir()
    write(home)
    small_audit.write_weights(home / "w.safetensors", outputs=max(len(classes), 2))
    out = home / "audit.yaml"
    propose(home, out)
    text = out.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    assert values["data"]["format"] == format_
    assert values["model"]["weights"] == "w.safetensors"
    found = set(values["model"]["classes"])
    assert found == classes if name != "voc" else found <= classes
    # what is left is what nobody can guess
    said = _problems(out)
    wanted = "model: name is missing" if len(found) > 1 else "model.classes: names"
    assert any(wanted in problem for problem in said)
    values["model"] |= {"name": small_audit.ARCHITECTURE, "preprocessing": {"resize": 64, "crop": 64}}
    if name == "celeba":
        assert "# ? the attribute to predict, one of 5_o_Clock_Shadow, Blond_Hair, Male" in text
        assert any("label" in problem for problem in said)
        values["data"]["options"]["label"] = "Male"
    if len(found) < 2:
        assert name in {"celeba", "keypoints", "panoptic", "voc"}
        values["model"]["classes"] = ["a", "b"]
    out.write_text(yaml.safe_dump(values))
    config = load_config(out)
    data = open_dataset(config.data, config.roles)
    assert set(data.regions) >= regions
    assert name == "voc" or set(data.regions) == regions  # VOC's masks may hold each of its classes
    if format_ == "table":
        assert config.data.columns.groups == ["colour"]
        assert (config.data.columns.subject, config.data.columns.id, config.data.split) == (
            "subject",
            "id",
            "test",
        )


def _problems(path: Path) -> list[str]:
    try:
        load_config(path)
    except CamauditError as error:
        return str(error).splitlines()
    return []


def test_a_check_of_what_was_proposed_works(tmp_path: Path) -> None:
    small_audit.write_data(tmp_path / "a", count=12)
    small_audit.write_weights(tmp_path / "a" / "w.safetensors")
    code, said, message = camaudit("init", tmp_path / "a")
    assert code == 0, message
    assert "Recognised a table (table.csv)" in said
    path = tmp_path / "a" / "audit.yaml"
    code, said, _ = camaudit("check", path)
    assert code == 2
    assert "1 problem(s) that stop an audit" in said
    assert "model: name is missing; give the name of an architecture" in said
    text = path.read_text().replace("name: ''", f"name: {small_audit.ARCHITECTURE}")
    path.write_text(
        text.replace("  # preprocessing: {resize: 256, crop: 224,", "  preprocessing: {resize: 64, crop: 64,")
    )
    code, said, _ = camaudit("check", path)
    assert code == 0, said
    assert "Nothing stops this audit" in said


def test_an_empty_configuration_says_what_is_to_be_filled_in(tmp_path: Path) -> None:
    code, said, _ = camaudit("init", tmp_path / "new.yaml")
    assert (code, "Fill it in" in said) == (0, True)
    text = (tmp_path / "new.yaml").read_text()
    assert set(yaml.safe_load(text)) == {"model", "data", "audit"}
    assert all(
        f"\n  {key}" in text for key in ("source:", "name:", "weights:", "classes:", "path:", "methods:")
    )
    said_of = "\n".join(_problems(tmp_path / "new.yaml"))
    assert "model.classes: names nothing" in said_of


def test_nothing_is_written_over_another_file(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text("mine")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    _two_folders(tmp_path)
    for name in ("audit.yaml", "link.yaml"):
        with pytest.raises(RunError, match="exists already"):
            propose(tmp_path, tmp_path / name)
        with pytest.raises(RunError, match="exists already"):
            skeleton(tmp_path / name)
    assert (tmp_path / "audit.yaml").read_text() == "mine"


def test_a_folder_with_nothing_that_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.json").write_text("[1, 2]")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    (tmp_path / "c.yaml").write_text("names: [a\n")
    with pytest.raises(DataError, match=r"Nothing in .* is recognised"):
        propose(tmp_path, tmp_path / "audit.yaml")
    with pytest.raises(DataError, match="is not a folder"):
        propose(tmp_path / "no", tmp_path / "audit.yaml")
    assert not (tmp_path / "audit.yaml").exists()


def test_odd_names_stay_comments_and_values(tmp_path: Path) -> None:
    odd = "a: b # c\n'd' [e] 名\u2028"
    for label in (odd, "x"):
        small.write_images(tmp_path / "data" / label)
    out = tmp_path / "audit.yaml"
    propose(tmp_path / "data", out)
    values: dict[str, Any] = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert values["model"]["classes"] == sorted([odd, "x"])
    assert values["data"]["path"] == "data"


def test_groups_are_columns_with_few_values(tmp_path: Path) -> None:
    small_audit.write_data(tmp_path, count=40)
    table = pd.read_csv(tmp_path / "table.csv", dtype=str)
    table["note"] = [f"n{row}" for row in range(40)]
    table["one"] = "same"
    table["side"] = ["left", "right"] * 20
    table.to_csv(tmp_path / "table.csv", index=False)
    propose(tmp_path, tmp_path / "audit.yaml")
    columns = yaml.safe_load((tmp_path / "audit.yaml").read_text())["data"]["columns"]
    assert columns["groups"] == ["colour", "side"]


# ------------------------------------------------------------------ weights


def test_weights_are_found_with_their_outputs_and_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "data" / "models").mkdir(parents=True)
    small_audit.write_weights(tmp_path / "data" / "models" / "b.safetensors", outputs=3)
    torch.save(small_audit.network(outputs=2).state_dict(), tmp_path / "a.pt")
    torch.save(small_audit.network(), tmp_path / "data" / "whole.pt")
    (tmp_path / "data" / "empty.pt").write_bytes(b"")
    found = weights_near(tmp_path / "data")
    assert [(of.path.name, of.outputs) for of in found if not of.said] == [("b.safetensors", 3), ("a.pt", 2)]
    assert {of.path.name for of in found if of.said} == {"whole.pt", "empty.pt"}


def test_a_folder_of_transformers_names_its_classes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"1": "nurse", "0": "doctor"}}')
    save_file({"classifier.weight": torch.zeros(2, 3)}, tmp_path / "model.safetensors")
    (found,) = (of for of in weights_near(tmp_path) if of.path == tmp_path)
    assert (found.source, found.classes, found.outputs) == ("transformers", ("doctor", "nurse"), 2)


def test_the_head_is_the_last_matrix_or_the_one_named_like_it() -> None:
    zeros = torch.zeros
    assert outputs_of({"fc.weight": zeros(5, 3), "aux.weight": zeros(9, 3)}) == 5
    assert outputs_of({"a.weight": zeros(5, 3), "b.weight": zeros(9, 3)}) == 9
    assert outputs_of({"a.weight": zeros(5)}) is None
