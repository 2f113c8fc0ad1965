"""An audit's output targets as the scalars that are explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.explain.targets import Classes, Contrast
from camaudit.models.outputs import class_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from camaudit.explain.targets import Seen, Target
    from camaudit.models import LoadedModel
    from camaudit.types import OutputTarget


@dataclass(frozen=True)
class OfAudit:
    """An output target, over the samples of a batch.

    Attributes:
        target: the output target.
        labels: of the samples.
        model: whose scores they are.
    """

    target: OutputTarget
    labels: Sequence[str | None]
    model: LoadedModel
    layers: tuple[str, ...] = ()

    def fixed(self, seen: Seen) -> Target:
        """The class it stands for in each sample, of a contrast both: the same wherever the model runs again."""
        model = self.model
        logits = model.scores(seen.output).detach()
        chosen = class_indices(self.target, logits, self.labels, model.classes, task=model.task)
        first = Classes(chosen, model.scores)
        if self.target.kind != "contrast":
            return first
        return Contrast(first, Classes(model.classes.index(self.target.classes[1]), model.scores))

    def value(self, seen: Seen) -> Tensor:
        """The scalar of the samples, (batch,)."""
        return self.fixed(seen).value(seen)
