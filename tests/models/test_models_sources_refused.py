"""Everything that can be wrong with a model ends in one sentence that names it, and runs nothing."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from camaudit.config import ModelConfig, parse_section
from camaudit.errors import CamauditError, ModelError
from camaudit.models import load_model, open_model
from camaudit.types import Preprocessing
from tests import small_audit

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Path], object]

SMALL = {"resize": 64, "crop": 64}
RESNET = {
    "architectures": ["ResNetForImageClassification"],
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "id2label": {"0": "disc", "1": "square"},
    "label2id": {"disc": 0, "square": 1},
}


class Evil:
    """A pickle that touches a file where it is loaded carelessly."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def state(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(small_audit.network().state_dict()) | changes


def saved(value: object) -> Make:
    return lambda path: torch.save(value() if callable(value) else value, path)


def written(content: bytes | str) -> Make:
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(share: float, *, safetensors: bool = False) -> Make:
    def make(path: Path) -> None:
        (save_file if safetensors else torch.save)(state(), path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return make


def evil(wrap: Callable[[Evil], object]) -> Make:
    return lambda path: torch.save(wrap(Evil(path.with_name("canary"))), path)


def scripted(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
        torch.jit.save(
            torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())), path
        )


def exported(path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 64, 64),)), path)


def damaged_program(make: Make) -> Make:
    """A program of which one file in the archive is cut."""

    def damage(path: Path) -> None:
        whole = path.with_suffix(".whole")
        make(whole)
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as goal:
            for name in source.namelist():
                cut_here = name.endswith(("data.pkl", "model.json"))
                goal.writestr(name, source.read(name)[:40] if cut_here else source.read(name))

    return damage


def without(key: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state().items() if name != key}


def quantised() -> dict[str, torch.Tensor]:
    weight = state()["classifier.weight"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's quantised tensors are deprecated as a whole
        return state(**{"classifier.weight": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)})


def bits() -> dict[str, torch.Tensor]:
    return state(
        **{"classifier.weight": torch.zeros(2, 4, dtype=torch.int8), "classifier.SCB": torch.ones(2)}
    )


