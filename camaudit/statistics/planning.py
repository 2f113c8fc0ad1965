"""How much could have been seen with so many samples, and how many it takes to see so much."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtrit

if TYPE_CHECKING:
    from camaudit.types import Effect


def smallest_effect(n: int, deviation: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """The smallest mean that a two-sided test against zero finds with the wanted power (Student's, by its non-central t).

    Args:
        n: number of independent units.
        deviation: their standard deviation.
        power: probability that the mean is found.
        level: of the test.

    Returns:
        In the unit of `deviation`; NaN for fewer than two units or an unknown deviation.
    """
    if n < 2 or not deviation >= 0 or math.isinf(deviation):
        return math.nan
    freedom = n - 1
    critical = float(stdtrit(freedom, 1 - level / 2))
    # beyond the sum of both quantiles, except for the few units whose t has long tails
    most = 2 * (critical + float(stdtrit(freedom, power))) + 10

    def missed(ratio: float) -> float:
        # NaN where the other tail is too thin for a number
        tail = np.nan_to_num(nctdtr(freedom, ratio, -critical))
        return float(nctdtr(freedom, ratio, critical) - tail) - (1 - power)

    return float(brentq(missed, 0, most)) * deviation / math.sqrt(n)


def needed(effect: Effect, threshold: float) -> int | None:
    """How many images like these would decide whether the mean lies beyond a threshold, up or down, or within one.

    That many make an interval around the same estimate so short that it lies wholly on one side: its width falls with the
    root of the number. A guess, as the estimate may move.

    Args:
        effect: with its interval.
        threshold: in the effect's unit, 0 for its sign.

    Returns:
        The number of images, at least `effect.n`; None where there is no interval, or where the estimate lies so near to the
        threshold that a billion would not do.
    """
    size = abs(effect.estimate)
    inward, outward = effect.estimate - effect.low, effect.high - effect.estimate
    if effect.estimate < 0:
        inward, outward = outward, inward
    ratios = []
    if size > threshold:
        ratios.append(inward / (size - threshold))
    if size < threshold:
        ratios.append(float(np.maximum(outward / (threshold - size), inward / (threshold + size))))
    # NaN where there is no interval
    found = [ratio for ratio in ratios if effect.n and ratio < math.sqrt(1e9 / effect.n)]
    # rounding alone shall not ask for one image more
    return max(effect.n, math.ceil(effect.n * min(found) ** 2 * (1 - 1e-9))) if found else None
