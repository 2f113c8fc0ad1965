"""What a run has to say about each sample, as values of FiftyOne fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from camaudit.browse.heatmaps import place_map, write_png
from camaudit.browse.names import Directory
from camaudit.browse.regions import region_labels
from camaudit.clusters import clustered, described
from camaudit.data import Frame
from camaudit.data.images import image_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from camaudit.browse.names import Names
    from camaudit.types import AuditedRun, Cluster

LOCALISATION = ("mass", "excess")
INTERVENTION = "shift"
NO_FILL = "transplant"  # adds the attribute instead of taking it away
LOOK = "look_"
REASONS = {
    "right_right": "right, for the right reason",
    "right_wrong": "right, for the wrong reason",
    "wrong_right": "wrong, for the right reason",
    "wrong_wrong": "wrong, for the wrong reason",
    "unknown": "reason unknown",
}
"""The quadrants as the App names them."""
MEASURED_ROLES = ("object", "attribute")
EXEMPLARS = 6
"""Of a cluster: the members that show its mean map."""


@dataclass(frozen=True)
class Content:
    """Fields of one run, each a mapping from sample id to value; a sample without a value is absent.

    Attributes:
        labels: predicted and true classes.
        heatmaps: one field a method and target.
        regions: masks and outlines.
        reasons: the quadrant of each sample.
        scores: numbers.
        looks: what the image looks like as a whole, as numbers.
        groups: group columns, split and subject.
        clusters: the cluster a sample is in, how typical it is of it, and on the most typical ones its mean map.
        record: the sample's id in the run.
        directory: the field of everything that has a name in the run.
        patterns: the clusters.
        layout: a point for each clustered sample.
    """

    labels: Mapping[str, Mapping[str, Any]]
    heatmaps: Mapping[str, Mapping[str, Any]]
    regions: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, float]]
    looks: Mapping[str, Mapping[str, float]]
    groups: Mapping[str, Mapping[str, str]]
    clusters: Mapping[str, Mapping[str, Any]]
    record: Mapping[str, Mapping[str, str]]
    directory: Directory
    patterns: Sequence[Cluster]
    layout: Mapping[str, tuple[float, float]]

    def fields(self) -> dict[str, Mapping[str, Any]]:
        """All fields with at least one value, in the order in which they should be read."""
        parts = (
            self.labels,
            self.heatmaps,
            self.regions,
            self.reasons,
            self.scores,
            self.looks,
            self.groups,
            self.clusters,
            self.record,
        )
        return {name: values for part in parts for name, values in part.items() if values}


def collect(fiftyone: Any, run: AuditedRun, names: Names, media: Path) -> Content:
    """Reads the run, and writes its heatmaps into the folder `media`."""
    samples = run.samples
    ids = [str(sample) for sample in samples["sample"]]
    directory, patterns = Directory(names), described(run)
    regions, heatmaps = _pictures(fiftyone, run, directory, ids, media)
    scores = _measures(run, directory)
    scores[directory["margin",]] = _numbers(ids, samples["margin"])
    return Content(
        labels=_labels(fiftyone, samples, ids, names),
        heatmaps=heatmaps,
        regions=regions,
        reasons={names.quadrant: _reasons(fiftyone, run)},
        scores=scores,
        looks=_looks(run, ids, directory),
        groups=_groups(run, ids, directory),
        clusters=_clusters(fiftyone, run, names, patterns, media),
        record={names.sample: {sample: sample for sample in ids}},
        directory=directory,
        patterns=patterns,
        layout=_layout(run),
    )


def _labels(
    fiftyone: Any, samples: pd.DataFrame, ids: Sequence[str], names: Names
) -> dict[str, dict[str, Any]]:
    predictions, labels = {}, {}
    for sample, row in zip(ids, samples.to_dict("records"), strict=True):
        known = _text(row["label"])
        verdict = {} if pd.isna(row["correct"]) else {"correct": bool(row["correct"])}
        predicted = _text(row["predicted"])
        if predicted is not None:  # a regression predicts no class
            predictions[sample] = fiftyone.Classification(
                label=predicted, confidence=float(row["confidence"]), **verdict
            )
        if known is not None:
            labels[sample] = fiftyone.Classification(label=known)
    return {names.prediction: predictions, names.label: labels}


def _pictures(
    fiftyone: Any, run: AuditedRun, directory: Directory, ids: Sequence[str], media: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Masks, outlines and heatmaps; each sample's image is opened once, for its size."""
    manifest, names = run.manifest, directory.names
    pairs = [(method, target) for method in manifest.methods for target in manifest.targets]
    folders = {pair: media / directory[pair] for pair in pairs}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    regions: dict[str, dict[str, Any]] = {names.regions: {}, names.outlines: {}}
    heatmaps: dict[str, dict[str, Any]] = {directory[pair]: {} for pair in pairs}
    for number, sample in enumerate(ids):
        source = run.source(sample)
        size = image_size(source.image)
        box = Frame.of(size, manifest.preprocessing).box()
        for method, target in pairs:
            path = folders[method, target] / f"{number:06d}.png"  # an id may hold what a file name may not
            write_png(place_map(run.attribution(sample, method, target).values, box, size), path)
            heatmaps[directory[method, target]][sample] = fiftyone.Heatmap(
                map_path=str(path.absolute()), range=[0, 255]
            )
        detections, outlines = region_labels(fiftyone, source, size)
        regions[names.regions][sample] = detections
        regions[names.outlines][sample] = outlines
    return regions, heatmaps


