"""Half precision on a trained model: the same order of places as in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from statistics import median
from typing import TYPE_CHECKING

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from camaudit.demo.compose import ASSETS
from camaudit.demo.train import load_imagenet, pixels
from camaudit.explain import Explanation, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS = ("gradcam", "gradcampp", "hirescam", "layercam", "xgradcam", "eigencam")


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return load_imagenet()


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    scenes = sorted((ASSETS / "scenes").glob("*.jpg"))[:4]
    return torch.stack([pixels(scene) for scene in scenes])


@pytest.fixture(scope="module")
def exact(model: nn.Module, photographs: Tensor) -> Explanation:
    return explain(model, photographs, methods=METHODS)


@pytest.mark.parametrize(
    ("dtype", "autocast"), [(torch.float16, True), (torch.bfloat16, True), (torch.bfloat16, False)]
)
def test_half_precision_keeps_the_order_of_places(
    model: nn.Module, photographs: Tensor, exact: Explanation, dtype: torch.dtype, autocast: bool
) -> None:
    around: AbstractContextManager[object] = nullcontext()
    if autocast:
        around = torch.autocast("cpu", dtype=dtype)
    else:
        model, photographs = deepcopy(model).to(dtype), photographs.to(dtype)
    with around:
        found = explain(model, photographs, methods=METHODS, targets=exact.logits.argmax(1))
    assert found.layer == exact.layer
    for method in METHODS:
        assert found[method].dtype == torch.float32
        correlations = _rank_correlations(found[method], exact[method])
        assert median(correlations) > 0.99, method
        assert min(correlations) > 0.98, method  # 0.987 was seen: bfloat16, Eigen-CAM


def _rank_correlations(first: Tensor, second: Tensor) -> Sequence[float]:
    return [
        float(spearmanr(one.flatten(), other.flatten()).statistic)
        for one, other in zip(first, second, strict=True)
    ]
