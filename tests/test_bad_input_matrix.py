"""Every malformed input, through the command line: a message that names the place, or a counted skip.

The cases are those of the readers' and the models' own tests, here wrapped into whole audits, and more. Whatever is wrong,
``camaudit check`` ends with its exit code, without a traceback, without running anything, in bounded time; where a run would
go on without something, that is counted. ``python -m tests.test_bad_input_matrix`` prints how many cases there are of
each kind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from PIL import Image

from camaudit.config import load_config
from camaudit.errors import CamauditError
from camaudit.models import open_model
from tests import small_audit
from tests import small_datasets as small
from tests import test_bad_input as audits
from tests.command_line import camaudit
from tests.data import test_data_collections_malformed as collections
from tests.data import test_data_huggingface as huggingface
from tests.data import test_data_malformed as readers
from tests.models import test_models_sources_refused as models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from camaudit.models import LoadedModel

    Build = Callable[[Path], Path]

CHECK = import_module("camaudit.runs.check")  # the package has a function of this name
SECONDS = 30
"""A case that takes longer hangs."""
CLASSES = ("bird", "fish", "water", "boat", "person", "thing", "doctor", "nurse")


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        kind: what is malformed.
        build: writes an audit into a folder; the path of its YAML file.
        words: of the message; none where the input is gone on with.
        noticed: what is counted by the reader.
        left_out: what is counted of images and masks.
        own_model: whether the audit's model is what is malformed.
        areas: share of the image that a region takes on average, where it is not empty.
    """

    kind: str
    build: Build
    words: tuple[str, ...] = ()
    noticed: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    own_model: bool = False
    areas: dict[str, float] = field(default_factory=dict)


# ------------------------------------------------------------------ from cases to audits


def write_audit(home: Path, data: dict[str, Any], roles: dict[str, Any] | None = None, **model: Any) -> Path:
    """``audit.yaml`` beside a dataset, with a model of many classes."""
    settings = small_audit.settings()
    settings["model"] |= {"weights": "../weights.safetensors", "classes": list(CLASSES), **model}
    settings["data"] = data
    settings["roles"] = roles or {}
    settings["audit"] |= {"targets": ["predicted"], "intervention": {"enabled": False}}
    (home / "audit.yaml").write_text(yaml.safe_dump(_plain(settings)), encoding="utf-8")
    return home / "audit.yaml"


