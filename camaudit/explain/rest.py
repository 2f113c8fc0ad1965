"""The rest of a network after a layer, run once: what calls return in its place, and which of that is needed."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from camaudit.errors import ExplainError
from camaudit.explain.forward import forward
from camaudit.explain.trace import Output, Step, calls_replaced
from camaudit.models.grids import with_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from camaudit.explain.forward import Network
    from camaudit.explain.targets import Seen

INPUT: Final = Step("", -1, "kept")  # the images, as if a call had returned them


@dataclass(frozen=True)
class Slot:
    """A tensor that a kept call returned.

    Attributes:
        shape: without its first dimension where that runs over the rows.
        per_row: length of the first dimension for each row; 0: it does not run over the rows.
        dtype: of it.
        needed: whether what comes after the target layer depends on it.
    """

    shape: tuple[int, ...]
    per_row: int
    dtype: torch.dtype
    needed: bool = True


@dataclass(frozen=True)
class Plan:
    """How to replay what comes after a layer.

    Attributes:
        calls: of the target layer in a forward pass.
        steps: empty: the whole model must run.
        outputs: of the kept steps and the target, every tensor as a `Slot`.
        copied: kept outputs are copied, because the model works in place on them.
    """

    calls: int
    steps: tuple[Step, ...] = ()
    outputs: tuple[tuple[Step, Output], ...] = ()
    copied: bool = False

    def recorded(self) -> list[Step]:
        """The steps of which something has to be kept of the batch itself."""
        return [
            step
            for step, output in self.outputs
            if step != INPUT and any(isinstance(part, Slot) and part.needed for part in output.parts)
        ]


@dataclass(frozen=True)
class Placed:
    """A kept output: its slots, and what the batch has there."""

    slots: Output
    kept: Output | None

    def at(self, rows: Tensor | int, count: int, device: torch.device, *, copied: bool) -> object:
        """The output for other rows."""
        parts: list[object] = []
        for place, slot in enumerate(self.slots.parts):
            if not isinstance(slot, Slot):
                parts.append(slot)
            elif slot.needed and self.kept is not None:
                tensor: Any = self.kept.parts[place]
                parts.append(_taken(tensor, slot, rows, count, copied=copied))
            else:
                parts.append(_placeholder(slot, count, device, copied=copied))
        return self.slots.whole(parts)


def _taken(tensor: Tensor, slot: Slot, rows: Tensor | int, count: int, *, copied: bool) -> Tensor:
    if not slot.per_row:
        return tensor.clone()
    of_rows = tensor.reshape(-1, slot.per_row, *slot.shape) if slot.per_row > 1 else tensor
    if isinstance(rows, Tensor):
        found = of_rows[rows]
    else:
        found = of_rows[rows : rows + 1].expand(count, *of_rows.shape[1:])
        found = found.clone() if copied or count == 1 else found
    return found.flatten(0, 1) if slot.per_row > 1 else found


def _placeholder(slot: Slot, count: int, device: torch.device, *, copied: bool) -> Tensor:
    shape = (count * slot.per_row, *slot.shape) if slot.per_row else slot.shape
    # not a number: if it decided anything, the probe would have seen it
    fill = torch.nan if slot.dtype.is_floating_point or slot.dtype.is_complex else 0
    found = torch.full((), fill, dtype=slot.dtype, device=device).expand(shape)
    return found.clone() if copied else found


@dataclass(frozen=True)
class Batch:
    """What a replay is made of.

    Attributes:
        placed: what kept calls return.
        images: that those are of.
        where: which of them each row is, or one for all.
        samples: which sample of the explained batch each row is.
    """

    placed: Mapping[Step, Placed]
    images: Tensor
    where: Tensor | int
    samples: Tensor


def replayed(network: Network, plan: Plan, batch: Batch, given: Tensor) -> Seen:
    """Run what comes after the target layer.

    Args:
        network: the model, without layers to make maps at.
        plan: with steps.
        batch: what is given back of it.
        given: (rows, ...) in place of the tensor in the target layer's output.

    Raises:
        ExplainError: the model does not call what it called when the plan was made.
    """
    count, device = len(given), batch.images.device

    def returned(step: Step) -> object:
        output = batch.placed[step].at(batch.where, count, device, copied=plan.copied)
        return with_tensor(output, given) if step.kind == "target" else output

    (slot,) = batch.placed[INPUT].slots.parts
    if slot.needed:
        inputs = _taken(batch.images, slot, batch.where, count, copied=plan.copied)
    else:
        inputs = _placeholder(slot, count, device, copied=plan.copied)
    modules, target = modules_of(network.module), plan.steps[-1].module
    calls = sum(step.module == target for step in plan.steps)
    with (
        calls_replaced(modules, plan.steps, returned) as coming,
        putting(modules[target], given, calls),  # after hooks of others, which see to that output too
    ):
        seen = forward(network, inputs, graph="none", rows=batch.samples).seen
        if any(coming.values()):
            msg = "The model takes another way through its layers than before, so it cannot be run from one of them."
            raise ExplainError(msg)
    return seen


@contextmanager
def putting(layer: nn.Module, given: Tensor, calls: int) -> Iterator[None]:
    """The last call of a layer returns what is given, whatever hooks are there."""
    seen: Counter[str] = Counter()

    def hook(_module: nn.Module, _inputs: object, output: object) -> object:
        seen["calls"] += 1
        return with_tensor(output, given) if seen["calls"] == calls else output

    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def modules_of(module: nn.Module) -> dict[str, nn.Module]:
    """Every part once, by the first of its names."""
    return dict(module.named_modules())
