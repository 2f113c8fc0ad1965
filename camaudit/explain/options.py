"""What a method's options may be."""

from __future__ import annotations

import math
from numbers import Integral, Real

from camaudit.errors import ExplainError


def at_least(least: float, **options: float) -> None:
    """Refuse options, by name, that are below `least`.

    Raises:
        ExplainError: one is.
    """
    for name, value in options.items():
        if not value >= least:  # also not a number
            msg = f"{name} is {value}; it must be at least {least}."
            raise ExplainError(msg)


def alike(name: str, value: object, default: object) -> None:
    """Refuse a number that is not of its default's kind: a whole one of at most 64 bits, or a finite one.

    Raises:
        ExplainError: it is not.
    """
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        return
    if isinstance(default, int):
        fits = isinstance(value, Integral) and -(2**63) <= int(value) < 2**63
        kind = "whole number"
    else:
        fits, kind = isinstance(value, Real) and math.isfinite(value), "finite number"
    if isinstance(value, bool) or not fits:
        msg = f"{name} is {value!r}; it must be a {kind}, such as {default}."
        raise ExplainError(msg)
