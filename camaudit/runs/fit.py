"""Whether data, model and device fit each other; asked before a run begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from camaudit.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camaudit.data import Dataset
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


def check_labels(data: Dataset, classes: Sequence[str]) -> None:
    """Every label is one of the model's classes.

    Raises:
        DataError: naming the labels that are not, and how many samples have them.
    """
    unknown: dict[str, list[str]] = {}
    for sample in data.samples:
        if sample.label is not None and sample.label not in classes:
            unknown.setdefault(sample.label, []).append(sample.id)
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


def check_targets(data: Dataset, targets: Sequence[OutputTarget], classes: Sequence[str]) -> None:
    """Every target can be had of this data and model.

    Raises:
        DataError: the label is asked for but not known, or a class does not exist.
    """
    for target in targets:
        for name in target.classes:
            if name not in classes:
                msg = f"The target {target.id!r} names {name!r}, which is no class: {', '.join(classes)}."
                raise DataError(msg)
        missing = [sample.id for sample in data.samples if sample.label is None]
        if target.kind == "label" and missing:
            msg = f"The target 'label' needs labels, and {len(missing)} sample(s) have none, such as {missing[0]}."
            raise DataError(msg)
