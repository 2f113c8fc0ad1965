"""Spectral relevance analysis: clusters of attribution maps (SpRAy; Lapuschkin et al. 2019, arXiv:1902.10178).

With two departures from the paper, where a person reads the number of clusters off the eigenvalues: it is chosen
from the gap between them (`choose_clusters`), and a graph that falls apart is solved piece by piece (`spectrum`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import kneighbors_graph
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

GRID = 16  # maps are reduced to at most this many rows and columns before they are compared
SMALLEST = 10  # maps; fewer are one cluster
DENSE = 800  # nodes; up to here a dense solver is as fast as Lanczos, and exact
LAID_OUT = (
    2000  # maps; beyond, t-SNE takes more than ten seconds, and the layout is the two principal components
)
GAP = 5.0  # the eigenvalues of a chain without any gap grow as k squared: a ratio of up to 4 means nothing


@dataclass(frozen=True)
class ClusterResult:
    """Clusters of n maps.

    Attributes:
        labels: (n,) the cluster of each map, 0 for the largest; -1 for a map that was left out.
        rank: (n,) 0 for the member closest to its cluster's mean map, then 1, ...; -1 for a map that was left out.
        embedding: (n, 2) a layout for looking at (see `layout`), no unit; NaN for a map that was left out.
        eigenvalues: the smallest of the graph's Laplacian, ascending, in [0, 2]; empty for fewer than 10 maps.
        n_clusters: how many clusters there are.
        left_out: how many maps had no mass, or a value that is not finite.
    """

    labels: Integers
    rank: Integers
    embedding: Floats
    eigenvalues: Floats
    n_clusters: int
    left_out: int


def spectral_clusters(
    maps: NDArray[np.floating],
    *,
    seed: int,
    neighbours: int | None = None,
    max_clusters: int = 8,
    grid: int = GRID,
) -> ClusterResult:
    """Cluster the maps of one class by where they lie.

    Args:
        maps: (n, h, w) raw non-negative maps; each is divided by its sum.
        seed: of k-means and of the layout.
        neighbours: of each map in the graph; None: twice the logarithm of n, at least 5. A pattern needs more
            members than this to become a cluster of its own.
        max_clusters: the most clusters to look for.
        grid: the most rows and columns at which maps are compared.

    Returns:
        The clusters: the same partition for every order of the maps, and the same in every run.
    """
    n = len(maps)
    features = normalised(maps, grid)
    kept = np.flatnonzero(np.isfinite(features).all(axis=1))
    labels, rank = np.full(n, -1), np.full(n, -1)
    embedding, eigenvalues, n_clusters = np.full((n, 2), np.nan), np.empty(0), 0
    if kept.size:
        # one order for all: neighbours at equal distances, start vectors and seeds would see the order of the maps
        kept = kept[np.lexsort(features[kept].T[::-1])]
        features = features[kept]
        with threadpool_limits(limits=1):  # sums over threads are not the same twice
            found, eigenvalues = partition(
                features, seed=seed, neighbours=neighbours, max_clusters=max_clusters
            )
            embedding[kept] = layout(features, seed=seed)
        labels[kept], rank[kept] = number(found, features)
        n_clusters = int(labels.max()) + 1
    return ClusterResult(labels, rank, embedding, eigenvalues, n_clusters, n - kept.size)


def normalised(maps: NDArray[np.floating], grid: int = GRID) -> Floats:
    """Maps divided by their sum, averaged by area onto at most grid x grid cells: (n, cells); NaN without mass."""
    values = np.asarray(maps, dtype=np.float64)
    down, across = (area_shares(side, min(side, grid)) for side in values.shape[1:])
    cells = np.einsum("gh,nhw,kw->ngk", down, values, across, optimize=True).reshape(
        len(values), len(down) * len(across)
    )
    mass = cells.sum(axis=1, keepdims=True)
    shares = np.full(cells.shape, np.nan)
    np.divide(cells, mass, out=shares, where=np.isfinite(mass) & (mass > 0))
    return shares


def area_shares(pixels: int, cells: int) -> Floats:
    """The share of each pixel that lies in each cell, (cells, pixels); a pixel's shares sum to 1: mass is kept."""
    edges = np.arange(cells + 1) * pixels / cells
    left = np.maximum(edges[:-1, None], np.arange(pixels))
    right = np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return np.asarray(np.clip(right - left, 0, None), dtype=np.float64)


def partition(
    features: Floats, *, seed: int, neighbours: int | None, max_clusters: int
) -> tuple[Integers, Floats]:
    """Cluster of each map in any numbering, (n,), and the Laplacian's smallest eigenvalues."""
    n = len(features)
    if n < SMALLEST or max_clusters < 2 or np.ptp(features, axis=0).max() < 1e-12:
        return np.zeros(n, dtype=np.int64), np.empty(0)
    graph, pieces = neighbour_graph(spread(features, seed), neighbours, max_clusters)
    eigenvalues, vectors = spectrum(graph, pieces, max_clusters + 1)
    k = choose_clusters(eigenvalues, int(pieces.max()) + 1, max_clusters)
    rows = vectors[:, :k]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    found = KMeans(k, n_init=10, random_state=seed).fit_predict(rows)
    return np.asarray(found, dtype=np.int64), eigenvalues


