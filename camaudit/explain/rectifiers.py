"""How a gradient passes the rectifiers: as it does, or by the rule of guided backpropagation or of the deconvnet."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from camaudit.errors import ExplainError
from camaudit.explain.calls import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from camaudit.explain.calls import Call

Rule = Literal["plain", "guided", "deconvnet"]


class Rectifiers(Listener):
    """Entered around a forward pass: the rule of its rectifiers can then be chosen backward pass by backward pass.

    A rectifier returns 0 for everything below 0, and what is above as it is: ReLU, ReLU6, hardtanh from 0, threshold and
    clamp at 0, as modules or functions, in place or not, however often a module is used. Other activations of the same
    network (GELU, SiLU, leaky ReLU) pass the gradient as they always do. Not seen are rectifiers that are put together
    from other functions (``x * (x > 0)``); a ReLU6 inside of a gate counts as any other.

    The rules (Springenberg et al. 2014): ``plain``, the gradient where the input is above 0; ``deconvnet``, the
    gradient where the gradient is; ``guided``, where both are. Where ReLU6 is cut off above, the input's condition fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_force: Rule = "plain"
        self._met = False

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """What backward passes follow inside of this context.

        Raises:
            ExplainError: the forward pass met no rectifier, so every rule would be the plain one.
        """
        if not self._met:
            msg = (
                "Guided backpropagation and the deconvnet change how a gradient passes rectifiers (ReLU), and none can be "
                "seen in this model: they would be the plain gradient under another name. Use gradient or smoothgrad."
            )
            raise ExplainError(msg)
        before, self.in_force = self.in_force, rule
        try:
            yield
        finally:
            self.in_force = before

    def heard(self, call: Call) -> Any:
        """A rectifier that listens to the rule, in place of one that does not."""
        tensor = call.tensor
        if tensor is None or not (tensor.requires_grad and torch.is_grad_enabled()) or not _rectifies(call):
            return call.run()
        self._met = True
        asked = _Asked(call)
        rectified: Tensor = _Rectified.apply(tensor, asked, self)
        return tensor.copy_(rectified) if asked.in_place else rectified


class _Asked:
    """A call that tells what it returns, where torch passes it no gradient, and whether it works in place."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.in_place = False

    def __call__(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = tensor.detach().requires_grad_()
            copy = leaf.clone()
            output = self._call.on(copy)
            (passed,) = torch.autograd.grad(output, leaf, torch.ones_like(output))
        self.in_place = output is copy
        return output.detach(), passed == 0


class _Rectified(torch.autograd.Function):
    """A rectifier whose derivative asks, when it is called for, which rule is in force."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, asked: _Asked, rectifiers: Rectifiers) -> Tensor:
        output, blocked = asked(tensor)
        ctx.save_for_backward(blocked)
        ctx.rectifiers = rectifiers
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        rule: Rule = ctx.rectifiers.in_force
        if rule != "plain":
            gradient = gradient.clamp(min=0)
        if rule != "deconvnet":
            (blocked,) = ctx.saved_tensors
            gradient = gradient.masked_fill(blocked, 0)
        return gradient, None, None


def _rectifies(call: Call) -> bool:
    if call.name in {"relu", "relu6"}:
        return True
    if call.name == "hardtanh":
        return _is_zero(call.argument(1, "min_val", -1.0))
    if call.name == "threshold":
        return _is_zero(call.argument(1, "threshold")) and _is_zero(call.argument(2, "value"))
    if call.name in {"clamp", "clip"}:  # with an upper end they are gates
        return _is_zero(call.argument(1, "min")) and call.argument(2, "max") is None
    return call.name == "clamp_min" and _is_zero(call.argument(1, "min"))


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0