def _plain(value: Any) -> Any:
    """The same with texts for paths."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(of) for key, of in value.items()}
    return [_plain(of) for of in value] if isinstance(value, (list, tuple)) else value


def of_reader(case: readers.Case, home: Path) -> Path:
    path = readers.WRITERS[case.reader](home)
    case.change(home)
    values = {"path": path.relative_to(home), **readers.SETTINGS[case.reader], **case.settings}
    return write_audit(home, values)


def of_collection(read: Callable[[Path], object], home: Path) -> Path:
    """The configuration that a call from Python stands for, by what it is parsed from."""
    seen: dict[str, Any] = {}

    def listen(original: Callable[..., Any], section: type, values: Any, *, where: str) -> Any:
        seen[section.__name__] = values
        return original(section, values, where=where)

    modules = [import_module(f"camaudit.data.{name}") for name in ("waterbirds", "celeba", "isic", "pets")]
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(CamauditError):
        for module in modules:
            patch.setattr(module, "parse_section", partial(listen, module.parse_section))
        read(home)
    return write_audit(home, dict(seen["DataConfig"]), dict(seen.get("RolesConfig", {})))


def of_huggingface(change: Callable[[Path], object], home: Path) -> Path:
    shutil.copytree(home.parent / "saved", home / "saved")
    change(home / "saved")
    return write_audit(home, {"format": "huggingface", "path": "saved"})


def of_audit(change: Callable[[Path], object], home: Path) -> Path:
    shutil.copytree(home.parent / "sound", home, dirs_exist_ok=True)
    change(home)
    return home / "audit.yaml"


def of_weights(make: models.Make | None, name: str, changes: dict[str, Any], home: Path) -> Path:
    shutil.copytree(home.parent / "sound", home, dirs_exist_ok=True)
    if make is not None:
        make(home / name)
    settings = yaml.safe_load((home / "audit.yaml").read_text())
    settings["model"] |= {"weights": name} | changes
    (home / "audit.yaml").write_text(yaml.safe_dump(_plain(settings)))
    return home / "audit.yaml"


# ------------------------------------------------------------------ cases of this file alone


def cell(column: str, value: str) -> Callable[[Path], object]:
    return audits.cell(3, column, value)


def ring_of_links(home: Path) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    cell("image", "a/x.png")(home)


def drawn(*rings: list[float]) -> Callable[[Path], object]:
    """The bird of a.png alone, with another outline."""

    def change(found: dict[str, Any]) -> None:
        found["annotations"] = [{**found["annotations"][0], "segmentation": [list(ring) for ring in rings]}]

    return readers.values(change)


def coco(change: Callable[[Path], object], **settings: Any) -> Build:
    return partial(of_reader, readers.Case("coco", change, settings=settings))


def a_mask_that_is_a_bomb(home: Path) -> None:
    audits.bomb(home / "masks/05.png")


def animated(home: Path) -> None:
    frames = [Image.new("RGB", (48, 48), colour) for colour in ("red", "blue")]
    frames[0].save(home / "images/05.gif", save_all=True, append_images=frames[1:])
    audits.cell(5, "image", "images/05.gif")(home)


def aliases(home: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    settings = yaml.safe_load((home / "audit.yaml").read_text())
    text = yaml.safe_dump({name: of for name, of in settings.items() if name != "model"})
    model = "model: {source: timm, name: x, weights: w, classes: [a, b], arguments: {a: *a11}}\n"
    (home / "audit.yaml").write_text("\n".join(lines) + "\n" + model + text)


def in_yaml(text: str) -> Callable[[Path], object]:
    return lambda home: (home / "audit.yaml").write_text(text)


OF_B = {"no-annotation": 1, "no-label": 1}
WHOLE = [0.0, 0.0, 40.0, 0.0, 40.0, 30.0, 0.0, 30.0]
BOW_TIE = [0.0, 0.0, 40.0, 30.0, 40.0, 0.0, 0.0, 30.0]
STAR = [20.0, 0.0, 32.0, 30.0, 0.0, 11.0, 40.0, 11.0, 8.0, 30.0]


def star_area() -> float:
    """Of the five points without the pentagon, on 4 x 4 as many pixels, by pycocotools: a second opinion."""
    from pycocotools import mask

    runs = mask.frPyObjects([[16 * value for value in STAR]], 480, 640)
    return float(mask.area(runs)[0]) / (480 * 640)


MORE: dict[str, Case] = {
    "a polygon that crosses itself": Case("shapes", coco(drawn(BOW_TIE)), noticed=OF_B, areas={"bird": 0.5}),
    "a polygon drawn twice over": Case("shapes", coco(drawn(WHOLE * 2)), noticed=OF_B, areas={"bird": 0.0}),
    "a star": Case("shapes", coco(drawn(STAR)), noticed=OF_B, areas={"bird": star_area()}),
    "a polygon of one point three times": Case(
        "shapes", coco(drawn([5.0, 5.0] * 3)), noticed={"empty-shape": 1, "no-annotation": 1, "no-label": 2}
    ),
    "a polygon that leaves the image": Case(
        "shapes", coco(drawn([20.0, -50.0, 90.0, -50.0, 90.0, 90.0, 20.0, 90.0])), noticed=OF_B, areas={"bird": 0.5}
    ),
    "a polygon of infinity": Case(
        "shapes", coco(readers.write("annotations.json", json.dumps(small.coco_values()).replace("[5, 4,", "[1e999, 4,"))),
        ("cannot be read as JSON", "overflow"),
    ),
    "a category of 10,000 letters": Case(
        "names", coco(readers.values(lambda found: found["categories"][1].update(name="w" * 10_000)), label="none")
    ),
    "a category in many scripts": Case(
        "names", coco(readers.values(lambda found: found["categories"][1].update(name="水 ماء \u202e\u0301 🐟")), label="none")
    ),
    "an id of another type for each image": Case(
        "coco", coco(readers.values(lambda found: found["images"][1].update(id="1"))), noticed={"no-image": 3, "no-annotation": 1, "no-label": 1}
    ),
    "links in a ring": Case("paths", partial(of_audit, ring_of_links), left_out={"image": 1}),
    "a mask outside": Case(
        "paths", partial(of_audit, cell("mask", "../../../etc/passwd")), ("row 5: '../../../etc/passwd' leads out of",)
    ),
    "an image that is a device": Case("paths", partial(of_audit, cell("image", "/dev/zero")), ("'/dev/zero' leads out of",)),
    "an image that is the folder": Case("paths", partial(of_audit, cell("image", ".")), left_out={"image": 1}),
    "a name with a zero byte": Case("paths", partial(of_audit, cell("image", "a\0.png")), ("table.csv",)),
    "a name of blanks": Case("paths", partial(of_audit, cell("image", "   ")), left_out={"image": 1}),
    "an address for a path": Case(
        "paths", partial(of_audit, cell("image", "https://example.org/a.png")), left_out={"image": 1}
    ),
    "a mask of more pixels than is safe": Case("images", partial(of_audit, a_mask_that_is_a_bomb), left_out={"mask": 1}),
    "an image that moves": Case("images", partial(of_audit, animated)),
    "a bomb of aliases among arguments": Case("configuration", partial(of_audit, aliases), ("once its aliases",), own_model=True),
    "a tag": Case(
        "configuration",
        partial(of_audit, in_yaml("model: !!python/object/apply:os.system ['touch pwned']\n")),
        ("is not valid YAML", "python/object/apply"),
    ),
    "a tag in a list": Case(
        "configuration",
        partial(of_audit, in_yaml("model: {classes: [!!python/name:os.system '']}\n")),
        ("is not valid YAML",),
    ),
    "two documents": Case("configuration", partial(of_audit, in_yaml("model: {}\n---\ndata: {}\n")), ("is not valid YAML",)),
    "a recursive anchor": Case(
        "configuration", partial(of_audit, in_yaml("model: &a {classes: *a}\ndata: {format: folder}\n")), ("once its aliases",), own_model=True
    ),
    "ten thousand unknown keys": Case(
        "configuration", partial(of_audit, in_yaml("".join(f"k{n}: 1\n" for n in range(10_000)))), ("k0 is not a key",)
    ),
    "labels of two types": Case(
        "table",
        partial(
            of_reader,
            readers.Case(
                "table",
                readers.write("t.jsonl", '{"image": "images/a.png", "label": true, "place": "x"}\n{"image": "images/b.png", "label": 1, "place": "x"}\n'),
                settings={"path": "t.jsonl"},
            ),
        ),
        ("t.jsonl, row 2: the column 'label' holds",),
    ),
}  # fmt: skip


# a check names each row, where a run says how many there are
SAID_OTHERWISE: dict[str, tuple[audits.Break, tuple[str, ...]]] = {
    "unknown label": (
        audits.cell(4, "label", "triangle"),
        ("row 6: the label 'triangle' is none of", "disc, square"),
    ),
    "label in capitals": (
        audits.cell(4, "label", "Disc"),
        ("row 6: the label 'Disc'", "did you mean 'disc'"),
    ),
    "label with a space": (
        audits.cell(4, "label", "disc "),
        ("row 6: the label 'disc '", "did you mean 'disc'"),
    ),
    "no labels but the target": (
        audits.setting("data", "columns", "label", value=None),
        ("which the target 'label' needs: 12", "row 2: the sample s00 has no label"),
    ),
}


def _cases() -> dict[str, Case]:
    """All of them, by what they are."""
    found = {f"{case.kind}: {name}": case for name, case in MORE.items()}
    for name, case in readers.CASES.items():
        words = tuple(word for word in case.refused if "audit.yaml" not in word)
        build = partial(of_reader, case)
        found[f"reader: {name}"] = Case(case.reader, build, words, noticed=case.problems)
    for name, (read, message) in collections.CASES.items():
        kind = {"birds": "waterbirds", "faces": "celeba", "lesions": "isic"}.get(*[name.split(":")[0]] * 2)
        found[f"collection: {name}"] = Case(kind, partial(of_collection, read), (message,))
    for name, (change, message) in huggingface.BROKEN.items():
        found[f"huggingface: {name}"] = Case("huggingface", partial(of_huggingface, change), (message,))
    for name, (change, words) in audits.CONFIGURATIONS.items():
        own = change is not None and any(word.startswith("model") for word in words)
        found[f"configuration: {name}"] = Case(
            "configuration", partial(of_audit, change), words, own_model=own
        )
    for name, (change, words) in (audits.TABLES | SAID_OTHERWISE).items():
        found[f"table: {name}"] = Case("table", partial(of_audit, change), words)
    for name, (change, words) in audits.IMAGES.items():
        kind = "mask" if name.startswith("mask") else "image"
        kind = "mask-size" if name in {"mask of another size", "mask turned"} else kind
        found[f"image: {name}"] = Case("images", partial(of_audit, change), words, left_out={kind: 1})
    for name, (change, words) in audits.WEIGHTS.items():
        found[f"weights: {name}"] = Case("weights", partial(of_audit, change), words, own_model=True)
    for name, (make, file, changes, message) in models.FILES.items():
        build = partial(of_weights, make, file, changes)
        found[f"model: {name}"] = Case("model sources", build, (f"regex:{message}",), own_model=True)
    for name, (changes, message) in models.CONFIGURATIONS.items():
        build = partial(of_weights, None, "w.pt", changes)
        found[f"model section: {name}"] = Case("configuration", build, (f"regex:{message}",), own_model=True)
    return found


CASES = _cases()
COUNTED = {f"image: {name}" for name in audits.IMAGES}


# ------------------------------------------------------------------ the test


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What audits are copied from: a sound one, a Hugging Face dataset, weights."""
    import datasets

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("matrix")
    small_audit.write_audit(folder / "sound", count=12, audit={"intervention": {"enabled": False}})
    small_audit.write_weights(folder / "weights.safetensors", outputs=len(CLASSES))
    datasets.disable_progress_bars()
    rows = huggingface.whole()
    datasets.DatasetDict({"train": rows.select(range(3)), "test": rows.select([4, 3])}).save_to_disk(
        folder / "saved"
    )
    return folder