def _measures(run: AuditedRun, directory: Directory) -> dict[str, dict[str, float]]:
    """Mass and excess of the run's first method and target, and the mean shift over the fills, a field a region."""
    table = run.measurements
    first = table[table["target"] == run.manifest.targets[0]]
    localised = first[(first["method"] == run.manifest.methods[0]) & first["metric"].isin(LOCALISATION)]
    edited = first[(first["metric"] == INTERVENTION) & (first["method"] != NO_FILL)]
    keys = ["sample", "region", "role", "metric"]
    edited = edited.groupby(keys, sort=False)["value"].mean().reset_index()
    fields: dict[str, dict[str, float]] = {}
    for part in (localised, edited):
        chosen = part[part["role"].isin(MEASURED_ROLES)]
        for (metric, region), rows in chosen.groupby(["metric", "region"], sort=False):
            fields[directory[str(metric), str(region)]] = _numbers(
                [str(sample) for sample in rows["sample"]], rows["value"]
            )
    return fields


def _reasons(fiftyone: Any, run: AuditedRun) -> dict[str, Any]:
    """The quadrant of each sample."""
    rows = run.quadrants
    return {
        str(sample): fiftyone.Classification(label=REASONS[str(quadrant)])
        for sample, quadrant in zip(rows["sample"], rows["quadrant"], strict=True)
    }


def _looks(run: AuditedRun, ids: Sequence[str], directory: Directory) -> dict[str, dict[str, float]]:
    """What each image looks like as a whole, a field a look."""
    return {
        directory["look", str(column).removeprefix(LOOK)]: _numbers(ids, run.samples[column])
        for column in run.samples
        if str(column).startswith(LOOK)
    }


def _groups(run: AuditedRun, ids: Sequence[str], directory: Directory) -> dict[str, dict[str, str]]:
    fields: dict[str, dict[str, str]] = {}
    columns = [(f"group_{group}", ("group", group)) for group in run.manifest.groups]
    for column, parts in [*columns, ("split", ("split",)), ("subject", ("subject",))]:
        if column not in run.samples:
            continue
        texts = ((sample, _text(value)) for sample, value in zip(ids, run.samples[column], strict=True))
        fields[directory[parts]] = {sample: text for sample, text in texts if text is not None}
    return fields


def pattern_name(cluster: Cluster) -> str:
    """A cluster's name, with the number it has in the report."""
    return f"{cluster.target_class} {cluster.index + 1}"


def _clusters(
    fiftyone: Any, run: AuditedRun, names: Names, patterns: Sequence[Cluster], media: Path
) -> dict[str, dict[str, Any]]:
    """The cluster of each sample, its place in it, and on a cluster's first members the mean map, in their frame."""
    cluster: dict[str, str] = {}
    rank: dict[str, float] = {}
    maps: dict[str, Any] = {}
    folder = media / names.cluster_map
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for place, sample in enumerate(pattern.members):
            cluster[sample], rank[sample] = pattern_name(pattern), float(place)
        for sample in pattern.members[:EXEMPLARS]:
            size = image_size(run.source(sample).image)
            box = Frame.of(size, run.manifest.preprocessing).box()
            path = folder / f"{len(maps):06d}.png"
            write_png(place_map(pattern.mean_map, box, size), path)
            maps[sample] = fiftyone.Heatmap(map_path=str(path.absolute()), range=[0, 255])
    return {names.cluster: cluster, names.rank: rank, names.cluster_map: maps}


def _layout(run: AuditedRun) -> dict[str, tuple[float, float]]:
    """The classes' embeddings side by side: each was made for itself, on its own scale."""
    points: dict[str, tuple[float, float]] = {}
    rows = clustered(run)
    for column, (_, part) in enumerate(rows.groupby("target_class", sort=True)):
        plane = part[["x", "y"]].to_numpy(dtype=float)
        finite = np.isfinite(plane).all(axis=1)
        if not finite.any():
            continue
        low, high = plane[finite].min(axis=0), plane[finite].max(axis=0)
        unit = (plane - low) / np.where(high > low, high - low, 1)
        for sample, point, good in zip(part["sample"], unit, finite, strict=True):
            if good:
                points[str(sample)] = (float(point[0]) + 1.25 * column, float(point[1]))
    return points


def _numbers(ids: Sequence[str], values: Iterable[Any]) -> dict[str, float]:
    """Numbers by sample; one that is not defined is absent, for FiftyOne would sort NaN among them."""
    pairs = ((sample, float(value)) for sample, value in zip(ids, values, strict=True))
    return {sample: value for sample, value in pairs if np.isfinite(value)}


def _text(value: Any) -> str | None:
    return None if pd.isna(value) or str(value) == "" else str(value)
