"""A model that is looked at and comes back as it was."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch.fx import Graph

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn
    from torch.fx import Node


class evaluating:  # noqa: N801 - a context manager reads as a verb
    """The model in evaluation mode; every part gets its own mode back."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._modes = [(part, part.training) for part in self._module.modules()]
        if not any(training for _, training in self._modes):
            return  # small batches pass in the time that it takes to tell every part
        try:
            self._module.eval()
        except NotImplementedError:  # torch.export's modules have their mode built in
            for part, _ in self._modes:
                part.training = False

    def __exit__(self, *_: object) -> None:
        for part, training in self._modes:
            if part.training != training:
                part.training = training


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, frozen, uncompiled; every part gets its own state back, also after an exception.

    Frozen parameters take no part in a graph: without an input that asks for a gradient a forward pass makes none.
    A compiled model runs as the code it was compiled from, because hooks are not called inside of what was compiled.

    Raises:
        ModelError: it is a program that was recorded in training mode.
    """
    parts = list(model.modules())
    if any(_trains(node) for part in parts for node in _recorded(part)):
        msg = (
            f"{type(model).__name__} was recorded in training mode, so that dropout or batch norm differ from one run to the "
            "next, and it cannot be brought out of it. Record it again after model.eval()."
        )
        raise ModelError(msg)
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        thawed = [part for part in model.parameters() if part.requires_grad and part.is_leaf]
        stack.callback(_require_grad, thawed)
        for part in thawed:
            part.requires_grad_(False)
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        if any(_is_compiled(part) for part in parts):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def uncompiled(model: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given; the model itself where it was not compiled."""
    original: nn.Module = getattr(model, "_orig_mod", model)
    return original


def _recorded(part: nn.Module) -> tuple[Node, ...]:
    if isinstance(part, torch.jit.ScriptModule):  # its graph is another thing, and may not be there
        return ()
    graph = getattr(part, "graph", None)
    return tuple(graph.nodes) if isinstance(graph, Graph) else ()


def _trains(node: Node) -> bool:
    """Whether a recorded call is told that the model is being trained."""
    given = dict(node.kwargs)
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        given |= {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)}
    return given.get("train") is True or given.get("training") is True


def _is_compiled(part: nn.Module) -> bool:
    return hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None


def _require_grad(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.requires_grad_()