# what is made in a file, its name, changes of the configuration, and what is said
FILES: dict[str, tuple[Make | None, str, dict[str, Any], str]] = {
    "missing": (None, "no.pt", {}, "no.pt does not exist"),
    "missing safetensors": (None, "no.safetensors", {}, "no.safetensors does not exist"),
    "a folder": (lambda path: path.mkdir(), "w", {}, "is a folder without weights"),
    "0 bytes": (written(b""), "w.pt", {}, r"w\.pt cannot be read as weights: it is empty \(0 bytes\)"),
    "0 bytes of safetensors": (
        written(b""),
        "w.safetensors",
        {},
        r"not a safetensors file: it is empty \(0 bytes\)",
    ),
    "a git-lfs pointer": (written("version https://git-lfs.github.com/spec/v1\n"), "w.pt", {}, "w.pt"),
    "html": (written("<!doctype html><title>404</title>"), "w.safetensors", {}, "is not a safetensors file"),
    "cut": (cut(0.5), "w.pt", {}, "cannot be read as weights"),
    "cut safetensors": (cut(0.5, safetensors=True), "w.safetensors", {}, "is not a safetensors file"),
    "cut head of safetensors": (
        cut(0.01, safetensors=True),
        "w.safetensors",
        {},
        "is not a safetensors file",
    ),
    "a huge head of safetensors": (
        written(b"\xff" * 8 + b"{}"),
        "w.safetensors",
        {},
        "is not a safetensors file",
    ),
    "a pickle called safetensors": (saved(state), "w.safetensors", {}, "rename it to end in .pt"),
    "a safetensors called pt": (lambda path: save_file(state(), path), "w.pt", {}, "w.pt"),
    "a pickle that runs code": (evil(lambda bad: bad), "w.pt", {}, "could run code, so it was refused"),
    "code among the weights": (evil(lambda bad: {"a": bad}), "w.pt", {}, "could run code"),
    "code in a checkpoint": (
        evil(lambda bad: {"state_dict": state(), "callbacks": bad}),
        "w.pt",
        {},
        "could run code",
    ),
    "code in a bare pickle": (
        lambda path: path.write_bytes(pickle.dumps(Evil(path.with_name("canary")), protocol=2)),
        "w.pt",
        {},
        "w.pt",
    ),
    "a whole module": (
        lambda path: torch.save(small_audit.network(), path),
        "w.pt",
        {},
        "Save the state dict alone",
    ),
    "a list": (saved([1, 2]), "w.pt", {}, "is not a state dict"),
    "nothing in it": (saved({}), "w.pt", {}, "does not fit EfficientNet: .* missing"),
    "numbers": (saved({"a": 1}), "w.pt", {}, "is not a state dict"),
    "an optimiser's state": (
        saved({"state": {}, "param_groups": []}),
        "w.pt",
        {},
        "but a mapping with 'state', 'param_groups'",
    ),
    "another head": (
        lambda path: save_file(small_audit.network(outputs=3).state_dict(), path),
        "w.safetensors",
        {},
        "has a head of 3 outputs",
    ),
    "another head with a prefix": (
        saved(
            lambda: {f"module.{key}": of for key, of in small_audit.network(outputs=3).state_dict().items()}
        ),
        "w.pt",
        {},
        "has a head of 3 outputs",
    ),
    "two outputs for binary": (saved(state), "w.pt", {"task": "binary"}, r"binary: one output"),
    "another architecture": (
        saved(lambda: nn.Conv2d(3, 4, 3).state_dict()),
        "w.pt",
        {},
        "does not fit EfficientNet: .* missing",
    ),
    "a tensor missing": (
        saved(lambda: without("classifier.bias")),
        "w.pt",
        {},
        r"1 missing \(such as classifier.bias",
    ),
    "a tensor more": (saved(lambda: state(extra=torch.zeros(1))), "w.pt", {}, r"1 unknown \(such as extra\)"),
    "a tensor of another shape": (
        saved(lambda: state(**{"classifier.bias": torch.zeros(2, 2)})),
        "w.pt",
        {},
        "of another shape",
    ),
    "a prefix and something strange": (
        saved(
            lambda: {f"model.{key}": of for key, of in state().items()} | {"decoder.weight": torch.zeros(1)}
        ),
        "w.pt",
        {},
        r"unknown \(such as decoder.weight\)",
    ),
    "the architecture twice": (
        saved(
            lambda: {
                f"{prefix}.{key}": of for key, of in state().items() for prefix in ("student", "teacher")
            }
        ),
        "w.pt",
        {},
        "holds this architecture 2 times, under 'student.' and 'teacher.'",
    ),
    "with and without a wrapper": (
        saved(lambda: state() | {f"_orig_mod.{key}": of for key, of in state().items()}),
        "w.pt",
        {},
        "with and without '_orig_mod.'",
    ),
    "quantised": (saved(quantised), "w.pt", {}, r"quantised weights \(such as classifier.weight\)"),
    "8 bits": (saved(bits), "w.pt", {}, "quantised weights"),
    "an index without a map": (written("{}"), "w.safetensors.index.json", {}, "it needs a weight_map"),
    "an index of a missing shard": (
        written(json.dumps({"weight_map": {"a": "x.safetensors"}})),
        "w.safetensors.index.json",
        {},
        "names the shard x.safetensors, which is not there",
    ),
    "an index that leads elsewhere": (
        written(json.dumps({"weight_map": {"a": "../x.safetensors"}})),
        "w.safetensors.index.json",
        {},
        "is not a file beside it",
    ),
    "TorchScript as weights": (
        scripted,
        "w.pt",
        {},
        "it is a TorchScript program.*Set model.source: torchscript",
    ),
    "an export as weights": (exported, "w.pt2", {}, "program of torch.export.*Set model.source: export"),
    "weights as TorchScript": (saved(state), "w.pt", {"source": "torchscript"}, "is no program but"),
    "weights as an export": (saved(state), "w.pt2", {"source": "export"}, "is no program but"),
    "TorchScript as an export": (
        scripted,
        "w.pt",
        {"source": "export"},
        "is a TorchScript program, and model.source says",
    ),
    "an empty program": (written(b""), "w.pt", {"source": "torchscript"}, r"is empty \(0 bytes\)"),
    "a missing program": (None, "w.pt", {"source": "export"}, "does not exist"),
    "damaged TorchScript": (
        damaged_program(scripted),
        "w.pt",
        {"source": "torchscript"},
        "cannot be opened as a program",
    ),
    "a damaged export": (
        damaged_program(exported),
        "w.pt2",
        {"source": "export"},
        "cannot be opened as a program",
    ),
    "a program without preprocessing": (
        scripted,
        "w.pt",
        {"source": "torchscript", "preprocessing": None},
        "a program says nothing about its preprocessing. Give model.preprocessing",
    ),
    "an unknown architecture": (
        saved(state),
        "w.pt",
        {"name": "test_efficientnett"},
        "Did you mean test_efficientnet",
    ),
    "a name of a hub": (
        saved(state),
        "w.pt",
        {"name": "hf_hub:timm/resnet50"},
        "There is no model 'hf_hub:timm/resnet50'",
    ),
    "arguments it does not take": (
        saved(state),
        "w.pt",
        {"arguments": {"widht": 2}},
        "cannot be made with widht=2: .*Correct model.arguments",
    ),
    "arguments that ask for a download": (
        saved(state),
        "w.pt",
        {"arguments": {"pretrained": True}},
        "model.arguments names pretrained. Weights come from model.weights alone",
    ),
    "arguments that open another pickle": (
        saved(state),
        "w.pt",
        {"arguments": {"checkpoint_path": "evil.pt"}},
        "model.arguments names checkpoint_path",
    ),
    "arguments by which torchvision downloads": (
        saved(state),
        "w.pt",
        {"source": "torchvision", "name": "squeezenet1_1", "arguments": {"pretrained": True}},
        "model.arguments names pretrained",
    ),
}


