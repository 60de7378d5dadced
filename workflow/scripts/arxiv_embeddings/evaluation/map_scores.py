"""How faithful a map is: near papers near (trustworthiness, continuity), far ones far (DEMaP, distances), classes apart."""

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from .bootstrap import bootstrap, mean_replicates, subsample, subsample_note
from .labels import Labels
from .neighbours import (
    METHOD,
    NEIGHBOURS,
    accuracies,
    found_again,
    metrics_of,
    nearest_on_map,
)
from .scores import Score, joined, measured

log = logging.getLogger(__name__)

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
    near = min(NEAR, (papers - 1) // 2)
    edges = min(EDGES, papers - 1)
    on_map = nearest_on_map(places, min(max(*NEIGHBOURS, near), papers - 1))
    trusted = subsample(papers, TRUSTED)
    of_trusted = joined(subsample_note(len(trusted), papers), f"{near} neighbours")
    scores = []
    for metric, values in (
        ("trustworthiness", trustworthiness(vectors, on_map[:, :near], trusted)),
        ("continuity", continuity(places, nearest[:, :near], trusted)),
    ):
        scores.append(
            measured(
                *("map", "", metric, ""),
                value=float(values.mean()),
                papers=len(trusted),
                note=of_trusted,
                replicates=mean_replicates(values),
            )
        )
    walked = subsample(papers, WALKED)
    apart = euclidean_distances(places[walked])
    of_vectors = np.sqrt(np.maximum(2 - 2 * (vectors[walked] @ vectors[walked].T), 0)).astype(
        np.float64
    )
    log.info("Paths between %s papers.", f"{len(walked):,}")
    paths = geodesics(vectors, nearest[:, :edges], walked)
    unconnected = float(np.isinf(paths).mean())
    of_walked = subsample_note(len(walked), papers)
    for metric, distances, note in (
        ("distance_correlation", of_vectors, ""),
        (
            "demap",
            paths,
            joined(
                f"{edges} neighbours",
                f"{unconnected:.1%} of pairs are not connected and count as farthest"
                if unconnected
                else "",
            ),
        ),
    ):
        correlation = RankCorrelation(distances, apart)
        scores.append(
            measured(
                *("map", "", metric, ""),
                value=correlation(np.ones(len(walked))),
                papers=len(walked),
                note=joined(of_walked, note),
                replicates=bootstrap(len(walked), correlation),
            )
        )
    scores += accuracies(
        levels,
        family="map",
        queries=np.arange(papers),
        nearest=on_map[:, : max(NEIGHBOURS)],
        again=found_again(papers, lambda rows, k: nearest_on_map(places[rows], k)),
        note="",
    )
    return MapScores(scores, shepard(of_vectors, apart))


def omitted_map_scores(levels: Sequence[Labels], papers: int, reason: str) -> list[Score]:
    """Return the scores of a map that could not be made, with the reason."""
    keys = [
        ("", metric, "")
        for metric in ("trustworthiness", "continuity", "distance_correlation", "demap")
    ]
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
    distances of all pairs in memory, and returns no value per paper to resample.

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


def euclidean_distances(places: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances of all pairs of places (n, d), float64 (n, n)."""
    return np.asarray(np.linalg.norm(places[:, None] - places, axis=2))


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


class RankCorrelation:
    """Spearman's correlation of two distances over all pairs of papers, for resampled papers.

    With geodesic distances of the data and Euclidean ones of the map this is DEMaP (denoised embedding
    manifold preservation; Moon et al., 2019, "Visualizing structure and transitions in high-dimensional
    biological data"). There the geodesics are those of data without noise; embeddings have no such noiseless
    version. Resamples keep the ranks of the pairs of all papers: a pair then counts as often as the product of
    the counts of its two papers, and a paper makes no pair with itself.
    """

    def __init__(self, distances: np.ndarray, others: np.ndarray) -> None:
        """Rank both distances (n, n), which are symmetric."""
        upper = np.triu_indices(len(distances), 1)
        self._ranks = []
        for values in (distances, others):
            ranks = np.zeros(values.shape)
            ranks[upper] = rankdata(values[upper])
            # Centred near zero, sums of products lose no precision.
            ranks[upper] -= ranks[upper].mean()
            self._ranks.append(ranks + ranks.T)

    def __call__(self, counts: np.ndarray) -> float:
        """Return the correlation with each paper counted ``counts`` times (n,); NaN if it is undefined."""
        weights = counts.astype(np.float64)
        pairs = weights.sum() ** 2 - weights @ weights
        first, second = self._ranks
        means = [weights @ ranks @ weights / pairs for ranks in self._ranks]
        product, *squares = (
            weights @ np.einsum("ij,ij,j->i", one, other, weights) / pairs
            for one, other in ((first, second), (first, first), (second, second))
        )
        variances = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
        if min(variances) <= 0:
            return float("nan")
        return float((product - means[0] * means[1]) / np.sqrt(variances[0] * variances[1]))
