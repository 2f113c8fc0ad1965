"""What others would have said of the same maps.

ShortKit-ML 0.1.0 (PyPI ``shortkit-ml``; it needs numpy below 2 and torch below 2.3, so it cannot be installed beside
camaudit) compares Grad-CAM maps with masks in ``GradCAMMaskOverlapDetector``: the share of the map inside the mask, the share
of the mask that the map covers at half of its maximum, and their IoU, each a mean over all images, 0 where the mask is empty.
It decides nothing (``shortcut_detected=None, risk_level="unknown"``). What it computes is computed here from the same
definitions; the decision it lacks is a threshold that its reader has to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from benchmarks.planted.composing import CLASSES, SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.planted.sets import Pairs
    from camaudit import Run

_HALF: Final = 0.5


def decisions(run: Run, found: Pairs) -> dict[str, float | None]:
    """ShortKit-ML's three means, and the plain means of mass and area over images predicted as the shortcut's class."""
    if not found.shortcut.region:
        return {}
    rows = []
    for sample in run.samples["sample"]:
        row = int(sample)
        mask = found.regions[found.shown[row], row]
        rows.append(overlap(_upsampled(run.attribution(sample).values), mask))
    attention, coverage, iou = (float(np.mean(values)) for values in zip(*rows, strict=True))
    return {"attention": attention, "coverage": coverage, "iou": iou, **_plain_means(run, found)}


def overlap(heat: NDArray[np.float64], mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Share of a map inside a mask, share of the mask that it covers, IoU; a map's maximum is 1."""
    hot = heat >= _HALF
    both, either = float((hot & mask).sum()), float((hot | mask).sum())
    inside = float(heat[mask].sum() / heat.sum()) if heat.sum() > 0 else 0.0
    return inside, both / float(mask.sum()) if mask.any() else 0.0, both / either if either else 0.0


def _upsampled(values: NDArray[np.float32]) -> NDArray[np.float64]:
    large = Image.fromarray(np.asarray(values, np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    heat = np.clip(np.asarray(large, np.float64), 0, None)
    return heat / heat.max() if heat.max() > 0 else heat


def _plain_means(run: Run, found: Pairs) -> dict[str, float | None]:
    table: Any = run.measurements
    chosen = table[
        (table["region"] == found.shortcut.region)
        & (table["method"] == run.manifest.methods[0])
        & (table["target"] == "predicted")
        & (table["target_class"] == CLASSES[found.task][1])
    ]
    means = chosen.groupby("metric")["value"].mean()
    return {
        name: float(means[name]) if name in means and np.isfinite(means[name]) else None
        for name in ("mass", "area")
    }