@pytest.mark.parametrize("which", FILES)
def test_a_model_that_cannot_be_used_is_named(tmp_path: Path, which: str) -> None:
    make, name, changes, message = FILES[which]
    path = tmp_path / name
    if make is not None:
        make(path)
    values = {
        "source": "timm",
        "name": small_audit.ARCHITECTURE,
        "weights": path,
        "classes": ["disc", "square"],
        "preprocessing": SMALL,
    } | changes
    config = parse_section(ModelConfig, values, where="audit.yaml")
    with pytest.raises(CamauditError, match=f"(?s){message}") as refused:
        open_model(config, trust_code=True)
    assert not (tmp_path / "canary").exists()
    assert "Traceback" not in str(refused.value)
    assert str(refused.value).endswith((".", "?"))


# what config.json says, which other files there are, and what is said
FOLDERS: dict[str, tuple[str | dict[str, Any], dict[str, str], dict[str, Any], str]] = {
    "config.json is no JSON": ("{", {}, {}, "config.json cannot be read"),
    "config.json is a list": ("[]", {}, {}, "config.json"),
    "no type": ({"architectures": ["X"]}, {}, {}, "type None, which is no image classifier"),
    "a text model": ({"model_type": "bert"}, {}, {}, "type 'bert', which is no image classifier"),
    "code of its own": (
        {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}},
        {"mine.py": "raise SystemExit('it ran')\n"},
        {},
        "brings code of its own, which is never run",
    ),
    "no weights": (RESNET, {}, {}, "does not exist or is a folder without weights"),
    "another head": (
        RESNET | {"id2label": {"0": "a", "1": "b", "2": "c"}},
        {},
        {},
        "has a head of 3 outputs",
    ),
    "classes without names": (
        RESNET | {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}},
        {},
        {"classes": []},
        "does not name the classes",
    ),
    "settings of another type": (RESNET | {"hidden_sizes": "many"}, {}, {}, "w"),
    "empty weights": (
        RESNET,
        {"model.safetensors": ""},
        {},
        r"model.safetensors is not a safetensors file: it is empty",
    ),
    "weights of another": (
        RESNET,
        {"model.safetensors": "conv"},
        {},
        "does not fit ResNetForImageClassification",
    ),
    "a processor that is no JSON": (
        RESNET,
        {"model.safetensors": "sound", "preprocessor_config.json": "{"},
        {"preprocessing": None},
        "preprocessor_config.json cannot be used",
    ),
    "a processor that is unknown": (
        RESNET,
        {
            "model.safetensors": "sound",
            "preprocessor_config.json": '{"image_processor_type": "MineImageProcessor"}',
        },
        {"preprocessing": None},
        "preprocessor_config.json cannot be used",
    ),
    "a processor that does more": (
        RESNET,
        {
            "model.safetensors": "sound",
            "preprocessor_config.json": '{"image_processor_type": "PerceiverImageProcessor"}',
        },
        {"preprocessing": None},
        "What Perceiver.* cannot be repeated",
    ),
    "no processor": (
        RESNET,
        {"model.safetensors": "sound"},
        {"preprocessing": None},
        "is not known: .* has no preprocessor_config.json. Give model.preprocessing",
    ),
}


