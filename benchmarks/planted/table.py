"""The committed table: one row an audited model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from benchmarks.planted.auditing import INVISIBLE, TRANSPLANTED
from benchmarks.planted.shortcuts import GLOBAL
from benchmarks.planted.stations import records
from camaudit.statistics.exchanges import EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TABLE: Final = Path(__file__).with_name("results.csv")
CELLS: Final = Path(__file__).with_name("cells.csv")
EDITED: Final = "edits"
"""Stands for the code of an interval that is of no one finding: the shift of a class under the edits."""
_EDITS: Final = frozenset({"CAM101", "CAM102"})


def of_records(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row an audit."""
    return pd.DataFrame([_row(record) for record in found])


def cells_of(found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row an interval that the twins can contradict: of a class and what was done to the shortcut."""
    rows = []
    for record in found:
        about = _model(record)
        rows += [{**about, "code": EDITED, "name": "shift", **cell} for cell in record["cells"]]
        for finding in record["findings"]:
            used, truth = finding["effects"].get("used"), finding.get("truth")
            if used is None or truth is None or used[0] not in truth:
                continue
            if finding["code"] in _EDITS and used[0] != EXCHANGE:
                continue  # `cells` has it, whatever the finding says
            numbers = dict(zip(("name", "estimate", "low", "high", "n"), used, strict=True))
            rows.append(
                {
                    **about,
                    "code": finding["code"],
                    "class": finding["class"] or "",
                    **numbers,
                    "twins": truth[used[0]],
                }
            )
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    # a response is what an edit does beyond its controls, in any direction: no twin has controls
    known = table[["low", "high", "twins"]].notna().all(axis=1) & (table["name"] != "response")
    return table[known].drop_duplicates(ignore_index=True)


def _model(record: Mapping[str, Any]) -> dict[str, Any]:
    station, job = record["station"], record["job"]
    trap = "shuffled" if station["along"] != 50 else "present" if job["strength"] == 50 else ""
    return {
        **{name: station[name] for name in ("task", "shortcut", "portion")},
        "station_seed": station["seed"],
        "along": station["along"],
        **{name: job[name] for name in ("family", "strength", "seed", "images", "masks")},
        "trap": "" if station["shortcut"] in GLOBAL else trap,
        "kind": record["truth"]["kind"],
        "effect": record["truth"]["effect"],
    }


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    findings, estimate, peers = record["findings"], record["estimate"], record["peers"]
    about = [finding for finding in findings if finding["role"] == "attribute"]
    issues = [finding for finding in about if finding["status"] == "issue"]
    used = [finding for finding in issues if finding["answers"].get("used") == "yes"]
    truth, flagged, seconds = record["truth"], record["flagged"], record["seconds"]
    settled = record["verdict"]["status"] in {"passed", "tip"}
    return {
        **_model(record),
        **{name: truth[name] for name in ("size", "flips", "aligned", "conflicting")},
        "verdict": record["verdict"]["status"],
        "headline": record["verdict"]["headline"],
        "says": record["verdict"]["text"],
        "attended": any(finding["answers"].get("attended") == "yes" for finding in about),
        "used": bool(used),
        "used_by": "+".join(sorted({finding["code"] for finding in used})),
        "excluded": bool(about) and (settled or record["verdict"]["headline"].startswith(_NOT_USED)),
        "settled": bool(about) and settled,
        "harms": any(
            finding["answers"].get("harms") == "yes" and finding["status"] == "issue" for finding in findings
        ),
        "invisible": any(
            finding["code"] in INVISIBLE and finding["status"] == "issue" for finding in findings
        ),
        "hinted": any(
            finding["code"] in INVISIBLE and finding["status"] in {"issue", "tip"} for finding in findings
        ),
        "trusted": "CAM201" in {finding["code"] for finding in findings},
        "severity": max((finding["severity"] for finding in issues), default=0.0),
        "estimate": estimate["exchange"] if estimate["shift"] is None else estimate["shift"],
        "plain": estimate["plain"],
        "transplant": _largest(findings, TRANSPLANTED),
        "exchange": estimate["exchange"],
        "precision": flagged["precision"],
        "flagged": flagged["n"],
        "base": flagged["base"],
        **{name: peers.get(name) for name in ("attention", "coverage", "iou", "mass", "area")},
        **{f"seconds_{name}": value for name, value in seconds.items()},
    }


_NOT_USED = "No attribute is used"
"""How a verdict begins that excludes the use of an attribute and leaves open whether something without a place matters."""


def _largest(findings: Sequence[Mapping[str, Any]], code: str) -> float | None:
    """The effect of a code's finding over all classes, or the largest of a class."""
    found = [
        finding["effects"]["used"]
        for finding in findings
        if finding["code"] == code and "used" in finding["effects"]
    ]
    sizes = [abs(effect[1]) for effect in found if effect[1] is not None]
    return max(sizes, default=None)


def gather(out: Path) -> list[dict[str, Any]]:
    """All records in a folder of results."""
    return [record for path in sorted((out / "records").glob("*.jsonl")) for record in records(path)]


def save(found: Sequence[Mapping[str, Any]], table: Path = TABLE, cells: Path = CELLS) -> None:
    """Write the committed table and its cells."""
    for frame, path in ((of_records(found), table), (cells_of(found), cells)):
        frame.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


def load(table: Path = TABLE, cells: Path = CELLS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read them."""
    text = dict.fromkeys(
        ("task", "shortcut", "portion", "family", "masks", "trap", "kind", "verdict", "headline", "says"), str
    )
    models = pd.read_csv(table, dtype=text, keep_default_na=True)
    models[list(text)] = models[list(text)].fillna("")
    texts = ["task", "shortcut", "portion", "family", "masks", "trap", "kind", "code", "class", "name"]
    found = pd.read_csv(cells, dtype=dict.fromkeys(texts, str))
    found[texts] = found[texts].fillna("")
    return models, found
