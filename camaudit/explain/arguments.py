"""What `explain` may be given."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from camaudit.errors import ExplainError
from camaudit.explain.options import alike
from camaudit.models.undisturbed import uncompiled

if TYPE_CHECKING:
    from camaudit.explain.registry import Method


def check_arguments(
    model: object,
    inputs: object,
    *,
    methods: object,
    layer: object,
    fuse: object,
    context: object,
    memory: object,
) -> None:
    """Refuse what is of the wrong kind, or does not go together.

    Raises:
        ExplainError: something is.
    """
    inputs = _images(inputs)
    _check_words(methods, layer, fuse)
    _check_memory(memory)
    _check_context(_module(model, inputs), inputs, {} if context is None else context)


def _images(inputs: object) -> Tensor:
    if not isinstance(inputs, Tensor):
        got = type(inputs).__name__
    elif inputs.ndim == 4 and inputs.numel() and inputs.is_floating_point():
        return inputs
    else:
        got = f"{inputs.dtype} {tuple(inputs.shape)}"
    msg = (
        f"inputs is {got}; preprocessed images are floating-point numbers of shape (batch, channels, height, width), "
        "at least one."
    )
    raise ExplainError(msg)


def _check_words(methods: object, layer: object, fuse: object) -> None:
    """Words and lists of words that `explain` takes."""
    for name, value in (("methods", methods), ("layer", layer)):
        words = [value] if name == "layer" and isinstance(value, str) else value
        if (
            isinstance(words, Collection)
            and not isinstance(words, str)
            and words
            and all(map(_is_word, words))
        ):
            continue
        hint = f"; write [{value!r}]" if isinstance(value, str) and value else ""
        what = "a list of ids" if name == "methods" else "the name of a layer, or a list of names"
        msg = f"{name} is {_short(value)}; it must be {what}, at least one{hint}."
        raise ExplainError(msg)
    if fuse not in {None, "mean", "max"}:
        msg = f"fuse is {_short(fuse)}; it must be 'mean', 'max' or None."
        raise ExplainError(msg)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _short(value: object) -> str:
    if isinstance(value, (Sequence, int, float, type(None))):
        return repr(value)
    return f"of type {type(value).__name__}"


def _module(model: object, inputs: Tensor) -> nn.Module:
    if not isinstance(model, nn.Module):
        msg = f"The model is of type {type(model).__name__}; it must be a torch.nn.Module."
        raise ExplainError(msg)
    if inputs.is_meta or any(parameter.is_meta for parameter in model.parameters()):
        what = "The inputs have" if inputs.is_meta else "The model has"
        msg = f"{what} no values: tensors on the device meta are shapes alone. Load them first."
        raise ExplainError(msg)
    return model


def _check_memory(memory: object) -> None:
    if isinstance(memory, bool) or not isinstance(memory, Real) or not float(memory) >= 1:
        msg = f"memory is {_short(memory)}; it is a number of bytes, such as 2**30."
        raise ExplainError(msg)


def _check_context(model: nn.Module, inputs: Tensor, context: object) -> None:
    batch = len(inputs)
    if not isinstance(context, Mapping):
        msg = f"context is {_short(context)}; it must be a dict of the model's further arguments by name."
        raise ExplainError(msg)
    try:
        inspect.signature(uncompiled(model).forward).bind(inputs, **context)
    except TypeError as error:
        msg = (
            f"{type(model).__name__} cannot be called with the inputs and context={sorted(context)}: {error}."
        )
        raise ExplainError(msg) from None
    except ValueError:
        pass  # a forward without a signature
    for name, value in context.items():
        if not isinstance(value, Tensor) or not value.ndim or len(value) != batch:
            got = str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
            msg = f"context[{name!r}] is {got}; it must be a tensor (batch, ...) with one row an image: {batch}."
            raise ExplainError(msg)


def options_of(options: object, methods: Collection[Method]) -> dict[str, dict[str, Any]]:
    """What every method is given beyond its needs, by id.

    Raises:
        ExplainError: a method or an option is not there, or a value is of another kind than its default.
    """
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        msg = f"options is {_short(options)}; it must be a dict of dicts by method."
        raise ExplainError(msg)
    idle = set(options) - {method.id for method in methods}
    if idle:
        msg = f"options names {', '.join(sorted(idle))}, which is not among the methods: {', '.join(of.id for of in methods)}."
        raise ExplainError(msg)
    return {method.id: _options(method, options.get(method.id, {})) for method in methods}


def _options(method: Method, given: object) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        msg = f"The options of {method.id} are {_short(given)}; they must be a dict by name."
        raise ExplainError(msg)
    for name in given:
        if name not in method.options:
            close = difflib.get_close_matches(name, method.options, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"it has {', '.join(method.options) or 'none'}."
            )
            msg = f"{method.id} has no option {name!r}; {hint}"
            raise ExplainError(msg)
        alike(name, given[name], method.options[name])
    return dict(given)
