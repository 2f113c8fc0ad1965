"""What comes after a layer, run by itself with that layer's output replaced, for any network and without tracing.

A probe of three images shows which module calls end before the target layer's. In a replay the outermost of them return
what they returned before, the target layer returns what is given, and everything after it runs. Whatever a model computes
between its modules runs too, on the outputs that are given back; most of those decide nothing, and placeholders of the same
shape stand for them. A replay of what was there must give the output that was there, or the whole model runs.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from camaudit.explain.forward import forward
from camaudit.explain.rest import INPUT, Batch, Placed, Plan, Slot, modules_of, putting, replayed
from camaudit.explain.trace import Keeping, Output, Step, Trace
from camaudit.models.grids import tensor_of
from camaudit.models.layers import module_at

if TYPE_CHECKING:
    from camaudit.explain.forward import Network
    from camaudit.explain.targets import Seen

_PROBED: Final = 3
_plans: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], Plan]] = WeakKeyDictionary()


class Replay:
    """The rest of a network after a layer, for the images of a batch.

    Use it inside of `camaudit.models.undisturbed.undisturbed`. The model comes back as it was, also after an exception.

    Args:
        network: the model.
        layer: name of the target layer; of several calls the last counts.
        inputs: (batch, channels, height, width).
    """

    def __init__(self, network: Network, layer: str, inputs: Tensor) -> None:
        self._network, self._layer, self._inputs = replace(network, layers=()), layer, inputs.detach()
        self._plan = _plan_of(self._network, layer, self._inputs)
        self._kept: dict[Step, Output] = {}
        recorded = self._plan.recorded()
        if recorded:
            keeping = Keeping(modules_of(network.module), recorded)
            with torch.no_grad():
                forward(self._network, self._inputs, graph="none", listeners=(keeping,))
            self._kept = keeping.outputs

    @property
    def whole(self) -> bool:
        """Whether the whole model has to run."""
        return not self._plan.steps

    @property
    def mixes(self) -> bool:
        """Whether rows of several images cost no more than rows of one: nothing of an image is kept."""
        return not self.whole and not self._plan.recorded() and not self._needs_input()

    def __call__(self, given: Tensor, rows: Tensor | int | None = None) -> Seen:
        """What a target may look at, with the layer's output replaced.

        Args:
            given: (rows, ...) in place of the tensor in the layer's output; it may be overwritten unless it needs a
                gradient. A graph begins where it has one.
            rows: which image each row belongs to, (rows,) int64, or one for all; None: the batch as it is.
        """
        index = self._index(given, rows)
        given = given.clone() if given.requires_grad else given
        if self.whole:
            return self._run_whole(given, rows, index)
        placed = {step: Placed(output, self._kept.get(step)) for step, output in self._plan.outputs}
        batch = Batch(placed, self._inputs, index if rows is None else rows, index)
        return replayed(self._network, self._plan, batch, given)

    def _index(self, given: Tensor, rows: Tensor | int | None) -> Tensor:
        if isinstance(rows, int):
            return torch.full((len(given),), rows, device=self._inputs.device)
        return torch.arange(len(given), device=self._inputs.device) if rows is None else rows

    def _needs_input(self) -> bool:
        return any(
            step == INPUT and isinstance(part, Slot) and part.needed
            for step, output in self._plan.outputs
            for part in output.parts
        )

    def _run_whole(self, given: Tensor, rows: Tensor | int | None, index: Tensor) -> Seen:
        inputs = self._inputs if rows is None else self._inputs[index]
        with putting(module_at(self._network.module, self._layer), given, self._plan.calls):
            return forward(self._network, inputs, graph="none", rows=index).seen


def _plan_of(network: Network, layer: str, inputs: Tensor) -> Plan:
    known = _plans.setdefault(network.module, {})
    device = inputs.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else inputs.dtype
    key = (
        (layer, *network.watched),
        (*inputs.shape[1:], inputs.dtype, inputs.device, precision),
        tuple((name, value.shape[1:], value.dtype) for name, value in network.context.items()),
        tuple(type(part) for part in network.module.modules()),
    )
    if key not in known:
        known[key] = _Probe(network, layer, inputs, precision).plan()
    return known[key]


class _Probe:
    """Finds the plan with the least to keep that gives what the whole model gives; the one place that looks at numbers."""

    def __init__(self, network: Network, layer: str, inputs: Tensor, precision: torch.dtype) -> None:
        self._network, self._layer, self._precision = network, layer, precision
        one = inputs[:1]
        # also their means differ: what a model remembers of one must not pass for another
        self._images = torch.cat([one, one.flip(-1) * 0.75, one.flip(-2) * 1.25])
        self._nobody = torch.zeros(_PROBED, dtype=torch.int64, device=inputs.device)

    def plan(self) -> Plan:
        few, _ = self._traced(_PROBED - 1)
        trace, seen = self._traced(_PROBED)
        whole = Plan(trace.calls)
        slots = _slots(few, trace, self._images)
        if slots is None:
            return whole
        self._outputs, self._reference = trace.outputs, _tensors(seen)
        try:
            copied = Plan(trace.calls, trace.steps, slots, copied=True)
            needed = self._needed(copied)
            if needed is None:
                return whole
        except Exception:  # noqa: BLE001 - whatever a model raises when it is run in an unusual way
            return whole
        for with_images in (False, True):
            outputs = tuple(_images_needed(*pair, needed=with_images) for pair in needed)
            lean = replace(copied, outputs=outputs, copied=False)
            with suppress(Exception):  # in place on a placeholder, say
                if self._agrees(lean):
                    return lean
        return copied

    def _traced(self, count: int) -> tuple[Trace, Seen]:
        trace = Trace(self._network.module, self._layer)
        with torch.no_grad():
            passed = forward(
                self._network,
                self._images[:count],
                graph="none",
                rows=self._nobody[:count],
                listeners=(trace,),
            )
        return trace, passed.seen

    def _needed(self, plan: Plan) -> list[tuple[Step, Output]] | None:
        """The slots, with those marked that the output depends on; None where the replay is wrong."""
        leaves = {
            (step, place): part.clone().requires_grad_()
            for step, output in self._outputs.items()
            if step.kind == "kept"
            for place, part in enumerate(output.parts)
            if isinstance(part, Tensor) and part.dtype.is_floating_point
        }
        order = torch.arange(_PROBED, device=self._images.device).roll(1)
        with torch.enable_grad():
            found = self._run(plan, order, order, leaves)
            if not self._same(found, order):
                return None
            total = sum(tensor.sum() for tensor in found if tensor.requires_grad)
            gradients: Any = [None] * len(leaves)
            if isinstance(total, Tensor):
                gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        idle = {key for key, gradient in zip(leaves, gradients, strict=True) if gradient is None}
        target = plan.steps[-1]
        tensors = [isinstance(part, Tensor) for part in self._outputs[target].parts]
        idle.add((target, tensors.index(True)))  # in its place comes what is given
        return [(step, _marked(step, output, idle)) for step, output in plan.outputs]

    def _agrees(self, plan: Plan) -> bool:
        order = torch.arange(_PROBED, device=self._images.device).roll(1)
        with torch.no_grad():
            return self._same(self._run(plan, order, order, {}), order) and self._same(
                self._run(plan, 1, torch.ones_like(order), {}), torch.ones_like(order)
            )

    def _run(
        self,
        plan: Plan,
        where: Tensor | int,
        index: Tensor,
        leaves: dict[tuple[Step, int], Tensor],
    ) -> list[Tensor]:
        kept = {
            step: replace(
                output,
                parts=tuple(leaves.get((step, place), part) for place, part in enumerate(output.parts)),
            )
            for step, output in self._outputs.items()
        }
        given = tensor_of(self._outputs[plan.steps[-1]].whole(self._outputs[plan.steps[-1]].parts))
        assert given is not None  # noqa: S101 - maps are made of it
        placed = {step: Placed(output, kept.get(step)) for step, output in plan.outputs}
        batch = Batch(placed, self._images, where, self._nobody)
        return _tensors(replayed(self._network, plan, batch, given[index]))

    def _same(self, found: list[Tensor], index: Tensor) -> bool:
        pairs = [
            (tensor, reference[index])
            for tensor, reference in zip(found, self._reference, strict=True)
            if len(reference) == _PROBED
        ]
        return bool(pairs) and all(_close(one, other, self._precision) for one, other in pairs)


def _marked(step: Step, output: Output, idle: set[tuple[Step, int]]) -> Output:
    parts = [
        replace(part, needed=(step, place) not in idle) if isinstance(part, Slot) else part
        for place, part in enumerate(output.parts)
    ]
    return replace(output, parts=tuple(parts))


def _images_needed(step: Step, output: Output, *, needed: bool) -> tuple[Step, Output]:
    if step != INPUT:
        return step, output
    return step, _marked(step, output, set() if needed else {(INPUT, 0)})


def _close(found: Tensor, reference: Tensor, precision: torch.dtype) -> bool:
    """Equal up to the rounding of other kernels; a wrong replay is off by far more."""
    if found.shape != reference.shape:
        return False
    coarsest = max(torch.finfo(dtype).eps for dtype in (precision, reference.dtype))
    scale = reference.abs().nan_to_num(0, 0, 0).amax()
    near = (found - reference).abs() <= scale * coarsest**0.5
    return bool((near | (found == reference) | (found.isnan() & reference.isnan())).all())


def _tensors(seen: Seen) -> list[Tensor]:
    found = [tensor_of(leaf) for leaf in tree_leaves((seen.output, dict(seen.layers)))]
    return [leaf for leaf in found if leaf is not None and leaf.ndim and leaf.dtype.is_floating_point]


def _slots(few: Trace, many: Trace, images: Tensor) -> tuple[tuple[Step, Output], ...] | None:
    """The outputs of the kept calls and the target, with tensors as slots; None where the rows are not to be found."""
    if not many.steps or few.steps != many.steps:
        return None
    found = [(INPUT, Output((Slot(tuple(images.shape[1:]), 1, images.dtype),), Output.of(0).spec))]
    for step, output in many.outputs.items():
        other = few.outputs[step]
        if other.spec != output.spec:
            return None
        parts = [_slot(one, two) for one, two in zip(other.parts, output.parts, strict=True)]
        if any(part is _NEITHER for part in parts):
            return None
        found.append((step, Output(tuple(parts), output.spec)))
    return tuple(found)


_NEITHER: Final = object()


def _slot(few: object, many: object) -> Any:
    """What stands for a part of an output that two and three images gave."""
    if not isinstance(few, Tensor) or not isinstance(many, Tensor):
        return many if type(few) is type(many) and few == many else _NEITHER
    if few.shape == many.shape:
        return Slot(tuple(many.shape), 0, many.dtype)
    per_row, rest = divmod(len(few), _PROBED - 1)
    if rest or len(many) != _PROBED * per_row or few.shape[1:] != many.shape[1:]:
        return _NEITHER
    return Slot(tuple(many.shape[1:]), per_row, many.dtype)
