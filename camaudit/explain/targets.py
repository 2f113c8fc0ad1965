"""What a map explains: any differentiable scalar of the output, sample by sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from camaudit.errors import ExplainError, ModelError
from camaudit.models.outputs import output_scores


@dataclass(frozen=True)
class Seen:
    """What a forward pass shows to a target.

    Attributes:
        output: what the model returned.
        rows: (rows,) int64, which sample of the explained batch each row of the output belongs to; not 0, 1, 2, ... where
            a method runs the model again on several versions of a sample.
        layers: outputs of the layers that the targets watch.
    """

    output: object
    rows: Tensor
    layers: Mapping[str, Tensor]

    @property
    def scores(self) -> Tensor:
        """The output as class scores, (rows, classes); see `scores_of`."""
        return scores_of(self.output)


@runtime_checkable
class Target(Protocol):
    """One scalar a sample.

    Attributes:
        layers: names of the layers whose output it looks at.
    """

    @property
    def layers(self) -> tuple[str, ...]: ...  # noqa: D102

    def fixed(self, seen: Seen) -> Target:
        """The same target where the model runs again: what was predicted stays what is explained."""
        ...

    def value(self, seen: Seen) -> Tensor:
        """The scalar of each row, (rows,); (rows, targets) of several."""
        ...


Targets = int | str | Tensor | np.ndarray[Any, Any] | Target | Callable[..., Tensor] | Sequence[Any]
"""What `explain` takes as targets.

One target or a sequence of them, each a class index for every image, ``"predicted"``, a list of class indices (one an
image), a `Target`, or a function of the model's output that returns (batch,) or (batch, targets). A tensor or array
holds class indices, (batch,) or (batch, targets). A function that knows its batch takes a second argument, `Seen.rows`.
"""


@dataclass(frozen=True)
class Classes:
    """The score of one class of each image.

    Attributes:
        indices: (batch,) int64, the class of each image; or one class for all, as an int.
        scores: reads (rows, classes) from what the model returned; `scores_of` where left out.
    """

    indices: Tensor | int
    scores: Callable[[object], Tensor] | None = None
    layers: tuple[str, ...] = ()

    def fixed(self, seen: Seen) -> Classes:
        """The same, checked against the scores."""
        classes, batch = self.of_all(seen).shape[1], len(seen.rows)
        if isinstance(self.indices, int):
            wrong = [] if 0 <= self.indices < classes else [self.indices]
        else:
            if len(self.indices) != batch:
                msg = (
                    f"{len(self.indices)} class indices are given for {batch} images. Give one an image; a single int "
                    "stands for every image."
                )
                raise ExplainError(msg)
            # on another device the check would wait for it: there, a class that does not exist gives NaN
            known = self.indices.tolist() if self.indices.device.type == "cpu" else []
            wrong = [index for index in known if not 0 <= index < classes]
        if wrong:
            msg = f"Class {wrong[0]} does not exist: the model has {classes} outputs, 0 to {classes - 1}."
            raise ExplainError(msg)
        if isinstance(self.indices, int):
            return self
        return replace(self, indices=self.indices.to(seen.rows.device, non_blocking=True))

    def of_all(self, seen: Seen) -> Tensor:
        """The scores of all classes, (rows, classes)."""
        return seen.scores if self.scores is None else self.scores(seen.output)

    def index(self, seen: Seen) -> Tensor:
        """The class of each row, (rows,) int64."""
        if isinstance(self.indices, int):
            return torch.full_like(seen.rows, self.indices)
        return self.indices[seen.rows]

    def value(self, seen: Seen) -> Tensor:
        """Its score, before the softmax where the model returns that."""
        scores = self.of_all(seen)
        if isinstance(self.indices, int):
            return scores[:, self.indices]
        chosen = self.index(seen)
        exists = (chosen >= 0) & (chosen < scores.shape[1])
        found = scores.gather(1, torch.where(exists, chosen, 0)[:, None]).squeeze(1)
        return torch.where(exists, found, torch.nan)


@dataclass(frozen=True)
class Predicted:
    """The score of the class with the highest score; of the unchanged image, where a method changes it."""

    layers: tuple[str, ...] = ()

    def fixed(self, seen: Seen) -> Classes:
        """The predicted classes."""
        return Classes(seen.scores.detach().argmax(1))

    def value(self, seen: Seen) -> Tensor:
        """The score of each row's own prediction."""
        return seen.scores.amax(1)