@pytest.fixture(scope="session")
def loaded(stock: Path) -> Callable[..., LoadedModel]:
    """`open_model`, once for the model that most cases have."""
    (stock / "one").mkdir()
    known = {len(CLASSES): open_model(load_config(write_audit(stock / "one", {"format": "folder"})).model)}
    known[2] = open_model(load_config(stock / "sound" / "audit.yaml").model)

    def opened(config: Any, **_: Any) -> LoadedModel:
        return known[len(config.classes)]

    return opened


@pytest.fixture
def home(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sound", "saved", "weights.safetensors"):
        (tmp_path / name).symlink_to(stock / name)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        pytest.fail(f"it takes more than {SECONDS} seconds", pytrace=False)

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def holds(said: str, word: str) -> bool:
    return bool(re.search(f"(?s){word[6:]}", said)) if word.startswith("regex:") else word in said


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_input_is_named_or_counted(
    home: Path, name: str, loaded: Callable[..., LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    config = case.build(home)
    if not case.own_model:
        monkeypatch.setattr(CHECK, "open_model", loaded)
    if case.kind not in {"names", "shapes", "images"}:  # it takes longer than all else
        monkeypatch.setattr(CHECK, "draw_sheet", lambda *_: None)
    found = home.parent / "found.json"
    code, said, message = camaudit(
        "check", config, "--json", found, "--trust-code", "--sheet", home.parent / "sheet.png"
    )
    assert "Traceback" not in said + message
    assert not [path for path in home.parent.rglob("*") if path.name in {"pwned", "canary"}]
    assert len(said + message) < 50_000
    values = json.loads(found.read_text()) if found.exists() else {}
    told = said + message + "".join(problem["message"] for problem in values.get("problems", ()))
    if case.words and not case.left_out:
        assert code == 2, told
        for word in case.words:
            assert holds(told, word), told
        return
    assert code == (2 if values["problems"] else 0), told
    assert {problem["kind"] for problem in values["problems"]} <= {"images", "label"}, told
    assert values["noticed_counts"] == case.noticed
    assert values["left_out_counts"].items() >= case.left_out.items()
    for word in case.words:
        assert holds(told, word), told
    shares = {region["region"]: region["mean"] for region in values["regions"]}
    for region, share in case.areas.items():
        assert (shares[region] or 0) == pytest.approx(share, abs=0.01)


REFUSED_BY_RUN = [
    name for name, case in CASES.items() if case.words and not case.left_out and not case.own_model
]


@pytest.mark.parametrize("name", REFUSED_BY_RUN[::6])
def test_a_run_refuses_what_a_check_refuses_and_leaves_nothing(
    home: Path, name: str, loaded: Callable[..., LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    config = case.build(home)
    monkeypatch.setattr("camaudit.runs.pipeline.open_model", loaded)
    code, said, message = camaudit("run", config, "--out", home.parent / "run")
    assert (code, said) == (2, ""), message
    assert message.startswith("camaudit: ")
    assert "Traceback" not in message
    assert not (home.parent / "run").exists()


SHELL = [
    "reader: yolo a tag",
    "model: a pickle that runs code",
    "image: too large",
]


@pytest.mark.parametrize("name", SHELL)
def test_the_program_itself_ends_with_its_code(home: Path, name: str) -> None:
    case = CASES[name]
    config = case.build(home)
    ended = subprocess.run(
        [sys.executable, "-m", "camaudit", "check", str(config), "--sheet", str(home.parent / "s.png")],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SECONDS,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == (0 if case.left_out else 2), ended.stderr
    assert "Traceback" not in ended.stderr
    assert all(holds(ended.stdout + ended.stderr, word) for word in case.words)
    assert not [path for path in home.parent.rglob("*") if path.name in {"pwned", "canary"}]


def counts() -> Counter[str]:
    """How many cases there are of each kind."""
    return Counter(case.kind for case in CASES.values())


def test_there_are_cases_of_every_kind() -> None:
    assert sum(counts().values()) >= 120
    assert min(counts().values()) >= 2
    assert set(readers.WRITERS) | {"waterbirds", "celeba", "isic", "pets", "huggingface"} <= set(counts())


def test_sound_inputs_are_no_malformed_ones(home: Path) -> None:
    """Else a case would be refused for another reason."""
    code, said, message = camaudit("check", of_audit(lambda _: None, home))
    assert (code, message.count("camaudit: ")) == (0, 0), said


if __name__ == "__main__":
    for kind, number in counts().most_common():
        sys.stdout.write(f"{number:5} {kind}\n")
    sys.stdout.write(f"{sum(counts().values()):5} in all\n")
