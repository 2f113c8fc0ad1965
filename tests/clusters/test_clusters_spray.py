from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score

from camaudit.clusters import spectral_clusters, spray

if TYPE_CHECKING:
    from numpy.typing import NDArray


def blobs(
    generator: np.random.Generator,
    n: int,
    row: float,
    column: float,
    *,
    size: int = 7,
    noise: float = 0.05,
    jitter: float = 0.4,
) -> NDArray[np.float64]:
    """Maps with one bump each near (row, column), of unequal mass."""
    y, x = np.mgrid[:size, :size]
    centre = np.array([row, column]) + generator.normal(0, jitter, (n, 2))
    distance = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
    maps = np.exp(-distance) * generator.uniform(0.5, 2, (n, 1, 1))
    return maps + noise * generator.random((n, size, size)) * maps.max(axis=(1, 2), keepdims=True)


def planted(
    seed: int = 0, sizes: tuple[int, ...] = (30, 20), places: tuple[tuple[int, int], ...] = ((1, 1), (5, 5))
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    maps = [blobs(generator, n, *place) for n, place in zip(sizes, places, strict=True)]
    return np.concatenate(maps), np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize("seed", range(3))
def test_two_places_are_two_clusters(seed: int) -> None:
    maps, truth = planted(seed)
    found = spectral_clusters(maps, seed=0)
    assert found.n_clusters == 2
    np.testing.assert_array_equal(found.labels, truth)  # the larger is 0


def test_three_places_of_unequal_frequency_are_three_clusters() -> None:
    maps, truth = planted(1, (16, 60, 24), ((1, 1), (5, 5), (1, 5)))
    found = spectral_clusters(maps, seed=0)
    assert adjusted_rand_score(truth, found.labels) == 1
    assert list(np.bincount(found.labels)) == [60, 24, 16]


@pytest.mark.parametrize("seed", range(3))
def test_one_place_is_one_cluster(seed: int) -> None:
    assert spectral_clusters(blobs(np.random.default_rng(seed), 50, 3, 3), seed=0).n_clusters == 1


def test_a_place_that_drifts_is_one_cluster() -> None:
    generator = np.random.default_rng(0)
    maps = np.concatenate([blobs(generator, 1, 3, column) for column in generator.uniform(0, 6, 80)])
    assert spectral_clusters(maps, seed=0).n_clusters == 1


def test_noise_is_one_cluster() -> None:
    assert spectral_clusters(np.random.default_rng(0).random((60, 7, 7)), seed=0).n_clusters == 1


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(40)))
def test_order_changes_nothing(order: list[int]) -> None:
    maps, _ = planted(3, (25, 15))
    expected, found = spectral_clusters(maps, seed=0), spectral_clusters(maps[order], seed=0)
    for name in ("labels", "rank", "embedding"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[order])
    np.testing.assert_array_equal(found.eigenvalues, expected.eigenvalues)


def test_the_scale_of_a_map_changes_nothing() -> None:
    maps, _ = planted()
    scaled = maps * 2.0 ** np.random.default_rng(0).integers(-20, 20, (50, 1, 1))
    found, expected = spectral_clusters(scaled, seed=0), spectral_clusters(maps, seed=0)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.rank, expected.rank)


def test_maps_without_mass_are_left_out_and_counted() -> None:
    maps, truth = planted()
    maps[3], maps[40, 2, 2] = 0, np.nan
    found = spectral_clusters(maps, seed=0)
    assert found.left_out == 2
    assert list(np.flatnonzero(found.labels < 0)) == [3, 40]
    assert (found.rank[[3, 40]] == -1).all()
    assert np.isnan(found.embedding[[3, 40]]).all()
    kept = found.labels >= 0
    assert np.isfinite(found.embedding[kept]).all()
    np.testing.assert_array_equal(found.labels[kept], truth[kept])


def test_rank_is_by_distance_to_the_mean_map() -> None:
    maps, _ = planted()
    found = spectral_clusters(maps, seed=0)
    shares = maps / maps.sum(axis=(1, 2), keepdims=True)
    for cluster in range(2):
        members = np.flatnonzero(found.labels == cluster)
        distance = [np.linalg.norm(shares[at] - shares[members].mean(axis=0)) for at in members]
        np.testing.assert_array_equal(np.argsort(distance), np.argsort(found.rank[members]))
        assert sorted(found.rank[members]) == list(range(members.size))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 9])
def test_few_maps_are_one_cluster(n: int) -> None:
    found = spectral_clusters(np.random.default_rng(0).random((n, 7, 7)), seed=0)
    assert found.n_clusters == min(n, 1)
    assert found.embedding.shape == (n, 2)
    assert np.isfinite(found.embedding).all()
    assert sorted(found.rank) == list(range(n))


def test_copies_of_one_map_are_one_cluster() -> None:
    found = spectral_clusters(np.tile(np.random.default_rng(0).random((1, 7, 7)), (40, 1, 1)), seed=0)
    assert found.n_clusters == 1
    assert np.isfinite(found.embedding).all()


