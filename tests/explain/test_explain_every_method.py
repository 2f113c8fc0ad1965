"""What holds of every method, on networks as people have them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from torch import Tensor, nn

from camaudit.explain import all_methods, explain

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK: dict[str, dict[str, object]] = {
    "integrated_gradients": {"steps": 4},
    "rise": {"masks": 24},
    "smooth_gradcampp": {"samples": 3},
    "smoothgrad": {"samples": 3},
}
OF_TRANSFORMERS = {"attention_rollout", "legrad"}
OF_RECTIFIERS = {"deconvnet", "guided_backprop", "guided_gradcam"}
METHODS = tuple(all_methods())
OF_CONVOLUTIONS = tuple(name for name in METHODS if name not in OF_TRANSFORMERS)


class _Block(nn.Module):
    """A residual block whose one ReLU works in place and is used twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(width), nn.ReLU(inplace=True)

    def forward(self, values: Tensor) -> Tensor:
        return self.relu(self.second(self.relu(self.norm(self.first(values)))) + values)


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        _Block(6),
        nn.MaxPool2d(2),
        _Block(6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(6, 5),
    )
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(6) / 4
            part.running_var = torch.rand(6) + 0.5
    return net


def transformer() -> nn.Module:
    torch.manual_seed(0)
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=3, num_classes=5
    )
    for parameter in net.parameters():  # timm's own start is too even to tell classes apart
        nn.init.normal_(parameter, std=0.3)
    return net


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "convolutional": (convolutional, OF_CONVOLUTIONS),
    "transformer": (transformer, tuple(name for name in METHODS if name not in OF_RECTIFIERS | {"cam"})),
}
CASES = [(net, method) for net, (_, methods) in NETS.items() for method in methods]


def images(batch: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(dtype)


def maps(net: nn.Module, inputs: Tensor, method: str, targets: object = (0, 3)) -> Tensor:
    options = {method: QUICK[method]} if method in QUICK else None
    return explain(net, inputs, methods=[method], targets=targets, options=options)[method]  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_maps_have_the_shape_the_type_and_the_signs_they_should(kind: str, method: str) -> None:
    net = NETS[kind][0]()
    for dtype, expected in (
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
    ):
        found = maps(net.to(dtype), images(dtype=dtype), method)
        side = 32 if all_methods()[method].grid == "input" else {"convolutional": 8, "transformer": 4}[kind]
        assert found.shape == (3, 2, side, side)
        assert found.dtype == expected
        assert bool(found.isfinite().all())
        assert bool((found >= 0).all())
        assert not found.requires_grad
        assert found.any(), "an empty map shows nothing"


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_a_map_does_not_depend_on_its_batch(kind: str, method: str) -> None:
    net = NETS[kind][0]().double()
    inputs = images(dtype=torch.float64)
    whole = maps(net, inputs, method)
    turned = maps(net, inputs[[2, 0, 1]], method)
    torch.testing.assert_close(turned, whole[[2, 0, 1]], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(maps(net, inputs[1:2], method), whole[1:2], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_a_target_does_not_depend_on_its_neighbours(kind: str, method: str) -> None:
    net = NETS[kind][0]().double()
    inputs = images(dtype=torch.float64)
    three = maps(net, inputs, method, [[0, 1, 2], 4, "predicted"])
    torch.testing.assert_close(maps(net, inputs, method, 4)[:, 0], three[:, 1], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(
        maps(net, inputs, method, "predicted")[:, 0], three[:, 2], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_whether_a_method_tells_classes_apart_is_as_it_says(kind: str, method: str) -> None:
    """Of those that say they do not, the gradients' maps move with the class all the same, and are not shown to mean it."""
    net = NETS[kind][0]().double()
    found = maps(net, images(dtype=torch.float64), method)
    if all_methods()[method].class_discriminative:
        assert not torch.allclose(found[:, 0], found[:, 1])
    elif method in {"attention_rollout", "eigencam"}:
        assert torch.equal(found[:, 0], found[:, 1])


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_the_model_comes_back_as_it_was(kind: str, method: str) -> None:
    net = NETS[kind][0]().train()
    next(net.parameters()).requires_grad_(False)
    before = _state(net)
    outside = images().requires_grad_()
    maps(net, outside, method)
    assert _state(net) == before
    assert outside.grad is None
    broken = _Broken(net)
    for calls in range(3):  # in the first pass, and when the model runs again
        broken.left = calls
        before = _state(broken)
        try:
            maps(broken, images(), method)
        except _BrokenError:
            assert _state(broken) == before
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()


class _BrokenError(RuntimeError):
    pass


class _Broken(nn.Module):
    """Fails after so many calls."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.left = 0

    def forward(self, values: Tensor) -> Tensor:
        output: Tensor = self.net(values)
        self.left -= 1
        if self.left < 0:
            raise _BrokenError
        return output


def _state(net: nn.Module) -> list[object]:
    """All of a model that must come back as it was."""
    parts = [
        (
            name,
            part.training,
            sorted(key for key in part.__dict__ if key != "left"),
            [
                len(hooks)
                for key, hooks in part.__dict__.items()
                if "hooks" in key and hasattr(hooks, "__len__")
            ],
        )
        for name, part in net.named_modules()
    ]
    parameters = [(p.requires_grad, p.grad, p.data_ptr(), p._version, p.dtype) for p in net.parameters()]
    return [parts, parameters, [float(value.double().sum()) for value in net.state_dict().values()]]


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_nothing_of_a_batch_stays_in_memory(kind: str, method: str) -> None:
    net = NETS[kind][0]()
    maps(net, images(), method)  # what is kept of a model is kept once
    gc.collect()
    before = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
    for _ in range(3):
        maps(net, images(), method)
    assert sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()) <= before, (
        "tensors wait for the collector"
    )


@pytest.mark.parametrize("method", OF_CONVOLUTIONS)
def test_memory_format_freezing_and_compiling_change_nothing(method: str) -> None:
    net = convolutional().double().eval()
    inputs = images(dtype=torch.float64)
    expected = maps(net, inputs, method)
    last = maps(
        net.to(memory_format=torch.channels_last),
        inputs.contiguous(memory_format=torch.channels_last),
        method,
    )
    torch.testing.assert_close(last, expected, rtol=1e-6, atol=1e-9)
    frozen = maps(net.requires_grad_(False), inputs, method)
    torch.testing.assert_close(frozen, expected, rtol=1e-6, atol=1e-9)
    compiled = maps(torch.compile(net), inputs, method)  # type: ignore[arg-type]
    torch.testing.assert_close(compiled, expected, rtol=1e-6, atol=1e-9)
    net.compile()
    torch.testing.assert_close(maps(net, inputs, method), expected, rtol=1e-6, atol=1e-9)
    with torch.inference_mode():
        torch.testing.assert_close(maps(net, inputs, method), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_autocast_gives_raw_maps_in_float32(kind: str, method: str) -> None:
    net = NETS[kind][0]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = maps(net, images(), method)
    assert found.dtype == torch.float32
    assert bool(found.isfinite().all())
