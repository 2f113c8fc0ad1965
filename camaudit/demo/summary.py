"""The paper's table beside ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.demo.experiment import DATASET
from camaudit.statistics import group_table

if TYPE_CHECKING:
    import pandas as pd

    from camaudit.demo.experiment import Experiment
    from camaudit.runs import Run

PAPER = {"biased": "82 %", "balanced": "90 %"}
"""Accuracy on the gender-balanced test set, Selvaraju et al. 2017, section 6.3."""

OBJECT, ATTRIBUTE = "tool", "hair+face"
_WIDTHS = (48, 24, 24, 26)


def summary(result: Experiment, *, program: str = "camaudit") -> str:
    """Everything the demo says at its end; `program` is how camaudit is called here."""
    fiftyone = (
        f"in FiftyOne       {program} fiftyone app --dataset {DATASET}"
        if result.missing is None
        else f"not in FiftyOne   {result.missing}"
    )
    return "\n".join(
        [
            "",
            table(result),
            "",
            f"biased:   {result.biased.verdict.headline}. {result.biased.verdict.text}",
            f"balanced: {result.balanced.verdict.headline}. {result.balanced.verdict.text}",
            "",
            f"biased model      {result.biased.path / 'report.html'}",
            f"balanced model    {result.balanced.path / 'report.html'}",
            f"comparison        {result.page}",
            fiftyone,
        ]
    )


def rows(result: Experiment) -> list[tuple[str, ...]]:
    """The table's rows of four: what, biased, balanced, difference."""
    runs = (result.biased, result.balanced)
    found: list[tuple[str, ...]] = [
        ("accuracy, gender-balanced test (Grad-CAM paper)", PAPER["biased"], PAPER["balanced"], ""),
        ("accuracy, gender-balanced test (here)", *(_accuracy(run, "", "") for run in runs), ""),
    ]
    found += [
        (f"  {label}, {gender}", *(_accuracy(run, label, gender) for run in runs), "")
        for label in result.biased.manifest.classes
        for gender in sorted(result.biased.samples["group_gender"].dropna().unique())
    ]
    for region, role in ((OBJECT, "object"), (ATTRIBUTE, "attribute")):
        area = _effect(result.biased.effects, "area", "gradcam", region)["estimate"]
        found.append((f"{role} ({region}): chance", f"{area:.1%}", f"{area:.1%}", ""))
        for metric, name in (
            ("mass", "evidence inside"),
            ("lift", "lift, log2"),
            ("excess", "excess over chance"),
        ):
            found.append(
                (
                    f"  {name}",
                    *(_interval(_effect(run.effects, metric, "gradcam", region), metric) for run in runs),
                    ""
                    if metric == "lift"
                    else _interval(_effect(result.comparison.effects, metric, "gradcam", region), metric),
                )
            )
        for fill in result.biased.config["audit"]["intervention"]["fills"]:
            found.append(
                (
                    f"  shift of the margin when edited ({fill}), SD",
                    *(_interval(_effect(run.effects, "shift", fill, region), "shift") for run in runs),
                    _interval(_effect(result.comparison.effects, "shift", fill, region), "shift"),
                )
            )
    return found


def table(result: Experiment) -> str:
    """The table as plain text."""
    header = ("", "biased model", "balanced model", "biased - balanced")
    lines = [header, tuple("-" * width for width in _WIDTHS), *rows(result)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, _WIDTHS, strict=True)).rstrip()
        for line in lines
    )


def _accuracy(run: Run, label: str, gender: str) -> str:
    cells = group_table(run.samples, ["gender"])
    group = "gender" if gender else ""
    row = cells[(cells["label"] == label) & (cells["group"] == group) & (cells["value"] == gender)].iloc[0]
    return f"{row['accuracy']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"


def _effect(effects: pd.DataFrame, metric: str, method: str, region: str) -> pd.Series:
    """The effect over all classes and samples, for the predicted class."""
    row = effects[
        (effects["metric"] == metric)
        & (effects["method"] == method)
        & (effects["target"] == "predicted")
        & (effects["target_class"] == "")
        & (effects["region"] == region)
        & (effects["group"] == "")
    ]
    return row.iloc[0]


def _interval(effect: pd.Series, metric: str) -> str:
    spelled = "{:.1%}" if metric == "mass" else "{:+.3f}" if metric == "excess" else "{:+.2f}"
    if math.isnan(effect["estimate"]):
        return f"too few (n = {effect['n']})"
    return f"{spelled} [{spelled}, {spelled}]".format(effect["estimate"], effect["low"], effect["high"])
