"""Every wrong input ends with exit code 2, one message that names what is wrong, and nothing half-written."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from tests import small_audit
from tests.command_line import camaudit

if TYPE_CHECKING:
    from collections.abc import Callable

    Break = Callable[[Path], object]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit with nothing wrong, which tests copy."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sound") / "audit"
    small_audit.write_audit(folder, count=12)
    return folder


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "audit"))


def tree(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(home: Path, *wanted: str, out: Path | None = None, options: tuple[str, ...] = ()) -> str:
    """Run the audit; it must be refused with a message that holds `wanted`. The message."""
    before = tree(home)
    folders = {path for path in home.rglob("*") if path.is_dir()}
    code, said, message = camaudit("run", home / "audit.yaml", "--out", out or home / "runs" / "a", *options)
    assert code == 2, (code, message)
    assert not said
    message = re.sub(r"^measure: \d+ of 12.*\n", "", message, flags=re.MULTILINE)  # how far it came
    assert message.startswith("camaudit: ")
    assert message.count("camaudit: ") == 1
    assert "Traceback" not in message
    for part in wanted:
        assert part in message, message
    assert tree(home) == before
    assert {path for path in home.rglob("*") if path.is_dir()} == folders
    return message


def setting(*keys: str | int, value: object) -> Break:
    """A change of one key of audit.yaml."""

    def change(home: Path) -> None:
        values = yaml.safe_load((home / "audit.yaml").read_text())
        inner = values
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = value
        (home / "audit.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")

    return change


def cell(row: int, column: str, value: str) -> Break:
    """A change of one cell of table.csv."""
    import pandas as pd

    def change(home: Path) -> None:
        table = pd.read_csv(home / "table.csv", dtype=str)
        table.loc[row, column] = value
        table.to_csv(home / "table.csv", index=False)

    return change


def text(name: str, content: str | bytes) -> Break:
    def change(home: Path) -> None:
        (home / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def replaced(name: str, old: str, new: str) -> Break:
    def change(home: Path) -> None:
        path = home / name
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    return change


def folder(name: str) -> Break:
    def change(home: Path) -> None:
        (home / name).unlink()
        (home / name).mkdir()

    return change


def parquet(change: Callable[[Any], Any]) -> Break:
    import pandas as pd

    def made(home: Path) -> None:
        change(pd.read_csv(home / "table.csv", dtype=str)).to_parquet(home / "table.parquet")
        setting("data", "path", value="table.parquet")(home)

    return made


# ------------------------------------------------------------------ the configuration

LONG = "n" * 300

CONFIGURATIONS: dict[str, tuple[Break, tuple[str, ...]]] = {
    "unknown section": (
        setting("modle", value={}),
        ("audit.yaml: modle is not a key", "did you mean 'model'?"),
    ),
    "unknown key of model": (
        setting("model", "clases", value=[]),
        ("model.clases is not a key", "did you mean 'classes'?"),
    ),
    "unknown key of preprocessing": (
        setting("model", "preprocessing", "croop", value=1),
        ("model.preprocessing.croop", "'crop'?"),
    ),
    "unknown key of data": (setting("data", "pth", value="x"), ("data.pth", "'path'?")),
    "unknown key of columns": (
        setting("data", "columns", "group", value=[]),
        ("data.columns.group", "'groups'?"),
    ),
    "unknown key of regions": (
        setting("data", "regions", "legendd", value={}),
        ("data.regions.legendd", "'legend'?"),
    ),
    "misspelt legend": (
        setting("data", "regions", value={"column": "mask", "legnd": {1: "shape"}}),
        ("data.regions.legend is missing", "data.regions.legnd is not a key"),
    ),
    "unknown key of roles": (setting("roles", "objects", value=[]), ("roles.objects", "'object'?")),
    "unknown key of audit": (setting("audit", "method", value=[]), ("audit.method ", "'methods'?")),
    "unknown key of intervention": (
        setting("audit", "intervention", value={"control": 5}),
        ("audit.intervention.control ", "'controls'?"),
    ),
    "key unlike any": (
        setting("audit", "zzz", value=1),
        ("audit.zzz is not a key", "the keys here are methods"),
    ),
    "no model": (text("audit.yaml", "data: {format: folder}\n"), ("model is missing; add it",)),
    "classes a text": (
        setting("model", "classes", value="disc"),
        ("model.classes: Input should be a valid list",),
    ),
    "classes are booleans": (
        text(
            "audit.yaml",
            "model: {source: timm, name: a, weights: w, classes: [yes, no]}\ndata: {format: folder}\n",
        ),
        ("model.classes.0: Input should be a valid string, not True; put it in quotes",),
    ),
    "classes twice": (
        setting("model", "classes", value=["disc", "disc"]),
        ("classes names 'disc' more than once",),
    ),
    "class without a name": (
        setting("model", "classes", value=["disc", ""]),
        ("model.classes.1", "must not be empty"),
    ),
    "one class": (setting("model", "classes", value=["disc"]), ("model.classes", "at least 2")),
    "unknown source": (setting("model", "source", value="keras"), ("model.source", "'torchvision', 'timm'")),
    "no weights": (setting("model", "weights", value=None), ("weights is missing", "Nothing is downloaded")),
    "std 0": (setting("model", "preprocessing", "std", value=[0.5, 0, 0.5]), ("std must be above 0",)),
    "std nan": (
        setting("model", "preprocessing", "std", value=[0.5, float("nan"), 0.5]),
        ("std.1", "finite"),
    ),
    "mean infinite": (
        setting("model", "preprocessing", "mean", value=[0, float("inf"), 0]),
        ("mean.1", "finite"),
    ),
    "mean of two": (setting("model", "preprocessing", "mean", value=[0, 0]), ("model.preprocessing.mean.2",)),
    "crop 0": (setting("model", "preprocessing", "crop", value=0), ("crop must be at least 1 pixel, not 0",)),
    "crop true": (
        setting("model", "preprocessing", "crop", value=True),
        ("model.preprocessing.crop: ", "integer"),
    ),
    "resize negative": (
        setting("model", "preprocessing", "resize", value=[8, -8]),
        ("resize must be at least 1",),
    ),
    "interpolation": (
        setting("model", "preprocessing", "interpolation", value="area"),
        ("interpolation", "'bicubic'"),
    ),
    "unknown format": (setting("data", "format", value="coco2"), ("data.format", "'table'")),
    "group twice": (
        setting("data", "columns", "groups", value=["colour", "colour"]),
        ("groups names 'colour' more",),
    ),
    "group without a name": (
        setting("data", "columns", "groups", value=[""]),
        ("groups.0", "must not be empty"),
    ),
    "groups a text": (
        setting("data", "columns", "groups", value="colour"),
        ("data.columns.groups", "valid list"),
    ),
    "legend empty": (setting("data", "regions", "legend", value={}), ("data.regions.legend",)),
    "legend of a text": (
        setting("data", "regions", "legend", value={"one": "shape"}),
        ("legend.one", "integer"),
    ),
    "legend negative": (
        setting("data", "regions", "legend", value={-1: "shape"}),
        ("legend.-1", "greater than"),
    ),
    "region with a plus": (
        setting("data", "regions", "legend", value={1: "a+b"}),
        ("data.regions.legend.1: the region name 'a+b' holds a +",),
    ),
    "region without a name": (
        setting("data", "regions", "legend", value={1: ""}),
        ("legend.1", "must not be empty"),
    ),
    "mask column of a plus": (
        setting("data", "regions", value={"a+b": "mask"}),
        ("data.regions.a+b", "holds a +"),
    ),
    "two roles": (setting("roles", "attribute", value=["shape"]), ("'shape' has more than one role",)),
    "role a text": (setting("roles", "object", value="shape"), ("roles.object", "valid list")),
    "role of no region": (
        setting("roles", "object", value=["shpe"]),
        ("roles.object names 'shpe'", "'shape'?"),
    ),
    "unknown method": (
        setting("audit", "methods", value=["gradcamm"]),
        ("'gradcamm'", "did you mean 'gradcam'"),
    ),
    "no method": (setting("audit", "methods", value=[]), ("audit.methods",)),
    "unknown target": (
        setting("audit", "targets", value=["best"]),
        ("audit.targets.0", "'best' is no output target"),
    ),
    "target of no class": (
        setting("audit", "targets", value=["class:triangle"]),
        ("'triangle', which is no class: disc, square",),
    ),
    "contrast of one": (
        setting("audit", "targets", value=["contrast:disc"]),
        ("use predicted, label, class:NAME",),
    ),
    "target twice": (
        setting("audit", "targets", value=["class:disc", "class: disc"]),
        ("'class:disc' more than",),
    ),
    "device": (
        setting("audit", "device", value="cuda:99"),
        ("The device 'cuda:99' cannot be used here", "cpu"),
    ),
    "device without values": (
        setting("audit", "device", value="meta"),
        ("The device 'meta' cannot be used here",),
    ),
    "batch size 0": (setting("audit", "batch_size", value=0), ("audit.batch_size", "greater than 0")),
    "batch size a text": (setting("audit", "batch_size", value="eight"), ("audit.batch_size", "not 'eight'")),
    "batch size true": (setting("audit", "batch_size", value=True), ("audit.batch_size",)),
    "seed negative": (setting("audit", "seed", value=-1), ("audit.seed", "greater than or equal to 0")),
    "seed a number with a point": (setting("audit", "seed", value=1.5), ("audit.seed",)),
    "sigma nan": (
        setting("audit", "intervention", value={"sigma": float("nan")}),
        ("audit.intervention.sigma",),
    ),
    "precision": (setting("audit", "precision", value="int8"), ("audit.precision",)),
    "a list": (text("audit.yaml", "- model\n- data\n"), ("audit.yaml holds no settings",)),
    "a scalar": (text("audit.yaml", "model\n"), ("audit.yaml holds no settings",)),
    "empty": (text("audit.yaml", ""), ("audit.yaml holds no settings",)),
    "binary": (text("audit.yaml", bytes(range(256))), ("audit.yaml cannot be read as text",)),
    "control characters": (text("audit.yaml", "model: \x07\n"), ("audit.yaml is not valid YAML",)),
    "not UTF-8": (
        text("audit.yaml", "model: {name: é}".encode("latin-1")),
        ("audit.yaml cannot be read as text",),
    ),
    "not YAML": (text("audit.yaml", "model: [a\n"), ("audit.yaml is not valid YAML", "line")),
    "no such day": (text("audit.yaml", "model: 2024-13-45\n"), ("audit.yaml is not valid YAML", "month")),
    "nested too deep": (text("audit.yaml", "[" * 4000), ("audit.yaml is not valid YAML",)),
    "key twice": (
        replaced("audit.yaml", "  name:", "  name: resnet18\n  name:"),
        ("audit.yaml is not valid YAML", "the key 'name' stands here twice", "line"),
    ),
    "key a list": (text("audit.yaml", "? [a, b]\n: 1\n"), ("audit.yaml is not valid YAML",)),
    "key a number": (text("audit.yaml", "1: 2\n"), ("audit.yaml: ",)),
    "section a number": (setting("model", value=3), ("audit.yaml: model: ",)),
    "section nothing": (setting("data", value=None), ("audit.yaml: data: ",)),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_wrong_configuration(home: Path, case: str) -> None:
    change, wanted = CONFIGURATIONS[case]
    change(home)
    refused(home, *wanted)


def test_every_problem_of_a_configuration_is_named_at_once(home: Path) -> None:
    for change in (
        setting("model", "clases", value=[]),
        setting("audit", "seed", value=-1),
        setting("roles", "objct", value=[]),
    ):
        change(home)
    refused(home, "model.clases", "audit.seed", "roles.objct")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir ['{}']",
        "!!python/object/new:os.mkdir ['{}']",
        "!!python/name:os.mkdir",
    ],
)
def test_yaml_tags_are_refused_and_not_executed(home: Path, tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"
    (home / "audit.yaml").write_text("model: " + tag.format(canary) + "\n")
    refused(home, "audit.yaml is not valid YAML", "python")
    assert not canary.exists()


def test_a_bomb_of_aliases_is_refused_at_once(home: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (home / "audit.yaml").write_text("\n".join([*lines, "model: *a11"]))
    assert len(refused(home, "larger than 100,000 values once its aliases")) < 1000


def test_a_configuration_that_is_not_there(home: Path) -> None:
    (home / "audit.yaml").unlink()
    refused(home, "audit.yaml does not exist")


def test_a_configuration_that_is_a_folder(home: Path) -> None:
    folder("audit.yaml")(home)
    refused(home, "audit.yaml cannot be read as text")


# ------------------------------------------------------------------ the table

TABLES: dict[str, tuple[Break, tuple[str, ...]]] = {
    "not there": (setting("data", "path", value="tabel.csv"), ("tabel.csv does not exist", "data.path")),
    "name with a zero": (setting("data", "path", value="a\0b.csv"), ("a\0b.csv",)),
    "name too long": (
        setting("data", "path", value=f"{LONG}.csv"),
        (f"{LONG}.csv cannot be read as a table",),
    ),
    "a folder": (setting("data", "path", value="images"), ("images is a folder", "format: folder")),
    "no bytes": (text("table.csv", ""), ("table.csv is empty",)),
    "header only": (
        text("table.csv", "id,image,label,colour,split,subject,mask\n"),
        ("table.csv has no rows",),
    ),
    "binary": (text("table.csv", bytes(range(256)) * 4), ("table.csv",)),
    "not UTF-8": (
        text("table.csv", "id,image\né,x\n".encode("latin-1")),
        ("table.csv cannot be read", "utf-8"),
    ),
    "other separator": (
        replaced("table.csv", ",", ";"),
        ("table.csv has no column 'image'", "its columns are id;image;label"),
    ),
    "row too long": (replaced("table.csv", "s03,", "s03,,,"), ("table.csv", "line 5")),
    "all rows too long": (replaced("table.csv", ".png\n", ".png,x\n"), ("table.csv",)),
    "row too short": (
        replaced("table.csv", "images/03.png,square,blue,test,p1,masks/03.png", "images/03.png"),
        ("table.csv, row 5: the column 'label' is empty",),
    ),
    "no image column": (replaced("table.csv", "image,", "img,"), ("no column 'image' (data.columns.image)",)),
    "no group column": (
        replaced("table.csv", "colour", "color"),
        ("'colour' (data.columns.groups)", "'color'?"),
    ),
    "no mask column": (setting("data", "regions", "column", value="msk"), ("'msk'", "did you mean 'mask'?")),
    "legend without column": (
        setting("data", "regions", "column", value=None),
        ("data.regions has a legend but no column",),
    ),
    "image cell empty": (cell(4, "image", ""), ("table.csv, row 6: the column 'image' is empty",)),
    "label cell empty": (cell(4, "label", ""), ("table.csv, row 6: the column 'label' is empty",)),
    "id cell empty": (cell(4, "id", ""), ("table.csv, row 6: the column 'id' is empty",)),
    "id twice": (cell(4, "id", "s02"), ("rows 4 and 6 have the same id 's02'",)),
    "unknown label": (
        cell(4, "label", "triangle"),
        ("among the model's classes (disc, square)", "'triangle' of s04"),
    ),
    "label in capitals": (cell(4, "label", "Disc"), ("'Disc' of s04",)),
    "label with a space": (cell(4, "label", "disc "), ("'disc ' of s04",)),
    "no such split": (setting("data", "split", value="train"), ("No sample has the split 'train'", "'test'")),
    "split without column": (
        lambda home: (
            setting("data", "split", value="test")(home),
            setting("data", "columns", "split", value=None)(home),
        ),
        ("data.split is 'test' but no column",),
    ),
    "no labels but the target": (
        setting("data", "columns", "label", value=None),
        ("The target 'label' needs labels", "12 sample(s)"),
    ),
    "table named as folder": (setting("data", "format", value="folder"), ("table.csv is not a folder",)),
    "in python": (setting("data", "format", value="memory"), ("made in Python",)),
    "parquet that is none": (
        lambda home: (
            text("table.parquet", "PAR1")(home),
            setting("data", "path", value="table.parquet")(home),
        ),
        ("table.parquet cannot be read as a table",),
    ),
    "parquet without rows": (parquet(lambda table: table.head(0)), ("table.parquet has no rows",)),
    "parquet with an empty label": (
        parquet(lambda table: table.assign(label=[None, *table["label"][1:]])),
        ("table.parquet, row 2: the column 'label' is empty",),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_table(home: Path, case: str) -> None:
    change, wanted = TABLES[case]
    change(home)
    refused(home, *wanted)


@pytest.mark.parametrize(
    ("regions", "wanted"),
    [
        (None, "holds no images in sub-folders"),
        ({"folder": "no", "legend": {1: "shape"}}, "no is not a folder. Correct data.regions.folder"),
        ({"legend": {1: "shape"}}, "needs the keys folder"),
        ({"shape": "column"}, "needs the keys folder"),
    ],
)
def test_a_wrong_folder_of_images(home: Path, regions: object, wanted: str) -> None:
    (home / "empty" / "disc").mkdir(parents=True)
    setting("data", value={"format": "folder", "path": "empty", "regions": regions})(home)
    setting("roles", value={})(home)
    refused(home, wanted)


# ------------------------------------------------------------------ images and masks


def image(name: str, change: Callable[[Path], object]) -> Break:
    return lambda home: change(home / name)


def truncated(share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def as_jpeg_cut(path: Path) -> None:
    with Image.open(path) as opened:
        stream = io.BytesIO()
        opened.convert("RGB").save(stream, "JPEG")
    path.write_bytes(stream.getvalue()[:-200])


def rgb_mask(path: Path) -> None:
    Image.new("RGB", (small_audit.SIDE, small_audit.SIDE)).save(path)


def bomb(path: Path) -> None:
    """A PNG whose head says 60000 x 60000."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 60000, 60000, 1, 0, 0, 0, 0)
    whole = stream.getvalue()
    path.write_bytes(whole[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + whole[33:])


IMAGES: dict[str, tuple[Break, tuple[str, ...]]] = {
    "missing": (image("images/05.png", Path.unlink), ("images/05.png does not exist",)),
    "no bytes": (image("images/05.png", truncated(0)), ("images/05.png is not an image", "0 bytes")),
    "text": (text("images/05.png", "hello"), ("images/05.png is not an image",)),
    "PNG cut": (image("images/05.png", truncated(0.6)), ("images/05.png cannot be decoded",)),
    "JPEG cut": (image("images/05.png", as_jpeg_cut), ("images/05.png cannot be decoded", "truncated")),
    "a folder": (folder("images/05.png"), ("images/05.png",)),
    "too large": (image("images/05.png", bomb), ("images/05.png is too large to be decoded safely",)),
    "name too long": (cell(5, "image", f"{LONG}.png"), (f"{LONG}.png",)),
    "below a file": (cell(5, "image", "table.csv/05.png"), ("table.csv/05.png",)),
    "mask missing": (image("masks/05.png", Path.unlink), ("masks/05.png does not exist", "mask's path")),
    "mask no bytes": (image("masks/05.png", truncated(0)), ("masks/05.png cannot be read as a mask",)),
    "mask cut": (image("masks/05.png", truncated(0.5)), ("masks/05.png cannot be read as a mask",)),
    "mask of three channels": (
        image("masks/05.png", rgb_mask),
        ("masks/05.png has 3 channels (RGB)", "grey or palette"),
    ),
    "mask of another size": (
        image("masks/05.png", lambda path: Image.new("L", (50, 70)).save(path)),
        ("masks/05.png is 50x70 but", "images/05.png is 48x48", "A mask must have the size of its image"),
    ),
    "mask turned": (
        lambda home: [
            Image.new("L", (30, 20)).save(home / "masks/05.png"),
            Image.new("RGB", (20, 30)).save(home / "images/05.png"),
        ],
        ("masks/05.png is 30x20 but", "images/05.png is 20x30"),
    ),
}


@pytest.mark.parametrize("case", IMAGES)
def test_one_bad_image_is_skipped_counted_and_fatal_where_strict(home: Path, case: str) -> None:
    change, wanted = IMAGES[case]
    change(home)
    refused(home, *wanted, "The run is strict", options=("--strict",))
    setting("data", "columns", "groups", value=[])(home)
    code, said, message = camaudit("check", home / "audit.yaml")
    assert code == 0, message
    assert "1 image(s) cannot be read and would be left out" in said
    assert all(part in said for part in wanted)


def test_one_bad_image_among_many_does_not_end_a_run(home: Path) -> None:
    as_jpeg_cut(home / "images/05.png")
    code, said, message = camaudit("run", home / "audit.yaml", "--out", home / "run")
    assert code == 0, message
    assert "note: 1 of 12 images could not be read and were left out." in said
    page = (home / "run" / "report.html").read_text()
    assert "05.png cannot be decoded" in page


def test_only_bad_images(home: Path) -> None:
    for path in (home / "images").iterdir():
        path.write_bytes(b"")
    refused(home, "None of the 12 images can be read. The first: ", "00.png is not an image")


# ------------------------------------------------------------------ weights


class Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.canary),))


