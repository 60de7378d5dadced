"""Flat clusterings, and how well they agree with the classes of the papers."""

from collections.abc import Callable

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics.cluster import expected_mutual_information

from .bootstrap import SEED, bootstrap
from .labels import Labels
from .scores import Score, joined, measured

FAMILY = "flat clustering"
METRICS = ("v_measure", "ami", "ari", "nmi", "homogeneity", "completeness")


def kmeans(vectors: np.ndarray, clusters: int) -> np.ndarray:
    """Return the cluster of every vector by mini-batch k-means (Sculley, 2010), int32 (n,).

    Args:
        vectors: float32 (n, d) of length 1.
        clusters: the number to look for, at most n. Fewer are found where vectors are identical.
    """
    model = MiniBatchKMeans(clusters, random_state=SEED)
    return np.asarray(model.fit_predict(vectors), np.int32)


def mutual_information_by_chance(table: np.ndarray) -> float:
    """Return the expected mutual information (nats) of contingency tables with the margins of ``table``, int64."""
    full = table[table.any(axis=1)][:, table.any(axis=0)]
    return float(expected_mutual_information(full, int(full.sum())))


def agreement(table: np.ndarray, chance: float) -> dict[str, float]:
    """Return the ``METRICS`` of a contingency table, int64 (classes, clusters).

    Homogeneity, completeness and V-measure: Rosenberg & Hirschberg, 2007. ARI: Hubert & Arabie, 1985.
    AMI: Vinh, Epps & Bailey, 2010. NMI and AMI are normalised by the arithmetic mean of the entropies, as in
    scikit-learn, so NMI equals V-measure. All are NaN with fewer than two classes or clusters.

    scikit-learn computes them from labels, not from contingency tables. From the table, a replicate takes a
    fraction of that time.

    Args:
        table: papers of each class in each cluster.
        chance: the mutual information (nats) expected by chance, see ``mutual_information_by_chance``.
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(table.shape) < 2:
        return dict.fromkeys(METRICS, float("nan"))
    sizes, cluster_sizes = table.sum(axis=1), table.sum(axis=0)
    classes, clusters = _entropy(sizes), _entropy(cluster_sizes)
    mean = (classes + clusters) / 2
    mutual = max(classes + clusters - _entropy(table.ravel()), 0.0)
    together, same_class, same_cluster, pairs = map(
        _pairs, (table, sizes, cluster_sizes, table.sum())
    )
    by_chance = same_class * same_cluster / pairs
    most = (same_class + same_cluster) / 2
    return {
        "v_measure": mutual / mean,
        "ami": _ratio(mutual - chance, mean - chance),
        "ari": _ratio(together - by_chance, most - by_chance),
        "nmi": mutual / mean,
        "homogeneity": mutual / classes,
        "completeness": mutual / clusters,
    }


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1.0) / 2).sum())


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if abs(denominator) > 1e-12 else float("nan")


def flat_scores(method: str, labels: Labels, clusters: np.ndarray, note: str = "") -> list[Score]:
    """Return the agreement of a clustering with the classes, each score with its bootstrap replicates.

    Each replicate resamples the papers and recounts the contingency table; the clustering stays the same. The
    mutual information that AMI expects by chance is computed once, from all papers: it takes 99 % of the time
    and hardly varies between replicates.

    Args:
        method: the name of the clustering method.
        labels: the classes of n papers; as many clusters were requested.
        clusters: int (n,), 0 or more: the cluster of every paper.
        note: goes with every score.
    """
    papers, wanted, found = len(clusters), len(labels.names), len(np.unique(clusters))
    problem = labels.problem
    if not problem and found < 2:
        problem = "omitted: all vectors are in one cluster, as identical vectors are"
    if problem:
        note = joined(problem, note)
        return [
            Score(FAMILY, method, metric, labels.level, value=None, papers=papers, note=note)
            for metric in METRICS
        ]
    fewer = f"only {found} of {wanted} requested clusters were found" if found < wanted else ""
    note = joined(note, fewer, labels.note)
    tables = contingency(labels.codes, clusters)
    table = tables(np.ones(papers, np.int64))
    chance = mutual_information_by_chance(table)
    values = agreement(table, chance)
    replicates = bootstrap(papers, lambda counts: list(agreement(tables(counts), chance).values()))
    return [
        measured(
            *(FAMILY, method, metric, labels.level),
            value=value,
            papers=papers,
            note=note,
            replicates=of_metric,
        )
        for (metric, value), of_metric in zip(values.items(), replicates.T, strict=True)
    ]


def contingency(classes: np.ndarray, clusters: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from how often each paper counts (n,) to the table (classes, clusters), both int64."""
    shape = int(classes.max()) + 1, int(clusters.max()) + 1
    cells = np.ravel_multi_index((classes, clusters), shape)

    def count(counts: np.ndarray) -> np.ndarray:
        table = np.bincount(cells, weights=counts, minlength=shape[0] * shape[1])
        return table.astype(np.int64).reshape(shape)

    return count
