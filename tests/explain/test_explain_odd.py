"""What `explain` may be given: odd calls end in a map that is right, or in a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from camaudit.errors import ExplainError, ModelError
from camaudit.explain import all_methods, explain
from camaudit.explain.targets import Classes, Contrast, Predicted, Probability

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGES = torch.randn(2, 3, 16, 12, generator=torch.Generator().manual_seed(0))
CHEAP = {"rise": {"masks": 4}, "smoothgrad": {"samples": 2}, "smooth_gradcampp": {"samples": 2}}
OF_TRANSFORMERS = {"attention_rollout", "legrad"}


def _net(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


class _Named(nn.Module):
    """Scores in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.net(images)}


class _Asks(nn.Module):
    """Takes an argument beside the images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net()

    def forward(self, images: Tensor, question: Tensor) -> Tensor:
        found: Tensor = self.net(images) + question
        return found


class _Fixed(_Named):
    """As torch.export's modules: their mode cannot be changed."""

    def train(self, mode: bool = True) -> _Fixed:  # noqa: FBT002 - torch's signature
        del mode
        msg = "Calling train() is not supported yet."
        raise NotImplementedError(msg)

    def eval(self) -> _Fixed:
        msg = "Calling eval() is not supported yet."
        raise NotImplementedError(msg)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"inputs": IMAGES[:0]}, "at least one"),
    "no pixels": ({"inputs": IMAGES[..., :0]}, "at least one"),
    "one image without a batch": ({"inputs": IMAGES[0]}, "batch, channels, height, width"),
    "bytes": ({"inputs": IMAGES.byte()}, "floating-point"),
    "an array": ({"inputs": IMAGES.numpy()}, "inputs is ndarray"),
    "half precision": (
        {"inputs": IMAGES.half()},
        "inputs are torch.float16 on cpu, the model is torch.float32",
    ),
    "double precision": ({"inputs": IMAGES.double()}, "bring the one to the other"),
    "shapes alone": ({"inputs": IMAGES.to("meta")}, "The inputs have no values"),
    "a model without values": ({"model": nn.Linear(3, 5, device="meta")}, "The model has no values"),
    "a function for a model": ({"model": lambda images: images}, "must be a torch.nn.Module"),
    "a method by itself": ({"methods": "gradcam"}, r"write \['gradcam'\]"),
    "no method": ({"methods": []}, "at least one"),
    "a number for a method": ({"methods": [3]}, "list of ids"),
    "a module for a layer": ({"layer": nn.ReLU()}, "layer is of type ReLU"),
    "no layer": ({"layer": []}, "at least one"),
    "an empty layer": ({"layer": ""}, "name of a layer"),
    "None for a layer": ({"layer": None}, "layer is None"),
    "a layer's compiled name": ({"layer": "_orig_mod.1"}, "has no layer '_orig_mod.1'"),
    "a fuse there is not": ({"layer": ["1", "3"], "fuse": "median"}, "fuse is 'median'"),
    "memory of nothing": ({"memory": 0}, "memory is 0"),
    "memory below nothing": ({"memory": -1}, "number of bytes"),
    "memory in words": ({"memory": "1GB"}, "number of bytes"),
    "a context it does not take": ({"context": {"question": torch.ones(2, 1)}}, "unexpected keyword"),
    "a context that is missing": ({"model": _Asks}, "missing a required argument: 'question'"),
    "a context in a list": ({"context": [1]}, "must be a dict"),
    "a bool for a class": ({"targets": True}, "True is no target"),
    "bools for classes": ({"targets": [[True, False]]}, "is no target"),
    "a mask for classes": ({"targets": torch.tensor([True, False])}, "torch.bool"),
    "names for classes": ({"targets": [["cat", "dog"]]}, "is no target"),
    "a fraction for a class": ({"targets": 1.5}, "1.5 is no target"),
    "None for a target": ({"targets": None}, "None is no target"),
    "fractions for classes": ({"targets": np.array([1.0, 2.0])}, "is no target"),
    "options without names": ({"options": {"gradcam": None}}, "options of gradcam"),
    "options in a list": ({"options": [1]}, "dict of dicts"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_cannot_be_explained_is_refused_in_a_sentence(call: str) -> None:
    given, words = REFUSED[call]
    # a network is made here, under the test's seed, not where the table is
    arguments = {name: of() if isinstance(of, type) else of for name, of in given.items()}
    with pytest.raises(Exception, match=words) as caught:
        explain(**{"model": _net(), "inputs": IMAGES, **arguments})
    assert type(caught.value).__module__ == "camaudit.errors"


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("smoothgrad", {"samples": 0}, "at least 1"),
        ("smoothgrad", {"samples": "3"}, "samples is '3'; it must be a whole number"),
        ("smoothgrad", {"samples": 2.5}, "whole number"),
        ("smoothgrad", {"samples": True}, "whole number"),
        ("smoothgrad", {"sigma": float("inf")}, "finite number"),
        ("smoothgrad", {"sigma": "0.1"}, "finite number"),
        ("smoothgrad", {"seed": 2**70}, "whole number"),
        ("smooth:gradcam", {"samples": -1}, "at least 1"),
        ("smooth:gradcam", {"sigma": -1.0}, "sigma is -1.0; it must be at least 0"),
        ("rise", {"masks": None}, "whole number"),
    ],
)
def test_options_are_numbers_of_their_kind(method: str, given: Mapping[str, object], words: str) -> None:
    with pytest.raises(ExplainError, match=words):
        explain(_net(), IMAGES, methods=[method], options={method: given})


