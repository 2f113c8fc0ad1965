"""What the commands print: bars on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from camaudit.types import RUNGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.progress import TaskID

    from camaudit.explain import Method
    from camaudit.models.layers import TargetLayer
    from camaudit.runs import Progress
    from camaudit.runs.images import ExplainedImage
    from camaudit.types import AuditedRun, Finding

_SECONDS_BETWEEN_LINES = 10.0
_FINDINGS = 12  # lines; the report has them all
_REASONS = {
    "right_right": "right for the right reason",
    "right_wrong": "right for the wrong reason",
    "wrong_right": "wrong for the right reason",
    "wrong_wrong": "wrong for the wrong reason",
}


def say(text: str) -> None:
    """Print a result; what the terminal's encoding cannot show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress that shows itself on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def update(self, stage: str, done: int, total: int) -> None:
        if self._task is None or stage != self._stage:
            self._stage, self._task = stage, self._bars.add_task(stage, total=total)
        self._bars.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, markup=False)


class _Lines:
    def __init__(self) -> None:
        self._stage = ""
        self._begun = self._told = 0.0

    def update(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._begun, self._told = stage, now, 0.0
        if total > 1 and (done == total or now - self._told >= _SECONDS_BETWEEN_LINES):
            self._told = now
            rate = done / (now - self._begun) if now > self._begun else 0.0
            self.note(f"{stage}: {done} of {total}" + (f", {rate:.1f} a second" if done else ""))

    def note(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def describe_run(run: AuditedRun) -> str:
    """The end of a run: verdict, what was found on which rung, quadrants, time."""
    verdict = run.verdict
    counts = Counter(finding.status for finding in run.findings)
    lines = [
        f"{verdict.headline}.",
        verdict.text,
        "",
        *describe_findings(run.findings),
        "findings: " + ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items()),
        *_quadrants(run),
    ]
    lines += [f"note: {warning}" for warning in run.manifest.warnings]
    lines += _times(run.manifest.seconds)
    lines += [f"report: {run.path / 'report.html'}"]
    return "\n".join(lines)


def describe_findings(findings: Sequence[Finding]) -> list[str]:
    """The issues and tips, one a line with what each rung came to; an empty line ends them, where there are any."""
    told = [finding for finding in findings if finding.status in {"issue", "tip"}]
    if not told:
        return []
    rows = [("", "code", *RUNGS, "about")]
    for finding in told[:_FINDINGS]:
        about = [finding.target_class or "", (finding.region or "").replace("+", " and ")]
        about += [f"{name}: {value}" if value else name for name, value in finding.group.items()]
        answers = (finding.answers.get(rung, "-") for rung in RUNGS)
        rows.append((finding.status, finding.code, *answers, ", ".join(filter(None, about)) or "all"))
    more = [f"and {len(told) - _FINDINGS} more, in the report"] if len(told) > _FINDINGS else []
    return [*columns(rows), *more, ""]


def _quadrants(run: AuditedRun) -> list[str]:
    counts = run.quadrants["quadrant"].value_counts()
    known = [f"{counts[name]} {said}" for name, said in _REASONS.items() if name in counts]
    if not known:
        return []
    unknown = f"; {counts['unknown']} unknown" if "unknown" in counts else ""
    return [f"images: {', '.join(known)}{unknown}"]


def _times(seconds: Mapping[str, float]) -> list[str]:
    """Wall time of each stage as a share of the run's, in the order they ran."""
    whole = sum(seconds.values())
    if whole <= 0:
        return []
    return [
        f"time: {whole:.0f} s, of that "
        + ", ".join(f"{stage} {of / whole:.0%}" for stage, of in seconds.items())
    ]


def describe_methods(methods: Iterable[Method]) -> str:
    """One method a line."""
    rows = [("method", "by class", "randomised", "cost in forward passes", "grid", "source", "")]
    rows += [
        (
            of.id,
            "yes" if of.class_discriminative else "no",
            of.randomisation,
            of.cost,
            of.grid,
            of.source,
            of.summary.rstrip("."),
        )
        for of in methods
    ]
    notes = [
        "by class: whether maps are shown to tell classes apart, so that they can be evidence about one of them.",
        "randomised: whether the map changes when the weights are randomised (Adebayo et al. 2018): passes, fails, or open",
        "where what was measured does not decide. smooth:METHOD is the mean of a method's raw maps over noisy copies of the image.",
    ]
    return "\n".join([*columns(rows), "", *notes])


def describe_layers(chosen: str, found: Sequence[TargetLayer]) -> str:
    """One layer a line, in the order of the forward pass."""
    rows = [("", "layer", "grid", "layout")]
    for layer in found:
        height, width = layer.grid.size
        layout = layer.grid.layout.replace("_", " ")
        layout += f", {layer.grid.prefix} before the grid" if layer.grid.prefix else ""
        rows.append(("*" if layer.name == chosen else "", layer.name, f"{height}x{width}", layout))
    return "\n".join([*columns(rows), "", "* is the target layer that is found by itself."])


def describe_images(images: Sequence[ExplainedImage]) -> str:
    """What was written of each image."""
    lines = []
    for image in images:
        best = sorted(image.scores.items(), key=lambda item: -item[1])[:5]
        lines.append(f"{image.image}: " + ", ".join(f"{name} {score:.2f}" for name, score in best))
        lines += [f"  {method}, {target}: {path}" for (method, target), path in image.overlays.items()]
        lines.append(f"  raw maps: {image.maps}")
    return "\n".join(lines)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells, as lines in which the columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
