"""The page of one run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from camaudit.report import (
    believed,
    judgement,
    making,
    patterns,
    paying,
    reasons,
    tables,
    templates,
    unseen,
    used,
)
from camaudit.report.album import Album, legend
from camaudit.statistics.exchanges import EXCHANGE

if TYPE_CHECKING:
    from camaudit.report.album import Shot
    from camaudit.types import AuditedRun

MAX_SAMPLES = 4


def render(run: AuditedRun, *, max_samples: int = MAX_SAMPLES) -> str:
    """The report of a run as one self-contained HTML page.

    Args:
        run: a run that is done.
        max_samples: at most this many exemplars are shown for a finding, half as many counter-exemplars, and as many
            for a cluster.
    """
    album = Album()
    return templates.render(
        "report.html",
        run=run,
        manifest=run.manifest,
        verdict=run.verdict,
        statuses=judgement.STATUSES,
        certainty=judgement.certainty(run),
        groups=judgement.groups(run, album, max_samples),
        hero=hero(run, album),
        errors=surest_errors(run, album, max_samples),
        legend=legend(run.manifest.roles),
        reasons=reasons.reasons(run, album, max(1, max_samples // 2)),
        regions=tables.region_tables(run),
        believed=believed.believed(run),
        used=used.used_tables(run),
        fills=used.fills(run),
        exchanged=judgement.cards(run, used.EXCHANGED, EXCHANGE),
        harms=judgement.cards(run, paying.HARMS),
        gaps=paying.gaps(run),
        group_tables=tables.group_tables(run),
        intersections=paying.intersections(run),
        unseen=judgement.cards(run, unseen.UNSEEN),
        looks=unseen.looks(run, album),
        patterns=patterns.patterns(run, album, max_samples),
        facts=making.facts(run),
        methods=making.statistics(run),
        tolerance=making.TOLERANCE,
        limits=making.limits(run),
        album=album,
    )


def write(run: AuditedRun, path: Path | str, *, max_samples: int = MAX_SAMPLES) -> Path:
    """Writes `render`'s page; the file is there whole or not there."""
    return save(render(run, max_samples=max_samples), path)


def save(text: str, path: Path | str) -> Path:
    """Writes text beside its name, then renames it."""
    goal = Path(path)
    goal.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=goal.parent, prefix=f".{goal.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(goal)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return goal


def hero(run: AuditedRun, album: Album) -> Shot | None:
    """The picture beside the verdict: the first exemplar of the finding that decides.

    Where the findings decide together it is that of the first one with the verdict's status.
    """
    known = set(run.samples["sample"])
    finding = judgement.deciding(run)
    possible = [f for f in run.findings if f.status == run.verdict.status] if finding is None else [finding]
    shown = ((f, sample) for f in possible for sample in f.samples if sample in known)
    first = next(shown, None)
    return album.shot(run, first[1], first[0].region) if first is not None else None


def surest_errors(run: AuditedRun, album: Album, max_samples: int) -> list[Shot]:
    """The wrong predictions with the highest confidence."""
    samples = run.samples
    wrong = samples[
        samples["label"].notna() & (samples["correct"].astype("boolean").eq(other=False).fillna(False))
    ]
    chosen = wrong.sort_values("confidence", ascending=False, kind="stable")["sample"][:max_samples]
    return [album.shot(run, str(sample), None) for sample in chosen]