def test_copies_of_two_maps_are_two_clusters() -> None:
    pair = np.random.default_rng(0).random((2, 7, 7))
    truth = np.repeat([0, 1], [50, 30])
    found = spectral_clusters(pair[truth], seed=0)
    np.testing.assert_array_equal(found.labels, truth)


def test_no_more_clusters_than_asked_for() -> None:
    places = [(row, column) for row in (1, 6, 11) for column in (1, 6, 11)]
    generator = np.random.default_rng(0)
    maps = np.concatenate([blobs(generator, 12, *place, size=13) for place in places])
    assert spectral_clusters(maps, seed=0, max_clusters=9).n_clusters == 9
    assert 1 <= spectral_clusters(maps, seed=0, max_clusters=4).n_clusters <= 4
    assert spectral_clusters(maps, seed=0, max_clusters=1).n_clusters == 1


@pytest.mark.parametrize("shape", [(7, 7), (14, 9), (40, 60), (1, 5), (1, 1)])
def test_reduced_maps_keep_their_mass_where_it_was(shape: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).random((4, *shape))
    found = spray.normalised(maps, 16)
    assert found.sum(axis=1) == pytest.approx(1)
    height, width = (min(side, 16) for side in shape)
    top = found.reshape(4, height, width)[:, : height // 2].sum(axis=(1, 2))
    if shape[0] % 2 == 0:
        assert top == pytest.approx(maps[:, : shape[0] // 2].sum(axis=(1, 2)) / maps.sum(axis=(1, 2)))
    if max(shape) <= 16:
        assert found == pytest.approx((maps / maps.sum(axis=(1, 2), keepdims=True)).reshape(4, -1))


def test_area_shares_equal_repeated_pixels() -> None:
    pixels, cells = 10, 4
    literal = np.repeat(np.eye(pixels), cells, axis=1).reshape(pixels, cells, pixels).sum(axis=2).T / cells
    assert spray.area_shares(pixels, cells) == pytest.approx(literal)


def laplacian(graph: csr_matrix) -> NDArray[np.float64]:
    weight = graph.toarray()
    degree = weight.sum(axis=1)
    return np.array(
        [
            [(i == j) - weight[i, j] / np.sqrt(degree[i] * degree[j]) for j in range(len(weight))]
            for i in range(len(weight))
        ]
    )


@pytest.mark.parametrize("dense", [800, 0])
def test_spectrum_is_that_of_the_whole_laplacian(monkeypatch: pytest.MonkeyPatch, dense: int) -> None:
    monkeypatch.setattr(spray, "DENSE", dense)
    maps, _ = planted(0, (40, 30, 20), ((1, 1), (5, 5), (1, 5)))
    graph, pieces = spray.neighbour_graph(spray.normalised(maps), None, 8)
    assert pieces.max() == 2
    values, vectors = spray.spectrum(graph, pieces, 9)
    matrix = laplacian(graph)
    assert values == pytest.approx(np.linalg.eigvalsh(matrix)[:9], abs=1e-9)
    assert matrix @ vectors == pytest.approx(vectors * values, abs=1e-7)
    assert vectors.T @ vectors == pytest.approx(np.eye(9), abs=1e-7)


def test_the_graph_joins_each_map_with_its_nearest() -> None:
    features = spray.normalised(planted(0, (20, 15))[0])
    graph, pieces = spray.neighbour_graph(features, 4, 8)
    distance = np.linalg.norm(features[:, None] - features[None], axis=2)
    nearest = np.zeros_like(distance)
    for at, row in enumerate(distance):
        nearest[at, [other for other in np.argsort(row) if other != at][:4]] = 1
    assert graph.toarray() == pytest.approx((nearest + nearest.T) / 2)
    assert pieces.max() + 1 == connected_components(csr_matrix(nearest), directed=False)[0]


@pytest.mark.parametrize(
    ("eigenvalues", "pieces", "expected"),
    [
        ([0, 0.3, 0.4, 0.5], 1, 1),
        ([0, 0.01, 0.3, 0.4], 1, 2),
        ([0, 0.01, 0.02, 0.3], 1, 3),
        ([0, 0.01, 0.04, 0.09], 1, 1),  # a chain
        ([0, 0, 0.3, 0.4], 2, 2),
        ([0, 0, 0.01, 0.4], 2, 3),
        ([0, 0, 0, 0], 4, 4),
    ],
)
def test_the_gap_gives_the_number_of_clusters(eigenvalues: list[float], pieces: int, expected: int) -> None:
    assert spray.choose_clusters(np.array(eigenvalues, dtype=float), pieces, 4) == expected


def test_many_maps_are_solved_sparsely_and_laid_out_by_principal_components(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spray, "LAID_OUT", 1000)
    maps, truth = planted(0, (1400, 900))
    found = spectral_clusters(maps, seed=0)
    np.testing.assert_array_equal(found.labels, truth)
    assert np.isfinite(found.embedding).all()


def test_the_layout_keeps_clusters_apart() -> None:
    maps, truth = planted()
    placed = spectral_clusters(maps, seed=0).embedding
    centres = np.array([placed[truth == cluster].mean(axis=0) for cluster in (0, 1)])
    nearest = np.linalg.norm(placed[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, truth)
