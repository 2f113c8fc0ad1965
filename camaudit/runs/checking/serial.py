"""A dry run as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from camaudit.data import Duplicates
    from camaudit.data.problems import Problem
    from camaudit.runs.check import Check

SCHEMA_VERSION = 1


def to_json(check: Check) -> str:
    """What ``camaudit check --json`` writes; a number that is not defined is null."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "stops": bool(check.problem_counts),
        "problems": _listed(check.problems),
        "problem_counts": dict(check.problem_counts),
        "left_out": _listed(check.left_out),
        "left_out_counts": dict(check.left_out_counts),
        "noticed": _listed(check.noticed),
        "noticed_counts": dict(check.noticed_counts),
        "facts": dict(check.facts),
        "regions": _rows(check.regions),
        "groups": _rows(check.groups),
        "crossed": _rows(check.crossed),
        "associations": _rows(check.associations),
        "duplicates": _duplicates(check.duplicates),
        "cost": {**asdict(check.cost), "disk": check.cost.disk} if check.cost else None,
    }
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _listed(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in problems]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            str(name): None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        for row in table.astype(object).to_dict("records")
    ]


def _duplicates(found: Duplicates | None) -> dict[str, Any] | None:
    if found is None:
        return None
    groups = [
        {
            "kind": group.kind,
            "across_splits": len(group.splits) > 1,
            "contradicting": len(group.labels) > 1,
            "samples": [
                {"id": sample.id, "label": sample.label, "split": sample.split, "distance": distance}
                for sample, distance in zip(group.samples, group.distances, strict=True)
            ],
        }
        for group in found.groups
    ]
    return {"images": found.images, "flat": len(found.flat), "groups": groups}
