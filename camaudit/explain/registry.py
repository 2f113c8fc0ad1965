"""The methods there are. A file in `camaudit.explain.methods` that decorates a function adds one."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from camaudit.errors import ExplainError
from camaudit.explain.smooth import smoothed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

Need = Literal[
    "ablated_scores",
    "activation",
    "attention",
    "attention_gradient",
    "deconv_gradient",
    "full_gradients",
    "gradient",
    "guided_gradient",
    "head_gradient",
    "input_gradient",
    "inputs",
    "masked_scores",
    "rerun",
    "rival_gradient",
    "score",
    "tokens",
]
"""What the engine can hand to a method.

Of the target layer:

``activation``: its output as a grid, (batch, channels, h, w).
``gradient``: derivative of each target by the activation, (batch, targets, channels, h, w).
``head_gradient``: derivative of each target by the globally average-pooled activation, (batch, targets, channels): for a
class the row of the linear layer. Only where the head is pooling and one linear layer.
``rival_gradient``: as ``gradient``, of the target minus the classes that are most like it.
``ablated_scores``: a function without arguments; the targets' values when one channel of the activation is zero,
(batch, channels, targets). Runs the head alone.

Of the input:

``inputs``: (batch, channels, height, width).
``input_gradient``: derivative of each target by the inputs, (batch, targets, channels, height, width).
``guided_gradient``, ``deconv_gradient``: the same under the rectifiers' rule of guided backpropagation, of the deconvnet.
``full_gradients``: a function that takes another, ``reduce``: that gets the inputs times their derivative, and of each layer
with a bias whose output lies on a grid that bias times the derivative by the output, signed, (batch, channels, h, w), and
returns (batch, h, w). A list, the input first, then layer by layer, of what it returns, (batch, targets, h, w). One backward
pass a target.
``masked_scores``: a function ``(count, masks)``; the targets' values of inputs times masks, (batch, count, targets), where
``masks(start, stop)`` gives (batch or 1, stop - start, height, width). Runs in batches that fit the memory budget.

Of a transformer:

``attention``: of every block, softmax weights (batch, heads, tokens, tokens).
``attention_gradient``: of every block, (batch, targets, heads, tokens, tokens), of that block's own score: the targets'
values where every token after the last block is the mean of the tokens after this one. Made when it is looked at.
``tokens``: a `camaudit.models.grids.Grid`: where the image's tokens lie.

Of any:

``score``: the targets' values, (batch, targets).
``rerun``: a function ``(inputs, *needs)``; those needs of the same network and targets at other inputs of the same shape.
"""

OF_LAYER: frozenset[Need] = frozenset(
    {"ablated_scores", "activation", "gradient", "head_gradient", "rival_gradient"}
)
"""The needs that are of a target layer."""

MANY_PASSES: frozenset[Need] = frozenset({"ablated_scores", "masked_scores", "rerun"})
"""The needs that run the model, or its head, again."""

Randomisation = Literal["passes", "fails", "open"]


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        id: the word used in configurations, file names and tables.
        function: takes each of its needs by name, returns raw maps (batch, targets, h, w).
        needs: what the engine computes for it.
        class_discriminative: whether its maps are shown to tell classes apart: by their rank correlation with the maps of
            another class (docs/randomisation.md), or where that does not decide, by the method's authors.
        source: the paper.
        summary: first line of the function's docstring.
        cost: in forward passes of the batch.
        grid: the maps lie on the target ``layer``'s grid or on the ``input``'s.
        randomisation: whether the maps change when the weights are randomised (Adebayo et al. 2018): ``passes``,
            ``fails``, or ``open`` where what was measured does not decide (docs/randomisation.md).
        options: further keyword arguments and their defaults.
        at_layer: whether it needs a target layer.
    """

    id: str
    function: Callable[..., Tensor]
    needs: frozenset[Need]
    class_discriminative: bool
    source: str
    summary: str
    cost: str = "1"
    grid: Literal["layer", "input"] = "layer"
    randomisation: Randomisation = "open"
    options: Mapping[str, Any] = field(default_factory=dict)
    at_layer: bool = True


SMOOTH = "smooth:"
"""Before a method's id: the mean of its raw maps over noisy copies of the image."""

_registered: dict[str, Method] = {}


def method(
    id: str,  # noqa: A002 - the word the design uses
    *,
    needs: Iterable[Need],
    class_discriminative: bool,
    source: str,
    cost: str = "1",
    grid: Literal["layer", "input"] = "layer",
    randomisation: Randomisation = "open",
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register the decorated function as the method `id`; arguments as the attributes of `Method`.

    Arguments of the function that are no needs must have defaults: they are the method's options.
    """

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        arguments = inspect.signature(function).parameters
        options = {name: of.default for name, of in arguments.items() if of.default is not of.empty}
        _registered[id] = Method(
            id=id,
            function=function,
            needs=frozenset(needs),
            class_discriminative=class_discriminative,
            source=source,
            summary=(function.__doc__ or "").strip().split("\n", 1)[0],
            cost=cost,
            grid=grid,
            randomisation=randomisation,
            options=options,
            at_layer=not OF_LAYER.isdisjoint(needs),
        )
        return function

    return register


def all_methods() -> Mapping[str, Method]:
    """Every method by its id."""
    _import_all()
    return dict(sorted(_registered.items()))


def get_method(id: str) -> Method:  # noqa: A002
    """The method of that id; ``smooth:METHOD`` is the mean of a method's raw maps over noisy copies of the image.

    Raises:
        ExplainError: there is none.
    """
    known = all_methods()
    if id.startswith(SMOOTH):
        return _smooth(get_method(id.removeprefix(SMOOTH)))
    if id not in known:
        close = difflib.get_close_matches(id, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the methods are {', '.join(known)}."
        msg = f"There is no attribution method {id!r}; {hint}"
        raise ExplainError(msg)
    return known[id]


def _smooth(of: Method) -> Method:
    if of.id.startswith(SMOOTH) or "rerun" in of.needs:
        msg = f"{of.id} already runs over copies of the image; smooth: does not go over it."
        raise ExplainError(msg)
    function = smoothed(of.function, of.needs, of.options)
    options = {"samples": 25, "sigma": 0.1, "seed": 0}
    return replace(
        of,
        id=SMOOTH + of.id,
        function=function,
        needs=frozenset({"inputs", "rerun"}),
        summary=f"Mean of the raw maps of {of.id} over noisy copies of the image.",
        source="arXiv:1706.03825",
        cost=str(options["samples"]) if of.cost == "1" else f"{options['samples']} × ({of.cost})",
        randomisation="open",
        options={**of.options, **options},
    )


@cache
def _import_all() -> None:
    from camaudit.explain import methods as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