def spread(features: Floats, seed: int) -> Floats:
    """The maps moved by a millionth of their own spread: copies of one map become a small cloud.

    A map's nearest neighbours among many exact copies would be any of them, and the graph would fall into pieces that
    mean nothing.
    """
    step = 1e-6 * features.std(axis=0).max()
    return features + np.random.default_rng(seed).normal(0, step, features.shape)


def neighbour_graph(
    features: Floats, neighbours: int | None, max_clusters: int
) -> tuple[csr_matrix, NDArray[np.int32]]:
    """The symmetrised graph of nearest neighbours (n, n), weight 1 where mutual and 1/2 where not, and its pieces.

    Euclidean distance. Neighbours are doubled until the graph has no more pieces than there may be clusters.
    """
    n = len(features)
    k = min(n - 1, neighbours or max(5, int(np.ceil(2 * np.log(n)))))
    while True:
        directed = kneighbors_graph(features, k)
        graph = ((directed + directed.T) / 2).tocsr()
        count, pieces = connected_components(graph, directed=False)
        if count <= max_clusters:
            return graph, pieces
        k = min(n - 1, 2 * k)


def spectrum(graph: csr_matrix, pieces: NDArray[np.int32], count: int) -> tuple[Floats, Floats]:
    """The `count` smallest eigenvalues of the symmetric normalised Laplacian, and their eigenvectors as columns.

    Piece by piece, because the spectrum of a graph is that of its pieces together, and Lanczos can miss copies of an
    eigenvalue that several pieces share, such as 0.
    """
    values, vectors = [], []
    for piece in range(int(pieces.max()) + 1):
        members = np.flatnonzero(pieces == piece)
        affinity = graph[members][:, members].tocoo()
        root = np.sqrt(np.asarray(affinity.sum(axis=1)).ravel())
        affinity.data /= root[affinity.row] * root[affinity.col]
        size = members.size
        if size <= max(DENSE, count + 1):
            wanted = (max(0, size - count), size - 1)
            found, columns = eigh(affinity.toarray(), subset_by_index=wanted)
        else:
            start = np.arange(1.0, size + 1)  # fixed, and no eigenvector: Lanczos would stop at once
            found, columns = eigsh(affinity, k=count, which="LA", v0=start)
        padded = np.zeros((len(pieces), found.size))
        padded[members] = columns
        values.append(np.clip(1 - found, 0, 2))
        vectors.append(padded)
    everything = np.concatenate(values)
    smallest = np.argsort(everything, kind="stable")[:count]
    return everything[smallest], np.concatenate(vectors, axis=1)[:, smallest]


def choose_clusters(eigenvalues: Floats, pieces: int, max_clusters: int) -> int:
    """The number of clusters from the eigengap: k where the (k + 1)-th eigenvalue exceeds the k-th by most.

    The gap is a ratio, because the scale of all eigenvalues shrinks as maps become more and neighbours relatively
    fewer; only one beyond `GAP` counts. Without one the clusters are the pieces of the graph: maps that shift from
    place to place without a break are one pattern.
    """
    candidates = range(pieces + 1, min(max_clusters, eigenvalues.size - 1) + 1)
    ratios = {k: eigenvalues[k] / eigenvalues[k - 1] for k in candidates if eigenvalues[k - 1] > 0}
    best = max(ratios, key=lambda k: ratios[k], default=pieces)
    return best if ratios.get(best, 0) > GAP else pieces


def number(found: Integers, features: Floats) -> tuple[Integers, Integers]:
    """Clusters numbered by size, and each member's rank by Euclidean distance to its cluster's mean map, (n,) each."""
    names, first, sizes = np.unique(found, return_index=True, return_counts=True)
    labels, rank = np.empty_like(found), np.empty_like(found)
    for index, at in enumerate(np.lexsort((first, -sizes))):
        members = np.flatnonzero(found == names[at])
        distance = np.linalg.norm(features[members] - features[members].mean(axis=0), axis=1)
        labels[members] = index
        rank[members[np.argsort(distance, kind="stable")]] = np.arange(members.size)
    return labels, rank


def layout(features: Floats, *, seed: int) -> Floats:
    """Two coordinates a map, (n, 2): t-SNE from the principal components, as in the paper, up to `LAID_OUT` maps.

    The principal components alone beyond that, and for fewer than `SMALLEST` maps.
    """
    n = len(features)
    if n < 2 or np.ptp(features, axis=0).max() < 1e-12:
        return np.zeros((n, 2))
    if SMALLEST <= n <= LAID_OUT and features.shape[1] > 1:
        perplexity = min(30.0, (n - 1) / 3)
        scaled = features / features.std(axis=0).max()
        return np.asarray(
            TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled), float
        )
    components = min(2, *features.shape)
    placed = PCA(components, svd_solver="full").fit_transform(features)
    return np.pad(placed, ((0, 0), (0, 2 - components)))
