"""Verdict and findings, as the page shows them: what each rung came to, the figures behind it, the pictures."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from camaudit.report import plots, words
from camaudit.types import RUNGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from markupsafe import Markup

    from camaudit.report.album import Album, Shot
    from camaudit.types import AuditedRun, Effect, Finding, Rung, Said, Status

STATUSES: Mapping[Status, str] = {
    "issue": "Issue",
    "tip": "Tip",
    "insufficient": "Not enough evidence",
    "passed": "Passed",
    "not_applicable": "Not applicable",
}
"""Statuses in the order of the page, as it names them."""

COUNTED: Mapping[Status, tuple[str, str]] = {
    "issue": ("issue", "issues"),
    "tip": ("tip", "tips"),
    "insufficient": ("without enough evidence", "without enough evidence"),
    "passed": ("passed", "passed"),
    "not_applicable": ("not applicable", "not applicable"),
}
"""The same behind a number."""

QUESTIONS: Mapping[Rung, str] = {
    "attended": "does more evidence lie there than by chance?",
    "trusted": "can the map be believed?",
    "used": "does the score follow an edit?",
    "harms": "is anybody classified worse for it?",
}
ANSWERS: Mapping[Said | None, str] = {
    "yes": "yes",
    "no": "no",
    "open": "cannot be said",
    None: "not examined",
}
"""What a rung came to, as the page says it."""
IN_FULL = 4
"""At most this many issues, and as many tips, are shown with pictures."""
LISTED = 60
"""Findings of one status beyond this many are only counted."""


class Step(NamedTuple):
    """A rung of the ladder; the answer is None where it was not examined."""

    name: Rung
    question: str
    answer: Said | None
    said: str


class Row(NamedTuple):
    """An effect as words and interval plot; `reason` says why there is none."""

    name: str
    what: str
    plot: Markup | None
    axis: Markup | None
    estimate: str
    interval: str
    n: int
    q: str
    reason: str


class Card(NamedTuple):
    """A finding with everything that is drawn of it."""

    finding: Finding
    status: str
    where: tuple[str, ...]
    steps: tuple[Step, ...]
    rows: tuple[Row, ...]
    shots: tuple[Shot, ...]
    counter_shots: tuple[Shot, ...]


class Group(NamedTuple):
    """The findings of one status: the first ones in full, others as a line each, the rest counted."""

    status: Status
    title: str
    total: int
    full: tuple[Card, ...]
    brief: tuple[Card, ...]
    uncounted: int


def groups(run: AuditedRun, album: Album, max_samples: int) -> list[Group]:
    """The findings by status: that of the finding which decides first, the others with the gravest first."""
    scales, first = scales_of(run.findings), deciding(run)
    made = []
    for status in sorted(STATUSES, key=lambda status: first is None or status != first.status):
        title = STATUSES[status]
        mine = [f for f in run.findings if f.status == status]
        mine.sort(key=lambda f: (f is not first, -f.severity))
        if not mine:
            continue
        leading = _leading(mine) if status in {"issue", "tip"} else [0] if mine[0] is first else []
        others = [finding for index, finding in enumerate(mine) if index not in leading]
        full = tuple(card(run, mine[index], scales, album, max_samples) for index in leading)
        brief = tuple(card(run, finding, scales, None, 0) for finding in others[:LISTED])
        made.append(Group(status, title, len(mine), full, brief, len(mine) - len(full) - len(brief)))
    return made


def _leading(findings: Sequence[Finding]) -> list[int]:
    """Where the first finding stands of every code, class and role: its narrower regions and groups would show the same again."""
    first: dict[object, int] = {}
    for index, finding in enumerate(findings):
        first.setdefault((finding.code, finding.target_class, finding.role), index)
    return list(first.values())[:IN_FULL]


def cards(run: AuditedRun, codes: Sequence[str], effect: str = "") -> tuple[Card, ...]:
    """The findings with some codes, or whose use an effect of some name told, without pictures: to stand beside their tables."""
    scales = scales_of(run.findings)
    asked = [f for f in run.findings if f.status != "not_applicable"]
    told = [f.evidence["used"].name if "used" in f.evidence else None for f in asked]
    mine = [f for f, name in zip(asked, told, strict=True) if f.code in codes or name == effect]
    return tuple(card(run, finding, scales, None, 0) for finding in mine[:LISTED])


def card(
    run: AuditedRun, finding: Finding, scales: Mapping[str, plots.Axis], album: Album | None, max_samples: int
) -> Card:
    """One finding; without an album it has no pictures."""
    where = [f"class {finding.target_class}"] if finding.target_class is not None else []
    where += [f"{words.region(finding.region)} ({finding.role})"] if finding.region else []
    where += [f"{name}: {value}" if value else name for name, value in finding.group.items()]
    known = set(run.samples["sample"]) if album is not None else set()

    def shots(samples: Iterable[str], at_most: int) -> tuple[Shot, ...]:
        chosen = [sample for sample in samples if sample in known][:at_most]
        return tuple(album.shot(run, sample, finding.region) for sample in chosen) if album else ()

    return Card(
        finding,
        STATUSES[finding.status],
        tuple(where),
        ladder(finding),
        tuple(_rows(finding, scales)),
        shots(finding.samples, max_samples),
        shots(finding.counter_samples, max(1, max_samples // 2)),
    )


def ladder(finding: Finding) -> tuple[Step, ...]:
    """What each rung came to; of a region the ones that were not examined too, of what has none they do not exist."""
    answers = {rung: finding.answers.get(rung) for rung in RUNGS if finding.region or rung in finding.answers}
    return tuple(Step(rung, QUESTIONS[rung], answer, ANSWERS[answer]) for rung, answer in answers.items())


def scales_of(findings: Iterable[Finding]) -> dict[str, plots.Axis]:
    """One axis a metric, so that intervals of different findings can be compared."""
    values: dict[str, list[float]] = {}
    for finding in findings:
        for effect in _effects(finding).values():
            values.setdefault(effect.name, []).extend((effect.estimate, effect.low, effect.high))
    return {name: plots.axis(name, numbers) for name, numbers in values.items()}


def row(name: str, effect: Effect, scale: plots.Axis | None) -> Row:
    """An effect in words, and as a plot where it has an estimate and there is a scale."""
    said = words.metric(effect.name).name
    value, ends = words.estimate(effect), words.interval(effect)
    plot = labels = None
    if scale is not None and math.isfinite(effect.estimate):
        spoken = f"{said}: {value}, 95{words.NARROW}% interval {ends or 'not known'}, n = {effect.n}"
        plot = plots.interval_plot(scale, [plots.Point(effect.estimate, effect.low, effect.high)], spoken)
        labels = plots.axis_labels(scale)
    q = words.adjusted(effect.q)
    return Row(name, said, plot, labels, value, ends, effect.n, q, words.undefined(effect))


def certainty(run: AuditedRun) -> list[str]:
    """How sure the verdict is, a sentence each."""
    manifest, findings = run.manifest, run.findings
    said = []
    effect = _figure(deciding(run))
    if effect is not None and not words.undefined(effect):
        ends, q = words.interval(effect), words.adjusted(effect.q)
        decided = deciding(run)
        is_open = decided is not None and decided.status == "insufficient"
        does = "leaves it open" if is_open else "decides"
        said.append(
            f"The figure that {does}: {words.metric(effect.name).name}, {words.estimate(effect)} "
            f"(95{words.NARROW}% interval {ends}; n = {effect.n}{'; ' + q if q else ''})."
        )
    counts = Counter(finding.status for finding in findings)
    if findings:
        parts = [words.plural(counts[status], *COUNTED[status]) for status in STATUSES if counts[status]]
        said.append(f"{words.plural(len(findings), 'question')} asked: {', '.join(parts)}.")
    if not any("trusted" in finding.answers for finding in findings):
        said.append("Not examined: whether the attribution maps of this model can be believed.")
    audited = (
        f"{manifest.samples - len(manifest.skipped):,} of {words.plural(manifest.samples, 'image')} audited"
    )
    said.append(f"{audited}, {len(manifest.skipped):,} skipped." if manifest.skipped else f"{audited}.")
    return said


def deciding(run: AuditedRun) -> Finding | None:
    """The finding that the verdict follows from; None where it follows from all of them together."""
    return run.findings[run.verdict.finding] if run.verdict.finding is not None else None


def _figure(finding: Finding | None) -> Effect | None:
    """The effect that a finding stands on: that of the rung it leaves open, or the one that decided."""
    if finding is None:
        return None
    open_ones = [rung for rung in RUNGS if finding.answers.get(rung) == "open" and rung in finding.evidence]
    is_open = finding.status == "insufficient" and bool(open_ones)
    return finding.evidence[open_ones[-1]] if is_open else finding.effect


def _effects(finding: Finding) -> Mapping[str, Effect]:
    """The effect of every rung that was examined; where there is none, the one that decided."""
    rungs: Mapping[str, Effect] = {
        # of an edit, not of a comparison of groups
        rung: replace(of, name="accuracy_lost") if finding.region and of.name == "accuracy" else of
        for rung, of in finding.evidence.items()
        if rung in RUNGS
    }
    if finding.evidence:
        return rungs or finding.evidence  # what lies behind a rung has a section of its own
    return {finding.rung or "": finding.effect} if finding.effect is not None else {}


def _rows(finding: Finding, scales: Mapping[str, plots.Axis]) -> Iterable[Row]:
    effects = _effects(finding)
    order = {rung: index for index, rung in enumerate(RUNGS)}
    for rung in sorted(effects, key=lambda name: order.get(name, len(order))):  # type: ignore[call-overload]
        yield row(rung, effects[rung], scales.get(effects[rung].name))
