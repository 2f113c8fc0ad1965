"""Whether the model is as good as expected, and better than chance, on the samples that are audited.

Maps of a model that does no better than chance say where noise comes from. So this is said before anything is concluded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camaudit.findings.building import share
from camaudit.models.outputs import labels_of, values_of
from camaudit.statistics import group_table, mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.models import LoadedModel


def accuracy_warnings(samples: pd.DataFrame, model: LoadedModel) -> list[str]:
    """What a reader should know before believing a map, one sentence each; none where nothing is labelled.

    Args:
        samples: the run's samples table.
        model: the audited model.
    """
    if model.task == "regression":
        return _regression(samples, model)
    table = group_table(samples, ())
    if table.empty:
        if model.config.expect_accuracy is None:
            return []
        return ["model.expect_accuracy could not be compared with anything: no sample has a label."]
    row = table[table["label"] == ""].iloc[0]
    found, low, high = (float(row[name]) for name in ("accuracy", "low", "high"))
    said = f"The model is right in {share(found)} of {row['n']} labelled samples (95 % interval {share(low)} to {share(high)})"
    return [*_unexpected(said, (low, high), model), *_chance(said, (low, high), samples, model)]


def _unexpected(said: str, interval: tuple[float, float], model: LoadedModel) -> list[str]:
    expected, tolerance = model.config.expect_accuracy, model.config.accuracy_tolerance
    low, high = interval
    if expected is None or low - tolerance <= expected <= high + tolerance:
        return []
    advice = "Check the preprocessing, the order of the classes and the split before you believe a map."
    return [f"{said}, where {share(expected)} was expected (model.expect_accuracy). {advice}"]


def _chance(said: str, interval: tuple[float, float], samples: pd.DataFrame, model: LoadedModel) -> list[str]:
    known = [str(label) for label in samples["label"].dropna()]
    several = [set(labels_of(label)) if model.task == "multilabel" else {label} for label in known]
    shares = {name: sum(name in labels for labels in several) / len(several) for name in model.classes}
    most = max(shares, key=lambda name: shares[name])
    drawn = sum(shares.values()) / len(
        model.classes
    )  # a class drawn at random; 1/classes where each sample has one
    low, high = interval
    if low > shares[most]:  # which is never less
        return []
    if high < drawn:
        how = "worse than guessing: the classes may be named in another order than the head's outputs"
    elif low <= drawn:
        how = f"which cannot be told from guessing ({share(drawn)})"
    else:
        how = f"no better than always answering {most!r} ({share(shares[most])})"
    return [f"{said}, {how}. The maps of such a model show nothing that it has learnt."]


def _regression(samples: pd.DataFrame, model: LoadedModel) -> list[str]:
    """Warns where an output's squared error is no smaller than that of always answering the mean."""
    found = []
    truth = np.array(
        [
            values_of(None if label is None else str(label), len(model.classes))
            for label in samples["label"].astype(object).where(samples["label"].notna(), None)
        ],
        dtype=np.float64,
    )
    subjects = samples["subject"].to_numpy(dtype=object) if samples["subject"].notna().any() else None
    for column, name in enumerate(model.classes):
        known = ~np.isnan(truth[:, column])
        if known.sum() < 2:
            continue
        error = samples[f"error_{name}"].to_numpy(dtype=np.float64)[known] ** 2
        spread = (truth[known, column] - truth[known, column].mean()) ** 2
        gain = mean_interval(spread - error, None if subjects is None else subjects[known])
        if not gain.low > 0:
            root = float(np.sqrt(error.mean()))
            found.append(
                f"The error of {name!r} is {root:.3g} (root mean square over {known.sum()} labelled samples), which cannot be told "
                f"from always answering their mean ({float(np.sqrt(spread.mean())):.3g}). Its maps show nothing that was learnt."
            )
    return found
