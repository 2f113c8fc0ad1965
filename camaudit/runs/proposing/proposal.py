"""What a folder is taken for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Proposal:
    """The section `data` of a configuration, guessed.

    Attributes:
        what: what was recognised, and by which file, as a phrase.
        data: the keys of the section; paths absolute or relative to the working directory.
        unsure: for a key, dotted below the section, what somebody should look at.
    """

    what: str
    data: Mapping[str, Any]
    unsure: Mapping[str, str] = field(default_factory=dict)
