"""Patterns of evidence over the dataset: samples of one class whose maps lie in the same place (SpRAy).

Per class the maps are clustered by where they lie, and each cluster is described by its mean map, what share of the
mass its regions hold, which groups its members come from and how often the model errs on them. A cluster is a
description to look at, not a test: it was found in the very maps that describe it.
"""

from __future__ import annotations

from camaudit.clusters.describe import assign, clustered, describe, described, enrichment
from camaudit.clusters.spray import ClusterResult, spectral_clusters

__all__ = [
    "ClusterResult",
    "assign",
    "clustered",
    "describe",
    "described",
    "enrichment",
    "spectral_clusters",
]
