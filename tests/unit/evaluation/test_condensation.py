"""Diffusion condensation against a dense version by the formulas, and its tree."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation.condensation import close_pairs, condense, kernel, nearest
from scipy.cluster.hierarchy import fcluster, is_valid_linkage
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score


def draw(papers: int = 60, clusters: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.arange(papers) % clusters
    return (10 * np.eye(clusters, 5)[codes] + rng.normal(size=(papers, 5))).astype(
        np.float32
    ), codes


def dense_kernel(places: np.ndarray, weights: np.ndarray, k: int, width: float) -> np.ndarray:
    """The row-normalised kernel, pair by pair."""
    apart = cdist(places, places)
    points = len(places)
    order = np.argsort(apart + np.diag(np.full(points, -1.0)), axis=1)[:, 1 : k + 1]
    scale = np.array([apart[row, order[row, -1]] for row in range(points)])
    affinity = np.zeros((points, points))
    for i in range(points):
        affinity[i, i] = 1
        for j in range(points):
            if i != j and (j in order[i] or i in order[j]):
                affinity[i, j] = np.exp(-(apart[i, j] ** 2) / (width * scale[i] * scale[j]))
    weighted = affinity * weights
    return np.asarray(weighted / weighted.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("k", [3, 10, 29])
@pytest.mark.parametrize("width", [1.0, 4.0])
def test_the_kernel_equals_the_dense_one(k: int, width: float) -> None:
    places = draw(30)[0].astype(np.float64)
    weights = np.random.default_rng(1).integers(1, 9, size=30).astype(float)
    found = kernel(*nearest(places, k), weights, width).toarray()
    np.testing.assert_allclose(found, dense_kernel(places, weights, k, width), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_merged_point_moves_others_as_its_members_would() -> None:
    """With a kernel of all points, two copies at one place equal one point of weight two."""
    places = np.array([[0.0], [1.0], [3.0]])
    apart = cdist(places, places)[:, [[1, 2], [0, 2], [0, 1]][0]]
    near = np.array([[1, 2], [0, 2], [0, 1]])
    apart = np.take_along_axis(cdist(places, places), near, axis=1)
    moved = kernel(near, apart, np.array([1.0, 1.0, 2.0]), 1.0) @ places
    affinity = np.exp(-(cdist(places, places) ** 2) / np.outer(apart[:, -1], apart[:, -1]))
    copies = np.hstack([affinity, affinity[:, [2]]])
    wanted = copies / copies.sum(axis=1, keepdims=True) @ np.array([0.0, 1.0, 3.0, 3.0])
    np.testing.assert_allclose(moved[:, 0], wanted)


def test_close_pairs_are_a_forest_of_the_shortest() -> None:
    places = np.array([[0.0], [1.0], [1.5], [9.0], [9.0]])
    near = np.argsort(cdist(places, places), axis=1, kind="stable")
    near = np.array(
        [[other for other in row if other != point][:3] for point, row in enumerate(near)]
    )
    assert close_pairs(places, near, 2.0).tolist() == [[3, 4], [1, 2], [0, 1]]
    assert close_pairs(places, near, 0.6).tolist() == [[3, 4], [1, 2]]


def test_the_tree_holds_every_point_and_its_clusters_are_found() -> None:
    vectors, codes = draw()
    tree, told = condense(vectors, neighbours=10, threshold=0.1, iterations=200)
    assert is_valid_linkage(tree)
    assert (np.diff(tree[:, 2]) > 0).all()
    assert tree[-1, 3] == len(vectors)
    assert told["left"] == 1 and told["steps"] > 1
    assert adjusted_rand_score(codes, fcluster(tree, 3, "maxclust")) == 1


def test_what_has_not_condensed_is_joined_above_all_other_merges() -> None:
    vectors, codes = draw()
    tree, told = condense(vectors, neighbours=5, threshold=0.1, iterations=2)
    assert told["steps"] == 2 and told["left"] > 1
    assert is_valid_linkage(tree)
    assert (tree[-(told["left"] - 1) :, 2] >= 3).all()
    assert (tree[: -(told["left"] - 1), 2] < 3).all()
    assert adjusted_rand_score(codes, fcluster(tree, 3, "maxclust")) == 1


@pytest.mark.parametrize("papers", [2, 3])
def test_few_and_identical_points_condense(papers: int) -> None:
    tree, told = condense(
        np.ones((papers, 4), np.float32), neighbours=10, threshold=0.1, iterations=9
    )
    assert len(tree) == papers - 1 and told["left"] == 1
    tree, _ = condense(draw(papers)[0], neighbours=10, threshold=0.1, iterations=99)
    assert len(tree) == papers - 1 and is_valid_linkage(tree)
