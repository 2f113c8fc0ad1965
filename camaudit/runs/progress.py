"""What a stage tells whoever waits for it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives how far each stage is."""

    def update(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` samples (or steps) of a stage are finished."""
        ...

    def note(self, text: str) -> None:
        """A sentence for the person who waits."""
        ...


class Silent:
    """Tells nobody."""

    def update(self, stage: str, done: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