def weights(home: Path, name: str) -> Path:
    setting("model", "weights", value=name)(home)
    return home / name


@pytest.mark.parametrize("kind", ["torch", "bare pickle", "legacy torch", "named safetensors"])
def test_a_malicious_pickle_is_refused_and_not_executed(home: Path, tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "canary"
    path = weights(home, "evil.safetensors" if kind == "named safetensors" else "evil.pt")
    if kind == "torch":
        torch.save({"weight": Evil(canary)}, path)
    elif kind == "legacy torch":
        torch.save({"weight": Evil(canary)}, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(Evil(canary)))
    refused(home, path.name, "safetensors" if kind != "named safetensors" else "is not a safetensors file")
    assert not canary.exists()
    pickle.loads((home / "evil.pt").read_bytes()) if kind == "bare pickle" else None  # noqa: S301 - shows that it works
    assert canary.exists() == (kind == "bare pickle")


def head_of_three(home: Path) -> None:
    small_audit.write_weights(home / "weights.safetensors", outputs=3)


def cut(name: str, share: float) -> Break:
    def change(home: Path) -> None:
        if name.endswith(".pt"):
            torch.save(load_file(home / "weights.safetensors"), weights(home, name))
        truncated(share)(home / name)

    return change


def saved(value: object) -> Break:
    return lambda home: torch.save(value, weights(home, "other.pt"))


WEIGHTS: dict[str, tuple[Break, tuple[str, ...]]] = {
    "missing": (setting("model", "weights", value="no.pt"), ("no.pt does not exist", "model.weights")),
    "missing safetensors": (
        setting("model", "weights", value="no.safetensors"),
        ("no.safetensors does not exist",),
    ),
    "folder": (setting("model", "weights", value="images"), ("images does not exist or is a folder",)),
    "folder named safetensors": (folder("weights.safetensors"), ("weights.safetensors",)),
    "name with a zero": (setting("model", "weights", value="a\0.pt"), ("a\0.pt",)),
    "name too long": (setting("model", "weights", value=f"{LONG}.pt"), (f"{LONG}.pt",)),
    "no bytes": (cut("weights.pt", 0), ("weights.pt cannot be read as weights",)),
    "no bytes safetensors": (
        cut("weights.safetensors", 0),
        ("weights.safetensors is not a safetensors file",),
    ),
    "cut": (cut("weights.pt", 0.5), ("weights.pt cannot be read as weights",)),
    "cut safetensors": (cut("weights.safetensors", 0.5), ("weights.safetensors is not a safetensors file",)),
    "text": (lambda home: weights(home, "w.pt").write_text("hello"), ("w.pt",)),
    "an image": (setting("model", "weights", value="images/00.png"), ("images/00.png",)),
    "a list": (saved([torch.zeros(2)]), ("other.pt is not a state dict",)),
    "a tensor": (saved(torch.zeros(2)), ("other.pt is not a state dict",)),
    "numbers for tensors": (saved({"conv.weight": 3}), ("other.pt is not a state dict",)),
    "nothing": (saved({}), ("other.pt does not fit", "missing")),
    "keys that are numbers": (saved({1: torch.zeros(2), "a": torch.zeros(2)}), ("other.pt",)),
    "a whole model": (
        lambda home: torch.save(small_audit.network(), weights(home, "whole.pt")),
        ("whole.pt", "refused"),
    ),
    "more outputs than classes": (
        head_of_three,
        ("weights.safetensors has a head of 3 outputs", "names 2: disc, square"),
    ),
    "more classes than outputs": (
        setting("model", "classes", value=["disc", "square", "ring"]),
        ("weights.safetensors has a head of 2 outputs", "names 3: disc, square, ring"),
    ),
    "another architecture": (
        setting("model", "name", value="test_resnet"),
        ("does not fit ResNet", "missing"),
    ),
    "no such architecture": (
        setting("model", "name", value="test_efficientnt"),
        ("'test_efficientnt'", "Did you mean"),
    ),
    "name of the other library": (
        setting("model", "source", value="torchvision"),
        ("There is no model 'test_efficientnet'",),
    ),
    "no such layer": (
        setting("model", "target_layer", value="blocks.9"),
        ("has no layer 'blocks.9'", "did you mean"),
    ),
    "layer without places": (
        setting("model", "target_layer", value="classifier"),
        ("classifier", "another target layer"),
    ),
    "input too small": (
        setting("model", "preprocessing", value={"resize": 1, "crop": 1}),
        ("No layer of EfficientNet",),
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_wrong_model(home: Path, case: str) -> None:
    change, wanted = WEIGHTS[case]
    change(home)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(home, *wanted)


def test_weights_that_are_not_numbers(home: Path) -> None:
    state = load_file(home / "weights.safetensors")
    state["classifier.bias"][:] = torch.nan
    torch.save(state, weights(home, "nan.pt"))
    refused(home, "are not finite numbers. Check the weights")


@pytest.mark.parametrize("seed", range(25))
def test_weights_with_damaged_bytes_never_end_in_a_traceback(home: Path, seed: int) -> None:
    from camaudit.errors import ModelError
    from camaudit.models.weights import read_weights

    random = np.random.default_rng(seed)
    path = home / ("w.pt" if seed % 5 else "w.safetensors")
    if seed % 5:
        state = {"a": torch.zeros(3), "b": torch.ones(2, 2)}
        torch.save(state, path, _use_new_zipfile_serialization=seed % 2 == 0)
        content = bytearray(path.read_bytes())
    else:
        content = bytearray((home / "weights.safetensors").read_bytes()[:3000])
    for place in random.integers(0, min(len(content), 600), 8):
        content[place] = random.integers(256)
    path.write_bytes(bytes(content))
    with contextlib.suppress(ModelError):
        read_weights(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_images_with_damaged_bytes_never_end_in_a_traceback(tmp_path: Path, kind: str) -> None:
    from camaudit.data import open_image
    from camaudit.errors import DataError

    random = np.random.default_rng(0)
    stream = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(stream, kind)
    path = tmp_path / f"x.{kind.lower()}"
    for _ in range(60):
        content = bytearray(stream.getvalue())
        for place in random.integers(0, len(content) // 2, 5):
            content[place] = random.integers(256)
        path.write_bytes(bytes(content[: random.integers(1, len(content))]))
        with contextlib.suppress(DataError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own about strange metadata
            open_image(path)


# ------------------------------------------------------------------ where the run goes


def test_out_below_a_file(home: Path) -> None:
    refused(home, "table.csv/run cannot be written", out=home / "table.csv" / "run")


def test_out_a_file(home: Path) -> None:
    refused(home, "table.csv exists and is not an empty folder", out=home / "table.csv")


def test_out_a_folder_with_files(home: Path) -> None:
    refused(home, "images exists and is not an empty folder", out=home / "images")
    assert len(list((home / "images").iterdir())) == 12


def test_out_the_folder_of_the_audit(home: Path) -> None:
    refused(home, "exists and is not an empty folder", out=home)


def test_out_a_dangling_link(home: Path) -> None:
    (home / "link").symlink_to(home / "nowhere")
    refused(home, "link exists and is not an empty folder", out=home / "link")


def test_out_with_too_long_a_name(home: Path) -> None:
    refused(home, f"{LONG} cannot be written: File name too long", out=home / LONG)


def test_out_where_nothing_can_be_made(home: Path) -> None:
    refused(home, "/proc/camaudit cannot be written", out=Path("/proc/camaudit"))


def test_out_a_run_that_is_there(home: Path) -> None:
    out = home / "runs" / "a"
    assert camaudit("run", home / "audit.yaml", "--out", out)[0] == 0
    refused(home, "a already holds a run", "--resume", "delete it", out=out)


def test_resume_in_a_folder_that_is_no_run(home: Path) -> None:
    refused(home, "images is not a run", out=home / "images", options=("--resume",))


def test_resume_of_nothing(home: Path) -> None:
    refused(home, "a is not a run", options=("--resume",))


def test_an_engine_that_is_not_there(home: Path) -> None:
    refused(home, "There is no engine 'dask'", options=("--engine", "dask"))


def test_a_device_that_is_not_there(home: Path) -> None:
    refused(home, "The device 'cuda:99' cannot be used here", options=("--device", "cuda:99"))


# ------------------------------------------------------------------ what looks wrong and is not


def test_strange_names_are_no_error(home: Path) -> None:
    """Columns named like internal ones, classes, regions and files with every character a file name may have."""
    import pandas as pd

    names = ["a/b: \"c\", 'd'", "<script>alert(1)</script>\n名" + "é" * 200]
    table = pd.read_csv(home / "table.csv", dtype=str)
    table["label"] = [names[n % 2] for n in range(len(table))]
    table["sample"], table["a/b.c"], table["value"] = table["colour"], table["split"], "1"
    os.rename(home / "images" / "00.png", home / "images" / "ünï \"côde' <b>.png")  # noqa: PTH104
    table.loc[0, "image"] = "images/ünï \"côde' <b>.png"
    table.to_csv(home / "table.csv", index=False)
    for change in (
        setting("model", "classes", value=names),
        setting("data", "columns", "groups", value=["sample", "a/b.c", "value"]),
        setting("data", "regions", "legend", value={1: "object", 2: "<script>alert(2)", 3: "predicted"}),
        setting("roles", value={"object": ["object"], "attribute": ["<script>alert(2)"]}),
        setting("audit", "targets", value=["predicted", f"class:{names[1]}"]),
    ):
        change(home)
    code, said, message = camaudit("run", home / "audit.yaml", "--out", home / "run")
    assert code == 0, message
    page = (home / "run" / "report.html").read_text()
    assert "<script>alert" not in page
    code, said, _ = camaudit("check", home / "audit.yaml")
    assert code == 0
    assert "Nothing stops this audit" in said


# ------------------------------------------------------------------ the other commands


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_folder_that_is_no_run_is_no_report(home: Path, command: str) -> None:
    before = tree(home)
    runs = [home / "images"] * (2 if command == "compare" else 1)
    code, _, message = camaudit(command, *runs, "-o", home / "page.html")
    assert (code, tree(home)) == (2, before)
    assert message == (
        f"camaudit: {home / 'images'} is not a run: it has no manifest.json. "
        "Give the folder that camaudit run wrote.\n"
    )


@pytest.mark.parametrize(
    "arguments", [("run",), ("check",), ("report",), ("run", "a", "b"), ("nothing",), ("run", "-x")]
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    code, _, message = camaudit(*arguments)
    assert code == 2
    assert "Usage: " in message
    assert "Traceback" not in message
