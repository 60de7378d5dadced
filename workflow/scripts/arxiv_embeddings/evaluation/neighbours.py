"""Exact nearest neighbours, and how often they tell the class of a paper."""

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
ROWS_AT_ONCE = 16_384  # with 2,048 queries, 134 MB of similarities and 268 MB of their order
VOTES_AT_ONCE = 4_096


def nearest_by_cosine(matrix: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` other rows with the largest cosine to every queried row, the nearest first.

    Exact: every query is compared with every row, a block of queries against a block of rows at a time.
    Memory does not grow with the rows: the queried vectors, a block of rows and about 0.4 GB. Among rows
    at the very same distance the lower number comes first, but which of them are among the k is open.

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
                products[inside, own[inside] - row] = -np.inf  # no paper is its own neighbour
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
    """Return the columns (rows, k) of the ``k`` largest values of every row, in no order."""
    smaller = values.shape[1] - k
    return np.argpartition(values, smaller, axis=1)[:, smaller:] if k else values[:, :0].astype(int)


def nearest_on_map(places: np.ndarray, k: int) -> np.ndarray:
    """Return the ``k`` other points next to every point of a map, the nearest first: int64 (n, k).

    Args:
        places: float64 (n, 2).
        k: from 1 to n - 1.
    """
    nearest = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(places)
    return np.asarray(nearest.kneighbors(return_distance=False), dtype=np.int64)


def votes(codes: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Return the class that most of each query's neighbours have; among equals, the nearest one's.

    Args:
        codes: the class of every row (n,).
        nearest: row numbers (q, k), the nearest first.

    Returns:
        One class for each query (q,).
    """
    voted = np.empty(len(nearest), dtype=codes.dtype)
    for start in range(0, len(nearest), VOTES_AT_ONCE):
        theirs = codes[nearest[start : start + VOTES_AT_ONCE]]
        counts = (theirs[:, :, None] == theirs[:, None, :]).sum(axis=2)
        # argmax takes the first of equal counts, which is the nearest neighbour's class
        most = counts.argmax(axis=1)
        voted[start : start + VOTES_AT_ONCE] = theirs[np.arange(len(theirs)), most]
    return voted


def accuracies(
    family: str,
    method: str,
    levels: Sequence[Labels],
    queries: np.ndarray,
    nearest: np.ndarray,
    note: str,
) -> list[Score]:
    """Return the share of queries whose class their neighbours vote for, at every k of ``NEIGHBOURS``.

    Leave-one-out: no paper votes for itself. A paper that is alone in its class counts, as a miss. The
    interval is over the queried papers; whom they have for neighbours stays as it is.

    Args:
        family: of the scores.
        method: of the scores.
        levels: the classes of all n papers at each level.
        queries: row numbers (q,).
        nearest: their neighbours (q, k), the nearest first, at least as many as the largest k where
            there are so many papers.
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
                found.append(Score(*key, None, len(queries), problem))
                continue
            hits = votes(labels.codes, nearest[:, :k]) == labels.codes[queries]
            told = joined(note, labels.note)
            found.append(measured(*key, float(hits.mean()), len(hits), told, mean_replicates(hits)))
    return found
