"""The target layer of transformers and mixers, against a literal list, and against a gradient cut at that layer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import timm
import torch
import transformers
from timm.models import mlp_mixer
from torch import Tensor, nn
from torchvision import models as torchvision_models

from camaudit.errors import ModelError
from camaudit.models.grids import Grid, tensor_of, with_tensor
from camaudit.models.layers import candidate_layers, find_target_layer, target_layer

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = {"img_size": 64, "embed_dim": 24, "depth": 3, "num_heads": 2}
PYRAMID = {"img_size": 64, "embed_dim": 8, "depths": (1, 1, 2), "num_heads": (1, 2, 2)}
MAXVIT = {"img_size": 64, "embed_dim": (32, 32, 32, 32), "depths": (1, 1, 1, 1)}
# name: arguments, layer, layout, grid, prefix
TIMM = {
    "vit_tiny_patch16_224": (SMALL, "blocks.2.norm1", "tokens", (4, 4), 1),
    "vit_base_patch16_clip_224": (SMALL, "blocks.2.norm1", "tokens", (4, 4), 1),
    "deit_tiny_distilled_patch16_224": (SMALL, "blocks.2.norm1", "tokens", (4, 4), 2),
    "vit_small_patch14_reg4_dinov2": (SMALL | {"img_size": 70}, "blocks.2.norm1", "tokens", (5, 5), 5),
    "vit_base_patch16_siglip_224": (SMALL, "norm", "tokens", (4, 4), 0),
    "vit_base_patch16_rpn_224": (SMALL, "blocks", "tokens", (4, 4), 0),
    "beit_base_patch16_224": (SMALL, "blocks.2", "tokens", (4, 4), 1),
    "eva02_tiny_patch14_224": (SMALL | {"img_size": 56}, "blocks.2", "tokens", (4, 4), 1),
    "cait_xxs24_224": (SMALL, "blocks_token_only.1.norm1", "tokens", (4, 4), 1),
    "xcit_nano_12_p16_224": (SMALL, "cls_attn_blocks.1.norm1", "tokens", (4, 4), 1),
    "swin_tiny_patch4_window7_224": (PYRAMID | {"window_size": 4}, "norm", "channels_last", (4, 4), 0),
    "swinv2_tiny_window8_256": (PYRAMID | {"window_size": 4}, "norm", "channels_last", (4, 4), 0),
    "maxvit_rmlp_pico_rw_256": (
        {"img_size": 64, "depths": (1, 1, 1, 1)},
        "norm",
        "channels_first",
        (2, 2),
        0,
    ),
    "pit_ti_224": (
        {"img_size": 64, "depth": (1, 1, 2)},
        "transformers.2.blocks.1.norm1",
        "tokens",
        (2, 2),
        1,
    ),
}
TIMM_CLASS_TOKEN = [name for name, (_, layer, *_) in TIMM.items() if layer == "blocks.2.norm1"]

VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 64,
    "patch_size": 16,
}
SWIN = {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 2], "num_heads": [1, 2, 2], "window_size": 4}
TEXT = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "vocab_size": 9,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# class: configuration, layer, layout, grid, prefix
TRANSFORMERS: dict[str, tuple[dict[str, Any], str, str, tuple[int, int], int]] = {
    "ViTForImageClassification": (VIT, "vit.layers.2.layernorm_before", "tokens", (4, 4), 1),
    "DeiTForImageClassification": (VIT, "deit.layers.2.layernorm_before", "tokens", (4, 4), 2),
    "Dinov2ForImageClassification": (VIT, "dinov2.layernorm", "tokens", (4, 4), 1),
    "Dinov2WithRegistersForImageClassification": (
        VIT,
        "dinov2_with_registers.layernorm",
        "tokens",
        (4, 4),
        5,
    ),
    "BeitForImageClassification": (VIT, "beit.layers.2", "tokens", (4, 4), 1),
    "SwinForImageClassification": (SWIN, "swin.layernorm", "tokens", (4, 4), 0),
    "Swinv2ForImageClassification": (SWIN, "swinv2.layernorm", "tokens", (4, 4), 0),
    "CLIPForImageClassification": (
        {"vision_config": VIT, "text_config": TEXT},
        "vision_model.encoder.layers.2",
        "tokens",
        (4, 4),
        1,
    ),
    "CLIPVisionModelWithProjection": (
        VIT,
        "vision_model.encoder.layers.2.layer_norm1",
        "tokens",
        (4, 4),
        1,
    ),
    "SiglipForImageClassification": (
        {"vision_config": VIT, "text_config": TEXT},
        "vision_model.post_layernorm",
        "tokens",
        (4, 4),
        0,
    ),
    "ConvNextForImageClassification": (
        {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
        "convnext.encoder.stages.3",
        "channels_first",
        (2, 2),
        0,
    ),
    "ResNetForImageClassification": (
        {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
        "resnet.encoder.stages.3",
        "channels_first",
        (2, 2),
        0,
    ),
}


@cache
def _timm(name: str) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3, **TIMM[name][0]).eval()


@cache
def _transformers(name: str) -> nn.Module:
    torch.manual_seed(0)
    kind = getattr(transformers, name)
    return kind(kind.config_class(**TRANSFORMERS[name][0])).eval()


def _side(name: str) -> int:
    return int(TIMM[name][0].get("img_size", 64))


def _cut(model: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer returned and the gradient of the first output by it, with all that is before it cut off."""
    leaves: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: object, output: object) -> object:
        tensor = tensor_of(output)
        assert tensor is not None
        leaves.append(tensor.detach().requires_grad_())
        return with_tensor(output, leaves[-1].clone())

    with model.get_submodule(layer).register_forward_hook(cut):
        scores = tensor_of(model(images))
    assert scores is not None
    (gradient,) = torch.autograd.grad(scores[:, 0].sum(), leaves[-1])
    return leaves[-1], gradient


