"""What the engine would hand over, the plain way: autograd through the whole network, everything for every image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tests.explain.literal_network import biases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Needs:
    """Needs of a sequence at one of its layers, for classes; ask with `of`."""

    def __init__(self, model: nn.Sequential, layer: int, inputs: Tensor, targets: Sequence[int]) -> None:
        self.model, self.layer, self.inputs, self.targets = model, layer, inputs, list(targets)

    def of(self, *needs: str) -> dict[str, Any]:
        """Some needs by name."""
        return {need: getattr(self, need)() if need != "inputs" else self.inputs for need in needs}

    def _outputs(self) -> list[Tensor]:
        with torch.enable_grad():
            outputs = [self.inputs.clone().requires_grad_()]
            for part in self.model:
                outputs.append(part(outputs[-1].clone()))
        return outputs

    def _by(self, outputs: list[Tensor], index: int) -> Tensor:
        return torch.stack(
            [
                torch.autograd.grad(outputs[-1][:, target].sum(), outputs[index], retain_graph=True)[0]
                for target in self.targets
            ],
            dim=1,
        )

    def score(self) -> Tensor:
        return self._outputs()[-1][:, self.targets].detach()

    def activation(self) -> Tensor:
        return self._outputs()[self.layer + 1].detach()

    def gradient(self) -> Tensor:
        return self._by(self._outputs(), self.layer + 1)

    def head_gradient(self) -> Tensor:
        return self.gradient().sum((-2, -1))

    def input_gradient(self) -> Tensor:
        return self._by(self._outputs(), 0)

    def rival_gradient(self) -> Tensor:
        scores = self._outputs()[-1].detach()
        every = Needs(self.model, self.layer, self.inputs, range(scores.shape[1])).gradient()
        rivals = []
        for row, of_image in zip(scores, every, strict=True):
            for target in self.targets:
                others = sorted(
                    set(range(len(row))) - {target}, key=lambda c: abs(float(row[c] - row[target]))
                )
                rivals.append(of_image[others[:3]].mean(0))
        return torch.stack(rivals).reshape(len(scores), len(self.targets), *every.shape[2:])

    def rerun(self) -> Callable[..., dict[str, Any]]:
        return lambda inputs, *needs: Needs(self.model, self.layer, inputs, self.targets).of(*needs)

    def masked_scores(self) -> Callable[[int, Callable[[int, int], Tensor]], Tensor]:
        def scores(count: int, masks: Callable[[int, int], Tensor], *, at_once: int = 3) -> Tensor:
            found = []
            for start in range(0, count, at_once):
                of_part = masks(start, min(start + at_once, count))
                masked = self.inputs[:, None] * of_part[:, :, None]
                with torch.no_grad():
                    found.append(
                        self.model(masked.flatten(0, 1)).unflatten(0, masked.shape[:2])[..., self.targets]
                    )
            return torch.cat(found, dim=1)

        return scores

    def ablated_scores(self) -> Callable[[], Tensor]:
        def scores() -> Tensor:
            activation = self.activation()
            found = []
            for k in range(activation.shape[1]):
                without = activation.clone()
                without[:, k] = 0
                with torch.no_grad():
                    found.append(self.model[self.layer + 1 :](without)[:, self.targets])
            return torch.stack(found, dim=1)

        return scores

    def full_gradients(self) -> Callable[[Callable[[Tensor], Tensor]], list[Tensor]]:
        def layers(reduce: Callable[[Tensor], Tensor]) -> list[Tensor]:
            outputs = self._outputs()
            of_input = self._by(outputs, 0) * outputs[0].detach()[:, None]
            found = [torch.stack([reduce(product) for product in of_input.unbind(1)], dim=1)]
            for index, part in enumerate(self.model, start=1):
                bias = biases(part)
                if bias is not None and outputs[index].ndim == 4:
                    products = self._by(outputs, index) * bias[:, None, None]
                    found.append(torch.stack([reduce(product) for product in products.unbind(1)], dim=1))
            return found

        return layers
