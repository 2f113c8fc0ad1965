"""The targets' values when something is taken away: a channel of a layer, or all of the image but a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from camaudit.explain.budget import Batches, is_out_of_memory
from camaudit.explain.forward import Tap, forward
from camaudit.explain.head import is_pooling_and_linear
from camaudit.explain.replay import Replay
from camaudit.explain.targets import Classes, Contrast, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from camaudit.explain.forward import Network, Pass
    from camaudit.explain.targets import Target

    Masks = Callable[[int, int], Tensor]

_MASK_COPIES: Final = 8  # of a mask while it is made

# without a graph; not torch.inference_mode: what a model keeps of a pass (positions, masks) would be of no use afterwards


@torch.no_grad()
def ablated_scores(
    network: Network, passed: Pass, layer: str, targets: Sequence[Target], *, memory: int
) -> Tensor:
    """The targets' values when one channel of a layer's grid is zero, running what comes after the layer.

    Of pooling and one linear layer, and of targets linear in its scores, each value is the score minus the derivative
    times the activation of that channel: nothing has to run.

    Args:
        network: the model.
        passed: its forward pass.
        layer: name of the target layer.
        targets: fixed.
        memory: bytes that a batch may take.

    Returns:
        (batch, channels, targets).

    Raises:
        ExplainError: a single row does not fit the device's memory.
    """
    tap = Tap(passed.taps[layer].tensor.detach(), passed.taps[layer].grid)
    replay = Replay(network, layer, passed.inputs)
    if all(_is_linear(target) for target in targets):
        found = _closed_form(replay, tap, targets)
        if found is not None:
            return found
    grid = tap.grid.split(tap.tensor)
    batch, channels = grid.shape[:2]

    def run(start: int, stop: int) -> Tensor:
        """Rows are numbered channel after channel, image after image."""
        row = torch.arange(start, stop, device=grid.device)
        of_one = start // channels == (stop - 1) // channels
        image, channel = start // channels if of_one else row // channels, row % channels
        # replaced where it is zero: all at once, and without waiting for the device
        without = torch.arange(channels, device=grid.device) == channel[:, None]
        original = (
            tap.tensor[image : image + 1].expand(stop - start, *tap.tensor.shape[1:])
            if isinstance(image, int)
            else tap.tensor[image]
        )
        ablated = tap.grid.split(original).masked_fill(without[..., None, None], 0)
        return values(targets, replay(tap.grid.put(original, ablated), image))

    batches = Batches(memory, grid.device)
    if replay.mixes:
        found = batches(batch * channels, run)
    else:  # what is kept of an image stands for all rows of that image
        found = torch.cat(
            [
                batches(channels, lambda start, stop, first=first: run(first + start, first + stop))  # type: ignore[misc]
                for first in range(0, batch * channels, channels)
            ]
        )
    return found.reshape(batch, channels, -1)


def _is_linear(target: Target) -> bool:
    """Whether it is linear in the class scores."""
    if isinstance(target, Contrast):
        return _is_linear(target.first) and _is_linear(target.second)
    return isinstance(target, Classes)


def _closed_form(replay: Replay, tap: Tap, targets: Sequence[Target]) -> Tensor | None:
    """(batch, channels, targets), at least float32; None where the head is not pooling and one linear layer."""
    with torch.enable_grad():
        one = tap.tensor[:1].clone().requires_grad_()
        if replay.whole or not is_pooling_and_linear(replay(one, 0).scores, Tap(one, tap.grid)):
            return None
        leaf = tap.tensor.clone().requires_grad_()
        scores = values(targets, replay(leaf))
        gradients = [
            torch.autograd.grad(scores[:, target].sum(), leaf, retain_graph=True)[0]
            for target in range(scores.shape[1])
        ]
    activation = tap.grid.split(tap.tensor)
    exact = torch.float64 if activation.dtype == torch.float64 else torch.float32
    parts = [(activation.to(exact) * tap.grid.split(gradient)).sum((-2, -1)) for gradient in gradients]
    return scores.detach()[:, None].to(exact) - torch.stack(parts, dim=-1)


@torch.no_grad()
def masked_scores(
    network: Network, passed: Pass, targets: Sequence[Target], *, memory: int, count: int, masks: Masks
) -> Tensor:
    """The targets' values of the images times masks.

    On a CPU masks of zeros, which all show the same empty image, are run once an image; on another device to look for
    them would be to wait for it.

    Args:
        network: the model.
        passed: its forward pass.
        targets: fixed.
        memory: bytes that a batch may take.
        count: number of masks.
        masks: those from start to stop, (batch or 1, stop - start, height, width); the same whenever it is asked.

    Returns:
        (batch, count, targets).

    Raises:
        ExplainError: a single row does not fit the device's memory.
    """
    inputs, batches = passed.inputs.detach(), Batches(memory, passed.inputs.device)
    run = _Masked(replace(network, layers=()), targets, inputs, masks)
    batch = len(inputs)
    if inputs.device.type != "cpu":
        found = batches(count * batch, lambda start, stop: run(None, start, stop))
        return found.reshape(count, batch, -1).transpose(0, 1)
    empty = _empty(inputs, count, masks, memory)
    first = empty.int().argmax(0)
    wanted = ~empty
    wanted[first, torch.arange(batch)] = True
    numbers = wanted.flatten().nonzero().squeeze(1)
    scores = batches(len(numbers), lambda start, stop: run(numbers, start, stop))
    found = scores.new_empty(count, batch, scores.shape[1])
    found[wanted] = scores
    of_empty = found[first, torch.arange(batch)]
    return torch.where(empty[..., None], of_empty, found).transpose(0, 1)


def _empty(inputs: Tensor, count: int, masks: Masks, memory: int) -> Tensor:
    """Which masks show nothing of which image, (count, batch) bool."""
    batch, pixels = len(inputs), inputs.shape[-2] * inputs.shape[-1]
    step = max(1, min(count, memory // (_MASK_COPIES * inputs.element_size() * batch * pixels)))
    found = [
        (masks(start, min(start + step, count)) == 0).flatten(2).all(2).expand(batch, -1)
        for start in range(0, count, step)
    ]
    return torch.cat(found, dim=1).T


class _Masked:
    """The targets' values of rows, numbered mask after mask and in each image after image."""

    def __init__(self, network: Network, targets: Sequence[Target], inputs: Tensor, masks: Masks) -> None:
        self._network, self._targets, self._inputs, self._masks = network, targets, inputs, masks
        # convolutions are faster with channels last, up to twice as fast; some models cannot view such tensors
        self._format = torch.channels_last

    def __call__(self, numbers: Tensor | None, start: int, stop: int) -> Tensor:
        """(rows, targets).

        Args:
            numbers: of rows in ascending order; None: every row.
            start: of the range among them.
            stop: of the range among them.
        """
        batch = len(self._inputs)
        if numbers is None:
            row, first, last = torch.arange(start, stop, device=self._inputs.device), start, stop - 1
        else:
            row, first, last = numbers[start:stop], int(numbers[start]), int(numbers[stop - 1])
        image = row % batch
        shown = self._drawn(image, row // batch, first // batch, last // batch)
        given = self._inputs[image] * shown[:, None].to(self._inputs.dtype)
        if self._format is torch.channels_last:
            try:
                return self._values(given, image)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
            self._format = torch.contiguous_format
        return self._values(given, image)

    def _values(self, given: Tensor, image: Tensor) -> Tensor:
        passed = forward(
            self._network, given.contiguous(memory_format=self._format), graph="none", rows=image
        )
        return values(self._targets, passed.seen)

    def _drawn(self, image: Tensor, mask: Tensor, first: int, last: int) -> Tensor:
        """The masks of rows, (rows, height, width); of a range with gaps, never many more masks than rows at once."""
        step = len(mask)
        if last - first < step:
            drawn = self._masks(first, last + 1)
            return drawn[image if len(drawn) > 1 else torch.zeros_like(image), mask - first]
        found = []
        for begin in range(first, last + 1, step):
            inside = (mask >= begin) & (mask < begin + step)
            if inside.any():
                drawn = self._masks(begin, min(begin + step, last + 1))
                of = image[inside] if len(drawn) > 1 else torch.zeros_like(image[inside])
                found.append(drawn[of, mask[inside] - begin])
        return torch.cat(found)
