"""What the clusters are: from maps to a table of members, to `Cluster` values, to the ones worth suspecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from camaudit.clusters.spray import spectral_clusters
from camaudit.statistics import MINIMUM, mean_interval
from camaudit.statistics.units import units
from camaudit.types import Cluster

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from camaudit.types import AuditedRun

MEMBER_COLUMNS = {
    **dict.fromkeys(("sample", "method", "target", "target_class"), "str"),
    **dict.fromkeys(("cluster", "rank"), "int64"),
    **dict.fromkeys(("x", "y"), "float64"),
}
ENRICHMENT_COLUMNS = {
    "target_class": "str",
    "cluster": "int64",
    **dict.fromkeys(("region", "role"), "str"),
    "n": "int64",
    **dict.fromkeys(("share", "low", "high", "rest", "chance"), "float64"),
    "suspicious": "bool",
}


def assign(
    maps_by_class: Mapping[str, Mapping[str, NDArray[np.floating]]],
    *,
    method: str,
    target: str,
    seed: int,
    neighbours: int | None = None,
    max_clusters: int = 8,
) -> pd.DataFrame:
    """Cluster the maps of every class.

    Args:
        maps_by_class: target class -> sample id -> raw map (h, w); of one method and target.
        method: id of the attribution method, for the table.
        target: id of the output target, for the table.
        seed: of the clustering.
        neighbours: see `spectral_clusters`.
        max_clusters: the most clusters of a class.

    Returns:
        The columns of `camaudit.types.AuditedRun.clusters`, the most typical members of the largest cluster first;
        a sample whose map has no mass has no row.
    """
    parts = []
    for name, maps in sorted(maps_by_class.items()):
        if not maps:
            continue
        result = spectral_clusters(
            np.stack(list(maps.values())), seed=seed, neighbours=neighbours, max_clusters=max_clusters
        )
        columns = {
            "sample": list(maps),
            "method": method,
            "target": target,
            "target_class": name,
            "cluster": result.labels,
            "rank": result.rank,
            "x": result.embedding[:, 0],
            "y": result.embedding[:, 1],
        }
        part = pd.DataFrame(columns)
        parts.append(part[part["cluster"] >= 0].sort_values(["cluster", "rank"]))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(MEMBER_COLUMNS))
    return table.astype(MEMBER_COLUMNS)


def clustered(run: AuditedRun) -> pd.DataFrame:
    """The clusters of a run's first clustered method and target: a sample is in one of them at most."""
    rows = run.clusters
    if rows.empty:
        return rows
    first = rows.iloc[0]
    chosen: pd.DataFrame = rows[(rows["method"] == first["method"]) & (rows["target"] == first["target"])]
    return chosen


def described(run: AuditedRun, classes: Collection[str] | None = None) -> list[Cluster]:
    """`describe` the clusters of a run's first clustered method and target, of these classes or of all."""
    rows = clustered(run)
    if classes is not None:
        rows = rows[rows["target_class"].isin(classes)]
    if rows.empty:
        return []
    method, target = str(rows["method"].iloc[0]), str(rows["target"].iloc[0])
    maps = {str(sample): run.attribution(str(sample), method, target).values for sample in rows["sample"]}
    return describe(rows, maps, run.measurements, run.samples)


def describe(
    assignments: pd.DataFrame,
    maps: Mapping[str, NDArray[np.floating]],
    measurements: pd.DataFrame,
    samples: pd.DataFrame,
) -> list[Cluster]:
    """Describe the clusters of one method and target.

    Args:
        assignments: the table from `assign`.
        maps: sample id -> the raw map (h, w) that was clustered.
        measurements: rows of `camaudit.types.Measurement`; metric ``mass`` of the method and target is read.
        samples: the run's samples table.

    Returns:
        The clusters by class, the largest first.
    """
    about = samples.set_index("sample")
    mass = _of_clusters(measurements, assignments, "mass")
    clusters = []
    for _, part in assignments.groupby(["target_class", "cluster"], sort=True):
        target_class, index = str(part["target_class"].iloc[0]), int(part["cluster"].iloc[0])
        members = part.sort_values("rank")["sample"]
        shares = mass[(mass["target_class"] == target_class) & (mass["cluster"] == index)]
        rows = about.reindex(members)
        clusters.append(
            Cluster(
                target_class=target_class,
                index=index,
                members=tuple(members),
                mean_map=mean_map([maps[sample] for sample in members]),
                region_shares={
                    str(region): float(values.mean()) for region, values in shares.groupby("region")["value"]
                },
                group_shares=_group_shares(rows),
                error_rate=_error_rate(rows["correct"]),
            )
        )
    return clusters


