"""What ``camaudit check`` prints."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from camaudit.cli.printing import columns
from camaudit.data.problems import KINDS
from camaudit.runs.checking.kinds import LEAVES_OUT, STOPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from camaudit.data.problems import Problem
    from camaudit.runs import Check

_SHOWN = 5  # problems of each kind
_LONGEST = 40  # letters of a name in a table
_WIDEST = 12  # values of a column that are printed as a table


def describe_check(check: Check, *, everything: bool = False) -> str:
    """Everything a dry run found.

    Args:
        check: what it found.
        everything: whether every problem is printed, not only the first ones of each kind.
    """
    width = max((len(name) for name in check.facts), default=0) + 2
    lines = [f"{name:{max(width, 15)}}{value}" for name, value in check.facts.items()]
    for part in (_regions(check), _groups(check), _associations(check), _duplicates(check), _cost(check)):
        if part:
            lines += ["", *part]
    shown = None if everything else _SHOWN
    if check.noticed_counts:
        lines += ["", f"{_total(check.noticed_counts)} thing(s) in the annotations that are gone on without:"]
        lines += _listed(check.noticed, check.noticed_counts, KINDS, shown)
    if check.left_out_counts:
        samples = len({problem.where for problem in check.left_out})
        total = _total(check.left_out_counts)
        unreadable = samples if len(check.left_out) == total else total
        lines += ["", f"{unreadable} image(s) cannot be read and would be left out:"]
        lines += _listed(check.left_out, check.left_out_counts, LEAVES_OUT, shown)
    if check.problem_counts:
        lines += ["", f"{_total(check.problem_counts)} problem(s) that stop an audit:"]
        lines += _listed(check.problems, check.problem_counts, STOPS, shown)
    else:
        lines += ["", "Nothing stops this audit."]
    return "\n".join(lines).strip()


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def _listed(
    problems: Sequence[Problem], counts: Mapping[str, int], headings: Mapping[str, str], shown: int | None
) -> list[str]:
    """The problems by kind, in the order of the headings."""
    of_kind: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        of_kind[problem.kind].append(problem)
    lines = []
    for kind, heading in headings.items():
        if kind not in counts:
            continue
        lines.append(f"{heading}: {counts[kind]}")
        listed = of_kind[kind][:shown]
        for problem in listed:
            known = not problem.where or problem.message.startswith(problem.where)
            lines.append(f"- {problem.message}" if known else f"- {problem.where}: {problem.message}")
        if len(listed) < counts[kind]:
            lines.append(f"  and {counts[kind] - len(listed):,} more; print every one with --all")
    return lines


def _regions(check: Check) -> list[str]:
    if check.regions.empty:
        return []
    rows = [("region", "role", "annotated", "empty", "mean area", "quartiles")]
    rows += [
        (
            _name(row["region"]),
            str(row["role"]),
            f"{row['annotated']}",
            f"{row['empty']}",
            _share(row["mean"]),
            " ".join(map(_share, (row["q25"], row["median"], row["q75"]))),
        )
        for row in _rows(check.regions)
    ]
    return ["regions (areas as shares of the image, where they are not empty)", *columns(rows)]


def _name(text: object) -> str:
    said = str(text)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1%}"


def _groups(check: Check) -> list[str]:
    lines: list[str] = []
    for group, table in check.groups.groupby("group", sort=False):
        lines += _crossed(f"samples by label and {group}", table, "label", "value")
    for (first, second), table in check.crossed.groupby(["first", "second"], sort=False):
        lines += _crossed(f"samples by {first} and {second}", table, "first_value", "second_value")
    return lines[1:]


def _crossed(title: str, table: pd.DataFrame, down: str, across: str) -> list[str]:
    named = table.assign(**{down: table[down].fillna("(none)")})
    counts = named.pivot_table(index=down, columns=across, values="n", aggfunc="sum", fill_value=0)
    if max(counts.shape) > _WIDEST:
        return ["", f"{title}: {counts.shape[0]} x {counts.shape[1]} values, see --json"]
    rows = [("", *map(_name, counts.columns))]
    rows += [
        (_name(name), *map(str, values)) for name, values in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return ["", title, *columns(rows)]


def _associations(check: Check) -> list[str]:
    if check.associations.empty:
        return []
    rows = [("", "Cramér's V", "95 % interval", "samples")]
    for row in _rows(check.associations):
        known = not math.isnan(row["v"])
        interval = f"{row['low']:.2f} to {row['high']:.2f}" if known else "too few, or one value"
        rows.append(
            (
                f"{_name(row['first'])} and {_name(row['second'])}",
                f"{row['v']:.2f}" if known else "-",
                interval,
                f"{row['n']}",
            )
        )
    return ["how closely they go together (0 independent, 1 one decides the other)", *columns(rows)]


def _duplicates(check: Check) -> list[str]:
    found = check.duplicates
    if found is None:
        return []
    if not found.groups:
        return [f"duplicates: none among {found.images:,} images"]
    return ["duplicates", *(f"- {said}" for said in found.warnings())]


def _cost(check: Check) -> list[str]:
    cost = check.cost
    if cost is None:
        return []
    parts = f"maps {_bytes(cost.maps)}, tables {_bytes(cost.tables)}, report about {_bytes(cost.report)}"
    return [
        f"measuring will take about {_time(cost.seconds)} here",
        f"the run will take about {_bytes(cost.disk)} of disk ({parts})",
    ]


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds" if seconds >= 1 else "a second"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
