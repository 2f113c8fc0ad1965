"""A copy of a network in which some stages know nothing: the randomisation check's other networks.

Adebayo et al. 2018 (arXiv:1810.03292) re-initialise a trained network from its head down, or one layer at a time.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from camaudit.measure.trust.stages import Stage

_WEIGHED = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


class Randomised:
    """A deep copy of a network; `but` changes it for as long as it is looked at. The original is never touched.

    Args:
        module: the network.

    Raises:
        ModelError: it cannot be copied, or is a program, whose parts cannot be re-initialised.
    """

    def __init__(self, module: nn.Module) -> None:
        if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
            msg = "A TorchScript program does not show its layers, so none of them can be re-initialised."
            raise ModelError(msg)
        try:
            self.module = copy.deepcopy(module)
        except Exception as error:
            msg = f"{type(module).__name__} cannot be copied, so that its layers could be re-initialised: {error}"
            raise ModelError(msg) from error
        self._original = module

    @contextmanager
    def but(self, stages: Sequence[Stage], seed: int) -> Iterator[nn.Module]:
        """The copy with some stages as if they had never learnt; afterwards it is the original's equal again.

        Args:
            stages: names of modules.
            seed: of the draws; another kind of device draws others.
        """
        names = [name for stage in stages for name in stage]
        parts = [self.module.get_submodule(name) for name in names]
        device = next((of.device for part in parts for of in part.parameters(recurse=False)), None)
        try:
            with (
                torch.random.fork_rng(
                    devices=[device] if device is not None and device.type == "cuda" else []
                ),
                torch.no_grad(),
            ):
                torch.manual_seed(seed)
                for part in parts:
                    reinitialise(part)
            yield self.module
        finally:
            with torch.no_grad():
                for part, name in zip(parts, names, strict=True):
                    _copy_own(self._original.get_submodule(name), part)


def reinitialise(module: nn.Module) -> None:
    """Draw a module's own parameters anew, and forget what its buffers have seen (batch norm's statistics).

    The weights of convolutions and linear layers are drawn as He et al. 2015 (eq. 10) do, their biases are 0: with what
    torch resets them to, the signal fades in a deep network whose norms have no statistics. Other modules have their own
    ``reset_parameters``; what that does not reach, or where there is none, gets the normal distribution of its own mean and
    deviation.
    """
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, _WEIGHED) and "weight" in own:
        nn.init.kaiming_normal_(own.pop("weight"))
        if "bias" in own:
            nn.init.zeros_(own.pop("bias"))
        reset = None
    else:
        reset = getattr(module, "reset_parameters", None)
    before = {name: value.clone() for name, value in own.items()}
    if callable(reset):
        reset()
    for name, value in own.items():
        if torch.equal(value, before[name]) and value.is_floating_point():
            exact = value.double()
            value.copy_(exact.mean() + exact.std(correction=0) * torch.randn_like(exact))


def _copy_own(original: nn.Module, changed: nn.Module) -> None:
    """Give a module the parameters and buffers of another that are its own and not its children's."""
    for kind in ("named_parameters", "named_buffers"):
        values = dict(getattr(original, kind)(recurse=False))
        for name, value in getattr(changed, kind)(recurse=False):
            value.copy_(values[name])
