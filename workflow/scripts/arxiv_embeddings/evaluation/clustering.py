"""All clusterings of a model's vectors, at every level, with their scores.

Steps whose time grows faster than the number of papers, or that need all vectors in memory, run on a seeded
subsample: at most 100,000 papers for k-means (0.4 GB with 1,024 dimensions) and 10,000 of these for the tree
(0.8 GB).
"""

import logging

import numpy as np
import pyarrow as pa

from .bootstrap import subsample, subsample_note
from .flat_clustering import flat_scores, kmeans
from .labels import Labels
from .scores import Score
from .tree import ward_tree
from .tree_scores import tree_scores
from .vectors import unit_vectors

log = logging.getLogger(__name__)

KMEANS_PAPERS = 100_000
TREE_PAPERS = 10_000
NOT_CLUSTERED = -1


def all_clusterings(
    matrix: np.ndarray, levels: tuple[Labels, Labels]
) -> tuple[pa.Table, list[Score]]:
    """Return the cluster of every paper in every clustering, and the scores of all clusterings.

    Each method looks for as many clusters as the level has classes among the papers that it is given.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers, coarse and fine.

    Returns:
        A table of the papers that were clustered, with ``row`` (int64, of the matrix, ascending) and an int32
        column for each method and level, such as ``kmeans category 0``. It holds -1 where the paper was not in
        the subsample of the method, or where the level has no usable classes. And the scores.

    Raises:
        InputError: a vector is zero or not finite.
    """
    rows = subsample(len(matrix), KMEANS_PAPERS)
    vectors = unit_vectors(matrix, rows)
    clusters, scores = _cluster_flat(
        vectors, tuple(labels.at(rows) for labels in levels), len(matrix)
    )
    # The smaller subsample is a subset of the larger one.
    tree_rows = subsample(len(matrix), TREE_PAPERS)
    positions = np.searchsorted(rows, tree_rows)
    coarse, fine = (labels.at(tree_rows) for labels in levels)
    of_tree, scores_of_tree = _cluster_by_tree(vectors[positions], (coarse, fine), len(matrix))
    for name, found in of_tree.items():
        clusters[name] = np.full(len(rows), NOT_CLUSTERED, np.int32)
        clusters[name][positions] = found
    return pa.table({"row": rows, **clusters}), [*scores, *scores_of_tree]


def _cluster_flat(
    vectors: np.ndarray, levels: tuple[Labels, ...], papers: int
) -> tuple[dict[str, np.ndarray], list[Score]]:
    clusters, scores, note = {}, [], subsample_note(len(vectors), papers)
    for labels in levels:
        found = _not_clustered(labels)
        if not labels.problem:
            log.info("k-means: %s papers, %d clusters.", f"{len(vectors):,}", len(labels.names))
            found = kmeans(vectors, len(labels.names))
        clusters[f"kmeans {labels.level}"] = found
        scores += flat_scores("MiniBatchKMeans", labels, found, note)
    return clusters, scores


def _cluster_by_tree(
    vectors: np.ndarray, levels: tuple[Labels, Labels], papers: int
) -> tuple[dict[str, np.ndarray], list[Score]]:
    log.info("Building Ward's tree of %s papers.", f"{len(vectors):,}")
    tree = ward_tree(vectors)
    clusters, scores, note = {}, [], subsample_note(len(vectors), papers)
    for labels in levels:
        found = _not_clustered(labels) if labels.problem else tree.cut(len(labels.names))
        clusters[f"tree {labels.level}"] = found
        scores += flat_scores("Ward tree", labels, found, note)
    log.info("Scoring the tree.")
    return clusters, [*scores, *tree_scores("Ward tree", tree, levels, note)]


def _not_clustered(labels: Labels) -> np.ndarray:
    return np.full(len(labels.codes), NOT_CLUSTERED, np.int32)