@dataclass(frozen=True)
class Contrast:
    """One target minus another: why the first rather than the second?"""

    first: Target
    second: Target

    def __post_init__(self) -> None:
        """Refuse what is no target."""
        parts: tuple[object, ...] = (self.first, self.second)
        for part in parts:
            if not isinstance(part, Target) or isinstance(part, type):
                msg = f"A contrast is of two targets, such as Classes(3) or Predicted(); {part!r} is none."
                raise ExplainError(msg)

    @property
    def layers(self) -> tuple[str, ...]:
        """What either looks at."""
        return (*self.first.layers, *self.second.layers)

    def fixed(self, seen: Seen) -> Contrast:
        """Both fixed."""
        return Contrast(self.first.fixed(seen), self.second.fixed(seen))

    def value(self, seen: Seen) -> Tensor:
        """The difference of the two."""
        return self.first.value(seen) - self.second.value(seen)


@dataclass(frozen=True)
class Probability:
    """The softmax of a class, in place of its score. Saturates: near 1 the gradient vanishes."""

    of: Classes | Predicted
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no class."""
        of: object = self.of
        if not isinstance(of, (Classes, Predicted)):
            msg = f"A probability is of Classes(...) or Predicted(), not of {of!r}."
            raise ExplainError(msg)

    def fixed(self, seen: Seen) -> Probability:
        """Of the fixed class."""
        return Probability(self.of.fixed(seen))

    def value(self, seen: Seen) -> Tensor:
        """Share of 1, of the class among all."""
        if isinstance(self.of, Classes):
            shares = replace(seen, output=self.of.of_all(seen).softmax(1))
            return replace(self.of, scores=None).value(shares)
        return self.of.value(replace(seen, output=seen.scores.softmax(1)))


@dataclass(frozen=True)
class Similarity:
    """Cosine similarity of the model's embedding to a reference's, for metric learning.

    Attributes:
        reference: (dim,) for every image, or (batch, dim).
    """

    reference: Tensor
    layers: tuple[str, ...] = ()

    def fixed(self, seen: Seen) -> Similarity:
        """The same, checked against the embedding."""
        embedding, batch = seen.scores, len(seen.rows)
        if self.reference.shape not in {embedding.shape[1:], (batch, *embedding.shape[1:])}:
            msg = (
                f"The reference has shape {tuple(self.reference.shape)}; embeddings of {batch} images of this model need "
                f"({embedding.shape[1]},) or ({batch}, {embedding.shape[1]})."
            )
            raise ExplainError(msg)
        return replace(self, reference=self.reference.to(embedding, non_blocking=True))

    def value(self, seen: Seen) -> Tensor:
        """Between -1 and 1."""
        reference = self.reference if self.reference.ndim == 1 else self.reference[seen.rows]
        return torch.nn.functional.cosine_similarity(seen.scores, reference.expand_as(seen.scores), dim=1)


@dataclass(frozen=True)
class Neuron:
    """What a feature map, or one of its neurons, responds to.

    Attributes:
        layer: name of a module that returns (batch, channels, ...); or (batch, tokens, channels) with `channels_last`.
        channel: of its output.
        position: (y, x), or (token,); None: the mean over all of them, the whole feature map.
        channels_last: where the channels are.
    """

    layer: str
    channel: int
    position: tuple[int, ...] | None = None
    channels_last: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """The one layer."""
        return (self.layer,)

    def fixed(self, seen: Seen) -> Neuron:
        """The same, checked against what the layer returns."""
        output = self._channels_first(seen)
        at = self.position or ()
        fits = 0 <= self.channel < output.shape[1] and (
            not at
            or (
                len(at) == output.ndim - 2
                and all(0 <= i < n for i, n in zip(at, output.shape[2:], strict=True))
            )
        )
        if not fits:
            where = f" at {at}" if at else ""
            msg = (
                f"The layer {self.layer!r} has {output.shape[1]} channels of {tuple(output.shape[2:])} places: there is no "
                f"neuron of channel {self.channel}{where}."
            )
            raise ExplainError(msg)
        return self

    def value(self, seen: Seen) -> Tensor:
        """The activation."""
        output = self._channels_first(seen)[:, self.channel]
        if self.position is None:
            return output.flatten(1).mean(1) if output.ndim > 1 else output
        flat = output.flatten(1)
        return flat[:, _ravel(self.position, output.shape[1:])]

    def _channels_first(self, seen: Seen) -> Tensor:
        output = seen.layers[self.layer]
        return output.movedim(-1, 1) if self.channels_last else output


@dataclass(frozen=True)
class Scalar:
    """Any function of the output: (batch,) or (batch, targets).

    Attributes:
        function: of the model's output; of the output and `Seen.rows`, where it takes two arguments.
    """

    function: Callable[..., Tensor]
    layers: tuple[str, ...] = ()

    def fixed(self, seen: Seen) -> Scalar:
        """Itself."""
        del seen
        return self

    def value(self, seen: Seen) -> Tensor:
        """What the function returns."""
        takes_rows = _positional(self.function) > 1
        found: object = self.function(seen.output, seen.rows) if takes_rows else self.function(seen.output)
        rows = len(seen.rows)
        if isinstance(found, Tensor) and found.ndim in {1, 2} and len(found) == rows and found.numel():
            return found
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        msg = (
            f"A target's function gives scores of {got} for {rows} images; it must be (batch,) or (batch, targets), "
            "at least one target."
        )
        raise ExplainError(msg)


OF_SCORES = (Classes, Predicted, Contrast, Probability, Similarity)
"""The targets that look at nothing but the model's scores, or at the layers they name."""

