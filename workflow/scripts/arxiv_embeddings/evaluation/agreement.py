"""How well a clustering agrees with the classes of the papers."""

import numpy as np
from sklearn.metrics.cluster import expected_mutual_information

METRICS = (
    "ari",
    "ami",
    "v_measure",
    "homogeneity",
    "completeness",
    "fowlkes_mallows",
    "rand",
)


def contingency(classes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return how many papers of each class are in each cluster, int64 (classes, clusters).

    Args:
        classes: int (n,) from 0.
        clusters: int (n,) from 0.
    """
    shape = int(classes.max()) + 1, int(clusters.max()) + 1
    cells = np.ravel_multi_index((classes, clusters), shape)
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)


def agreement(table: np.ndarray) -> dict[str, float]:
    """Return the ``METRICS`` of a contingency table, int64 (classes, clusters).

    ARI: Hubert & Arabie, 1985. AMI: Vinh, Epps & Bailey, 2010, normalised by the arithmetic mean of the entropies, as
    in scikit-learn. Homogeneity, completeness and V-measure: Rosenberg & Hirschberg, 2007. Fowlkes & Mallows, 1983.
    Rand, 1971. All equal scikit-learn's, also of a single cluster (ARI, AMI, V-measure and homogeneity 0, completeness 1);
    they are NaN with fewer than two classes.

    scikit-learn computes them from labels, each in a pass of its own; from the table, all take a fraction of that time.
    """
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if len(table) < 2:
        return dict.fromkeys(METRICS, float("nan"))
    sizes, cluster_sizes = table.sum(axis=1), table.sum(axis=0)
    classes, clusters = _entropy(sizes), _entropy(cluster_sizes)
    mean = (classes + clusters) / 2
    mutual = max(classes + clusters - _entropy(table.ravel()), 0.0)
    chance = float(expected_mutual_information(table, int(table.sum())))
    together, same_class, same_cluster, pairs = map(
        _pairs, (table, sizes, cluster_sizes, table.sum())
    )
    by_chance = same_class * same_cluster / pairs
    most = (same_class + same_cluster) / 2
    return {
        "ari": _ratio(together - by_chance, most - by_chance, 1.0),
        "ami": _ratio(mutual - chance, mean - chance, 1.0),
        "v_measure": mutual / mean,
        "homogeneity": mutual / classes,
        "completeness": _ratio(mutual, clusters, 1.0),
        "fowlkes_mallows": _ratio(together, float(np.sqrt(same_class * same_cluster)), 0.0),
        "rand": (pairs + 2 * together - same_class - same_cluster) / pairs,
    }


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1.0) / 2).sum())


def _ratio(numerator: float, denominator: float, otherwise: float) -> float:
    """Return the quotient, or ``otherwise`` where the denominator vanishes."""
    return numerator / denominator if abs(denominator) > 1e-12 else otherwise
