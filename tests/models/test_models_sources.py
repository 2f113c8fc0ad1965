"""Every source of a model: loads, finds its layer and its preprocessing, and gives the scores of the network it was saved from."""

from __future__ import annotations

import json
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from camaudit.errors import MissingPartError, ModelError
from camaudit.models import load_model, open_model
from camaudit.models.opened import EVERYTHING
from camaudit.types import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ["doctor", "nurse"]
SMALL = Preprocessing(resize=32, crop=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def network(outputs: int = 2) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, outputs),
        ).eval()


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def scripted(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a whole
        torch.jit.save(torch.jit.script(module), path)
    return path


def exported(module: nn.Module, path: Path, *, batch: int | None = None, side: int = 32) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
        program = torch.export.export(module, (images(batch or 2, side),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


# ------------------------------------------------------------------ transformers


def folder(path: Path, kind: str = "resnet", *, processor: Any = None, **settings: Any) -> Path:
    """A tiny image classifier of transformers, saved as its users save theirs."""
    import transformers

    sizes: dict[str, dict[str, Any]] = {
        "resnet": {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
        },
        "vit": {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "image_size": 32,
            "patch_size": 8,
        },
        "convnext": {"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1], "num_stages": 4},
    }
    labels = dict(enumerate(CLASSES))
    config = transformers.AutoConfig.for_model(kind, **sizes[kind], **({"id2label": labels} | settings))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModelForImageClassification.from_config(config).save_pretrained(path)
    if processor is not None:
        processor.save_pretrained(path)
    return path


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("resnet", "resnet.encoder.stages.1"),
        ("vit", "vit.layers.1.layernorm_before"),
        ("convnext", "convnext.encoder.stages.3.downsampling_layer.0"),
    ],
)
def test_a_folder_of_transformers(tmp_path: Path, kind: str, layer: str | None) -> None:
    import transformers

    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    home = folder(tmp_path / kind, kind, processor=processor)
    loaded = load_model(kind, source="transformers", weights=home)
    assert loaded.classes == tuple(CLASSES)
    assert loaded.gives == EVERYTHING
    assert loaded.preprocessing == Preprocessing((32, 32), None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert "preprocessor_config.json" in loaded.preprocessing_of
    if layer is not None:
        assert loaded.target_layer == layer
    theirs = transformers.AutoModelForImageClassification.from_pretrained(home, local_files_only=True).eval()
    with torch.inference_mode():
        expected = theirs(images()).logits
        found = loaded.scores(loaded.module(images()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert open_model(loaded.config).fingerprint() == loaded.fingerprint()


@pytest.mark.parametrize("how", ["file", "sharded", "bin", "by name"])
def test_every_way_of_keeping_the_weights_of_transformers(tmp_path: Path, how: str) -> None:
    from safetensors.torch import load_file

    home = folder(tmp_path / "a")
    plain = load_model("", source="transformers", weights=home, preprocessing=SMALL)
    state, weights = load_file(home / "model.safetensors"), home
    arguments: dict[str, Any] | None = None
    name = ""
    if how == "file":
        weights = home / "model.safetensors"
    elif how == "bin":
        torch.save(state, home / "pytorch_model.bin")
        (home / "model.safetensors").unlink()
    elif how == "sharded":
        names = sorted(state)
        parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
        for part, its in parts.items():
            save_file({key: state[key] for key in its}, home / part, metadata={"format": "pt"})
        places = {key: part for part, its in parts.items() for key in its}
        (home / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
        (home / "model.safetensors").unlink()
    else:
        name, weights = "ResNetForImageClassification", tmp_path / "alone.safetensors"
        save_file(state, weights)
        arguments = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    loaded = load_model(
        name,
        source="transformers",
        classes=CLASSES,
        weights=weights,
        arguments=arguments,
        preprocessing=SMALL,
    )
    assert loaded.fingerprint() == plain.fingerprint()
    assert loaded.preprocessing_of == "the configuration"


def test_classes_of_transformers_in_another_order_are_refused(tmp_path: Path) -> None:
    home = folder(tmp_path / "a")
    with pytest.raises(
        ModelError, match=r"in the order doctor, nurse, and model.classes in the order nurse, doctor"
    ):
        load_model("", source="transformers", weights=home, classes=["nurse", "doctor"], preprocessing=SMALL)
    renamed = load_model("", source="transformers", weights=home, classes=["a", "b"], preprocessing=SMALL)
    assert renamed.classes == ("a", "b")


def test_transformers_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingPartError, match=r"pip install 'camaudit\[transformers\]'"):
        load_model("", source="transformers", weights=home, preprocessing=SMALL)


# ------------------------------------------------------------------ programs


def test_a_torchscript_program_gives_gradients_and_no_layers(tmp_path: Path) -> None:
    path = scripted(network(), tmp_path / "a.pt")
    with pytest.raises(
        ModelError, match=r"Nothing of it was run. If you trust where it comes from, say --trust-code"
    ):
        load_model("a", source="torchscript", weights=path, classes=CLASSES, preprocessing=SMALL)
    loaded = load_model(
        "", source="torchscript", weights=path, classes=CLASSES, preprocessing=SMALL, trust_code=True
    )
    assert (loaded.name, loaded.target_layer) == ("a", "")
    assert loaded.gives == {"forward", "gradient"}
    with torch.inference_mode():
        torch.testing.assert_close(loaded.scores(loaded.module(images())), network()(images()))
    inputs = images().requires_grad_()
    loaded.module(inputs)[:, 0].sum().backward()
    assert inputs.grad is not None
    assert bool(inputs.grad.any())
    with pytest.raises(ModelError, match="cannot be looked into"):
        load_model(
            "",
            source="torchscript",
            weights=path,
            classes=CLASSES,
            preprocessing=SMALL,
            layer="2",
            trust_code=True,
        )


def test_a_torchscript_program_is_a_program(tmp_path: Path) -> None:
    """Why it needs trust: its operators write files."""
    canary = tmp_path / "canary"

    class Writes(nn.Module):
        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            written = torch.from_file(self.path, True, 16, dtype=torch.uint8).fill_(65)
            return x.mean((2, 3)) + written.sum()

    path = scripted(Writes(str(canary)), tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="can read and write files"):
        load_model("", source="torchscript", weights=path, classes=["a", "b", "c"], preprocessing=SMALL)
    assert not canary.exists()
    load_model(
        "", source="torchscript", weights=path, classes=["a", "b", "c"], preprocessing=SMALL, trust_code=True
    )
    assert canary.read_bytes() == b"A" * 16


def test_an_exported_program_keeps_its_layers(tmp_path: Path) -> None:
    path = exported(network(), tmp_path / "a.pt2")
    with pytest.raises(ModelError, match="opening it can run code here"):
        load_model("a", source="export", weights=path, classes=CLASSES, preprocessing=SMALL)
    loaded = load_model(
        "", source="export", weights=path, classes=CLASSES, preprocessing=SMALL, trust_code=True
    )
    assert loaded.target_layer == "2"
    assert loaded.gives == EVERYTHING
    with torch.inference_mode():
        torch.testing.assert_close(loaded.scores(loaded.module(images(5))), network()(images(5)))


def test_an_export_for_one_batch_size_is_refused(tmp_path: Path) -> None:
    path = exported(network(), tmp_path / "a.pt2", batch=1)
    with pytest.raises(ModelError, match=r"does not take batches of any size: .*dynamic_shapes"):
        load_model("", source="export", weights=path, classes=CLASSES, preprocessing=SMALL, trust_code=True)


def test_a_program_saved_in_training_mode_is_refused(tmp_path: Path) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.net(x)
            return scores - scores.mean(0)

    path = exported(Noisy(), tmp_path / "a.pt2")
    with pytest.raises(ModelError, match="other scores in a batch than alone"):
        load_model("", source="export", weights=path, classes=CLASSES, preprocessing=SMALL, trust_code=True)


# ------------------------------------------------------------------ a factory


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_nets.py").write_text(
        "from torch import nn\n"
        "TABLE = {}\n"
        "def build(width=4, outputs=2):\n"
        "    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "                         nn.Flatten(), nn.Linear(width, outputs))\n"
        "def fails():\n    raise KeyError('no weights here')\n"
        "def nothing():\n    return None\n"
    )
    monkeypatch.chdir(tmp_path)
    yield "own_nets"  # type: ignore[misc]  # a generator's fixture
    sys.modules.pop("own_nets", None)


def test_a_factory_in_python(tmp_path: Path, factory: str) -> None:
    net = network()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    options: dict[str, Any] = {
        "source": "python",
        "classes": CLASSES,
        "preprocessing": SMALL,
        "weights": tmp_path / "w.safetensors",
    }
    with pytest.raises(
        ModelError, match=r"own_nets:build is a function that would run here. Nothing of it was run"
    ):
        load_model(f"{factory}:build", **options)
    assert factory not in sys.modules
    before = list(sys.path)
    loaded = load_model(f"{factory}:build", arguments={"width": 4}, trust_code=True, **options)
    assert sys.path == before
    assert loaded.target_layer == "2"
    with torch.inference_mode():
        torch.testing.assert_close(loaded.module(images()), net(images()))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("own_nets", {}, "names no function; write it as package.module:function"),
        ("own_nets:", {}, "names no function"),
        ("own_nets:bild", {}, "The module own_nets has no 'bild'"),
        ("own_netz:build", {}, "The module own_netz of model.name cannot be imported"),
        ("own_nets:TABLE", {}, "own_nets:TABLE is dict; a factory is a function"),
        ("own_nets:build", {"widht": 3}, "ended with TypeError: .*widht.*Correct model.arguments"),
        ("own_nets:fails", {}, "own_nets:fails ended with KeyError: 'no weights here'"),
        ("own_nets:nothing", {}, "returned NoneType; a factory returns a torch.nn.Module"),
        ("own_nets:build", {"outputs": 3}, "The head of own_nets:build has 3 outputs but 2 classes"),
    ],
)
def test_a_factory_that_cannot_be_used_is_named(
    factory: str, name: str, arguments: dict[str, Any], message: str
) -> None:
    assert factory == "own_nets"
    with pytest.raises(ModelError, match=message):
        load_model(
            name, source="python", classes=CLASSES, arguments=arguments, preprocessing=SMALL, trust_code=True
        )


# ------------------------------------------------------------------ what training leaves around the weights


def _lightning(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    import argparse

    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{key}": value for key, value in state.items()}
        | {"loss_fn.weight": torch.ones(2)},
        "hyper_parameters": argparse.Namespace(lr=1e-3, classes=["doctor", "nurse"]),
        "optimizer_states": [{"state": {}, "param_groups": []}],
    }


def _ema(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    worse = {key: torch.zeros_like(value) for key, value in state.items()}
    averaged = {f"module.{key}": value for key, value in state.items()}
    return {"model": worse, "model_ema": averaged | {"n_averaged": torch.tensor(7)}, "epoch": 1}


WRAPPED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "plain": (lambda state: state, ()),
    "data parallel": (
        lambda state: {f"module.{key}": value for key, value in state.items()},
        ("the prefix 'module.' was taken off",),
    ),
    "compiled": (
        lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
        ("'_orig_mod.' was taken out of 9 names",),
    ),
    "compiled inside of data parallel": (
        lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
        ("'_orig_mod.' was taken out", "the prefix 'module.'"),
    ),
    "several wrappers": (
        lambda state: {"net": {f"net.backbone.{key}": value for key, value in state.items()}},
        ("taken from 'net'", "the prefix 'net.backbone.'"),
    ),
    "lightning": (
        _lightning,
        (
            "argparse.Namespace beside the weights was left out",
            "the prefix 'model.'",
            "1 tensor(s) of the training",
        ),
    ),
    "averaged": (_ema, ("the averaged weights (model_ema) were taken", "the prefix 'module.'")),
    "timm's averaged": (
        lambda state: {"state_dict": {}, "state_dict_ema": state},
        ("the averaged weights (state_dict_ema) were taken",),
    ),
    "half": (
        lambda state: {
            key: value.half() if value.is_floating_point() else value for key, value in state.items()
        },
        ("float16 weights, computed with in float32",),
    ),
    "counters": (
        lambda state: state | {"total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)},
        ("2 tensor(s) of the training were left out",),
    ),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_what_training_puts_around_the_weights_is_taken_off_and_said(
    tmp_path: Path, factory: str, how: str
) -> None:
    wrap, said = WRAPPED[how]
    net = network()
    torch.save(wrap(dict(net.state_dict())), tmp_path / "a.ckpt")
    loaded = load_model(
        f"{factory}:build",
        source="python",
        weights=tmp_path / "a.ckpt",
        classes=CLASSES,
        preprocessing=SMALL,
        trust_code=True,
    )
    with torch.inference_mode():
        tolerance = 1e-2 if how == "half" else 1e-6
        torch.testing.assert_close(loaded.module(images()), net(images()), rtol=tolerance, atol=tolerance)
    notes = "; ".join(loaded.notes)
    assert all(part in notes for part in said), notes
    assert bool(notes) == bool(said)


# ------------------------------------------------------------------ whose recipe


def test_a_recipe_of_named_weights(tmp_path: Path) -> None:
    net = torchvision_models.get_model("mobilenet_v2", weights=None, num_classes=2)
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    for recipe, resize in (("IMAGENET1K_V1", 256), ("MobileNet_V2_Weights.IMAGENET1K_V2", 232), (None, 232)):
        loaded = load_model(
            "mobilenet_v2", weights=tmp_path / "a.safetensors", classes=CLASSES, weights_recipe=recipe
        )
        assert (loaded.preprocessing.resize, loaded.preprocessing.crop) == (resize, 224)
        assert loaded.preprocessing_of.startswith("torchvision, mobilenet_v2")
    with pytest.raises(ModelError, match="it has IMAGENET1K_V1, IMAGENET1K_V2"):
        load_model(
            "mobilenet_v2", weights=tmp_path / "a.safetensors", classes=CLASSES, weights_recipe="IMAGENET21K"
        )


def test_a_tag_of_timm_is_its_recipe(tmp_path: Path) -> None:
    save_file(timm.create_model("test_efficientnet", num_classes=2).state_dict(), tmp_path / "a.safetensors")
    loaded = load_model("test_efficientnet.r160_in1k", weights=tmp_path / "a.safetensors", classes=CLASSES)
    assert loaded.preprocessing.crop == 160
    assert loaded.preprocessing_of == "timm, test_efficientnet.r160_in1k"
    with pytest.raises(ModelError, match="timm has no weights 'v9' of test_efficientnet; it has r160_in1k"):
        load_model(
            "test_efficientnet", weights=tmp_path / "a.safetensors", classes=CLASSES, weights_recipe="v9"
        )


def test_arguments_of_an_architecture(tmp_path: Path) -> None:
    made = timm.create_model("test_efficientnet", num_classes=2, act_layer="gelu")
    save_file(made.state_dict(), tmp_path / "a.safetensors")
    loaded = load_model(
        "test_efficientnet",
        weights=tmp_path / "a.safetensors",
        classes=CLASSES,
        arguments={"act_layer": "gelu"},
        preprocessing=SMALL,
    )
    with torch.inference_mode():
        torch.testing.assert_close(loaded.module(images()), made.eval()(images()))


# ------------------------------------------------------------------ an embedding


def test_a_vision_tower_is_explained_by_the_classes_embeddings() -> None:
    import transformers

    import camaudit as ca

    settings = transformers.CLIPVisionConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        projection_dim=6,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tower = transformers.CLIPVisionModelWithProjection(settings).eval()
        texts = torch.randn(2, 6)

    class ZeroShot(nn.Module):
        """Two classes by the likeness of an image's embedding to theirs."""

        def __init__(self) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return nn.functional.normalize(self.tower(pixels).image_embeds, dim=-1) @ texts.T

    loaded = load_model(ZeroShot(), classes=CLASSES, preprocessing=SMALL)
    assert loaded.target_layer == "tower.vision_model.encoder.layers.1.layer_norm1"
    maps = ca.explain(loaded.module, images(2), targets=[0, 1], layer=loaded.target_layer)["gradcam"]
    assert maps.shape == (2, 2, 4, 4)
    alone = ca.explain(
        tower,
        images(2),
        targets=lambda output: nn.functional.normalize(output.image_embeds, dim=-1) @ texts.T,
        layer=loaded.target_layer.removeprefix("tower."),
    )["gradcam"]
    torch.testing.assert_close(alone, maps)