_RIVALS = 3


def rivals(target: Target, seen: Seen) -> Tensor:
    """The mean score of the classes that are most like a target's (Zhang et al. 2025, section 3.3).

    Those are the three, or all others where there are fewer, whose scores lie nearest to the target's own.

    Returns:
        (rows,).

    Raises:
        ExplainError: the target is no class, or the only one.
    """
    scores = target.of_all(seen) if isinstance(target, Classes) else seen.scores[:, :0]
    others = scores.shape[1] - 1
    if not isinstance(target, Classes) or not others:
        msg = "Finer-CAM holds a class against those that are most like it: its target must be a class, among several."
        raise ExplainError(msg)
    own = target.index(seen)[:, None]
    known = scores.detach()
    distance = (known - known.gather(1, own)).abs().scatter(1, own, torch.inf)
    nearest = distance.topk(min(_RIVALS, others), largest=False).indices
    return scores.gather(1, nearest).mean(1)


def scores_of(output: object) -> Tensor:
    """The class scores in what a model returned, (batch, classes); see `camaudit.models.outputs.output_scores`.

    Raises:
        ExplainError: there are none.
    """
    try:
        return output_scores(output, "The model")
    except ModelError as error:
        msg = f"{error} Name another scalar as the target: a function of the model's output."
        raise ExplainError(msg) from None


def parse_targets(targets: Targets) -> tuple[Target, ...]:
    """The targets that somebody named; see `Targets`.

    Raises:
        ExplainError: there is none, or one is nothing that can be explained.
    """
    if isinstance(targets, np.ndarray) and targets.dtype.kind in "iu":
        targets = torch.from_numpy(targets.astype(np.int64))
    if isinstance(targets, Tensor):
        columns = targets.T if targets.ndim == 2 else targets[None]
        if targets.ndim not in {1, 2} or not _holds_indices(targets) or not targets.numel():
            msg = f"targets is a tensor of {targets.dtype} {tuple(targets.shape)}; class indices are integers, (batch,) or (batch, targets)."
            raise ExplainError(msg)
        return tuple(Classes(column) for column in columns)
    if isinstance(targets, Sequence) and not isinstance(targets, str):
        if not targets:
            msg = "targets is empty; name at least one."
            raise ExplainError(msg)
        return tuple(_one(target) for target in targets)
    return (_one(targets),)


def _one(target: object) -> Target:
    if _is_index(target):
        return Classes(int(target))  # type: ignore[call-overload]
    if isinstance(target, str) and target == "predicted":
        return Predicted()
    if isinstance(target, Target) and not isinstance(target, type):
        return target
    if isinstance(target, np.ndarray) and target.dtype.kind in "iu":
        target = torch.from_numpy(target.astype(np.int64))
    if isinstance(target, Tensor) and target.ndim == 1 and _holds_indices(target):
        return Classes(target.long())
    if isinstance(target, (list, tuple)) and target and all(_is_index(index) for index in target):
        return Classes(torch.tensor([int(index) for index in target]))
    if callable(target) and not isinstance(target, type):
        return Scalar(target)
    msg = (
        f"{target!r} is no target; use a class index, 'predicted', a list of class indices (one an image), "
        "one of camaudit.targets, or a function of the model's output."
    )
    raise ExplainError(msg)


def _is_index(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _holds_indices(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def _positional(function: Callable[..., Tensor]) -> int:
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return sum(argument.kind in kinds and argument.default is argument.empty for argument in arguments)


def values(targets: Sequence[Target], seen: Seen) -> Tensor:
    """The targets' scalars, (rows, targets)."""
    found = [target.value(seen) for target in targets]
    return torch.cat([value if value.ndim == 2 else value[:, None] for value in found], dim=1)


def _ravel(position: Sequence[int], shape: Sequence[int]) -> int:
    index = 0
    for at, size in zip(position, shape, strict=True):
        index = index * size + at
    return index
