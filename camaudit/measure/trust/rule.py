"""The rule of the randomisation check.

It was fixed before anything was measured. What is compared are intervals of the mean, over images, of the rank correlation
with the trained network's map:

- *noise*: the map of the image with noise of 2 % of its range, from the same network: what a map keeps by itself.
- *head*: after the head alone is re-initialised, so that no class means anything any more.
- *all*: from the wholly random network.

A method **fails** where the interval of *head* lies above 0.9: its maps do not know what the classes are. It **passes** where
the intervals of both *head* and *all* lie below half of the lower end of *noise*. Everything between is **open**.

Why not the cascade's curve alone: top-down randomisation leaves much of a forward pass as it was, so that methods which
multiply by activations or inputs look insensitive to it (Binder et al. 2023, arXiv:2211.12486); the verdict depends on
order, scaling and similarity (Hedström et al. 2024, arXiv:2401.06465); and where the image itself tells what can be
evidence, maps of different networks are alike rightly (Yona and Greenfeld 2021, arXiv:2110.14297). Hence a ceiling instead of
1, the head alone first, and raw maps ranked and not rescaled. A pass says that maps depend on the weights, not that they are
right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

SAME = 0.9
NOISE = 0.02
"""Standard deviation of the noise, as a share of the image's range."""


class Ends(Protocol):
    """An interval."""

    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


def randomisation(
    noise: Ends, head: Ends, further: Sequence[Ends] = ()
) -> Literal["passes", "fails", "open"]:
    """What the rule makes of the intervals; of `further` ones none can fail. Ends that are NaN leave it open."""
    if head.low > SAME:
        return "fails"
    return "passes" if all(of.high < noise.low / 2 for of in (head, *further)) else "open"