def test_numbers_of_numpy_are_numbers() -> None:
    options = {"smoothgrad": {"samples": np.int64(2), "sigma": np.float32(0.5)}}
    found = explain(_net(), IMAGES, methods=["smoothgrad"], targets=np.int64(3), options=options)
    plain = {"smoothgrad": {"samples": 2, "sigma": 0.5}}
    same = explain(_net(), IMAGES, methods=["smoothgrad"], targets=3, options=plain)
    assert torch.equal(found["smoothgrad"], same["smoothgrad"])


@pytest.mark.parametrize("targets", [np.array([1, 4]), [np.array([1, 4], dtype=np.uint8)]])
def test_classes_come_in_arrays_too(targets: Any) -> None:
    found = explain(_net(), IMAGES, targets=targets)["gradcam"]
    assert torch.equal(found, explain(_net(), IMAGES, targets=[[1, 4]])["gradcam"])


@pytest.mark.parametrize("method", sorted(set(all_methods()) - OF_TRANSFORMERS))
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_image_with_a_value_that_is_not_finite_has_no_map(method: str, value: float) -> None:
    """Not one of zeros or of what the rest of the image says: rectifiers and maxima pass over what is not a number."""
    broken = IMAGES.clone()
    broken[0, 1, 5, 5] = value
    options = {method: CHEAP[method]} if method in CHEAP else {}
    found = explain(_net(), broken, methods=[method], targets=1, options=options)[method]
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


def test_methods_and_layers_that_are_named_twice_are_made_once() -> None:
    found = explain(_net(), IMAGES, methods=["gradcam", "gradcam"], layer=["1", "1"])
    assert list(found) == ["gradcam"]
    assert found.layers == ("1",)


@pytest.mark.parametrize("size", [(16, 2), (2, 2), (2, 16)])
def test_small_and_oblong_images_of_one_channel(size: tuple[int, int]) -> None:
    inputs = IMAGES[:, :1, :2, :2].repeat(1, 1, size[0] // 2, size[1] // 2)
    found = explain(_net(1), inputs, methods=["gradcam", "gradient", "fullgrad"], targets=1)
    assert found["gradient"].shape == found["fullgrad"].shape == (2, 1, *size)
    assert all(maps.isfinite().all() for maps in found.maps.values())


def test_a_probability_takes_the_scores_from_where_its_class_does() -> None:
    of_dictionary = Probability(Classes(2, scores=lambda output: output["logits"]))  # type: ignore[index]
    net = _Named()
    found = explain(net, IMAGES, targets=of_dictionary)["gradcam"]
    assert torch.equal(found, explain(net.net, IMAGES, targets=Probability(Classes(2)))["gradcam"])
    assert found.any()


@pytest.mark.parametrize(("first", "second"), [(1, Classes(2)), (Predicted(), 2), (Classes, Classes(2))])
def test_a_contrast_is_of_targets(first: Any, second: Any) -> None:
    with pytest.raises(ExplainError, match="A contrast is of two targets"):
        Contrast(first, second)


def test_a_probability_is_of_a_class() -> None:
    with pytest.raises(ExplainError, match="A probability is of Classes"):
        Probability(2)  # type: ignore[arg-type]


def test_a_model_whose_mode_cannot_be_changed_is_explained_as_it_is() -> None:
    net = _Fixed()
    net.net[4].training = False
    found = explain(net, IMAGES, targets=1)["gradcam"]
    assert torch.equal(found, explain(_net(), IMAGES, targets=1)["gradcam"])
    assert net.training
    assert not net.net[4].training


def test_a_model_in_data_parallel_is_the_model() -> None:
    found = explain(nn.DataParallel(_net()), IMAGES, targets=1)
    assert found.layer.startswith("module.")
    assert torch.equal(found["gradcam"], explain(_net(), IMAGES, targets=1)["gradcam"])


@pytest.mark.parametrize("record", ["export", "unflattened", "traced"])
def test_a_program_recorded_in_training_mode_is_refused(record: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), _Dropping(), nn.Flatten(), nn.Linear(4 * 14 * 10, 5))

    def recorded() -> nn.Module:
        if record == "traced":
            return torch.fx.symbolic_trace(net)
        program = torch.export.export(net, (IMAGES,))
        return program.module() if record == "export" else torch.export.unflatten(program)

    with pytest.raises(ModelError, match=r"recorded in training mode.*Record it again after model.eval"):
        explain(recorded(), IMAGES, methods=["gradient"], targets=1)
    net.eval()
    found = explain(recorded(), IMAGES, methods=["gradient"], targets=1)["gradient"]
    assert torch.equal(found, explain(net, IMAGES, methods=["gradient"], targets=1)["gradient"])


class _Dropping(nn.Module):
    """Dropout as a function: the mode is in the call."""

    def forward(self, given: Tensor) -> Tensor:
        return nn.functional.dropout(given, 0.5, training=self.training)
