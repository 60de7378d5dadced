"""Diffusion condensation (Brugnone et al., 2019, arXiv:1907.04463): a tree of points that contract step by step.

Each step replaces every point by the mean of its neighbours, weighted by a row-normalised kernel, and merges points that
came close. The paper uses a dense kernel with one bandwidth; here the kernel is that of the nearest neighbours with a
bandwidth per point (Zelnik-Manor & Perona, 2004), so that memory grows with n, not n². Merged points become one point that
weighs as much as its members, as if all of them were kept at one place.
"""

import logging
from typing import Any

import fastcluster
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.neighbors import NearestNeighbors

log = logging.getLogger(__name__)

# How much wider the kernel becomes after a step without a merge.
WIDER = 2.0


def condense(
    points: np.ndarray, *, neighbours: int, threshold: float, iterations: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the tree of the merges, and how the condensation went.

    Args:
        points: float32 (n, d), n at least 2.
        neighbours: of every point in the kernel.
        threshold: points at a smaller distance merge, in units of the median distance of a point to the last of its
            neighbours in the first step.
        iterations: at most so many steps. Points that are left then are joined by average linkage of their places,
            above all other merges.

    Returns:
        float64 (n - 1, 4) in scipy's form. The height of a merge is the number of its step, from 1, plus a fraction that
        keeps the merges of a step in the order of their distances. And ``steps`` and ``left``, the points after the
        last step: 1 if all condensed.
    """
    leaves = len(points)
    # Of every point: the node of the tree that it stands for, and how many leaves that has.
    nodes, weights = np.arange(leaves), np.ones(leaves)
    places = points.astype(np.float64)
    merges: list[tuple[float, float, float, float]] = []
    close, width, step = 0.0, 1.0, 0
    while len(places) > 1 and step < iterations:
        step += 1
        near, apart = nearest(places, min(neighbours, len(places) - 1))
        if step == 1:
            close = threshold * float(np.median(apart[:, -1]))
        places = kernel(near, apart, weights, width) @ places
        pairs = close_pairs(places, near, close)
        if not len(pairs):
            width *= WIDER
            continue
        places, weights, nodes = _merge(pairs, step, places, weights, nodes, merges, leaves)
        if step % 10 == 0:
            log.info("Condensation, step %d: %s points are left.", step, f"{len(places):,}")
    left = len(places)
    if left > 1:
        pairs = fastcluster.linkage(places, "average")[:, :2].astype(np.int64)
        # Rows of linkage name the result of row i as left + i. Any point of it stands for it.
        stands = [*range(left)]
        for one, _ in pairs:
            stands.append(stands[one])
        pairs = np.array([[stands[one], stands[other]] for one, other in pairs])
        _merge(pairs, step + 1, places, weights, nodes, merges, leaves)
    return np.array(merges), {"steps": step, "left": left}


def nearest(places: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``k`` nearest other points of every point (n, k), the nearest first, and their distances (n, k)."""
    found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(places.astype(np.float32))
    apart, near = found.kneighbors()
    return near, apart.astype(np.float64)


def kernel(near: np.ndarray, apart: np.ndarray, weights: np.ndarray, width: float) -> csr_array:
    """Return the row-normalised kernel of the points, (n, n).

    Two points have the affinity exp(-d² / (width · s · s')), where s is the distance of a point to the last of its
    neighbours, if one is among the neighbours of the other; a point has the affinity 1 to itself. The rows of the
    affinities times the weights of the points are divided by their sums.

    Args:
        near: the neighbours of every point, int (n, k).
        apart: their distances, float64 (n, k).
        weights: of the points, float64 (n,).
        width: greater values let distant neighbours weigh more.
    """
    points, k = near.shape
    tails, heads = np.repeat(np.arange(points), k), near.ravel()
    # Points at the same place would have bandwidth 0.
    scale = np.maximum(apart[:, -1], np.finfo(np.float32).tiny)
    affinity = np.exp(-np.square(apart.ravel()) / (width * scale[tails] * scale[heads]))
    graph = csr_array((affinity, (tails, heads)), shape=(points, points))
    graph = graph.maximum(graph.T)
    graph.setdiag(1.0)
    weighted = csr_array(graph.multiply(weights[None, :]))
    return csr_array(weighted.multiply(1 / weighted.sum(axis=1)[:, None]))


def close_pairs(places: np.ndarray, near: np.ndarray, close: float) -> np.ndarray:
    """Return the pairs of points (m, 2) to merge, the closest first: a forest, so that no pair is superfluous.

    Args:
        places: float64 (n, d).
        near: the neighbours of every point, int (n, k): only they can merge.
        close: at a distance of at most this.
    """
    points, k = near.shape
    tails, heads = np.repeat(np.arange(points), k), near.ravel()
    # One neighbour of every point at a time: all together are k copies of the places.
    columns = [np.linalg.norm(places - places[column], axis=1) for column in near.T]
    apart = np.column_stack(columns).ravel()
    within = apart <= close
    # The sparse graph would drop a distance of 0.
    lengths = np.maximum(apart[within], np.finfo(np.float64).tiny)
    low, high = np.minimum(tails, heads)[within], np.maximum(tails, heads)[within]
    # Each pair once: the graph adds up what is given twice.
    _, once = np.unique(low * points + high, return_index=True)
    graph = csr_array((lengths[once], (low[once], high[once])), shape=(points, points))
    forest = minimum_spanning_tree(graph).tocoo()
    order = np.lexsort((forest.col, forest.row, forest.data))
    return np.column_stack([forest.row[order], forest.col[order]])


def _merge(
    pairs: np.ndarray,
    step: int,
    places: np.ndarray,
    weights: np.ndarray,
    nodes: np.ndarray,
    merges: list[tuple[float, float, float, float]],
    leaves: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Append the merges of a step; return the places, weights and nodes of the points that are left."""
    group = np.arange(len(places))

    def root(point: int) -> int:
        while group[point] != point:
            group[point] = group[group[point]]
            point = group[point]
        return point

    nodes, sizes = nodes.copy(), weights.copy()
    for number, (one, other) in enumerate(pairs):
        left, right = root(one), root(other)
        size = sizes[left] + sizes[right]
        merges.append(
            (*sorted((nodes[left], nodes[right])), step + number / (len(pairs) + 1), size)
        )
        group[right] = left
        nodes[left], sizes[left] = leaves + len(merges) - 1, size
    kept, of_group = np.unique([root(point) for point in range(len(places))], return_inverse=True)
    sums = np.zeros((len(kept), places.shape[1]))
    np.add.at(sums, of_group, places * weights[:, None])
    return sums / sizes[kept, None], sizes[kept], nodes[kept]
