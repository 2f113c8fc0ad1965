"""Whether data, model and device fit each other; asked before a run begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.config.model import SEPARATOR
from camaudit.errors import DataError, ModelError
from camaudit.explain import all_methods, get_method
from camaudit.models.outputs import labels_of, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.config.model import Task
    from camaudit.data import Dataset
    from camaudit.explain.registry import Method
    from camaudit.models import LoadedModel
    from camaudit.types import OutputTarget


def find_device(name: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA where there is one.

    Raises:
        ModelError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in {"cpu", "cuda"}:
            msg = f"camaudit does not run on {device.type}"
            raise RuntimeError(msg)  # noqa: TRY301 - as torch says it of a device it does not have
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        msg = f"The device {name!r} cannot be used here: {reason}. Use auto, cpu, cuda or cuda:N."
        raise ModelError(msg) from None
    return device


def check_labels(data: Dataset, classes: Sequence[str], *, task: Task = "multiclass") -> None:
    """Every label is one of the model's classes; of multilabel each of them; of regression numbers, one an output.

    Raises:
        DataError: naming the labels that are not, and how many samples have them.
    """
    if not classes:  # the model that would name them could not be opened
        return
    if task == "regression":
        _check_values(data, classes)
        return
    unknown: dict[str, list[str]] = {}
    for sample in data.samples:
        for label in unknown_labels(sample.label, classes, task=task):
            unknown.setdefault(label, []).append(sample.id)
    if unknown:
        what = "; ".join(
            f"{label!r} of {ids[0]}" + (f" and {len(ids) - 1} more" if len(ids) > 1 else "")
            for label, ids in unknown.items()
        )
        msg = (
            f"{len(unknown)} label(s) are not among the model's classes ({', '.join(classes)}): {what}. "
            "Correct the labels, or name the classes as the labels do."
        )
        raise DataError(msg)


def unknown_labels(label: str | None, classes: Sequence[str], *, task: Task = "multiclass") -> list[str]:
    """Which labels of one sample the model has no class for; of a regression the label, where it is not its outputs' values."""
    if task == "regression":
        return [] if values_of(label, len(classes)) is not None else [str(label)]
    if label is None:
        return []
    several = (labels_of(label) or (label,)) if task == "multilabel" else (label,)
    return [of for of in several if of not in classes]


def _check_values(data: Dataset, outputs: Sequence[str]) -> None:
    wrong = [sample for sample in data.samples if values_of(sample.label, len(outputs)) is None]
    if wrong:
        shape = SEPARATOR.join(outputs)
        what = f"one number ({outputs[0]})" if len(outputs) == 1 else f"{len(outputs)} numbers ({shape})"
        msg = (
            f"The label of {len(wrong)} sample(s) is not {what}, such as {wrong[0].label!r} of {wrong[0].id}. "
            "The labels of a regression are the true values of its outputs."
        )
        raise DataError(msg)


def check_methods(methods: Sequence[str], model: LoadedModel) -> None:
    """The model gives what every method needs.

    Raises:
        ModelError: naming the methods that need what it does not give.
    """
    if "hooks" in model.gives:
        return
    need = [name for name in methods if _looks_inside(get_method(name))]
    if need:
        able = [name for name, method in all_methods().items() if not _looks_inside(method)]
        msg = (
            f"{', '.join(need)} cannot be had of {model.name}: a TorchScript program does not show what its layers return. "
            f"Use {', '.join(able)}, or give the network with its state dict."
        )
        raise ModelError(msg)


# what can be had from outside: by the input, its gradient, and more forward passes
_FROM_OUTSIDE = frozenset(("input_gradient", "inputs", "masked_scores", "rerun", "score"))


def _looks_inside(method: Method) -> bool:
    return method.grid == "layer" or not method.needs <= _FROM_OUTSIDE


def check_targets(
    data: Dataset, targets: Sequence[OutputTarget], classes: Sequence[str], *, task: Task = "multiclass"
) -> None:
    """Every target can be had of this data and model.

    Raises:
        DataError: the label is asked for but not known, a class does not exist, or the task has no such target.
    """
    for target in targets if classes else ():
        check_target(target, classes, task=task)
        missing = [sample.id for sample in data.samples if sample.label is None]
        if target.kind == "label" and missing:
            msg = f"The target 'label' needs labels, and {len(missing)} sample(s) have none, such as {missing[0]}."
            raise DataError(msg)


def check_target(target: OutputTarget, classes: Sequence[str], *, task: Task = "multiclass") -> None:
    """A target can be had of a model's classes.

    Raises:
        DataError: a class does not exist, or the task has no such target.
    """
    if (target.kind == "output") != (task == "regression") and target.kind != "contrast":
        named = f"output:{classes[0]}" if task == "regression" else f"class:{classes[0]}"
        what = "has outputs and no classes" if task == "regression" else "has classes"
        msg = f"The target {target.id!r} does not fit: a model of task {task} {what}. Name {named} in audit.targets."
        raise DataError(msg)
    for name in target.classes:
        if name not in classes:
            msg = f"The target {target.id!r} names {name!r}, which is no class: {', '.join(classes)}."
            raise DataError(msg)
