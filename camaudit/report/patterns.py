"""Clusters of maps, as the page shows them: where they lie, what is on them, who is in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from camaudit.clusters import clustered, described, enrichment
from camaudit.report import plots, words
from camaudit.report.drawing import is_union
from camaudit.report.tables import ordered_regions, shown_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from markupsafe import Markup

    from camaudit.report.album import Album, Shot
    from camaudit.types import AuditedRun, Cluster

SHOWN = 6
"""Clusters of one class beyond this many are only counted."""


class Bar(NamedTuple):
    """A share with what it is held against."""

    name: str
    share: str
    chance: str
    bar: Markup


class Pattern(NamedTuple):
    """One cluster; `suspicion` says what makes it worth a look and is empty where nothing does."""

    number: int
    size: int
    mean_map: Markup
    errors: str
    suspicion: str
    regions: tuple[Bar, ...]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    shots: tuple[Shot, ...]


class Patterns(NamedTuple):
    """The clusters of one class; `target` is the id of the output target that the class stands for."""

    target_class: str
    target: str
    size: int
    clusters: tuple[Pattern, ...]
    unshown: int


def patterns(run: AuditedRun, album: Album, max_samples: int) -> list[Patterns]:
    """The clusters of the classes that are shown, the largest first."""
    table = clustered(run)
    if table.empty:
        return []
    shown = [name for name in shown_classes(run) if (table["target_class"] == name).any()]
    table = table[table["target_class"].isin(shown)]
    target = str(table["target"].iloc[0])
    clusters = described(run, shown)
    found = enrichment(table, run.measurements, run.samples)
    made = []
    for name in shown:
        mine = sorted((c for c in clusters if c.target_class == name), key=lambda c: c.index)
        size = sum(len(cluster.members) for cluster in mine)
        drawn = tuple(_pattern(run, cluster, found, album, max_samples) for cluster in mine[:SHOWN])
        made.append(Patterns(name, target, size, drawn, len(mine) - len(drawn)))
    return made


def _pattern(
    run: AuditedRun, cluster: Cluster, found: pd.DataFrame, album: Album, max_samples: int
) -> Pattern:
    title = f"Mean map of pattern {cluster.index + 1} of class {cluster.target_class}"
    errors = ""
    if math.isfinite(cluster.error_rate):
        errors = f"{words.share(cluster.error_rate)} of them wrong"
    return Pattern(
        number=cluster.index + 1,
        size=len(cluster.members),
        mean_map=album.mean_map(cluster.mean_map, title, run.manifest.frame),
        errors=errors,
        suspicion=_suspicion(cluster, found),
        regions=tuple(_region_bars(run, cluster)),
        groups=tuple(_group_bars(run, cluster)),
        shots=tuple(album.shot(run, member, None) for member in cluster.members[:max_samples]),
    )


def _suspicion(cluster: Cluster, found: pd.DataFrame) -> str:
    """On which attribute more of the cluster's evidence lies than of the rest of its class: the one that holds most."""
    mine = found[
        found["suspicious"]
        & found["rest"].notna()
        & (found["target_class"] == cluster.target_class)
        & (found["cluster"] == cluster.index)
    ]
    if mine.empty:
        return ""
    most = mine.sort_values("share", kind="stable").iloc[-1]
    ends = f"{words.share(most['low'])} to {words.share(most['high'])}"
    return (
        f"{words.share(most['share'])} ({ends}) of the evidence lies on {words.region(most['region'])}; "
        f"in the rest of the class {words.share(most['rest'])}, by chance {words.share(most['chance'])}."
    )


def _region_bars(run: AuditedRun, cluster: Cluster) -> Iterator[Bar]:
    manifest, table = run.manifest, run.measurements
    areas = table[
        (table["metric"] == "area")
        & (table["method"] == manifest.methods[0])
        & (table["target"] == manifest.targets[0])
        & table["sample"].isin(cluster.members)
    ]
    chances = areas.groupby("region")["value"].mean()
    for region in ordered_regions(run):
        value = cluster.region_shares.get(region)
        if value is None or is_union(region, manifest.roles):
            continue
        chance = float(chances.get(region, math.nan))
        said = (
            f"{words.region(region)}: {words.share(value)} of the evidence, {words.share(chance)} by chance"
        )
        mark = manifest.roles.get(region, "context")
        yield Bar(
            region, words.share(value), words.share(chance), plots.bar(value, said, chance=chance, mark=mark)
        )


def _group_bars(run: AuditedRun, cluster: Cluster) -> Iterator[tuple[str, tuple[Bar, ...]]]:
    """The composition of a cluster beside that of all samples whose map stands for the same class."""
    table = run.clusters
    peers = table.loc[table["target_class"] == cluster.target_class, "sample"]
    about = run.samples[run.samples["sample"].isin(peers)]
    for group, shares in cluster.group_shares.items():
        whole = about[f"group_{group}"].value_counts(normalize=True)
        bars = []
        for value, part in shares.items():
            usual = float(whole.get(value, math.nan))
            said = f"{value}: {words.share(part)} of the cluster, {words.share(usual)} of the class"
            bars.append(
                Bar(value, words.share(part), words.share(usual), plots.bar(part, said, chance=usual))
            )
        yield group, tuple(bars)
