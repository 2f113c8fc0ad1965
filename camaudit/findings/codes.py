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
BACKGROUND_USED = Code("CAM104", "Does the score follow the background, when the object is put on others?")
ATTRIBUTE_TRANSPLANTED = Code("CAM105", "Does an attribute move the score of images that it is put into?")
MAPS_TRUSTED = Code("CAM201", "Can a method's maps be believed, on this model and these images?")

GLOBAL_LOOK = Code(
    "CAM301", "Does the score go with the look of the whole image, such as blur, colour or compression?"
)
GROUP_UNSEEN = Code("CAM302", "Does the score go with a group, where no annotated attribute is used?")
MATCHED_GROUPS = Code(
    "CAM303", "Does the score go with a group, where no attribute is annotated, in pairs that are alike?"
)
WORST_GROUP = Code("CAM401", "Is a group classified worse than another?")
CONFLICTING = Code("CAM402", "Do bias-conflicting images fare worse than bias-aligned ones?")
REVERSAL = Code("CAM403", "Is a group better off over all labels and worse off within them, or the reverse?")
ASSOCIATION = Code("CAM404", "Does a group go with the label, and is what that predicts also seen?")

_ALL = (
    *(
        ATTRIBUTE_ATTENDED,
        ATTRIBUTE_HIDDEN,
        OBJECT_MISSED,
        BACKGROUND_USED,
        ATTRIBUTE_TRANSPLANTED,
        MAPS_TRUSTED,
    ),
    *(GLOBAL_LOOK, GROUP_UNSEEN, MATCHED_GROUPS),
    *(WORST_GROUP, CONFLICTING, REVERSAL, ASSOCIATION),
)
CODES = {code.id: code for code in _ALL}
