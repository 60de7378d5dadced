"""All clusterings of a model's vectors, at every level, with their scores.

What grows faster than the number of papers, or would need all vectors in memory, is done on a seeded subsample: at
most 100,000 papers for k-means (0.4 GB for 1,024 dimensions) and, of these, 10,000 for the tree (0.8 GB).
"""

import logging

import numpy as np
import pyarrow as pa

from .bootstrap import SEED, subsample
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


def cluster_all(matrix: np.ndarray, levels: tuple[Labels, Labels]) -> tuple[pa.Table, list[Score]]:
    """Return the cluster of every paper by every method, and all scores of the methods.

    Each method looks for as many clusters as the level has classes among the papers it is given.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers, coarse and fine.

    Returns:
        A table of the papers that were clustered, with ``row`` (int64, of the matrix, rising) and an int32
        column for each method and level, such as ``kmeans category 0``: -1 where the paper was not in the
        subsample of the method, or nothing can be judged at that level. And the scores.

    Raises:
        InputError: a vector is zero or not finite.
    """
    rows = subsample(len(matrix), KMEANS_PAPERS)
    vectors = unit_vectors(matrix, rows)
    clusters, scores = _cluster_flat(
        vectors, tuple(labels.at(rows) for labels in levels), len(matrix)
    )
    # The smaller subsample is a part of the larger one.
    tree_rows = subsample(len(matrix), TREE_PAPERS)
    places = np.searchsorted(rows, tree_rows)
    coarse, fine = (labels.at(tree_rows) for labels in levels)
    of_tree, scores_of_tree = _cluster_by_tree(vectors[places], (coarse, fine), len(matrix))
    for name, found in of_tree.items():
        clusters[name] = np.full(len(rows), NOT_CLUSTERED, np.int32)
        clusters[name][places] = found
    return pa.table({"row": rows, **clusters}), [*scores, *scores_of_tree]


def _cluster_flat(
    vectors: np.ndarray, levels: tuple[Labels, ...], papers: int
) -> tuple[dict[str, np.ndarray], list[Score]]:
    clusters, scores, note = {}, [], _note(len(vectors), papers)
    for labels in levels:
        found = _none(labels)
        if not labels.problem:
            log.info("k-means: %s papers, %d clusters.", f"{len(vectors):,}", len(labels.names))
            found = kmeans(vectors, len(labels.names))
        clusters[f"kmeans {labels.level}"] = found
        scores += flat_scores("MiniBatchKMeans", labels, found, note)
    return clusters, scores


def _cluster_by_tree(
    vectors: np.ndarray, levels: tuple[Labels, Labels], papers: int
) -> tuple[dict[str, np.ndarray], list[Score]]:
    log.info("Ward's tree: %s papers.", f"{len(vectors):,}")
    tree = ward_tree(vectors)
    clusters, scores, note = {}, [], _note(len(vectors), papers)
    for labels in levels:
        found = _none(labels) if labels.problem else tree.cut(len(labels.names))
        clusters[f"tree {labels.level}"] = found
        scores += flat_scores("Ward tree", labels, found, note)
    log.info("Scores of the tree.")
    return clusters, [*scores, *tree_scores("Ward tree", tree, levels, note)]


def _none(labels: Labels) -> np.ndarray:
    return np.full(len(labels.codes), NOT_CLUSTERED, np.int32)


def _note(used: int, papers: int) -> str:
    """Return what to say of a subsample, or "" where it is all papers."""
    return f"on {used:,} of {papers:,} papers, drawn with seed {SEED}" if used < papers else ""
