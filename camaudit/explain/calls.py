"""The calls of torch's functions in a forward pass, wherever in the model they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from camaudit.errors import ExplainError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Call:
    """One call, and its arguments."""

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """One word for the function, the method, and the operator: relu of `torch.relu`, `Tensor.relu_`, `aten.relu.default`."""
        return str(getattr(self.function, "__name__", "")).split(".", maxsplit=1)[0].strip("_")

    @property
    def tensor(self) -> Tensor | None:
        """Its first argument, where that is a tensor."""
        first = self.args[0] if self.args else self.kwargs.get("input")
        return first if isinstance(first, Tensor) else None

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument given by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def run(self) -> Any:
        """Call it."""
        return self.function(*self.args, **self.kwargs)

    def on(self, tensor: Tensor) -> Any:
        """Call it with another first argument."""
        others = {name: value for name, value in self.kwargs.items() if name != "input"}
        return self.function(tensor, *self.args[1:], **others)


def check_can_be_heard(module: torch.nn.Module) -> None:
    """A model's calls can be listened to.

    Raises:
        ExplainError: it holds TorchScript, whose calls nobody hears.
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        msg = (
            f"{type(module).__name__} is TorchScript or holds it, and its rectifiers, biases and attention cannot be seen from "
            "outside, so guided backpropagation, the deconvnet, FullGrad, attention rollout and LeGrad would miss some. Use "
            "gradcam or gradient, or the model it was made from."
        )
        raise ExplainError(msg)


class Listener(TorchFunctionMode):
    """Entered around a forward pass; hears every call; see `check_can_be_heard`."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch asks in place of calling `func`."""
        del types
        return self.heard(Call(func, args, kwargs or {}))

    def heard(self, call: Call) -> Any:
        """What the call returns to the model."""
        return call.run()
