"""Exact nearest neighbours, and how often they predict the class of a paper."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.neighbors import NearestNeighbors

from ..common.errors import InputError
from ..common.progress import Progress
from .bootstrap import SHUFFLES
from .labels import Labels, shuffled
from .scores import Score, joined, measured_again
from .vectors import unit_vectors

NEIGHBOURS = (1, 10, 50)
# Neighbours of the means over classes.
BY_CLASS = 10
METHOD = "k-NN"
QUERIES_AT_ONCE = 2_048
# With 2,048 queries: 134 MB of similarities and 268 MB of their order.
ROWS_AT_ONCE = 16_384
VOTES_AT_ONCE = 4_096


def nearest_papers(vectors: np.ndarray) -> np.ndarray:
    """Return the neighbours of every paper that the scores use, the nearest first: int32 (n, 50), or (n, n - 1) if fewer.

    Args:
        vectors: float32 (n, d), n at least 2.

    Raises:
        InputError: a vector is zero or not finite.
    """
    papers = len(vectors)
    found = nearest_by_cosine(vectors, np.arange(papers), most_neighbours(papers))
    return found.astype(np.int32)


def most_neighbours(papers: int) -> int:
    """Return how many neighbours of each paper the scores use."""
    return min(max(NEIGHBOURS), papers - 1)


def read_neighbours(path: Path, papers: int) -> np.ndarray:
    """Return what ``nearest_papers`` found for ``papers`` papers, from the ``.npy`` file that ``find_neighbours`` wrote.

    Raises:
        InputError: the file cannot be read, or is of other papers.
    """
    try:
        nearest = np.load(path, allow_pickle=False)
    # A damaged header can make numpy raise any exception.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {error}. Delete it and run again.") from error
    if nearest.shape != (papers, most_neighbours(papers)) or nearest.dtype != np.int32:
        raise InputError(
            f"{path} contains {nearest.dtype} numbers of shape {nearest.shape}, which are not the neighbours of "
            f"{papers:,} papers. Delete it and run again."
        )
    return np.asarray(nearest)


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


# Subsamples of the papers, and the neighbours that the papers of each have among one another, as rows of it (m, k).
Again = Sequence[tuple[np.ndarray, np.ndarray]]


def accuracies(
    levels: Sequence[Labels],
    *,
    family: str,
    queries: np.ndarray,
    nearest: np.ndarray,
    again: Again,
    note: str,
) -> list[Score]:
    """Return how well the k-NN classifier predicts the classes of the queries.

    Its accuracy for every k of ``NEIGHBOURS``, and for ``BY_CLASS`` neighbours also the means over classes: the balanced
    accuracy (of the recalls) and macro-F1. Leave-one-out: a paper does not vote for itself. The only paper of a class
    counts as a miss.

    Args:
        levels: the classes of all n papers at each level.
        family: of the scores.
        queries: row numbers (q,).
        nearest: their neighbours (q, k), the nearest first; k is the largest of ``NEIGHBOURS``, or n - 1 if
            that is smaller.
        again: ``subsamples(q)``, each with the neighbours in it, for the intervals; at most ``most_neighbours`` of each.
        note: of the scores.
    """
    found = []
    for number, labels in enumerate(levels):
        codes = labels.codes[queries]
        for k in NEIGHBOURS:
            keys = [(family, METHOD, metric, labels.level) for metric in metrics_of(k)]
            problem = labels.problem
            if k > nearest.shape[1] and not problem:
                problem = f"omitted: {k} neighbours need more than {len(labels.codes)} papers"
            if problem:
                found += [
                    Score(*key, value=None, papers=len(queries), note=problem) for key in keys
                ]
                continue
            by_chance = []
            for shuffle in range(SHUFFLES):
                mixed = shuffled(levels, shuffle)[number].codes
                by_chance.append(_quality(mixed[queries], mixed, nearest, k))
            on_subsamples = np.array(
                [_quality(codes[rows], codes[rows], near, k) for rows, near in again]
            ).reshape(-1, len(keys))
            found += [
                measured_again(
                    *key,
                    value=value,
                    papers=len(queries),
                    note=joined(note, labels.note),
                    on_subsamples=of_metric,
                    drawn_from=len(queries),
                    chance=chance,
                )
                for key, value, of_metric, chance in zip(
                    keys,
                    _quality(codes, labels.codes, nearest, k),
                    on_subsamples.T,
                    np.mean(by_chance, axis=0),
                    strict=True,
                )
            ]
    return found


def _quality(true: np.ndarray, codes: np.ndarray, nearest: np.ndarray, k: int) -> list[float]:
    """Return the scores ``metrics_of(k)`` of papers of the classes ``true``; NaN with fewer than k neighbours each."""
    if k > nearest.shape[1]:
        return [float("nan")] * len(metrics_of(k))
    return prediction_quality(true, votes(codes, nearest[:, :k]))[: len(metrics_of(k))]


def metrics_of(k: int) -> list[str]:
    """Return the names of the scores of the k-NN classifier with ``k`` neighbours."""
    by_class = [f"balanced_accuracy_at_{k}", f"macro_f1_at_{k}"] if k == BY_CLASS else []
    return [f"accuracy_at_{k}", *by_class]


def prediction_quality(true: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Return accuracy, balanced accuracy and macro-F1, in this order, of predicted classes (n,)."""
    return [
        float(accuracy_score(true, predicted)),
        # The balanced accuracy; the function of this name warns of predicted classes that no paper has.
        float(recall_score(true, predicted, labels=np.unique(true), average="macro")),
        float(f1_score(true, predicted, average="macro", zero_division=0)),
    ]
