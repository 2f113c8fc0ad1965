"""The experiment from end to end: data, two models, two audits, one comparison."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from camaudit.compare import Comparison, compare
from camaudit.config import AuditConfig, dump_config, parse_config
from camaudit.demo.compose import CLASSES, LEGEND, compose
from camaudit.errors import MissingPartError, RunError, StaleRunError
from camaudit.runs import Progress, Run, Silent, run_config

if TYPE_CHECKING:
    from pathlib import Path

    from camaudit.demo.compose import ComposedDemo

MODELS = ("biased", "balanced")
DATASET = "camaudit-demo"


@dataclass(frozen=True)
class Experiment:
    """What the demo made.

    Attributes:
        out: its folder.
        biased: audit of the model trained in the paper's proportions.
        balanced: audit of the model trained on balanced images.
        comparison: the two beside each other.
        page: the comparison as HTML.
        missing: why nothing was exported to FiftyOne; None where it was.
    """

    out: Path
    biased: Run
    balanced: Run
    comparison: Comparison
    page: Path
    missing: str | None


def experiment(
    out: Path,
    *,
    per_class: int = 250,
    test_per_cell: int = 100,
    epochs: int = 4,
    fiftyone: bool = True,
    progress: Progress | None = None,
) -> Experiment:
    """Train two models, audit both on the same images, compare them; what is already there is not made again.

    Args:
        out: folder for the data, the weights, the configurations, the runs and the reports.
        per_class: training images a class.
        test_per_cell: test images a class and gender.
        epochs: of the training.
        fiftyone: whether to export both runs to FiftyOne.
        progress: who is told how far it is.
    """
    shown = progress or Silent()
    data = compose(out / "data", per_class=per_class, test_per_cell=test_per_cell, progress=shown.note)
    runs = {}
    for name in MODELS:
        weights = _trained(out, name, data, epochs, shown)
        config = _configuration(out, name, weights, data)
        shown.note(f"auditing the {name} model")
        runs[name] = _audited(config, out / "runs" / name, shown)
    comparison = compare(runs["biased"], runs["balanced"])
    page = comparison.report(out / "comparison.html")
    missing = export(runs) if fiftyone else "FiftyOne was not asked for."
    return Experiment(out, runs["biased"], runs["balanced"], comparison, page, missing)


def _trained(out: Path, name: str, data: ComposedDemo, epochs: int, shown: Progress) -> Path:
    from camaudit.demo.train import train

    weights = out / "models" / f"{name}.safetensors"
    # weights older than their table were trained on another one
    table = data.train_biased if name == "biased" else data.train_balanced
    if not weights.exists() or weights.stat().st_mtime < table.stat().st_mtime:
        train(table, weights, epochs=epochs, progress=shown.note)
    return weights


def _configuration(out: Path, name: str, weights: Path, data: ComposedDemo) -> AuditConfig:
    from camaudit.demo.train import ARCHITECTURE, PREPROCESSING

    values = {
        "model": {
            "source": "timm",
            "name": ARCHITECTURE,
            "weights": str(weights),
            "classes": list(CLASSES),
            "preprocessing": dict(PREPROCESSING),
        },
        "data": {
            "format": "table",
            "path": str(data.test),
            "columns": {"groups": ["gender"], "split": "split", "subject": "person"},
            "regions": {"column": "mask", "legend": {value: name for value, name in LEGEND.items() if value}},
        },
        "roles": {"object": ["tool"], "attribute": ["hair", "face"]},
        "audit": {"methods": ["gradcam"], "targets": ["predicted", "label"]},
    }
    config = parse_config(values, where="the demo's configuration")
    (out / f"{name}.yaml").write_text(dump_config(config, out), encoding="utf-8")
    return config


def _audited(config: AuditConfig, out: Path, shown: Progress) -> Run:
    begun = (out / "manifest.json").exists()
    try:
        return run_config(config, out, resume=begun, progress=shown)
    except StaleRunError:
        shown.note(f"{out} was made from something else; it is made anew")
        shutil.rmtree(out)
        return run_config(config, out, progress=shown)


def export(runs: dict[str, Run]) -> str | None:
    """Export both runs to one FiftyOne dataset, in the place of an earlier demo's.

    Returns:
        Why that was not possible; None where it was.
    """
    from camaudit.browse import remove

    try:
        for name, run in reversed(runs.items()):  # the App first shows what was exported last
            try:
                run.to_fiftyone(DATASET, key=name, overwrite=True)
            except RunError:  # a demo of another folder lies there
                for earlier in runs:
                    with suppress(RunError):
                        remove(DATASET, earlier)
                run.to_fiftyone(DATASET, key=name, overwrite=True)
    except (MissingPartError, RunError) as error:
        return str(error)
    return None
