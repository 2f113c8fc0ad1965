"""The attention of transformers: its weights, whatever computes them, and LeGrad's gradients by them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import _get_current_function_mode_stack
from torch.testing import assert_close

from camaudit.errors import ExplainError
from camaudit.explain import explain
from camaudit.explain.attention import Attention
from camaudit.models.grids import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers.modeling_outputs import ImageClassifierOutput


def of_transformers(kind: str, attention: str) -> nn.Module:
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=24,
        image_size=64,
        patch_size=16,
        num_labels=4,
    )
    config._attn_implementation = attention
    net: nn.Module = getattr(transformers, f"{kind}ForImageClassification")(config)
    return net


def of_timm(name: str, *, fused: bool = True, depth: int = 3, size: int = 64) -> nn.Module:
    net: nn.Module = timm.create_model(
        name, img_size=size, depth=depth, num_classes=4, embed_dim=24, num_heads=3
    )
    for part in net.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = fused
    return net


def of_torchvision(depth: int = 3) -> nn.Module:
    return torchvision.models.VisionTransformer(64, 16, depth, 4, 24, 32, num_classes=4)


def randomised(net: nn.Module) -> nn.Module:
    """In float64, with weights that make attention and head matter."""
    torch.manual_seed(0)
    for part in net.parameters():
        nn.init.normal_(part, 0, 0.25)
    return net.double().eval().requires_grad_(requires_grad=False)


def images(count: int = 2, side: int = 64) -> Tensor:
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


NETS: dict[str, tuple[Callable[[], nn.Module], int, Grid]] = {
    "torchvision": (of_torchvision, 64, Grid("tokens", (4, 4), 1)),
    "timm, fused": (partial(of_timm, "vit_tiny_patch16_224"), 64, Grid("tokens", (4, 4), 1)),
    "timm, not fused": (partial(of_timm, "vit_tiny_patch16_224", fused=False), 64, Grid("tokens", (4, 4), 1)),
    "timm, distilled": (partial(of_timm, "deit_tiny_distilled_patch16_224"), 64, Grid("tokens", (4, 4), 2)),
    "timm, registers": (
        partial(of_timm, "vit_small_patch14_reg4_dinov2", size=42),
        42,
        Grid("tokens", (3, 3), 5),
    ),
    "transformers, sdpa": (partial(of_transformers, "ViT", "sdpa"), 64, Grid("tokens", (4, 4), 1)),
    "transformers, eager": (partial(of_transformers, "ViT", "eager"), 64, Grid("tokens", (4, 4), 1)),
    "transformers, registers": (
        partial(of_transformers, "Dinov2WithRegisters", "sdpa"),
        64,
        Grid("tokens", (4, 4), 5),
    ),
}


def scores(output: Tensor | ImageClassifierOutput) -> Tensor:
    found = output if isinstance(output, Tensor) else output.logits
    assert found is not None
    return found


@pytest.mark.parametrize("name", NETS)
def test_weights_of_every_block_are_kept_and_the_output_stays(name: str) -> None:
    make, side, grid = NETS[name]
    net, inputs = randomised(make()), images(side=side)
    expected = scores(net(inputs))
    with Attention(net, inputs, blocks=True) as attention:
        output = scores(net(inputs))
    assert_close(output, expected, rtol=1e-10, atol=1e-12)
    tokens = grid.prefix + grid.size[0] * grid.size[1]
    assert [of.shape[2:] for of in attention.weights] == [(tokens, tokens)] * 3
    for weights in attention.weights:
        assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert weights.std(-1).amax() > 0.002  # attention that attends
    assert attention.tokens == grid
    assert [block.output.shape[:2] for block in attention.blocks] == [(2, tokens)] * 3
    assert len({block.name.rpartition(".")[0] for block in attention.blocks}) == 1


@pytest.mark.parametrize(
    ("explicit", "fused", "tolerance"),
    [
        ("timm, not fused", "timm, fused", 1e-10),
        ("transformers, eager", "transformers, sdpa", 1e-6),  # eager takes its softmax in float32
    ],
)
def test_fused_or_not_makes_no_difference(explicit: str, fused: str, tolerance: float) -> None:
    weights, maps = [], []
    for name in (explicit, fused):
        net, inputs = randomised(NETS[name][0]()), images()
        with Attention(net, inputs) as attention:
            net(inputs)
        weights.append([of.double() for of in attention.weights])
        maps.append(explain(net, inputs, methods=["legrad"], targets=1)["legrad"].double())
    assert_close(weights[0], weights[1], rtol=tolerance, atol=1e-12)
    assert maps[0].amax() > 0
    assert_close(maps[0], maps[1], rtol=0, atol=10 * tolerance * float(maps[0].amax()))


def test_weights_are_what_transformers_returns() -> None:
    net, inputs = randomised(of_transformers("ViT", "eager")), images()
    with Attention(net, inputs) as attention:
        theirs = net(inputs, output_attentions=True).attentions
    assert_close([of.double() for of in attention.weights], [of.double() for of in theirs], rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.ones(5, 5).tril() > 0},
        {"attn_mask": torch.linspace(-2, 2, 50, dtype=torch.float64).sin().reshape(2, 1, 5, 5)},
        {"enable_gqa": True},
    ],
    ids=["plain", "causal", "scale", "mask", "bias", "grouped"],
)
def test_the_explicit_attention_is_torchs(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    heads = 2 if "enable_gqa" in options else 4
    query = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    key, value = torch.randn(2, 2, heads, 5, 6, dtype=torch.float64)
    expected = functional.scaled_dot_product_attention(query, key, value, **options)
    with Attention(nn.Identity(), torch.zeros(2, 3, 8, 8)) as attention:
        found = functional.scaled_dot_product_attention(query, key=key, value=value, **options)
    assert_close(found, expected, rtol=1e-12, atol=1e-14)
    (weights,) = attention.weights
    value = value.repeat_interleave(4 // heads, dim=1)
    assert_close(torch.einsum("bhqk,bhkc->bhqc", weights, value), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("averaged", [True, False, None])
@pytest.mark.parametrize("separate", [True, False])
def test_multi_head_attention_is_torchs(separate: bool, averaged: bool | None) -> None:
    torch.manual_seed(0)
    widths = {"kdim": 6, "vdim": 10} if separate else {}
    module = nn.MultiheadAttention(8, 2, batch_first=True, **widths).double().eval()
    nn.init.normal_(module.in_proj_bias)
    query = torch.randn(3, 5, 8, dtype=torch.float64)
    key, value = (query[..., :6], query.repeat(1, 1, 2)[..., :10]) if separate else (query, query)
    mask = torch.randn(5, 5, dtype=torch.float64)
    options = {
        "attn_mask": mask,
        "need_weights": averaged is not None,
        "average_attn_weights": bool(averaged),
    }
    expected, expected_weights = module(query, key, value, **options)
    with Attention(module, torch.zeros(3, 3, 8, 8)) as attention:
        found, weights = module(query, key, value, **options)
    assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert (weights is None) == (expected_weights is None)
    if weights is not None:
        assert_close(weights, expected_weights, rtol=1e-12, atol=1e-14)
    # the output hangs on what is kept
    (gradient,) = torch.autograd.grad(found.sum(), attention.weights)
    assert gradient.abs().max() > 0


def test_torchs_fast_path_is_not_taken() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 8, 16, 16)
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.encoder(self.patches(inputs).flatten(2).mT).mean(1)  # type: ignore[no-any-return]

    net, inputs = randomised(Encoder()), images()
    with torch.no_grad():
        expected = net(inputs)
        with Attention(net, inputs) as attention:
            output = net(inputs)
    assert len(attention.weights) == 2
    assert_close(output, expected, rtol=1e-10, atol=1e-12)
    maps = explain(net, inputs, methods=["attention_rollout", "legrad"], targets=1)
    assert maps["legrad"].shape == maps["attention_rollout"].shape == (2, 1, 4, 4)
    assert maps["legrad"].amax() > 0


class Written(nn.Module):
    """A transformer in which every step is written out; `given` takes the place of a block's attention weights."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 16, 16)
        self.first = nn.Parameter(torch.zeros(1, 1, 6))
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"both": nn.Linear(6, 12), "mixed": nn.Linear(6, 6)}) for _ in range(3)
        )
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 4)

    def weights(self, place: int, tokens: Tensor) -> Tensor:
        query, key = self.blocks[place]["both"](tokens).unflatten(-1, (2, 2, 3)).permute(2, 0, 3, 1, 4)
        return (query @ key.mT).exp() / (query @ key.mT).exp().sum(-1, keepdim=True)

    def block(self, place: int, tokens: Tensor, weights: Tensor) -> Tensor:
        heads = tokens.unflatten(-1, (2, 3)).transpose(1, 2)
        tokens = tokens + self.blocks[place]["mixed"]((weights @ heads).transpose(1, 2).flatten(2))
        return tokens + functional.gelu(tokens)

    def tokens(self, inputs: Tensor) -> Tensor:
        patches = self.patches(inputs).flatten(2).mT
        return torch.cat([self.first.expand(len(inputs), -1, -1), patches], dim=1)

    def scores(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


class Block(nn.Module):
    """The same block as people write it."""

    def __init__(self, written: Written, place: int) -> None:
        super().__init__()
        self.both, self.mixed = written.blocks[place]["both"], written.blocks[place]["mixed"]

    def forward(self, tokens: Tensor) -> Tensor:
        query, key = self.both(tokens).unflatten(-1, (2, 2, 3)).permute(2, 0, 3, 1, 4)
        heads = tokens.unflatten(-1, (2, 3)).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(query, key, heads, scale=1.0)
        tokens = tokens + self.mixed(mixed.transpose(1, 2).flatten(2))
        return tokens + functional.gelu(tokens)


class Usual(nn.Module):
    def __init__(self, written: Written) -> None:
        super().__init__()
        self.patches, self.first = written.patches, written.first
        self.blocks = nn.Sequential(*(Block(written, place) for place in range(3)))
        self.norm, self.head = written.norm, written.head

    def forward(self, inputs: Tensor) -> Tensor:
        patches = self.patches(inputs).flatten(2).mT
        tokens = self.blocks(torch.cat([self.first.expand(len(inputs), -1, -1), patches], dim=1))
        return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


def test_legrad_is_the_papers_formula_block_by_block() -> None:
    written = randomised(Written())
    assert isinstance(written, Written)
    inputs = images() / 10
    tokens = written.tokens(inputs)
    expected = torch.zeros(2, 2, 17, dtype=torch.float64)
    rollout = torch.eye(17, dtype=torch.float64).expand(2, 17, 17)
    for place in range(3):
        weights = written.weights(place, tokens).requires_grad_()
        after = written.block(place, tokens, weights)
        rollout = (weights.detach().mean(1) + torch.eye(17)) / 2 @ rollout
        for column, target in enumerate((0, 3)):
            own = written.scores(after.mean(1, keepdim=True).expand_as(after))[:, target]
            (gradient,) = torch.autograd.grad(own.sum(), weights, retain_graph=True)
            for image in range(2):
                for key in range(17):
                    received = sum(
                        float(gradient[image, h, q, key].clamp(min=0)) for h in range(2) for q in range(17)
                    )
                    expected[image, column, key] += received / (2 * 17) / 3
        tokens = after.detach()
    found = explain(Usual(written), inputs, methods=["legrad", "attention_rollout"], targets=[0, 3])
    assert expected.amax() > 0
    assert_close(found["legrad"].flatten(2), expected[..., 1:], rtol=1e-10, atol=1e-14)
    assert_close(found["attention_rollout"][:, 0].flatten(1), rollout[:, 0, 1:], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_legrad_of_a_network_of_timm_is_made_by_hooks_too(blocks: int) -> None:
    net, inputs = randomised(of_timm("vit_tiny_patch16_224", fused=False)), images(1)
    weights: list[Tensor] = []
    outputs: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        weights.append(output.detach().requires_grad_())
        return weights[-1]

    handles = [
        block.attn.attn_drop.register_forward_hook(cut) for block in net.blocks
    ]  # its input is the softmax
    handles += [
        block.register_forward_hook(lambda _m, _i, output: outputs.append(output)) for block in net.blocks
    ]
    net(inputs)
    for handle in handles:
        handle.remove()
    expected = torch.zeros(17, dtype=torch.float64)
    for place in range(3 - blocks, 3):
        other = outputs[place].mean(1, keepdim=True).expand(1, 17, 24)
        handle = net.blocks[-1].register_forward_hook(lambda _m, _i, _o, other=other: other)
        (gradient,) = torch.autograd.grad(net(inputs)[0, 2], weights[place], retain_graph=True)
        handle.remove()
        expected += gradient.clamp(min=0).mean((0, 1, 2)) / blocks
    options = {"legrad": {"blocks": blocks}}
    found = explain(net, inputs, methods=["legrad"], targets=2, options=options)["legrad"]
    assert expected.amax() > 0
    assert_close(found.flatten(), expected[1:], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", NETS)
def test_legrad_and_rollout_of_every_network_lie_on_its_grid(name: str) -> None:
    make, side, grid = NETS[name]
    net, inputs = randomised(make()), images(side=side)
    maps = explain(net, inputs, methods=["legrad", "attention_rollout"], targets=[0, 2])
    for method in maps:
        assert maps[method].shape == (2, 2, *grid.size)
        assert maps[method].isfinite().all()
        assert (maps[method].amax((-2, -1)) > 0).all()
    assert not torch.allclose(maps["legrad"][:, 0], maps["legrad"][:, 1])
    assert torch.equal(maps["attention_rollout"][:, 0], maps["attention_rollout"][:, 1])


@pytest.mark.parametrize("method", ["attention_rollout", "legrad"])
def test_an_image_does_not_depend_on_its_neighbours(method: str) -> None:
    net, inputs = randomised(of_torchvision()), images(3)
    together = explain(net, inputs, methods=[method], targets="predicted")[method]
    alone = torch.cat(
        [explain(net, of[None], methods=[method], targets="predicted")[method] for of in inputs]
    )
    assert_close(together, alone, rtol=1e-9, atol=1e-14)


def test_a_single_block_is_a_block() -> None:
    for make in (partial(of_timm, "vit_tiny_patch16_224"), of_torchvision):
        net, inputs = randomised(make(depth=1)), images()
        with Attention(net, inputs, blocks=True) as attention:
            net(inputs)
        (block,) = attention.blocks
        assert block.name.rpartition(".")[0] in {"blocks", "encoder.layers"}
        assert explain(net, inputs, methods=["legrad"], targets=0)["legrad"].amax() > 0


@pytest.mark.parametrize("method", ["attention_rollout", "legrad"])
@pytest.mark.parametrize(
    ("make", "side", "why"),
    [
        (partial(torchvision.models.resnet18, num_classes=4), 64, "none is seen in ResNet"),
        (
            partial(torchvision.models.SwinTransformer, [4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=4),
            64,
            r"within windows.*\(8, 2, 16, 16\), \(32, 2, 16, 16\)",
        ),
        (
            partial(timm.create_model, "pvt_v2_b0", num_classes=4),
            64,
            r"from some tokens to others.*\(2, 2, 64, 4\)",
        ),
    ],
    ids=["convolutions", "windows", "pyramid"],
)
def test_attention_that_is_not_among_all_tokens_is_refused(
    make: Callable[[], nn.Module], side: int, why: str, method: str
) -> None:
    with pytest.raises(ExplainError, match=why):
        explain(make(), torch.randn(2, 3, side, side), methods=[method], targets=0)


def test_blocks_that_attend_twice_are_refused_by_legrad() -> None:
    written = randomised(Written())
    assert isinstance(written, Written)
    net = Usual(written)
    net.blocks = nn.Sequential(
        nn.Sequential(Block(written, 0), Block(written, 1)), nn.Sequential(Block(written, 2))
    )
    assert explain(net, images(), methods=["attention_rollout"], targets=0)["attention_rollout"].amax() > 0
    with pytest.raises(ExplainError, match=r"attends in blocks.0.0, blocks.0.1, blocks.1.0"):
        explain(net, images(), methods=["legrad"], targets=0)
    net.blocks = nn.Sequential(net.blocks[0][0], net.blocks[0][0])  # one module, used twice
    with pytest.raises(ExplainError, match=r"attends in blocks.0, blocks.0"):
        explain(net, images(), methods=["legrad"], targets=0)


def test_tokens_that_are_no_grid_are_refused() -> None:
    written = randomised(Written())
    assert isinstance(written, Written)
    net = Usual(written)
    net.patches = nn.Sequential(written.patches, nn.Flatten(2), nn.ConstantPad1d((0, 60), 0.0))
    with pytest.raises(ExplainError, match="attends among 77 tokens, which is no grid on an image of 64x64"):
        explain(net, images(), methods=["attention_rollout"], targets=0)


def test_a_pooling_head_is_no_block() -> None:
    net = timm.create_model(
        "vit_base_patch16_siglip_224", img_size=64, depth=2, num_classes=4, embed_dim=24, num_heads=3
    )
    net, inputs = randomised(net), images()
    with Attention(net, inputs) as attention:
        net(inputs)
    assert [of.shape for of in attention.weights] == [(2, 3, 16, 16)] * 2
    assert attention.tokens == Grid("tokens", (4, 4))


def test_what_a_model_does_in_place_with_a_blocks_output_is_not_seen_by_it() -> None:
    written = randomised(Written())
    assert isinstance(written, Written)

    class InPlace(Usual):
        def forward(self, inputs: Tensor) -> Tensor:
            patches = self.patches(inputs).flatten(2).mT
            tokens = torch.cat([self.first.expand(len(inputs), -1, -1), patches], dim=1)
            for block in self.blocks:
                tokens = block(tokens).mul_(2)
            return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]

    net, inputs = InPlace(written), images()
    with Attention(net, inputs, blocks=True) as attention:
        net(inputs)
    assert_close(attention.blocks[0].output, net.blocks[0](written.tokens(inputs)))


def test_half_precision_is_close() -> None:
    net, inputs = randomised(of_timm("vit_tiny_patch16_224")).float(), images().float()
    exact = explain(net, inputs, methods=["attention_rollout", "legrad"], targets=1)
    with torch.autocast("cpu", torch.bfloat16):
        half = explain(net, inputs, methods=["attention_rollout", "legrad"], targets=1)
    for name in exact:
        assert half[name].dtype == torch.float32
        assert torch.corrcoef(torch.stack([half[name].flatten(), exact[name].flatten()]))[0, 1] > 0.98, name


def test_compiled_and_plain_give_the_same() -> None:
    net, inputs = randomised(of_timm("vit_tiny_patch16_224")), images()
    for method in ("attention_rollout", "legrad"):
        expected = explain(net, inputs, methods=[method], targets=1)[method]
        found = explain(torch.compile(net, backend="eager"), inputs, methods=[method], targets=1)[method]
        assert torch.equal(found, expected)


def test_nothing_is_left_behind_by_an_exception() -> None:
    written = randomised(Written())
    assert isinstance(written, Written)
    net = Usual(written)

    class Fails(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            raise ArithmeticError(tokens.shape)

    expected = explain(net, images(), methods=["legrad"], targets=0)["legrad"]
    norm, net.norm = net.norm, Fails()
    with pytest.raises(ArithmeticError):
        explain(net, images(), methods=["legrad"], targets=0)
    assert not _get_current_function_mode_stack()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    net.norm = norm
    assert torch.equal(explain(net, images(), methods=["legrad"], targets=0)["legrad"], expected)
