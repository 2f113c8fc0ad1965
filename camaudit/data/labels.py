"""The label of an image, in formats that label instances or nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from camaudit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.config import DataConfig
    from camaudit.config.data import LabelSource


def label_source(
    source: DataConfig, allowed: Sequence[LabelSource], default: LabelSource | None
) -> LabelSource:
    """Where the labels come from.

    Args:
        source: the configuration.
        allowed: what the format can do.
        default: what it does where `data.label` is left out; None: it has to be said.

    Raises:
        ConfigError: `data.label` is missing where it must be said, is not possible here, or needs a table.
    """
    choices = ", ".join(allowed)
    asked = source.label or default
    if asked is None:
        msg = (
            f"data.label is missing: {source.format} labels instances, not images. "
            f"Say where the label of an image comes from: {choices}."
        )
        raise ConfigError(msg)
    if asked not in allowed:
        msg = f"data.label: {asked} is not possible with format: {source.format}; use {choices}."
        raise ConfigError(msg)
    if (
        asked == "table"
        and source.format != "table"
        and (source.table is None or source.columns.label is None)
    ):
        msg = "data.label: table needs data.table, a table beside the annotations, and data.columns.label."
        raise ConfigError(msg)
    return asked


def own_labels(source: DataConfig) -> LabelSource | None:
    """Where the labels come from in a format that labels images; None: from the format itself.

    Raises:
        ConfigError: as `label_source`.
    """
    return label_source(source, ("table", "none"), None) if source.label else None


def label_of_instances(instances: Sequence[tuple[str, float]], rule: LabelSource) -> str | None:
    """The label that an image has by its instances.

    Args:
        instances: category and area of each, in the order of the annotations.
        rule: ``largest``: the category of the largest instance, the first of several as large; ``only``: that of the
            only instance.

    Returns:
        The category; None where there is no instance, or for ``only`` several.
    """
    if not instances or (rule == "only" and len(instances) > 1):
        return None
    return max(instances, key=lambda instance: instance[1])[0]


def renamed(label: str | None, names: Mapping[str, str] | None, *, where: str) -> str | None:
    """The class's name of a label, by `data.label_names`.

    Raises:
        DataError: the label is not in it.
    """
    if label is None or names is None:
        return label
    if label not in names:
        close = difflib.get_close_matches(label, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, names))}."
        msg = f"{where}: the label {label!r} is not in data.label_names; {hint}"
        raise DataError(msg)
    return names[label]
