"""How faithful a map is: near papers near (trustworthiness, continuity), far ones far (DEMaP, distances), classes apart."""

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.stats import rankdata

from .bootstrap import LEAST, subsample, subsample_note, subsamples
from .labels import Labels
from .neighbours import (
    METHOD,
    NEIGHBOURS,
    accuracies,
    metrics_of,
    most_neighbours,
    nearest_on_map,
    nearest_papers,
)
from .scores import Score, joined, measured_again

log = logging.getLogger(__name__)

# The scores of a map that need no classes, in the order in which they are computed.
METRICS = ("trustworthiness", "continuity", "distance_correlation", "demap")

# Papers whose neighbours on the map are compared with those of their vectors.
TRUSTED = 5_000
# Neighbours in trustworthiness and continuity.
NEAR = 15
# Papers whose pairs are compared by their distances.
WALKED = 1_000
# Neighbours of a paper in the graph of DEMaP.
EDGES = 30
QUERIES_AT_ONCE = 256
# Bins of a Shepard diagram, each way.
BINS = 60


@dataclasses.dataclass(frozen=True)
class MapScores:
    """What is said of a map.

    Attributes:
        scores: of the family "map".
        pairs: int64 (BINS, BINS), pairs of papers by the distance of their vectors (rows) and on the map (columns), both
            ascending and relative to the greatest.
    """

    scores: list[Score]
    pairs: np.ndarray


def map_scores(
    vectors: np.ndarray, levels: Sequence[Labels], places: np.ndarray, nearest: np.ndarray
) -> MapScores:
    """Return the scores and the Shepard diagram of a map.

    Args:
        vectors: float32 (n, d), of length 1.
        levels: the classes of the n papers at each level.
        places: float32 (n, 2).
        nearest: the neighbours of every paper, as ``nearest_papers`` returns them.
    """
    papers = len(vectors)
    places = places.astype(np.float64)
    on_map = nearest_on_map(places, most_neighbours(papers))
    trusted, walked = subsample(papers, TRUSTED), subsample(papers, WALKED)
    log.info("Paths between %s papers.", f"{len(walked):,}")
    values, of_vectors, apart, paths = _compare(vectors, places, nearest, on_map, trusted, walked)
    log.info("Finding the nearest papers again in subsamples.")
    again, on_subsamples = [], []
    for rows in subsamples(papers):
        on_map_of_rows = nearest_on_map(places[rows], most_neighbours(len(rows)))
        again.append((rows, on_map_of_rows))
        own = [np.flatnonzero(np.isin(rows, some)) for some in (trusted, walked)]
        if min(map(len, own)) < LEAST // 2:
            on_subsamples.append([float("nan")] * len(METRICS))
            continue
        part = vectors[rows]
        of_rows, *_ = _compare(part, places[rows], nearest_papers(part), on_map_of_rows, *own)
        on_subsamples.append(of_rows)
    unconnected = float(np.isinf(paths).mean())
    not_connected = f"{unconnected:.1%} of pairs are not connected and count as farthest"
    notes = [
        *[joined(subsample_note(len(trusted), papers), f"{_near(papers)} neighbours")] * 2,
        subsample_note(len(walked), papers),
        joined(
            subsample_note(len(walked), papers),
            f"{min(EDGES, papers - 1)} neighbours",
            not_connected if unconnected else "",
        ),
    ]
    counts = [len(trusted)] * 2 + [len(walked)] * 2
    scores = [
        measured_again(
            *("map", "", metric, ""),
            value=value,
            papers=count,
            note=note,
            on_subsamples=of_metric,
            drawn_from=papers,
        )
        for metric, value, count, note, of_metric in zip(
            METRICS,
            values,
            counts,
            notes,
            np.array(on_subsamples).reshape(-1, len(METRICS)).T,
            strict=True,
        )
    ]
    scores += accuracies(
        levels,
        family="map",
        queries=np.arange(papers),
        nearest=on_map,
        again=again,
        note="",
    )
    return MapScores(scores, shepard(of_vectors, apart))


