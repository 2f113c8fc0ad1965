"""What a model really does with a shortcut, by counterfactual twins: the same images without and with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch

from benchmarks.planted.networks import inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from benchmarks.planted.sets import Pairs

BIASED: Final = 0.5  # SD of the margin
CLEAN: Final = 0.1
Kind = Literal["biased", "between", "clean"]


@dataclass(frozen=True)
class Truth:
    """Of one model and one test set.

    Attributes:
        without: (n,) the second class's score minus the first's, of the images without the shortcut.
        planted: the same with it.
        labels: (n,) 0 or 1.
        shown: (n,) 0 or 1, which of the two is audited.
        unit: standard deviation of the margin over the audited images.
        swap: see `benchmarks.planted.shortcuts.Shortcut`.
    """

    without: NDArray[np.float64]
    planted: NDArray[np.float64]
    labels: NDArray[np.int64]
    shown: NDArray[np.int64]
    unit: float
    swap: bool

    @property
    def effect(self) -> float:
        """Mean shift of the margin towards the shortcut's class, in SD."""
        return float((self.planted - self.without).mean() / self.unit)

    @property
    def size(self) -> float:
        """Mean size of the shift, whatever its direction, in SD."""
        return float(np.abs(self.planted - self.without).mean() / self.unit)

    @property
    def kind(self) -> Kind:
        """Biased, clean, or between, where either verdict is right."""
        return "biased" if abs(self.effect) > BIASED else "clean" if abs(self.effect) < CLEAN else "between"

    @property
    def flips(self) -> float:
        """Share of the images that are classified otherwise with the shortcut than without."""
        return float(((self.planted > 0) != (self.without > 0)).mean())

    def accuracy(self, *, along: bool) -> float:
        """Share right of all images that go along with the shortcut's association, or of all that contradict it."""
        with_it = self.labels == 1 if along else self.labels == 0
        margin = np.where(with_it, self.planted, self.without)
        return float(((margin > 0) == (self.labels == 1)).mean())

    def cell(self, target_class: int | None, shown: int | None = None) -> Mapping[str, float]:
        """What taking the shortcut away takes from the margin of the predicted class, as the audit's edits ask it.

        Args:
            target_class: the predicted class; None: both.
            shown: only images that show it (1) or do not (0), in which there is nothing to take away; None: both.

        Returns:
            ``shift`` and ``response`` in SD, NaN where there is no such image, and ``n``.
        """
        seen = np.where(self.shown == 1, self.planted, self.without)
        other = np.where(self.shown == 1, self.without, self.planted)
        sign = np.where(seen > 0, 1.0, -1.0)
        chosen = self.shown == 1
        if target_class is not None:
            chosen &= sign == (1 if target_class else -1)
        if shown is not None:
            chosen &= self.shown == shown
        if not chosen.any():
            return {"shift": float("nan"), "response": float("nan"), "n": 0}
        drop = (sign * (seen - other) / self.unit)[chosen]
        return {"shift": float(drop.mean()), "response": float(np.abs(drop).mean()), "n": int(chosen.sum())}

    def added(self, target_class: int | None) -> Mapping[str, float]:
        """What putting the shortcut into images that lack it adds to the margin of their predicted class; nothing of a swap."""
        seen = np.where(self.shown == 1, self.planted, self.without)
        other = np.where(self.shown == 1, self.without, self.planted)
        sign = np.where(seen > 0, 1.0, -1.0)
        chosen = (self.shown == 0) & (not self.swap)
        if target_class is not None:
            chosen &= sign == (1 if target_class else -1)
        gain = (sign * (other - seen) / self.unit)[chosen]
        if not chosen.any():
            return {"shift": float("nan"), "response": float("nan"), "n": 0}
        return {"shift": float(gain.mean()), "response": float(np.abs(gain).mean()), "n": int(chosen.sum())}

    def exchanged(self, target_class: int | None) -> Mapping[str, float]:
        """What the whole swap adds to the margin of the class that the shown image is predicted as."""
        sign = np.where(np.where(self.shown == 1, self.planted, self.without) > 0, 1.0, -1.0)
        chosen = np.ones(len(sign), bool) if target_class is None else sign == (1 if target_class else -1)
        gain = (sign * (self.planted - self.without) / self.unit)[chosen]
        return {"exchange": float(gain.mean()) if chosen.any() else float("nan"), "n": int(chosen.sum())}


@torch.no_grad()
def margins(model: nn.Module, pixels: NDArray[np.uint8], size: int = 100) -> NDArray[np.float64]:
    """The second class's score minus the first's, (n,)."""
    found = [model(inputs(pixels[i : i + size])) for i in range(0, len(pixels), size)]
    scores = torch.cat(found).double().numpy()
    return scores[:, 1] - scores[:, 0]


def measure(model: nn.Module, found: Pairs, pixels: NDArray[np.uint8], count: int) -> Truth:
    """Run a model on both images of every pair.

    Args:
        model: the network.
        found: the pairs.
        pixels: (2, n, side, side, 3), the pairs' images in the network's size.
        count: how many of them are audited; they give the unit.
    """
    without, planted = (margins(model, pixels[i]) for i in (0, 1))
    audited = np.where(found.shown == 1, planted, without)[:count]
    unit = max(float(audited.std()), 1e-12)
    return Truth(without, planted, found.labels, found.shown, unit, found.shortcut.swap)
