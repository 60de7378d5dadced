"""How well a map keeps the structure of the vectors: near papers near (trustworthiness), far ones far (DEMaP)."""

import logging
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.stats import rankdata

from .bootstrap import bootstrap, mean_replicates, subsample, subsample_note
from .labels import Labels
from .neighbours import NEIGHBOURS, accuracies, nearest_by_cosine, nearest_on_map
from .scores import Score, joined, measured
from .vectors import unit_vectors

log = logging.getLogger(__name__)

# Papers whose neighbours on the map are compared with those of their vectors.
TRUSTED = 5_000
# Neighbours in trustworthiness.
NEAR = 10
# Papers whose pairs DEMaP compares.
WALKED = 2_000
# Neighbours of a paper in the graph of DEMaP.
EDGES = 30
QUERIES_AT_ONCE = 512


def map_scores(
    matrix: np.ndarray,
    levels: Sequence[Labels],
    *,
    rows: np.ndarray,
    places: np.ndarray,
    method: str,
) -> list[Score]:
    """Return the scores of the family "map".

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers at each level.
        rows: int64 (m,), the rows that are on the map.
        places: float64 (m, 2).
        method: how the map was made, for example "PHATE".
    """
    mapped = len(rows)
    of_map = subsample_note(mapped, len(matrix))
    vectors = unit_vectors(matrix, rows)
    log.info("Trustworthiness and DEMaP of a map of %s papers.", f"{mapped:,}")
    trusted = subsample(mapped, TRUSTED)
    trust = trustworthiness(vectors, places, trusted, NEAR)
    trust_score = measured(
        *("map", method, "trustworthiness", ""),
        value=float(trust.mean()),
        papers=len(trusted),
        note=joined(of_map, subsample_note(len(trusted), mapped), f"{NEAR} neighbours"),
        replicates=mean_replicates(trust),
    )
    walked = subsample(mapped, WALKED)
    edges = min(EDGES, len(walked) - 1)
    geodesic = geodesics(vectors[walked], edges)
    apart = float(np.isinf(geodesic).mean())
    correlation = RankCorrelation(geodesic, euclidean_distances(places[walked]))
    demap_score = measured(
        *("map", method, "demap", ""),
        value=correlation(np.ones(len(walked))),
        papers=len(walked),
        note=joined(
            of_map,
            subsample_note(len(walked), mapped),
            f"{edges} neighbours",
            f"{apart:.1%} of pairs are not connected and count as farthest" if apart else "",
        ),
        replicates=bootstrap(len(walked), correlation),
    )
    of_neighbours = accuracies(
        [labels.at(rows) for labels in levels],
        family="map",
        method=method,
        queries=np.arange(mapped),
        nearest=nearest_on_map(places, min(max(NEIGHBOURS), mapped - 1)),
        note=of_map,
    )
    return [trust_score, demap_score, *of_neighbours]


def trustworthiness(
    vectors: np.ndarray, places: np.ndarray, queries: np.ndarray, k: int
) -> np.ndarray:
    """Return the trustworthiness of a map at each queried paper, float64 (q,), from 0 to 1.

    Each neighbour of a paper on the map costs its rank among the neighbours by cosine, beyond k (Venna and
    Kaski, 2001). The mean over all papers equals ``sklearn.manifold.trustworthiness``; that function holds the
    distances of all pairs in memory, and returns no value per paper to resample.

    Args:
        vectors: float32 (n, d), of length 1.
        places: float64 (n, 2).
        queries: row numbers (q,).
        k: neighbours, fewer than n / 2.
    """
    papers = len(vectors)
    nearest = nearest_on_map(places, k)[queries]
    cost = np.empty(len(queries))
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        cosines = vectors[queries[part]] @ vectors.T
        np.put_along_axis(cosines, queries[part, None], -np.inf, axis=1)
        of_nearest = np.take_along_axis(cosines, nearest[part], axis=1)
        closer = [(cosines > of_nearest[:, [column]]).sum(axis=1) for column in range(k)]
        cost[part] = np.maximum(0, np.column_stack(closer) + 1 - k).sum(axis=1)
    return 1 - 2 * cost / (k * (2 * papers - 3 * k - 1))


def euclidean_distances(places: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances of all pairs of places (n, d), float64 (n, n)."""
    return np.asarray(np.linalg.norm(places[:, None] - places, axis=2))


def geodesics(vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the shortest path lengths of all pairs in the graph of nearest neighbours, float64 (n, n).

    An edge joins two papers if one is among the k nearest of the other; its length is their Euclidean
    distance. Pairs that no path joins are at the distance infinity.

    Args:
        vectors: float32 (n, d), of length 1.
        k: from 1 to n - 1.
    """
    papers = len(vectors)
    nearest = nearest_by_cosine(vectors, np.arange(papers), k)
    tails, heads = np.repeat(np.arange(papers), k), nearest.ravel()
    lengths = np.linalg.norm(vectors[tails] - vectors[heads], axis=1).astype(np.float64)
    # The sparse graph would drop an edge of length 0 between two identical vectors.
    lengths = np.maximum(lengths, np.finfo(np.float32).tiny)
    graph = csr_array((lengths, (tails, heads)), shape=(papers, papers))
    return np.asarray(shortest_path(graph, method="D", directed=False))


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