def _near(papers: int) -> int:
    """Return the neighbours of trustworthiness and continuity, which must be fewer than half of the papers."""
    return min(NEAR, (papers - 1) // 2)


def _compare(
    vectors: np.ndarray,
    places: np.ndarray,
    nearest: np.ndarray,
    on_map: np.ndarray,
    trusted: np.ndarray,
    walked: np.ndarray,
) -> tuple[list[float], np.ndarray, np.ndarray, np.ndarray]:
    """Return ``METRICS``, and the distances between the papers ``walked`` (w, w): of vectors, on the map, along paths.

    Args:
        vectors: float32 (n, d), of length 1.
        places: float64 (n, 2).
        nearest: the neighbours of every paper by cosine, int (n, k).
        on_map: its neighbours on the map, int (n, k).
        trusted: the papers whose neighbours are compared, row numbers.
        walked: the papers whose distances are compared, row numbers.
    """
    near = _near(len(vectors))
    of_vectors, apart = squareform(pdist(vectors[walked])), squareform(pdist(places[walked]))
    paths = geodesics(vectors, nearest[:, :EDGES], walked)
    values = [
        float(trustworthiness(vectors, on_map[:, :near], trusted).mean()),
        float(continuity(places, nearest[:, :near], trusted).mean()),
        rank_correlation(of_vectors, apart),
        rank_correlation(paths, apart),
    ]
    return values, of_vectors, apart, paths


def omitted_map_scores(levels: Sequence[Labels], papers: int, reason: str) -> list[Score]:
    """Return the scores of a map that could not be made, with the reason."""
    keys = [("", metric, "") for metric in METRICS]
    keys += [
        (METHOD, metric, labels.level)
        for labels in levels
        for k in NEIGHBOURS
        for metric in metrics_of(k)
    ]
    return [
        Score("map", *key, value=None, papers=papers, note=f"omitted: {reason}") for key in keys
    ]


def shepard(distances: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the pairs of papers by two distances (n, n), as counts int64 (BINS, BINS); see ``MapScores``."""
    upper = np.triu_indices(len(distances), 1)
    first, second = (
        values[upper] / max(float(values[upper].max()), np.finfo(float).tiny)
        for values in (distances, others)
    )
    counts, _, _ = np.histogram2d(first, second, bins=BINS, range=[[0, 1], [0, 1]])
    return counts.astype(np.int64)


def trustworthiness(vectors: np.ndarray, nearest: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the trustworthiness of a map at each queried paper, float64 (q,), from 0 to 1.

    Each neighbour of a paper on the map costs its rank among the neighbours by cosine, beyond k (Venna and
    Kaski, 2001). The mean over all papers equals ``sklearn.manifold.trustworthiness``; that function holds the
    distances of all pairs in memory.

    Args:
        vectors: float32 (n, d), of length 1.
        nearest: the k neighbours on the map of every paper, int (n, k), k fewer than n / 2.
        queries: row numbers (q,).
    """
    return _kept(len(vectors), nearest[queries], queries, lambda rows: -(vectors[rows] @ vectors.T))


def continuity(places: np.ndarray, nearest: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the continuity of a map at each queried paper, float64 (q,), from 0 to 1.

    As trustworthiness, with map and vectors exchanged: each neighbour by cosine costs its rank on the map, beyond k.

    Args:
        places: float64 (n, 2).
        nearest: the k neighbours by cosine of every paper, int (n, k), k fewer than n / 2.
        queries: row numbers (q,).
    """
    return _kept(
        len(places),
        nearest[queries],
        queries,
        lambda rows: cdist(places[rows], places, "sqeuclidean"),
    )


def _kept(
    papers: int,
    nearest: np.ndarray,
    queries: np.ndarray,
    distances: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return 1 minus the scaled cost of the neighbours' ranks by the other distances (rows to all papers)."""
    k = nearest.shape[1]
    cost = np.empty(len(queries))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        apart = distances(queries[part])
        np.put_along_axis(apart, queries[part, None], np.inf, axis=1)
        of_nearest = np.take_along_axis(apart, nearest[part], axis=1)
        closer = [(apart < of_nearest[:, [column]]).sum(axis=1) for column in range(k)]
        cost[part] = np.maximum(0, np.column_stack(closer) + 1 - k).sum(axis=1)
    return np.asarray(1 - 2 * cost / (k * (2 * papers - 3 * k - 1)))


def geodesics(vectors: np.ndarray, nearest: np.ndarray, walked: np.ndarray) -> np.ndarray:
    """Return the shortest path lengths between the papers ``walked`` in the graph of all papers, float64 (w, w).

    An edge joins two papers if one is among the neighbours of the other; its length is their Euclidean distance. Pairs
    that no path joins are at the distance infinity.

    Args:
        vectors: float32 (n, d), of length 1.
        nearest: the neighbours of every paper, int (n, k).
        walked: row numbers (w,).
    """
    papers, k = nearest.shape
    tails, heads = np.repeat(np.arange(papers), k), nearest.ravel()
    lengths = np.concatenate(
        [
            np.linalg.norm(vectors[row, None] - vectors[nearest[row]], axis=1)
            for row in range(papers)
        ]
    ).astype(np.float64)
    # The sparse graph would drop an edge of length 0 between two identical vectors.
    lengths = np.maximum(lengths, np.finfo(np.float32).tiny)
    graph = csr_array((lengths, (tails, heads)), shape=(papers, papers))
    return np.asarray(dijkstra(graph, directed=False, indices=walked)[:, walked])


def rank_correlation(distances: np.ndarray, others: np.ndarray) -> float:
    """Return Spearman's correlation of two distances (n, n) over all pairs of papers; NaN if it is undefined.

    With geodesic distances of the data and Euclidean ones of the map this is DEMaP (denoised embedding
    manifold preservation; Moon et al., 2019, "Visualizing structure and transitions in high-dimensional
    biological data"). There the geodesics are those of data without noise; embeddings have no such noiseless
    version.
    """
    upper = np.triu_indices(len(distances), 1)
    ranks = [rankdata(values[upper]) for values in (distances, others)]
    if any(np.ptp(values) == 0 for values in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
