"""What comes after a layer, run by itself, gives what the whole network gives with that layer's output replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from camaudit.explain.forward import Network
from camaudit.explain.replay import Replay
from camaudit.models.grids import tensor_of, with_tensor
from camaudit.models.layers import module_at
from camaudit.models.undisturbed import undisturbed

if TYPE_CHECKING:
    from camaudit.explain.targets import Seen


class _Skips(nn.Module):
    """A skip around the target, work in place before and after it, and one module used four times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.first = nn.Conv2d(6, 6, 3, padding=1)
        self.target = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        images = images / 2 + 0.1
        stem = self.act(self.stem(images))
        stem += 0.25
        first = self.act(self.act(self.first(stem)))
        out = self.act(self.target(first) - 0.1)
        out *= 1.5
        return self.head((out + stem).mean((2, 3)) + images.mean((1, 2, 3))[:, None])


class _Dense(nn.Module):
    """Outputs of all layers before, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(4))
        self.head = nn.Linear(11, 4)

    def forward(self, images: Tensor) -> Tensor:
        found = [images]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)).tanh())
        return self.head(torch.cat(found, 1).mean((2, 3)))


class _Shared(nn.Module):
    """One block called three times, from inside of which the target is called."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        once = self.block(images)
        return {"logits": self.head((self.block(self.block(once)) + once).mean((2, 3)))}


class _Structures(nn.Module):
    """Tuples, dicts, windows in the batch dimension and tables without one, around a target that returns a tuple."""

    class _Windows(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([half.flatten(1)[:, None] for half in images.chunk(2, dim=2)], 1).flatten(0, 1)

    class _Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(2, 4))

        def forward(self) -> Tensor:
            return self.table * 2

    class _Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            return self.conv(images), {"mean": images.mean((1, 2, 3))}

    def __init__(self) -> None:
        super().__init__()
        self.windows, self.table, self.pair = self._Windows(), self._Table(), self._Pair()
        self.project = nn.Linear(3 * 8 * 16, 4)

    def forward(self, images: Tensor) -> Tensor:
        windows, table = self.windows(images), self.table()
        places, others = self.pair(images)
        of_windows = self.project(windows).unflatten(0, (-1, 2)).mean(1)
        out: Tensor = places.mean((2, 3)) + others["mean"][:, None] + of_windows + table.mean(0)
        return out


class _Transformer(nn.Module):
    """Class token, position embedding, encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 17, 8))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, dropout=0.0)
            for _ in range(3)
        )
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.head(tokens[:, 0])
        return out


def _seeded(make: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = make()
    for parameter in model.parameters():  # heads of zeros tell nothing apart
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model.double().eval()


def _images(count: int = 3, size: int = 16) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, size, size, generator=draw, dtype=torch.float64)


def _swin() -> nn.Module:
    return models.SwinTransformer([2, 2], 8, [1, 2], [2, 2], [2, 2], num_classes=4)


def _squeeze_excite() -> nn.Module:
    return models.regnet_y_400mf(num_classes=4)


CASES = [
    (_Skips, "target"),
    (_Skips, "act"),
    (_Skips, "stem"),
    (_Dense, "layers.0"),
    (_Dense, "layers.2"),
    (_Shared, "block"),
    (_Shared, "block.0"),
    (_Structures, "pair"),
    (_Transformer, "blocks.1"),
    (_Transformer, "blocks.2.norm1"),
    (_Transformer, "patch"),
    (_swin, "features.1.0.norm1"),
    (_swin, "features.3.1.attn"),
    (_swin, "norm"),
    (lambda: models.resnet18(num_classes=4), "layer3.0.conv1"),
    (lambda: models.resnet18(num_classes=4), "layer4"),
    (
        lambda: models.DenseNet(4, (2, 2), 8, num_classes=4),
        "features.denseblock2.denselayer1",
    ),
    (lambda: models.mobilenet_v3_small(num_classes=4), "features.4.block.1"),
    (_squeeze_excite, "trunk_output.block3.block3-1.f.b"),
    (lambda: models.shufflenet_v2_x0_5(num_classes=4), "stage3.1.branch2"),
    (lambda: models.GoogLeNet(num_classes=4, aux_logits=False, init_weights=False), "inception4b.branch3"),
]


def _calls(model: nn.Module, layer: nn.Module, image: Tensor) -> list[Tensor]:
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        tensor = tensor_of(output)
        assert tensor is not None
        kept.append(tensor.clone())

    handle = layer.register_forward_hook(keep)
    with torch.no_grad():
        model(image)
    handle.remove()
    return kept


def literal(model: nn.Module, layer: nn.Module, image: Tensor, given: Tensor) -> Tensor:
    """The scores of one image, with the output of the layer's last call replaced by a hook."""
    calls, called = len(_calls(model, layer, image)), 0

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        nonlocal called
        called += 1
        return with_tensor(output, given.clone()) if called == calls else output

    handle = layer.register_forward_hook(hook)
    with torch.no_grad():
        output = model(image)
    handle.remove()
    found = tensor_of(output)
    assert found is not None
    return found[0]


def _scores(seen: Seen) -> Tensor:
    return seen.scores.detach()


