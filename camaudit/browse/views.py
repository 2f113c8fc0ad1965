"""Findings as saved views: exemplars, counter-exemplars, and everybody concerned with the strongest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from camaudit.browse.content import Content
    from camaudit.browse.names import Names
    from camaudit.types import AuditedRun, Finding

COLOURS = {"issue": "#d62f2f", "tip": "#d99a1c", "passed": "#2e8b57"}
NEUTRAL = "#7a7f87"
SHOWN = ("issue", "tip", "passed")


def save_views(
    dataset: Any, fiftyone: Any, run: AuditedRun, *, names: Names, content: Content, ids: Mapping[str, str]
) -> list[str]:
    """Saves the views of every finding that names samples or a class.

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

    def save(name: str, view: Any, finding: Finding) -> None:
        free, number = name, 2
        while free in saved:
            free, number = f"{name} ({number})", number + 1
        colour = COLOURS.get(finding.status, NEUTRAL)
        dataset.save_view(free, view, description=finding.title, color=colour, overwrite=True)
        saved.append(free)

    for finding in run.findings:
        if finding.status not in SHOWN:
            continue
        base = f"{names.key}: {finding.code} {_subject(finding)} {finding.status}"
        for role, samples in (("exemplars", finding.samples), ("counter-exemplars", finding.counter_samples)):
            chosen = [ids[sample] for sample in samples if sample in ids]
            if chosen:
                save(f"{base}, {role}", dataset.select(chosen, ordered=True), finding)
        if finding.target_class is not None or finding.group:
            save(
                f"{base}, all",
                _concerned(dataset, fiftyone, run, finding, names=names, content=content),
                finding,
            )
    return saved


def _concerned(
    dataset: Any, fiftyone: Any, run: AuditedRun, finding: Finding, *, names: Names, content: Content
) -> Any:
    """All samples of the finding's class and group, those that show it most before the others."""
    is_true_class = run.manifest.targets[0] == "label"
    field = fiftyone.ViewField
    view = dataset.exists(names.sample)
    if finding.target_class is not None:
        classes = names.label if is_true_class else names.prediction
        view = view.match(field(f"{classes}.label") == finding.target_class)
    for group, value in finding.group.items():
        view = view.match(field(names.field("group", group)) == value)
    measure = _measure(finding, content.measures)
    return view if measure is None else view.sort_by(measure, reverse=finding.role != "object")


def _measure(finding: Finding, measures: Mapping[tuple[str, str], str]) -> str | None:
    """The field that orders the samples: what decided the finding, or what its first rung looked at."""
    effects = [finding.effect, *finding.evidence.values()]
    wanted: Sequence[str] = [effect.name for effect in effects if effect is not None]
    for metric in (*wanted, "excess"):
        if finding.region is not None and (metric, finding.region) in measures:
            return measures[metric, finding.region]
    return None


def _subject(finding: Finding) -> str:
    group = [f"{name}={value}" for name, value in finding.group.items()]
    return " ".join(part for part in (finding.target_class, finding.region, *group) if part) or "all"
