"""What one draw says about the maps of some methods: randomised stages, noise, another class, another method."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from camaudit.explain import explain, get_method
from camaudit.explain.noise import noisy
from camaudit.measure.trust.comparing import rank_correlations, to_common_grid
from camaudit.measure.trust.rule import NOISE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from camaudit.explain.targets import Target
    from camaudit.measure.trust.randomising import Randomised
    from camaudit.measure.trust.stages import Stage

REFERENCE = "hirescam"
"""Of the gradient family the one that is guaranteed to show what the head used (Draelos and Carin 2020)."""

Found = dict[tuple[str, str], "NDArray[np.float64]"]
"""By method and check, (batch,)."""


@dataclass(frozen=True)
class Question:
    """What is asked of the maps.

    Attributes:
        methods: ids of the methods that are examined.
        target: what is explained, sample by sample, fixed: the same under other weights.
        other: the same of another class; None where there is none.
        layer: of the maps; ``auto`` where the model has none to name.
        reference: whether the model gives what the reference method needs.
        options: of methods, by id.
    """

    methods: Sequence[str]
    target: Target
    other: Target | None
    layer: str
    reference: bool
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def maps(
        self, model: nn.Module, images: Tensor, targets: Sequence[Target], draw: int
    ) -> dict[str, Tensor]:
        """Raw maps by method, (batch, targets, h, w); a method that draws at random draws anew with every `draw`."""
        methods = list(dict.fromkeys((*self.methods, REFERENCE) if self.reference else self.methods))
        options = {name: dict(of) for name, of in self.options.items()}
        for name in methods:
            if "seed" in get_method(name).options:
                options.setdefault(name, {})["seed"] = draw
        return dict(
            explain(model, images, methods=methods, targets=targets, layer=self.layer, options=options).maps
        )


def changes_of(stages: Sequence[Stage]) -> dict[str, list[Stage]]:
    """What is re-initialised: from the head down (``head``, ``half``, ``all``), and alone (``late``, ``early``).

    ``late`` is the stage below the head, ``early`` the network's first. What would be the same twice is left out.

    Args:
        stages: the head first.
    """
    found: dict[str, list[Stage]] = {}
    for name, chosen in {
        "head": stages[:1],
        "all": stages,
        "half": stages[: ceil(len(stages) / 2)],
        "early": stages[-1:],
        "late": stages[1:2],
    }.items():
        if chosen and list(chosen) not in found.values():
            found[name] = list(chosen)
    return found


def check_maps(
    model: nn.Module,
    images: Tensor,
    question: Question,
    changes: Mapping[str, Sequence[Stage]],
    copy: Randomised | None,
    *,
    seed: int,
) -> tuple[Found, dict[str, Tensor]]:
    """Examine the maps of a batch; all methods share the passes.

    - ``zero_mass``: 1 where the map has no mass, else 0. Such a map has no order: its other values are NaN.
    - ``noise``: rank correlation with the map of the image with noise of 2 % of its range.
    - ``head``, ``half``, ``all``, ``late``, ``early``: with the map under re-initialised stages, see `changes_of`.
    - ``other_class``: with the map of another class.
    - ``agreement``: with the reference method's map, on the coarser grid; without it the mean over the other methods.

    Args:
        model: the network, untouched.
        images: (batch, channels, height, width).
        question: what is asked.
        changes: names of stages by the name of the check.
        copy: in which they are re-initialised; None: no network can be.
        seed: of the noise and of the weights.

    Returns:
        Numbers by method and check; and the maps they are about by method, (batch, h, w).
    """
    targets = [question.target] if question.other is None else [question.target, question.other]
    first = question.maps(model, images, targets, 0)
    own = {name: of[:, 0] for name, of in first.items()}
    found: Found = {}

    def held(check: str, others: Mapping[str, Tensor]) -> None:
        for name in question.methods:
            found[name, check] = rank_correlations(own[name], others[name])

    (copy_of,) = noisy(images, 1, NOISE, seed)
    held("noise", _of_target(question.maps(model, copy_of, [question.target], 1)))
    for check, stages in changes.items() if copy is not None else ():
        assert copy is not None  # noqa: S101 - what the loop says, for the type checker
        with copy.but(stages, seed) as network:
            held(check, _of_target(question.maps(network, images, [question.target], 1)))
    if question.other is not None:
        held("other_class", {name: of[:, 1] for name, of in first.items()})
    found |= _agreement(question, own)
    for name in question.methods:
        mass = own[name].detach().flatten(1).sum(1).double().cpu().numpy()
        for (method, check), values in found.items():
            if method == name:
                found[method, check] = np.where(mass > 0, values, np.nan)
        found[name, "zero_mass"] = np.where(np.isfinite(mass), (mass <= 0).astype(np.float64), np.nan)
    return found, {name: own[name] for name in question.methods}


def _of_target(maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: of[:, 0] for name, of in maps.items()}


def _agreement(question: Question, own: Mapping[str, Tensor]) -> Found:
    found: Found = {}
    for name in question.methods:
        if question.reference and name == REFERENCE:
            continue
        against = [REFERENCE] if question.reference else [of for of in question.methods if of != name]
        if against:
            pairs = [rank_correlations(*to_common_grid(own[name], own[of])) for of in against]
            found[name, "agreement"] = np.stack(pairs).mean(0)
    return found
