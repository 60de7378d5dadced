"""How well a map keeps what the vectors say: near papers near (trustworthiness), far ones far (DEMaP)."""

import logging
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.stats import rankdata

from .bootstrap import bootstrap, mean_replicates, subsample
from .geometry import sample_note
from .labels import Labels
from .neighbours import NEIGHBOURS, accuracies, nearest_by_cosine, nearest_on_map
from .scores import Score, joined, measured
from .vectors import unit_vectors

log = logging.getLogger(__name__)

TRUSTED = 5_000  # papers whose neighbours on the map are looked up in the vectors
NEAR = 10  # neighbours that trustworthiness looks at
WALKED = 2_000  # papers between whose pairs DEMaP measures
EDGES = 30  # neighbours of a paper in the graph of DEMaP
QUERIES_AT_ONCE = 512


def map_scores(
    matrix: np.ndarray, levels: Sequence[Labels], rows: np.ndarray, places: np.ndarray, method: str
) -> list[Score]:
    """Return the scores of the family "map".

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        levels: the classes of the n papers at each level.
        rows: int64 (m,), the rows that are on the map.
        places: float64 (m, 2).
        method: what made the map, for example "PHATE".
    """
    of_map = sample_note(len(rows), len(matrix))
    vectors = unit_vectors(matrix, rows)
    asked = subsample(len(rows), TRUSTED)
    log.info("Trustworthiness and DEMaP of a map of %s papers.", f"{len(rows):,}")
    trust = trustworthiness(vectors, places, asked, NEAR)
    walked = subsample(len(rows), WALKED)
    nearest = nearest_on_map(places, min(max(NEIGHBOURS), len(rows) - 1))
    return [
        measured(
            "map",
            method,
            "trustworthiness",
            "",
            float(trust.mean()),
            len(asked),
            joined(of_map, sample_note(len(asked), len(rows)), f"{NEAR} neighbours"),
            mean_replicates(trust),
        ),
        _demap_score(vectors[walked], places[walked], method, len(rows), of_map),
        *accuracies(
            "map",
            method,
            [labels.at(rows) for labels in levels],
            np.arange(len(rows)),
            nearest,
            of_map,
        ),
    ]


def trustworthiness(
    vectors: np.ndarray, places: np.ndarray, asked: np.ndarray, k: int
) -> np.ndarray:
    """Return the trustworthiness of a map at each paper ``asked``, float64 (q,), from 0 to 1.

    The neighbours of a paper on the map cost their rank among its neighbours by cosine, beyond k (Venna and
    Kaski, 2001). The mean over all papers is what ``sklearn.manifold.trustworthiness`` returns; that
    holds the distances of all pairs in memory, and has no value per paper to resample.

    Args:
        vectors: float32 (n, d), of length 1.
        places: float64 (n, 2).
        asked: row numbers (q,).
        k: neighbours, fewer than n / 2.
    """
    papers = len(vectors)
    nearest = nearest_on_map(places, k)[asked]
    cost = np.empty(len(asked))
    for start in range(0, len(asked), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        cosines = vectors[asked[part]] @ vectors.T
        np.put_along_axis(cosines, asked[part, None], -np.inf, axis=1)
        theirs = np.take_along_axis(cosines, nearest[part], axis=1)
        closer = [(cosines > theirs[:, [column]]).sum(axis=1) for column in range(k)]
        cost[part] = np.maximum(0, np.column_stack(closer) + 1 - k).sum(axis=1)
    return 1 - 2 * cost / (k * (2 * papers - 3 * k - 1))


def _demap_score(
    vectors: np.ndarray, places: np.ndarray, method: str, mapped: int, note: str
) -> Score:
    edges = min(EDGES, len(vectors) - 1)
    geodesic = geodesics(vectors, edges)
    apart = float(np.isinf(geodesic).mean())
    note = joined(
        note,
        sample_note(len(vectors), mapped),
        f"{edges} neighbours",
        f"{apart:.1%} of pairs are not connected and count as farthest" if apart else "",
    )
    correlation = RankCorrelation(geodesic, np.linalg.norm(places[:, None] - places, axis=2))
    everyone = np.ones(len(vectors))
    replicates = bootstrap(len(vectors), correlation)
    value = correlation(everyone)
    return measured("map", method, "demap", "", value, len(vectors), note, replicates)


def geodesics(vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the shortest ways between all pairs along the graph of nearest neighbours, float64 (n, n).

    An edge joins two papers where one is among the k nearest of the other, and is as long as their
    Euclidean distance. Pairs that no way joins are at the distance infinity.

    Args:
        vectors: float32 (n, d), of length 1.
        k: from 1 to n - 1.
    """
    papers = len(vectors)
    nearest = nearest_by_cosine(vectors, np.arange(papers), k)
    tails, heads = np.repeat(np.arange(papers), k), nearest.ravel()
    lengths = np.linalg.norm(vectors[tails] - vectors[heads], axis=1).astype(np.float64)
    # An edge of length 0 between two identical vectors would count as no edge.
    lengths = np.maximum(lengths, np.finfo(np.float32).tiny)
    graph = csr_array((lengths, (tails, heads)), shape=(papers, papers))
    return np.asarray(shortest_path(graph, method="D", directed=False))


class RankCorrelation:
    """Spearman's correlation over all pairs of papers between two distances, as papers are resampled.

    With geodesic distances of the data and Euclidean ones of the map this is DEMaP (denoised embedding
    manifold preservation; Moon et al., 2019, "Visualizing structure and transitions in high-dimensional
    biological data"). There the geodesics are those of data without noise; of
    embeddings there is only the one kind. The ranks are those of the pairs of all papers, also where papers are
    resampled: a pair then counts as often as both its papers together, and none with itself.
    """

    def __init__(self, distances: np.ndarray, others: np.ndarray) -> None:
        """Rank both distances (n, n), which are symmetric."""
        upper = np.triu_indices(len(distances), 1)
        self._ranks = []
        for values in (distances, others):
            ranks = np.zeros(values.shape)
            ranks[upper] = rankdata(values[upper])
            ranks[upper] -= ranks[upper].mean()  # near zero, sums of products stay exact
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
