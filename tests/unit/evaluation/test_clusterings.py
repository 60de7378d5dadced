"""Clusterings find what is there, the same every time, and their trees equal scipy's."""

from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.methods import PARAMETERS
from arxiv_embeddings.evaluation import clusterings
from arxiv_embeddings.evaluation.clusterings import METHODS, Clustering, cluster, distances
from scipy.cluster.hierarchy import cophenet, fcluster, is_valid_linkage, linkage
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score


def draw(papers: int = 120, clusters: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.arange(papers) % clusters
    centres = 20 * np.eye(clusters, 6)
    return (centres[codes] + rng.normal(size=(papers, 6))).astype(np.float32), codes


def found_by(method: str, vectors: np.ndarray, *numbers: int, **settings: Any) -> Clustering:
    return cluster(vectors, method, numbers, seed=42, settings=settings, threads=1)


@pytest.mark.parametrize("method", METHODS)
def test_clear_clusters_are_found_every_time(method: str) -> None:
    vectors, codes = draw()
    found, again = found_by(method, vectors, 4, 2), found_by(method, vectors, 4, 2)
    assert adjusted_rand_score(codes, found.labels[0]) == 1
    assert len(np.unique(found.labels[1])) == 2
    for one, other in zip(found.labels, again.labels, strict=True):
        assert one.dtype == np.int32 and one.min() == 0
        np.testing.assert_array_equal(one, other)
    assert found.report["settings"] == PARAMETERS[method]
    assert (found.tree is None) == (method == "kmeans")
    assert (found.flat is None) == (method != "hdbscan")
    if found.tree is not None:
        assert is_valid_linkage(found.tree)
        assert (np.diff(found.tree[:, 2]) >= 0).all()


def test_ward_equals_scipy() -> None:
    vectors, _ = draw()
    wanted = linkage(vectors.astype(np.float64), "ward")
    tree = found_by("ward", vectors, 4).tree
    assert tree is not None
    np.testing.assert_allclose(cophenet(tree), cophenet(wanted), rtol=1e-4)


def test_average_linkage_on_unit_vectors_is_that_of_cosines() -> None:
    vectors = draw()[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = found_by("average", vectors, 7)
    wanted = linkage(vectors.astype(np.float64), "average", metric="cosine")
    assert found.tree is not None
    np.testing.assert_allclose(cophenet(found.tree), 2 * cophenet(wanted), rtol=1e-3, atol=1e-5)
    assert adjusted_rand_score(fcluster(wanted, 7, "maxclust"), found.labels[0]) == 1


def test_distances_equal_scipy_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = draw(70)[0]
    monkeypatch.setattr("arxiv_embeddings.evaluation.clusterings.MEBIBYTES_AT_ONCE", 0.01)
    np.testing.assert_allclose(distances(vectors), pdist(vectors), rtol=1e-4, atol=1e-4)


def test_noise_of_hdbscan_is_told() -> None:
    vectors, _ = draw()
    far = np.vstack([vectors, 500 * np.eye(3, 6, dtype=np.float32)])
    found = found_by("hdbscan", far, 4)
    assert found.flat is not None
    assert (found.flat[-3:] == -1).all()
    assert found.report["noise"] == pytest.approx((found.flat == -1).mean())
    assert found.report["own_clusters"] == 4


def test_settings_reach_the_method_and_bad_ones_are_told() -> None:
    vectors, _ = draw()
    few = found_by("hdbscan", vectors, 4, min_cluster_size=100)
    assert few.report["settings"]["min_cluster_size"] == 100
    assert few.report["own_clusters"] < 4
    with pytest.raises(InputError, match="hdbscan failed on these papers and settings"):
        found_by("hdbscan", vectors, 4, min_cluster_size=-3)
    with pytest.raises(InputError, match="more papers than min_samples"):
        found_by("hdbscan", vectors[:5], 2)


@pytest.mark.parametrize("method", ["ward", "average"])
def test_distances_are_overwritten_instead_of_copied(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the distances of 30,000 papers would take 3.6 GB more."""
    made: list[np.ndarray] = []

    def keep(vectors: np.ndarray) -> np.ndarray:
        made.append(distances(vectors))
        return made[0]

    monkeypatch.setattr(clusterings, "distances", keep)
    vectors, _ = draw()
    found_by(method, vectors, 4)
    given = distances(vectors) ** (2 if method == "average" else 1)
    assert not np.array_equal(made[0], given)
