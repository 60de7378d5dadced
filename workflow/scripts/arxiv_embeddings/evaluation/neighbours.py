"""Exact nearest neighbours, and how often they predict the class of a paper."""

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import NearestNeighbors

from ..common.progress import Progress
from .bootstrap import mean_replicates
from .labels import Labels
from .scores import Score, joined, measured
from .vectors import unit_vectors

NEIGHBOURS = (1, 10, 50)
QUERIES_AT_ONCE = 2_048
# With 2,048 queries: 134 MB of similarities and 268 MB of their order.
ROWS_AT_ONCE = 16_384
VOTES_AT_ONCE = 4_096


def nearest_by_cosine(matrix: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` other rows with the largest cosine to every queried row, the nearest first.

    Exact: every query is compared with every row, block by block. Memory does not grow with the rows: the
    queried vectors, a block of rows and about 0.4 GB. Rows at exactly the same distance are sorted by number,
    but which of them are among the k is not defined.

    Args:
        matrix: float32 (n, d), usually memory-mapped, of any lengths.
        queries: row numbers (q,).
        k: from 0 to n - 1.

    Returns:
        Row numbers (q, k), int64.

    Raises:
        InputError: a vector is zero or not finite.
    """
    similarity = np.full((len(queries), k), -np.inf, dtype=np.float32)
    nearest = np.full((len(queries), k), -1, dtype=np.int64)
    queried = unit_vectors(matrix, queries)
    with Progress(len(queries) * len(matrix), "comparisons") as progress:
        for row in range(0, len(matrix), ROWS_AT_ONCE):
            block = unit_vectors(matrix, slice(row, row + ROWS_AT_ONCE))
            for start in range(0, len(queries), QUERIES_AT_ONCE):
                part = slice(start, start + QUERIES_AT_ONCE)
                own = queries[part]
                products = queried[part] @ block.T
                inside = np.flatnonzero((own >= row) & (own < row + len(block)))
                # A paper is not its own neighbour.
                products[inside, own[inside] - row] = -np.inf
                best = _largest(products, min(k, len(block)))
                candidates = np.hstack(
                    [similarity[part], np.take_along_axis(products, best, axis=1)]
                )
                rows = np.hstack([nearest[part], row + best])
                order = np.lexsort((rows, -candidates), axis=1)[:, :k]
                similarity[part] = np.take_along_axis(candidates, order, axis=1)
                nearest[part] = np.take_along_axis(rows, order, axis=1)
                progress.advance(len(own) * len(block))
    return nearest


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Return the columns (rows, k) of the ``k`` largest values of every row, unsorted."""
    smaller = values.shape[1] - k
    return np.argpartition(values, smaller, axis=1)[:, smaller:] if k else values[:, :0].astype(int)


def nearest_on_map(places: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` nearest other points of every point of a map, the nearest first: int64 (n, k).

    Args:
        places: float64 (n, 2).
        k: from 1 to n - 1.
    """
    nearest = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(places)
    return np.asarray(nearest.kneighbors(return_distance=False), dtype=np.int64)


def votes(codes: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the most frequent class among each query's neighbours; of equally frequent ones, the nearest's.

    Args:
        codes: the class of every row (n,).
        nearest: row numbers (q, k), the nearest first.

    Returns:
        One class for each query (q,).
    """
    voted = np.empty(len(nearest), dtype=codes.dtype)
    for start in range(0, len(nearest), VOTES_AT_ONCE):
        classes = codes[nearest[start : start + VOTES_AT_ONCE]]
        counts = (classes[:, :, None] == classes[:, None, :]).sum(axis=2)
        # argmax takes the first of equal counts, which is the nearest neighbour's class.
        most = counts.argmax(axis=1)
        voted[start : start + VOTES_AT_ONCE] = classes[np.arange(len(classes)), most]
    return voted


def accuracies(
    levels: Sequence[Labels],
    *,
    family: str,
    method: str,
    queries: np.ndarray,
    nearest: np.ndarray,
    note: str,
) -> list[Score]:
    """Return the accuracy of the k-NN classifier on the queries, for every k of ``NEIGHBOURS``.

    Leave-one-out: a paper does not vote for itself. The only paper of a class counts as a miss. The bootstrap
    resamples the queries, but keeps their neighbours.

    Args:
        levels: the classes of all n papers at each level.
        family: of the scores.
        method: of the scores.
        queries: row numbers (q,).
        nearest: their neighbours (q, k), the nearest first; k is the largest of ``NEIGHBOURS``, or n - 1 if
            that is smaller.
        note: of the scores.
    """
    found = []
    for labels in levels:
        for k in NEIGHBOURS:
            key = (family, method, f"accuracy_at_{k}", labels.level)
            problem = labels.problem
            if k > nearest.shape[1] and not problem:
                problem = f"omitted: {k} neighbours need more than {len(labels.codes)} papers"
            if problem:
                found.append(Score(*key, value=None, papers=len(queries), note=problem))
                continue
            hits = votes(labels.codes, nearest[:, :k]) == labels.codes[queries]
            score = measured(
                *key,
                value=float(hits.mean()),
                papers=len(hits),
                note=joined(note, labels.note),
                replicates=mean_replicates(hits),
            )
            found.append(score)
    return found
