"""Findings and clusters as saved views: exemplars, counter-exemplars, and all concerned with the strongest first."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from camaudit.browse.appearance import REASON_COLOURS
from camaudit.browse.content import REASONS, pattern_name
from camaudit.findings.quadrants import clearest
from camaudit.statistics.harms import BETWEEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from camaudit.browse.content import Content
    from camaudit.browse.names import Names
    from camaudit.types import AuditedRun, Cluster, Finding

COLOURS = {"issue": "#d62f2f", "tip": "#d99a1c", "passed": "#2e8b57"}
NEUTRAL = "#7a7f87"
LONGEST = 90
"""Of a view's name; FiftyOne allows 100 characters."""
CLEAREST = "those whose object and attribute differ most when they are edited first"
HARMS = "CAM4"
"""How the codes of findings about groups begin: their class is the true one."""
SHOWN = ("issue", "tip", "passed")


class View(NamedTuple):
    """A view to be saved; of a name that is too long the suffix stays."""

    subject: str
    view: Any
    description: str
    colour: str
    suffix: str = ""


def save_views(
    dataset: Any, fiftyone: Any, run: AuditedRun, *, names: Names, content: Content, ids: Mapping[str, str]
) -> list[str]:
    """Saves the views of every finding that names samples or a class, and of every cluster.

    Args:
        dataset: with the fields of the run.
        fiftyone: the module.
        run: whose findings they are.
        names: of the run's fields.
        content: of the run's fields.
        ids: FiftyOne's id of every sample of the run.

    Returns:
        The names of the saved views.
    """
    saved: list[str] = []
    slug = importlib.import_module("fiftyone.core.utils").to_slug
    # a view whose name reads the same in an address takes the place of the other
    taken = {slug(view) for view in dataset.list_saved_views()}

    def save(subject: str, view: Any, description: str, colour: str, suffix: str = "") -> None:
        kept = LONGEST - len(suffix)
        name = subject if len(subject) <= kept else f"{subject[: kept - 1]}…"
        free, number = name + suffix, 2
        while slug(free) in taken:
            free, number = f"{name}{suffix} ({number})", number + 1
        dataset.save_view(free, view, description=description, color=colour)
        taken.add(slug(free))
        saved.append(free)

    for view in (
        *_of_findings(dataset, fiftyone, run, names=names, content=content, ids=ids),
        *_of_quadrants(dataset, run, names, ids),
        *_of_patterns(dataset, fiftyone, run, names, content),
    ):
        save(*view)
    return saved


def _of_findings(
    dataset: Any, fiftyone: Any, run: AuditedRun, *, names: Names, content: Content, ids: Mapping[str, str]
) -> Iterator[View]:
    for finding in run.findings:
        if finding.status not in SHOWN:
            continue
        colour = COLOURS.get(finding.status, NEUTRAL)
        base = f"{names.key}: {finding.code} {_subject(finding)} {finding.status}"
        for role, samples in (("exemplars", finding.samples), ("counter-exemplars", finding.counter_samples)):
            chosen = [ids[sample] for sample in samples if sample in ids]
            if chosen:
                yield View(base, dataset.select(chosen, ordered=True), finding.title, colour, f", {role}")
        if finding.target_class is not None or finding.group:
            concerned = _concerned(dataset, fiftyone, run, finding, names=names, content=content)
            yield View(base, concerned, finding.title, colour, ", all")


def _of_quadrants(dataset: Any, run: AuditedRun, names: Names, ids: Mapping[str, str]) -> Iterator[View]:
    for quadrant, said in REASONS.items():
        mine = clearest(run.quadrants, quadrant)
        if mine and quadrant != "unknown":
            chosen = dataset.select([ids[sample] for sample in mine], ordered=True)
            count = f"{len(mine)} {'image' if len(mine) == 1 else 'images'}"
            yield View(f"{names.key}: {said}", chosen, f"{count}; {CLEAREST}", REASON_COLOURS[quadrant])


def _of_patterns(
    dataset: Any, fiftyone: Any, run: AuditedRun, names: Names, content: Content
) -> Iterator[View]:
    for pattern in content.patterns:
        name = pattern_name(pattern)
        members = dataset.match(fiftyone.ViewField(names.cluster) == name).sort_by(names.rank)
        yield View(f"{names.key}: pattern {name}", members, _described(run, pattern), NEUTRAL)


def _described(run: AuditedRun, pattern: Cluster) -> str:
    """Size, what the evidence lies on and how often the model errs, in a line."""
    shares = [
        f"{share:.0%} of the evidence on {region}"
        for region, share in sorted(pattern.region_shares.items(), key=lambda item: -item[1])
        if "+" not in region or region not in run.manifest.roles
    ]
    errs = [f"{pattern.error_rate:.0%} of them wrong"] if math.isfinite(pattern.error_rate) else []
    count = len(pattern.members)
    return "; ".join([f"{count} {'image' if count == 1 else 'images'}", *errs, *shares])


def _concerned(
    dataset: Any, fiftyone: Any, run: AuditedRun, finding: Finding, *, names: Names, content: Content
) -> Any:
    """All samples of the finding's class and group, those that show it most before the others."""
    is_true_class = run.manifest.targets[0] == "label" or finding.code.startswith(HARMS)
    field = fiftyone.ViewField
    view = dataset.exists(names.sample)
    if finding.target_class is not None:
        classes = names.label if is_true_class else names.prediction
        view = view.match(field(f"{classes}.label") == finding.target_class)
    for crossed, together in finding.group.items():
        if together:  # without a value it is about the whole column
            for group, value in zip(crossed.split(BETWEEN), together.split(BETWEEN), strict=False):
                view = view.match(field(content.directory["group", group]) == value)
    measure = _measure(finding, content.directory.fields)
    if measure is None and finding.code.startswith(HARMS):  # the wrong ones, the surest of them first
        return view.sort_by([(f"{names.prediction}.correct", 1), (f"{names.prediction}.confidence", -1)])
    return view if measure is None else view.sort_by(measure, reverse=finding.role != "object")


def _measure(finding: Finding, measures: Mapping[tuple[str, ...], str]) -> str | None:
    """The field that orders the samples: what decided the finding, or what its first rung looked at."""
    effects = [finding.effect, *finding.evidence.values()]
    wanted: Sequence[str] = [effect.name for effect in effects if effect is not None]
    for metric in (*wanted, "excess"):
        if finding.region is not None and (metric, finding.region) in measures:
            return measures[metric, finding.region]
    return None


def _subject(finding: Finding) -> str:
    group = [f"{name}={value}" if value else name for name, value in finding.group.items()]
    return " ".join(part for part in (finding.target_class, finding.region, *group) if part) or "all"
