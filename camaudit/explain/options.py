"""What a method's options may be."""

from __future__ import annotations

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