@pytest.mark.parametrize(("make", "name"), CASES)
def test_replay_is_the_whole_network_with_the_output_replaced(make: Any, name: str) -> None:
    size = 64 if make not in {_Skips, _Dense, _Shared, _Structures, _Transformer} else 16
    model, images = _seeded(make), _images(size=size)
    layer = module_at(model, name)
    given = torch.cat([_calls(model, layer, image[None])[-1] for image in images]).flip(0) * 1.25
    each = zip(images, given, strict=True)
    expected = torch.stack([literal(model, layer, image[None], one[None]) for image, one in each])
    rows = torch.tensor([2, 0, 2, 1])
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), name, images)
        as_it_is = _scores(replay(given.clone()))
        mixed = _scores(replay(given[rows], rows))
        of_one = _scores(replay(given[1:2].repeat(2, *[1] * (given.ndim - 1)), 1))
        again = _scores(replay(given.clone()))
    assert not replay.whole
    torch.testing.assert_close(as_it_is, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(mixed, expected[rows], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(of_one, expected[[1, 1]], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(again, expected, rtol=1e-10, atol=1e-12)


def _noting(name: str, runs: Any, ran: list[str]) -> Any:
    def forward(*args: Any) -> Any:
        ran.append(name)
        return runs(*args)

    return forward


def test_nothing_before_the_layer_runs() -> None:
    model, images = _seeded(lambda: models.resnet18(num_classes=4)), _images(2, 32)
    ran: list[str] = []
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), "layer4", images)
        given = _calls(model, module_at(model, "layer4"), images)[-1]
        for name, part in model.named_modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.forward = _noting(name, part.forward, ran)  # type: ignore[method-assign]
        replay(given)
    assert ran == ["fc"]
    assert replay.mixes


def test_a_skip_keeps_what_it_needs_and_no_more() -> None:
    model, images = _seeded(lambda: models.resnet18(num_classes=4)), _images(2, 32)
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), "layer3.1.conv1", images)
    assert [step.module for step in replay._kept] == ["layer3.0"]
    assert not replay.mixes


def test_gradient_reaches_what_is_given() -> None:
    model, images = _seeded(_Transformer), _images(2)
    layer = module_at(model, "blocks.2")
    given = _calls(model, layer, images)[-1].requires_grad_()
    with undisturbed(model):
        scores = Replay(Network(model, {}), "blocks.2", images)(given).scores
        (gradient,) = torch.autograd.grad(scores[:, 1].sum(), given)
    expected = torch.zeros_like(given)
    expected[:, 0] = module_at(model, "head").weight[1].detach()
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)


class _Remembers(nn.Module):
    """Keeps something between calls, so that a replay of what was there is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.target = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.kept: dict[str, Tensor] = {}
        outer = self

        class Keeps(nn.Module):
            def forward(self, images: Tensor) -> Tensor:
                outer.kept["mean"] = images.mean((2, 3))
                return images

        self.keeps = Keeps()

    def forward(self, images: Tensor) -> Tensor:
        places = self.target(self.keeps(self.first(images)))
        out: Tensor = places.mean((2, 3)) * self.kept["mean"]
        return out


def test_a_model_that_cannot_be_replayed_runs_whole() -> None:
    model, images = _seeded(_Remembers), _images(2)
    layer = module_at(model, "target")
    given = _calls(model, layer, images)[-1] * 2
    expected = torch.stack([literal(model, layer, images[i : i + 1], given[i : i + 1]) for i in range(2)])
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), "target", images)
        found = _scores(replay(given.clone(), torch.tensor([0, 1])))
    assert replay.whole
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_context_goes_with_its_image() -> None:
    class Asked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word, self.target, self.head = nn.Embedding(5, 3), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

        def forward(self, images: Tensor, question: Tensor) -> Tensor:
            asked = self.word(question).mean(1)
            out: Tensor = self.head(self.target(images).mean((2, 3)) * asked)
            return out

    model, images = _seeded(Asked), _images(2)
    question = torch.tensor([[0, 1], [3, 4]])
    given = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    rows = torch.tensor([1, 0, 1])
    with undisturbed(model), torch.no_grad():
        network = Network(model, {"question": question})
        found = _scores(Replay(network, "target", images)(given.clone(), rows))
        layer = module_at(model, "target")
        for i, row in enumerate(rows):
            handle = layer.register_forward_hook(lambda *_, i=i: given[i : i + 1])
            expected = model(images[row][None], question[row][None])[0]
            handle.remove()
            torch.testing.assert_close(found[i], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("own_forward", [False, True])
def test_the_model_comes_back_as_it_was(*, own_forward: bool) -> None:
    model, images = _seeded(_Skips), _images(2)
    stem = module_at(model, "stem")
    if own_forward:
        runs = stem.forward
        stem.forward = lambda images: runs(images) * 2  # type: ignore[method-assign]
    before = {name: dict(part.__dict__) for name, part in model.named_modules()}
    head = module_at(model, "head")
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), "target", images)
        given = torch.rand(2, 6, 16, 16, dtype=torch.float64)
        replay(given.clone())

        def fails(*_: object) -> None:
            msg = "on its way"
            raise RuntimeError(msg)

        handle = head.register_forward_hook(fails)
        with pytest.raises(RuntimeError, match="on its way"):
            replay(given.clone())
        handle.remove()
    for name, part in model.named_modules():
        assert part.__dict__.keys() == before[name].keys(), name
        assert part.__dict__.get("forward") is before[name].get("forward"), name
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


def test_a_hook_of_somebody_else_stays_in_force() -> None:
    model, images = _seeded(_Skips), _images(2)
    for name in ("stem", "target", "head"):
        module_at(model, name).register_forward_hook(lambda _m, _i, output: output * 1.5)
    layer = module_at(model, "target")
    given = _calls(model, layer, images)[-1] + 1
    expected = torch.stack([literal(model, layer, images[i : i + 1], given[i : i + 1]) for i in range(2)])
    with undisturbed(model), torch.no_grad():
        replay = Replay(Network(model, {}), "target", images)
        found = _scores(replay(given.clone()))
    assert not replay.whole
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_the_plan_dies_with_the_model() -> None:
    import gc
    import weakref

    model, images = _seeded(_Skips), _images(2)
    with undisturbed(model), torch.no_grad():
        Replay(Network(model, {}), "target", images)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
