"""Right or wrong, for the right or the wrong reason: the quadrants as the page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from camaudit.findings.quadrants import QUADRANTS, clearest
from camaudit.report import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.report.album import Album, Shot
    from camaudit.types import AuditedRun

TITLES: Mapping[str, tuple[str, str]] = {
    "right_right": ("Right, for the right reason", "The object carries the prediction."),
    "right_wrong": (
        "Right, for the wrong reason",
        "The attribute carries it: it would fail where the two part.",
    ),
    "wrong_right": ("Wrong, for the right reason", "The object was read, and read wrongly."),
    "wrong_wrong": ("Wrong, for the wrong reason", "The attribute misled it."),
}
"""Of each quadrant in the order of the page, what it means."""


class Quadrant(NamedTuple):
    """One quadrant; `share` is of the images that are in any."""

    name: str
    title: str
    meaning: str
    size: int
    share: str
    shots: tuple[Shot, ...]


class Reasons(NamedTuple):
    """The four quadrants, and the images that are in none."""

    quadrants: tuple[Quadrant, ...]
    known: int
    unknown: int


def reasons(run: AuditedRun, album: Album, max_samples: int) -> Reasons | None:
    """The quadrants with the pictures whose shifts differ most; None where no sample is in one."""
    table = run.quadrants
    known = table[table["quadrant"] != "unknown"]
    if known.empty:
        return None
    made = []
    for name in QUADRANTS:
        if name not in TITLES:
            continue
        size = int((known["quadrant"] == name).sum())
        title, meaning = TITLES[name]
        shots = tuple(album.shot(run, sample, None) for sample in clearest(known, name)[:max_samples])
        made.append(Quadrant(name, title, meaning, size, words.share(size / len(known)), shots))
    return Reasons(tuple(made), len(known), len(table) - len(known))
