"""The codes of findings. A code never changes its meaning; `docs/findings.md` explains each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A kind of finding.

    Attributes:
        id: such as ``CAM101``.
        question: what is asked of the model.
    """

    id: str
    question: str


ATTRIBUTE_ATTENDED = Code(
    "CAM101", "Does the evidence lie on an attribute, and does the score follow when it is edited?"
)
ATTRIBUTE_HIDDEN = Code("CAM102", "Does the score follow an attribute that the maps do not show?")
OBJECT_MISSED = Code(
    "CAM103", "Does the evidence lie on the object, and does the score follow when it is edited?"
)
MAPS_TRUSTED = Code("CAM201", "Can a method's maps be believed, on this model and these images?")

CODES = {code.id: code for code in (ATTRIBUTE_ATTENDED, ATTRIBUTE_HIDDEN, OBJECT_MISSED, MAPS_TRUSTED)}