@pytest.mark.parametrize("which", FOLDERS)
def test_a_folder_of_transformers_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings, files, changes, message = FOLDERS[which]
    home = tmp_path / "w"
    home.mkdir()
    (home / "config.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    for name, content in files.items():
        if content == "sound":
            import transformers

            net = transformers.ResNetForImageClassification(transformers.ResNetConfig(**RESNET))
            save_file(net.state_dict(), home / name, metadata={"format": "pt"})
        elif content == "conv":
            save_file(nn.Conv2d(3, 4, 3).state_dict(), home / name, metadata={"format": "pt"})
        else:
            (home / name).write_text(content)
    values = {
        "source": "transformers",
        "weights": home,
        "classes": ["disc", "square"],
        "preprocessing": SMALL,
    } | changes
    with pytest.raises(ModelError, match=f"(?s){message}"):
        open_model(parse_section(ModelConfig, values, where="audit.yaml"))


def test_a_folder_that_names_a_model_of_the_hub_is_refused_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        msg = "no network in tests"
        raise OSError(msg)

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    settings = {
        "model_type": "timm_wrapper",
        "architecture": "hf_hub:timm/resnet18.a1_in1k",
        "num_classes": 2,
        "label_names": ["disc", "square"],
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    save_file(state(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    values = {
        "source": "transformers",
        "weights": tmp_path,
        "classes": ["disc", "square"],
        "preprocessing": SMALL,
    }
    with pytest.raises(ModelError, match="cannot be"):
        open_model(parse_section(ModelConfig, values, where="audit.yaml"))
    assert not asked


CONFIGURATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown source": ({"source": "keras"}, "source: Input should be 'torchvision'"),
    "no name": ({"name": ""}, "name is missing; give the name of an architecture"),
    "no classes": ({"classes": []}, "classes: names nothing; multiclass needs at least 2"),
    "an unknown task": ({"task": "ranking"}, "task: Input should be 'multiclass'"),
    "three classes of binary": ({"task": "binary", "classes": ["a", "b", "c"]}, "binary has two"),
    "a class with the separator": ({"task": "multilabel", "classes": ["a|b"]}, r"'a\|b' holds a \|"),
    "an output twice": ({"task": "regression", "classes": ["a", "a"]}, "names 'a' more than once"),
    "accuracy of a regression": (
        {"task": "regression", "classes": ["a"], "expect_accuracy": 0.9},
        "which regression has none of",
    ),
    "accuracy above 1": ({"expect_accuracy": 90}, "expect_accuracy: Input should be less than or equal to 1"),
    "arguments of a program": ({"source": "export", "arguments": {"a": 1}}, "export takes none"),
    "a recipe of a program": ({"source": "torchscript", "weights_recipe": "V1"}, "torchscript has none"),
    "a factory without a name": ({"source": "python", "name": ""}, "package.module:function"),
}


@pytest.mark.parametrize("which", CONFIGURATIONS)
def test_a_model_section_that_cannot_be_used_is_named(which: str) -> None:
    changes, message = CONFIGURATIONS[which]
    values = {"source": "timm", "name": "resnet18", "weights": "w.pt", "classes": ["a", "b"]} | changes
    with pytest.raises(CamauditError, match=message):
        parse_section(ModelConfig, values, where="audit.yaml")


def test_an_output_that_is_no_scores_is_named_also_inside_of_a_mapping() -> None:
    class Odd(nn.Module):
        def __init__(self, output: object) -> None:
            super().__init__()
            self.output = output

        def forward(self, x: torch.Tensor) -> object:
            return self.output

    recipe = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for output, said in (
        ({"boxes": torch.zeros(1, 4)}, "returns dict"),
        (None, "returns NoneType"),
        ({"logits": torch.zeros(1, 2, 3)}, r"returns \(1, 2, 3\)"),
        (torch.zeros(()), r"returns \(\)"),
    ):
        with pytest.raises(ModelError, match=said):
            load_model(Odd(output), classes=["a", "b"], preprocessing=recipe)
    with pytest.raises(
        ModelError, match=r"If its one output tells two classes apart, set model.task: binary"
    ):
        load_model(Odd(torch.zeros(1, 1)), classes=["a", "b"], preprocessing=recipe)
    with pytest.raises(ModelError, match="of two outputs the task is multiclass"):
        load_model(Odd(torch.zeros(1, 2)), classes=["a", "b"], task="binary", preprocessing=recipe)
