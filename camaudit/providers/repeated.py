"""Which images have what repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from camaudit.providers.overlays import Frames, find_overlays
from camaudit.providers.registry import Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from camaudit.providers.overlays import Field
    from camaudit.providers.registry import Finder
    from camaudit.types import Sample


class _Options(Protocol):
    @property
    def least(self) -> float: ...


def repeated(asked: Mapping[str, _Options], samples: Sequence[Sample], field: Field) -> Finder:
    """Looks for overlays over all samples, then in one image after the other.

    The score of a region is how much the image's edges there go along with what its class shares.
    """
    (options,) = {of.least for of in asked.values()}
    frames = Frames.of(samples)
    overlays = find_overlays(samples, frames, field, least=options) if frames is not None else []

    def find(image: Image.Image) -> Mapping[str, Found]:
        size = (image.height, image.width)
        mask = np.zeros(size, dtype=bool)
        scores = []
        views = frames.views(image, field) if frames is not None and overlays else []
        for overlay in overlays:
            likeness = overlay.likeness(views[overlay.frame])
            if frames is not None and likeness >= overlay.least_likeness:
                mask |= frames.mask(overlay.frame, overlay.mask, size)
                scores.append(likeness)
        found = Found(mask, float(np.mean(scores)) if scores else float("nan"))
        return dict.fromkeys(asked, found)

    return find
