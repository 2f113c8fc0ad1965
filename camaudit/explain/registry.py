"""The methods there are. A file in `camaudit.explain.methods` that decorates a function adds one."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from camaudit.errors import ExplainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

Need = Literal["activation", "gradient", "head_gradient"]
"""What the engine can hand to a method.

``activation``: output of the target layer, (batch, channels, h, w).
``gradient``: derivative of each target by the activation, (batch, targets, channels, h, w).
``head_gradient``: derivative of each target by the input of the linear layer that follows global average pooling,
(batch, targets, channels): for a class the row of that layer's weight. Only where the head is pooling and linear.
"""


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        id: the word used in configurations, file names and tables.
        function: takes each of its needs by name, returns raw maps (batch, targets, h, w).
        needs: what the engine computes for it.
        class_discriminative: whether its maps depend on the class they are asked for.
        source: the paper.
        summary: first line of the function's docstring.
    """

    id: str
    function: Callable[..., Tensor]
    needs: frozenset[Need]
    class_discriminative: bool
    source: str
    summary: str


_registered: dict[str, Method] = {}


def method(
    id: str,  # noqa: A002 - the word the design uses
    *,
    needs: Iterable[Need],
    class_discriminative: bool,
    source: str,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register the decorated function as the method `id`."""

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        summary = (function.__doc__ or "").strip().split("\n", 1)[0]
        _registered[id] = Method(id, function, frozenset(needs), class_discriminative, source, summary)
        return function

    return register


def all_methods() -> Mapping[str, Method]:
    """Every method by its id."""
    _import_all()
    return dict(sorted(_registered.items()))


def get_method(id: str) -> Method:  # noqa: A002
    """The method of that id.

    Raises:
        ExplainError: there is none.
    """
    known = all_methods()
    if id not in known:
        close = difflib.get_close_matches(id, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the methods are {', '.join(known)}."
        msg = f"There is no attribution method {id!r}; {hint}"
        raise ExplainError(msg)
    return known[id]


@cache
def _import_all() -> None:
    from camaudit.explain import methods as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