def mean_map(maps: list[NDArray[np.floating]]) -> NDArray[np.float32]:
    """The mean of maps that are each divided by their sum first, (h, w) float32; its sum is 1."""
    total = np.zeros(maps[0].shape)
    for single in maps:
        values = np.asarray(single, dtype=np.float64)
        total += values / values.sum()
    return (total / len(maps)).astype(np.float32)


def enrichment(assignments: pd.DataFrame, measurements: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """How much of each cluster's evidence lies in each region, against the rest of its class.

    A cluster is suspicious for an attribute region that holds more of its mass than of the mass of the rest of the
    class (any share, where the class has no other cluster), and more than the region's share of the image, both
    beyond the 95 % interval. A description, not a test: the clusters were found in the same maps.

    Args:
        assignments: the table from `assign`.
        measurements: rows of `camaudit.types.Measurement`; ``mass`` and ``excess`` are read.
        samples: the run's samples table; intervals are over its subjects, where it has them.

    Returns:
        One row a cluster and region, the suspicious first and among them the largest share: ``target_class, cluster,
        region, role, n, share`` (mean mass), ``low, high`` (its interval, NaN for fewer than 10 samples or subjects),
        ``rest`` (mean mass over the class's other clusters, NaN without any), ``chance`` (the region's mean share of
        the image), ``suspicious``.
    """
    mass = _of_clusters(measurements, assignments, "mass")
    excess = _of_clusters(measurements, assignments, "excess")
    keys = ["target_class", "cluster", "region", "role"]
    above = dict(iter(excess.groupby(keys)))
    subjects = samples.set_index("sample")["subject"] if "subject" in samples else pd.Series(dtype=object)
    rows = []
    for key, part in mass.groupby(keys):
        target_class, cluster, region, role = key
        same = (mass["target_class"] == target_class) & (mass["region"] == region)
        rest = float(mass.loc[same & (mass["cluster"] != cluster), "value"].mean())
        share = _interval(part, subjects)
        over = _interval(above.get(key, part.iloc[:0]), subjects)
        more = role == "attribute" and over[1] > 0 and not share[1] <= rest
        rows.append((*key, len(part), *share, rest, share[0] - over[0], more))
    table = pd.DataFrame(rows, columns=list(ENRICHMENT_COLUMNS)).astype(ENRICHMENT_COLUMNS)
    return table.sort_values(["suspicious", "share"], ascending=False, kind="stable", ignore_index=True)


def _interval(rows: pd.DataFrame, subjects: pd.Series[Any]) -> tuple[float, float, float]:
    """Mean and ends of its interval; the ends are NaN for fewer than `MINIMUM` values or subjects."""
    values, whose = rows["value"].to_numpy(), subjects.reindex(rows["sample"]).to_numpy()
    estimate, low, high, _ = mean_interval(values, whose)
    enough = units(values, whose).sums.size >= MINIMUM
    return (estimate, low, high) if enough else (estimate, float("nan"), float("nan"))


def _of_clusters(measurements: pd.DataFrame, assignments: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The defined values of one metric with the cluster of their sample."""
    keys = ["sample", "method", "target", "target_class"]
    chosen = measurements[(measurements["metric"] == metric) & measurements["value"].notna()]
    return chosen.merge(assignments[[*keys, "cluster"]], on=keys)


def _group_shares(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """For every ``group_NAME`` column the share of each of its values; missing ones left out."""
    return {
        str(name).removeprefix("group_"): {
            str(value): float(share)
            for value, share in rows[name].value_counts(normalize=True).sort_index().items()
        }
        for name in rows
        if str(name).startswith("group_")
    }


def _error_rate(correct: pd.Series) -> float:
    """Share of wrong predictions among those that can be judged; NaN where none can."""
    known = correct.dropna().astype(bool)
    return float(1 - known.mean()) if len(known) else float("nan")
