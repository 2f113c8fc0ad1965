"""Which calls of a forward pass come before a layer's, and what they return: what a run of the rest alone needs."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from camaudit.models.layers import module_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Kind = Literal["kept", "open", "target"]


@dataclass(frozen=True)
class Output:
    """What a call returned, taken apart.

    Attributes:
        parts: tensors, numbers and words.
        spec: how they are put together again.
    """

    parts: tuple[Any, ...]
    spec: TreeSpec

    @classmethod
    def of(cls, returned: object) -> Output:
        """Take apart what a call returned; tensors are copied, because what comes after may work in place.

        Raises:
            TypeError: there is something in it that cannot be given back for other rows.
        """
        parts, spec = tree_flatten(returned)
        for part in parts:
            if not isinstance(part, (Tensor, int, float, str, type(None))):
                msg = f"a call returned a {type(part).__name__}"
                raise TypeError(msg)
        return cls(tuple(part.detach().clone() if isinstance(part, Tensor) else part for part in parts), spec)

    def whole(self, parts: Iterable[object]) -> object:
        """Put other parts together in the same way."""
        return tree_unflatten(list(parts), self.spec)


@dataclass(frozen=True)
class Step:
    """A call that a run of the rest meets until the target layer is reached.

    Attributes:
        module: name of what is called.
        call: how many calls of that module came before it in the whole forward pass.
        kind: ``kept``: it ended before the target layer, and its output is given back; ``open``: the target layer is
            called from inside of it, so it runs; ``target``.
    """

    module: str
    call: int
    kind: Kind


@dataclass(eq=False)
class _Call:
    step: Step
    output: Output | None = None
    inner: list[_Call] = field(default_factory=list)


class Trace:
    """Entered around a forward pass: the calls that end before the last call of a layer, the outermost of them.

    Args:
        module: the model.
        layer: name of the target layer.

    Attributes:
        steps: in the order in which the calls begin; empty where the layer was not called, or a call returned something
            that cannot be given back.
        outputs: of the kept calls and of the target layer.
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        self.steps: tuple[Step, ...] = ()
        self.outputs: dict[Step, Output] = {}
        self._names = {part: name for name, part in module.named_modules()}
        self._layer = self._names[module_at(module, layer)]  # a module that is used twice has two names
        self._open: list[_Call] = []
        self._calls: Counter[str] = Counter()

    def __enter__(self) -> None:
        self._hooks = ExitStack()
        for part, name in self._names.items():
            self._hooks.callback(part.register_forward_pre_hook(self._begin(name), prepend=True).remove)
            # before any other hook: in a run of the rest those change the output again
            ended = part.register_forward_hook(self._end(name), prepend=name != self._layer)
            self._hooks.callback(ended.remove)

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    @property
    def calls(self) -> int:
        """How often the layer was called."""
        return self._calls[self._layer]

    def _begin(self, name: str) -> Callable[..., None]:
        def begin(*_: object) -> None:
            call = _Call(Step(name, self._calls[name], "open"))
            self._calls[name] += 1
            if self._open:
                self._open[-1].inner.append(call)
            self._open.append(call)

        return begin

    def _end(self, name: str) -> Callable[..., None]:
        def end(_module: nn.Module, _inputs: object, output: object) -> None:
            call = self._open.pop()
            with suppress(TypeError):
                call.output = Output.of(output)
            call.inner.clear()
            if name == self._layer:
                self._reach(call)

        return end

    def _reach(self, target: _Call) -> None:
        steps: list[Step] = []
        outputs: dict[Step, Output | None] = {}
        for ancestor in self._open:
            steps.append(ancestor.step)
            for call in ancestor.inner:
                if call is not target and call not in self._open:
                    steps.append(replace(call.step, kind="kept"))
                    outputs[steps[-1]] = call.output
        steps.append(replace(target.step, kind="target"))
        outputs[steps[-1]] = target.output
        whole = {step: output for step, output in outputs.items() if output is not None}
        self.steps, self.outputs = (tuple(steps), whole) if len(whole) == len(outputs) else ((), {})


class Keeping:
    """Entered around a forward pass: what some of its calls return.

    Args:
        modules: by name.
        steps: the calls.

    Attributes:
        outputs: of those calls.
    """

    def __init__(self, modules: Mapping[str, nn.Module], steps: Iterable[Step]) -> None:
        self.outputs: dict[Step, Output] = {}
        self._modules = modules
        self._wanted = {(step.module, step.call): step for step in steps}
        self._calls: Counter[str] = Counter()

    def __enter__(self) -> None:
        self._hooks = ExitStack()
        for (name, _), step in self._wanted.items():
            if step.call == min(other.call for other in self._wanted.values() if other.module == name):
                hook = self._modules[name].register_forward_hook(
                    self._keep(name), prepend=step.kind != "target"
                )
                self._hooks.callback(hook.remove)

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: object, output: object) -> None:
            step = self._wanted.get((name, self._calls[name]))
            self._calls[name] += 1
            if step is not None:
                self.outputs[step] = Output.of(output)

        return keep


@contextmanager
def calls_replaced(
    modules: Mapping[str, nn.Module], steps: Iterable[Step], returned: Callable[[Step], Any]
) -> Iterator[Mapping[str, Sequence[Step]]]:
    """Calls return what they returned before, in place of running.

    Args:
        modules: by name.
        steps: the calls that will come, in order; after them every call runs.
        returned: gives the output of a step that is not ``open``.

    Yields:
        The steps that have not come yet, by module.
    """
    coming: dict[str, list[Step]] = {}
    for step in steps:
        coming.setdefault(step.module, []).append(step)
    with ExitStack() as stack:
        for name, queue in coming.items():
            if any(step.kind != "open" for step in queue):
                stack.enter_context(_forward_replaced(modules[name], queue, returned))
            else:
                queue.clear()
        yield coming


@contextmanager
def _forward_replaced(
    module: nn.Module, queue: list[Step], returned: Callable[[Step], Any]
) -> Iterator[None]:
    own = module.__dict__.get("forward")
    runs = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        step = queue.pop(0) if queue else None
        return runs(*args, **kwargs) if step is None or step.kind == "open" else returned(step)

    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
