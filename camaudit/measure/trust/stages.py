"""The stages of any network, from the head down: what is re-initialised together.

A stage is a layer with a weight (a convolution, a linear layer, an attention) and the norms and scales that follow it, in
the order in which a forward pass comes by them. What a module around it holds itself, such as a transformer's class token,
goes with the first stage in it. Nothing is assumed about the architecture's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.models.undisturbed import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

Stage = tuple[str, ...]
"""Names of the modules that a stage's parameters belong to."""


def find_stages(module: nn.Module, inputs: Tensor) -> list[Stage]:
    """The stages of a network, the head first.

    A parameter that belongs to a module which is never called by itself (the position of a transformer's tokens, the
    weights inside an attention) counts where the nearest module around it is called first.

    Args:
        module: the network; it comes back as it was.
        inputs: one image or more, (batch, channels, height, width).

    Returns:
        The stages; empty where nothing has parameters.
    """
    order = _called(module, inputs)
    owners: list[tuple[int, str]] = []
    seen: set[int] = set()
    for name, part in module.named_modules():
        own = [of for of in part.parameters(recurse=False) if id(of) not in seen]
        seen.update(map(id, own))
        if own:
            owners.append((_place(name, order), name))
    stages: list[list[str]] = []
    for _, name in sorted(owners, key=lambda of: of[0]):
        weighs = any(of.ndim > 1 for of in module.get_submodule(name).parameters(recurse=False))
        if not stages or (weighs and not _all_around(name, [of for of in stages[-1] if of in order])):
            stages.append([])
        stages[-1].append(name)
    return [tuple(stage) for stage in reversed(stages)]


def _all_around(name: str, others: list[str]) -> bool:
    """Whether each of the others is a module that holds the one of this name."""
    return all(not other or name.startswith(f"{other}.") for other in others)


def _called(module: nn.Module, inputs: Tensor) -> dict[str, int]:
    """When each module is called first, by name."""
    order: dict[str, int] = {}

    def heard(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            order.setdefault(name, len(order))

        return hook

    handles = [part.register_forward_pre_hook(heard(name)) for name, part in module.named_modules()]
    try:
        with undisturbed(module), torch.no_grad():
            module(inputs.clone())
    finally:
        for handle in handles:
            handle.remove()
    return order


def _place(name: str, order: dict[str, int]) -> int:
    """When a module, or else the nearest one around it, is called; the network itself is called first."""
    while name and name not in order:
        name = name.rpartition(".")[0]
    return order.get(name, 0)