def _check(model: nn.Module, side: int, expected: tuple[Any, ...]) -> None:
    layer, layout, size, prefix = expected
    found = find_target_layer(model, torch.zeros(1, 3, side, side))
    assert (found.name, found.grid) == (layer, Grid(layout, size, prefix))
    output, gradient = _cut(model, layer, torch.randn(2, 3, side, side))
    places = found.grid.split(gradient)
    assert places.shape[-2:] == size
    assert places.flatten(2).abs().sum(1).min() > 0  # every place of every image decides
    assert torch.equal(found.grid.put(output, found.grid.split(output)), output)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    _check(_timm(name), _side(name), TIMM[name][1:])


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    _check(_transformers(name), 64, TRANSFORMERS[name][1:])


@pytest.mark.parametrize(
    ("make", "layer", "layout", "size", "prefix"),
    [
        (
            lambda: torchvision_models.VisionTransformer(64, 16, 3, 2, 24, 48, num_classes=3),
            "encoder.layers.encoder_layer_2.ln_1",
            "tokens",
            (4, 4),
            1,
        ),
        (
            lambda: torchvision_models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=3),
            "norm",
            "channels_last",
            (8, 8),
            0,
        ),
        (
            lambda: torchvision_models.MaxVit((64, 64), 8, 8, [8, 16], [1, 1], 8, 0.0, num_classes=3),
            "blocks.1",
            "channels_first",
            (8, 8),
            0,
        ),
        (
            lambda: mlp_mixer.MlpMixer(3, 64, patch_size=16, num_blocks=2, embed_dim=24),
            "norm",
            "tokens",
            (4, 4),
            0,
        ),
        (
            lambda: mlp_mixer.MlpMixer(
                3,
                64,
                patch_size=16,
                num_blocks=2,
                embed_dim=24,
                mlp_ratio=4,
                block_layer=mlp_mixer.ResBlock,
                norm_layer=mlp_mixer.Affine,
            ),
            "norm",
            "tokens",
            (4, 4),
            0,
        ),
    ],
    ids=["VisionTransformer", "SwinTransformer", "MaxVit", "MLP-Mixer", "ResMLP"],
)
def test_made_by_hand(
    make: Callable[[], nn.Module], layer: str, layout: Any, size: tuple[int, int], prefix: int
) -> None:
    torch.manual_seed(0)
    model = make().eval()
    example = torch.zeros(1, 3, 64, 64)
    found = find_target_layer(model, example)  # a head of zeros hides nothing
    assert (found.name, found.grid) == (layer, Grid(layout, size, prefix))


@pytest.mark.parametrize("name", TIMM_CLASS_TOKEN)
def test_what_follows_the_last_attention_over_the_patches_does_not_decide(name: str) -> None:
    model, example = _timm(name), torch.zeros(1, 3, _side(name), _side(name))
    found = find_target_layer(model, example)
    _, gradient = _cut(model, "blocks.2", torch.randn(1, 3, _side(name), _side(name)))
    assert gradient[:, : found.grid.prefix].any()
    assert not gradient[:, found.grid.prefix :].any()
    with pytest.raises(ModelError, match=r"places of 'blocks.2'.* whose places decide is 'blocks.2.norm1'"):
        target_layer(model, "blocks.2", example)


