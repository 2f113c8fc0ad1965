"""Reads a page back: its elements in order, and its text as an indented outline."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})
SHAPES = frozenset({"line", "circle", "rect", "path", "g", "text", "defs"})
SHOWN = (
    "class",
    "id",
    "href",
    "role",
    "aria-label",
    "aria-labelledby",
    "scope",
    "data-name",
    "tabindex",
    "open",
)


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    depth: int
    text: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Elements in document order; an SVG's self-closed shapes count like any other."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.lines: list[str] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {[element.tag for element in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs}, len(self.open))
        self.elements.append(element)
        if tag not in SHAPES:
            self.lines.append("  " * element.depth + _shown(element))
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if self.open:
            self.open[-1].text.append(data)
        if words and not (self.open and self.open[-1].tag == "style"):
            self.lines.append("  " * len(self.open) + words)
            self.said.append(words)

    def find(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]


def _shown(element: Element) -> str:
    parts = [element.tag]
    parts += [f'{key}="{element.attributes[key]}"' for key in SHOWN if key in element.attributes]
    return f"<{' '.join(parts)}>"
