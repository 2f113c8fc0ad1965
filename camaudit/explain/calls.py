"""The calls of torch's functions in a forward pass, wherever in the model they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

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


class Listener(TorchFunctionMode):
    """Entered around a forward pass; hears every call, other than those inside of code that was compiled."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch asks in place of calling `func`."""
        del types
        return self.heard(Call(func, args, kwargs or {}))

    def heard(self, call: Call) -> Any:
        """What the call returns to the model."""
        return call.run()
