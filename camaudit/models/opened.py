"""What a source gives: a network, how its input is made, and what can be asked of it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from camaudit.config import PreprocessingConfig

Gives = Literal["forward", "gradient", "hooks"]
"""What a model lets itself be asked.

``forward``: its scores. ``gradient``: the derivative of a score by the input. ``hooks``: what its layers return, which every
method on a layer's grid needs.
"""

EVERYTHING: frozenset[Gives] = frozenset(("forward", "gradient", "hooks"))


@dataclass(frozen=True)
class Opened:
    """A network as its source gives it, not yet checked.

    Attributes:
        module: the network.
        classes: names of its outputs, in order.
        recipe: the preprocessing that its weights were trained with; None where the source does not know it.
        recipe_of: whose recipe that is, for people; why there is none, where there is none.
        notes: what was understood of its weights, one phrase each.
        gives: what can be asked of it.
    """

    module: nn.Module
    classes: tuple[str, ...]
    recipe: PreprocessingConfig | None
    recipe_of: str
    notes: tuple[str, ...] = ()
    gives: frozenset[Gives] = EVERYTHING


def check_name(name: str, known: Iterable[str], what: str = "model") -> None:
    """A name is among those that a library knows (ModelError with what is close to it)."""
    names = list(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "See the library's list of models."
        msg = f"There is no {what} {name!r}. {hint}"
        raise ModelError(msg)
