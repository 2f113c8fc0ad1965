"""Fit a state dict to an architecture: strictly, and saying what its names were freed of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import torch

from camaudit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

# wrappers that put themselves anywhere into a name
_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
# what a training module keeps beside its model, by a word of its first name, and what counters are called
_OF_TRAINING = frozenset(
    ("acc", "accuracy", "auroc", "confmat", "criterion", "f1", "loss", "losses", "metric", "metrics")
)
_COUNTERS = ("n_averaged", "total_ops", "total_params")


def fit_weights(
    module: nn.Module, state: Mapping[str, torch.Tensor], *, where: Path, classes: Sequence[str]
) -> tuple[str, ...]:
    """Load a state dict into an architecture, strictly.

    What training puts around the names is taken off: ``module.``, ``model.``, ``_orig_mod.`` and any other prefix that all
    names of the architecture have; what is left then must be a loss's or a metric's.

    Args:
        module: the architecture; its parameters keep their type.
        state: names and tensors.
        where: the file, for messages.
        classes: names of the head's outputs, for messages.

    Returns:
        What was understood, one phrase each.

    Raises:
        ModelError: names or shapes differ, or the weights are quantised; a head of another size is named as such.
    """
    own = module.state_dict()
    state, notes = _freed(dict(state), own, where)
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    _refuse_quantised(state, unknown, where)
    alike = not missing and not unknown
    if alike and shapes and all(own[key].shape[1:] == state[key].shape[1:] for key in shapes):
        msg = (
            f"{where} has a head of {len(state[shapes[0]])} outputs ({shapes[0]}) but model.classes names "
            f"{len(classes)}: {', '.join(classes[:6])}{_single(own[shapes[0]])}. Name every class, in the order of the outputs."
        )
        raise ModelError(msg)
    if missing or unknown or shapes:
        parts = [
            f"{len(names)} {what} (such as {names[0]})"
            for names, what in ((missing, "missing"), (unknown, "unknown"), (shapes, "of another shape"))
            if names
        ]
        msg = f"{where} does not fit {type(module).__name__}: {', '.join(parts)}. Name the architecture it was trained as."
        raise ModelError(msg)
    kinds = {str(value.dtype)[6:] for value in state.values() if value.is_floating_point()}
    narrow = sorted(kinds & {"float16", "bfloat16"})
    if narrow:
        notes.append(f"{' and '.join(narrow)} weights, computed with in float32")
    module.load_state_dict(state)
    return tuple(notes)


def _single(head: torch.Tensor) -> str:
    return " (binary: one output)" if len(head) == 1 else ""


def _freed(
    state: dict[str, torch.Tensor], own: Mapping[str, torch.Tensor], where: Path
) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The state dict under the architecture's own names, and what they were freed of."""
    notes = []
    for wrapper in _WRAPPERS:
        touched = sum(wrapper in key for key in state)
        if touched and not any(wrapper in key for key in own):
            shorter = {key.replace(wrapper, ""): value for key, value in state.items()}
            if len(shorter) < len(state):
                msg = f"{where} holds the same weights with and without {wrapper!r} in their names. Save one state dict."
                raise ModelError(msg)
            state = shorter
            notes.append(f"{wrapper!r} was taken out of {touched} names")
    if own.keys() <= state.keys():
        prefix = ""
    else:
        prefixes = _prefixes(state, own)
        if len(prefixes) > 1:
            msg = (
                f"{where} holds this architecture {len(prefixes)} times, under {' and '.join(map(repr, prefixes))}. "
                "Save the state dict of the one that is meant."
            )
            raise ModelError(msg)
        if not prefixes:
            return state, notes
        prefix = prefixes[0]
        notes.append(f"the prefix {prefix!r} was taken off {len(own)} names")
    inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    beside = [key for key in state if not key.startswith(prefix) or key.removeprefix(prefix) not in own]
    beside = [key for key in beside if _of_training(key.removeprefix(prefix))]
    if beside:
        notes.append(f"{len(beside)} tensor(s) of the training were left out (such as {beside[0]})")
    kept = {key: value for key, value in inside.items() if prefix + key not in beside}
    strange = {key: value for key, value in state.items() if not key.startswith(prefix) and key not in beside}
    return kept | strange, notes


def _of_training(key: str) -> bool:
    words = key.partition(".")[0].lower().split("_")
    return key.endswith(_COUNTERS) or not _OF_TRAINING.isdisjoint(words)


def _prefixes(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> list[str]:
    """The prefixes under which a state dict has every name of the architecture."""
    if not own:
        return []
    counts = Counter[str]()
    longest = max(own, key=len)
    for key in state:
        if key.endswith("." + longest):
            counts[key.removesuffix(longest)] += 1
    return sorted(prefix for prefix in counts if all(prefix + name in state for name in own))


def _refuse_quantised(state: Mapping[str, torch.Tensor], unknown: Sequence[str], where: Path) -> None:
    whole = [
        key
        for key, value in state.items()
        if value.is_quantized
        or (value.dtype in {torch.int8, torch.uint8} and key.endswith("weight"))
        or str(value.dtype).startswith("torch.float8")
    ]
    signs = [
        key
        for key in unknown
        if key.endswith((".zero_point", "_packed_params", ".weight_scale", ".SCB", ".absmax"))
    ]
    if whole or signs:
        msg = (
            f"{where} holds quantised weights (such as {(whole or signs)[0]}), which have no gradient. Give the weights from "
            "before the quantisation."
        )
        raise ModelError(msg)