@pytest.mark.parametrize("size", [(96, 64), (64, 128)])
def test_a_grid_need_not_be_square(size: tuple[int, int]) -> None:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, **SMALL | {"img_size": size})
    found = find_target_layer(model, torch.zeros(1, 3, *size))
    assert (found.name, found.grid) == ("blocks.2.norm1", Grid("tokens", (size[0] // 16, size[1] // 16), 1))
    model = _transformers("SwinForImageClassification")
    found = find_target_layer(model, torch.zeros(1, 3, *size))
    assert found.grid == Grid("tokens", (size[0] // 16, size[1] // 16))


def test_attention_weights_are_no_grid_at_any_size() -> None:
    model = _timm("vit_tiny_patch16_224")
    example = torch.zeros(1, 3, 64, 64)
    for block in model.blocks:
        block.attn.fused_attn = False  # weights pass through a module now
    try:
        found = [layer.name for layer in candidate_layers(model, example)]
        assert "blocks.0.norm1" in found
        assert not any("drop" in name or "q_norm" in name for name in found)
        with pytest.raises(ModelError, match=r"attn_drop' returns \(1, 2, 17, 17\)"):
            target_layer(model, "blocks.0.attn.attn_drop", example)
    finally:
        for block in model.blocks:
            block.attn.fused_attn = True


def test_windows_are_no_grid() -> None:
    model, example = _timm("swin_tiny_patch4_window7_224"), torch.zeros(1, 3, 64, 64)
    found = [layer.name for layer in candidate_layers(model, example)]
    assert "layers.0.blocks.0.norm1" in found
    assert not any(name.startswith("layers.0.blocks.0.attn.") for name in found)
    with pytest.raises(ModelError, match=r"'layers.0.blocks.0.attn.proj' returns \(16, 16, 8\)"):
        target_layer(model, "layers.0.blocks.0.attn.proj", example)


def test_queries_and_keys_are_no_target() -> None:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, qk_norm=True, **SMALL)
    assert find_target_layer(model, torch.zeros(1, 3, 64, 64)).name == "blocks.2.norm1"


def test_tokens_that_fit_no_grid_are_refused() -> None:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, reg_tokens=50, **SMALL)
    example = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ModelError, match=r"goes on with 67 tokens \(at 'blocks.0.norm1'\).*of 64x64"):
        find_target_layer(model, example)
    with pytest.raises(ModelError, match=r"'blocks.1.norm1' returns \(1, 67, 24\)"):
        target_layer(model, "blocks.1.norm1", example)


def test_candidates_are_in_order_and_end_with_the_target() -> None:
    model, example = _timm("vit_tiny_patch16_224"), torch.zeros(1, 3, 64, 64)
    found = candidate_layers(model, example)
    names = [layer.name for layer in found]
    blocks = [f"blocks.{block}{part}" for block in range(3) for part in (".norm1", ".norm2", "")]
    trunk = [name for name in names if name in blocks]
    assert trunk == blocks[:-2]  # of the last block only the first norm
    assert "norm" not in names
    assert len(set(names)) == len(names)
    for layer in (found[1], found[-1]):
        assert layer == target_layer(model, layer.name, example)
    assert found[0].name == "patch_embed.proj"
    assert found[0].grid == Grid("channels_first", (4, 4))


def test_an_early_norm_of_a_tower_inside_another_model() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = _transformers("CLIPVisionModelWithProjection")

        def forward(self, images: Tensor) -> Tensor:
            return self.tower(pixel_values=images).image_embeds

    found = target_layer(Wrapped(), "tower.vision_model.encoder.layers.1", torch.zeros(1, 3, 64, 64))
    assert found.grid == Grid("tokens", (4, 4), 1)


def test_what_is_explained_decides_where() -> None:
    config = transformers.CLIPVisionConfig(**VIT)
    tower = transformers.CLIPVisionModel(config).eval()
    example = torch.zeros(1, 3, 64, 64)
    pooled = find_target_layer(tower, example, score=lambda output: output.pooler_output)  # type: ignore[attr-defined]
    tokens = find_target_layer(tower, example, score=lambda output: output.last_hidden_state)  # type: ignore[attr-defined]
    assert pooled.name.endswith("layers.2.layer_norm1")
    assert tokens.name.endswith("encoder.layers.2")


def test_context_goes_along() -> None:
    config = transformers.CLIPConfig(vision_config=VIT, text_config=TEXT)
    model = transformers.CLIPModel(config).eval()

    class Matching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = model

        def forward(self, images: Tensor, words: Tensor) -> Tensor:
            return self.clip(pixel_values=images, input_ids=words).logits_per_image

    context = {"words": torch.tensor([[1, 5, 2], [1, 6, 2]])}
    found = find_target_layer(Matching(), torch.zeros(2, 3, 64, 64), context=context)
    assert found.name.endswith("vision_model.encoder.layers.2.layer_norm1")
    assert found.grid == Grid("tokens", (4, 4), 1)


def test_an_exported_program_has_the_layers_it_was_made_of() -> None:
    model, example = _timm("vit_tiny_patch16_224"), torch.zeros(1, 3, 64, 64)
    program = torch.export.unflatten(torch.export.export(model, (example,)))
    assert find_target_layer(program, example).name == "blocks.2.norm1"
