"""Regions made of others by name: ``not (bird or water)``, ``face and not hair``.

Words are region names but for ``and``, ``or``, ``not``; a name with spaces, quotes or parentheses, or one of the three
words, stands in quotes. ``not`` binds before ``and``, ``and`` before ``or``. An expression may use the derived regions
above it. In an image where a region that it names is not annotated, it is not annotated either.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from camaudit.errors import ConfigError
from camaudit.types import Combined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from camaudit.types import Shape

_TOKEN = re.compile(r"""\s*(?:(?P<sign>[()])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s()"']+))""")
_DEEPEST = 50


@dataclass(frozen=True)
class Expression:
    """What a derived region is: the region `name`, or an operator over its parts."""

    operator: Literal["name", "and", "or", "not"]
    parts: tuple[Expression, ...] = ()
    name: str = ""

    def names(self) -> Iterator[str]:
        """The regions it is made of, in order, repeated as they are."""
        if self.operator == "name":
            yield self.name
        for part in self.parts:
            yield from part.names()

    def shape(self, shapes: Mapping[str, Shape]) -> Shape | None:
        """Its shape in an image with these regions; None where one that it names is not annotated."""
        if self.operator == "name":
            return shapes.get(self.name)
        parts = [part.shape(shapes) for part in self.parts]
        known = tuple(part for part in parts if part is not None)
        return Combined(self.operator, known) if len(known) == len(parts) else None


def derived_regions(derive: Mapping[str, str], regions: Sequence[str]) -> dict[str, Expression]:
    """The expressions of `data.derive`.

    Args:
        derive: region name to expression, as the configuration has it.
        regions: the regions that the data has.

    Raises:
        ConfigError: an expression cannot be parsed, names a region that is not there, or has the name of one that is.
    """
    known = list(regions)
    found: dict[str, Expression] = {}
    for name, text in derive.items():
        if name in known:
            msg = f"data.derive.{name}: the data has a region {name!r} already; give the derived one another name."
            raise ConfigError(msg)
        expression = parse_expression(text, where=f"data.derive.{name}")
        for used in expression.names():
            if used not in known:
                close = difflib.get_close_matches(used, known, n=3)
                hint = f"did you mean {' or '.join(map(repr, close))}?" if close else _all(known)
                msg = f"data.derive.{name}: {used!r} is no region; {hint}"
                raise ConfigError(msg)
        found[name] = expression
        known.append(name)
    return found


def parse_expression(text: str, *, where: str) -> Expression:
    """An expression from its text.

    Raises:
        ConfigError: naming the place in the text where it cannot go on.
    """
    return _Parser(text, where).whole()


def _all(known: Sequence[str]) -> str:
    return f"the regions are {', '.join(known)}." if known else "the data has no regions."


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._tokens: list[tuple[str, bool, int]] = []  # text, whether it is a name for sure, place
        self._at = 0
        self._depth = 0
        place = 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._error(place, "a quote is not closed")
            kind = match.lastgroup or "word"
            self._tokens.append((match[kind], kind in {"double", "single"}, match.start(kind)))
            place = match.end()

    def whole(self) -> Expression:
        found = self._or()
        if self._at < len(self._tokens):
            raise self._error(self._place(), "'and' or 'or' is missing; put names with spaces in quotes")
        return found

    def _or(self) -> Expression:
        return self._chain("or", self._and)

    def _and(self) -> Expression:
        return self._chain("and", self._not)

    def _chain(self, operator: Literal["and", "or"], part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._take(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Expression(operator, tuple(parts))

    def _not(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(self._place(), f"it is nested more than {_DEEPEST} deep")
        if self._take("not"):
            found = Expression("not", (self._not(),))
        elif self._take("("):
            found = self._or()
            if not self._take(")"):
                raise self._error(self._place(), "a parenthesis is not closed")
        else:
            found = self._name()
        self._depth -= 1
        return found

    def _name(self) -> Expression:
        if self._at == len(self._tokens):
            raise self._error(self._place(), "a region's name is missing")
        text, quoted, place = self._tokens[self._at]
        if not quoted and text in {"and", "or", "not", "(", ")"}:
            raise self._error(place, f"a region's name is missing before {text!r}")
        self._at += 1
        return Expression("name", name=text)

    def _take(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][:2] == (word, False):
            self._at += 1
            return True
        return False

    def _place(self) -> int:
        return self._tokens[self._at][2] if self._at < len(self._tokens) else len(self._text)

    def _error(self, place: int, problem: str) -> ConfigError:
        shown = self._text if len(self._text) < 200 else f"{self._text[:200]}..."
        return ConfigError(f"{self._where}: {problem} at character {place + 1} of {shown!r}.")
