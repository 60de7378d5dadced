"""Clusterings of papers into as many clusters as a level of the hierarchy has classes, and trees of papers."""

import dataclasses
import logging
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import fastcluster
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_chunked
from threadpoolctl import threadpool_limits

from ..common.errors import InputError
from ..common.versions import versions
from ..config.methods import with_defaults
from .condensation import condense
from .tree import cut

log = logging.getLogger(__name__)

# Working memory of a block of distances, in addition to the distances that are kept.
MEBIBYTES_AT_ONCE = 64
LIBRARIES = {
    "kmeans": ("scikit-learn",),
    "ward": ("fastcluster",),
    "average": ("fastcluster",),
    "hdbscan": ("hdbscan",),
    "diffusion_condensation": (),
}
# Methods whose result depends on the seed, those that make a tree, and those that choose a number of clusters themselves.
SEEDED = ("kmeans",)
WITH_TREE = ("ward", "average", "hdbscan", "diffusion_condensation")
WITH_OWN_CLUSTERS = ("hdbscan",)


@dataclasses.dataclass(frozen=True)
class Clustering:
    """The clusters of n papers.

    Attributes:
        labels: int32 (n,) for each number of clusters that was asked for, the cluster of every paper from 0.
        tree: float64 (n - 1, 4), merges in scipy's form; None where the method makes no tree.
        flat: int32 (n,), clusters whose number the method chose itself, -1 for noise; None for other methods.
        report: method, seed, settings in full, what the method says of itself, seconds, peak_bytes (of the process) and
            versions, ready for JSON.
    """

    labels: list[np.ndarray]
    tree: np.ndarray | None
    flat: np.ndarray | None
    report: dict[str, Any]


# What a method returns: labels (of methods without a tree), tree, flat, and what it says of itself.
Found = tuple[list[np.ndarray], np.ndarray | None, np.ndarray | None, dict[str, Any]]


def cluster(
    vectors: np.ndarray,
    method: str,
    numbers: Sequence[int],
    *,
    seed: int,
    settings: dict[str, Any],
    threads: int,
) -> Clustering:
    """Return the clusters of the papers.

    Args:
        vectors: float32 (n, d), n at least 2.
        method: of ``METHODS``.
        numbers: of clusters, each from 1 to n. Fewer are found where vectors are identical.
        seed: for methods that draw at random.
        settings: parameters other than the defaults in ``config/methods.py``.
        threads: for methods that can use several.

    Raises:
        InputError: the method refuses these papers or settings.
    """
    start = time.monotonic()
    full = with_defaults(method, settings)
    with threadpool_limits(limits=threads):
        try:
            labels, tree, flat, own = METHODS[method](vectors, numbers, seed, full)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise InputError(f"{method} failed on these papers and settings: {error}") from error
    if tree is not None:
        labels = [cut(tree, number) for number in numbers]
    report = {
        "method": method,
        "papers": len(vectors),
        "seed": seed,
        "settings": full,
        **own,
        "seconds": round(time.monotonic() - start, 1),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": versions("numpy", "scipy", *LIBRARIES[method]),
    }
    return Clustering(labels, tree, flat, report)


def _kmeans(
    vectors: np.ndarray, numbers: Sequence[int], seed: int, settings: dict[str, Any]
) -> Found:
    labels = [
        KMeans(number, n_init=1, random_state=seed, **settings)
        .fit_predict(vectors)
        .astype(np.int32)
        for number in numbers
    ]
    return labels, None, None, {}


def _ward(
    vectors: np.ndarray, numbers: Sequence[int], seed: int, settings: dict[str, Any]
) -> Found:
    """Ward's tree (Ward, 1963). Needs 4 n² bytes, 3.6 GB for 30,000 papers, because the distances are overwritten."""
    return [], _linkage(distances(vectors), "ward"), None, {}


def _average(
    vectors: np.ndarray, numbers: Sequence[int], seed: int, settings: dict[str, Any]
) -> Found:
    """Average linkage on squared Euclidean distances: on vectors of length 1, twice the cosine distances."""
    squared = distances(vectors)
    np.square(squared, out=squared)
    return [], _linkage(squared, "average"), None, {}


class _Scratch:
    """An array that is not copied: fastcluster 1.3.0 copies an ndarray at once, whatever ``preserve_input`` says."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._array


def _linkage(condensed: np.ndarray, method: str) -> np.ndarray:
    """Return the tree of distances in scipy's condensed form, which are overwritten."""
    tree: np.ndarray = fastcluster.linkage(_Scratch(condensed), method, preserve_input=False)
    return tree


def _hdbscan(
    vectors: np.ndarray, numbers: Sequence[int], seed: int, settings: dict[str, Any]
) -> Found:
    """HDBSCAN (Campello et al., 2013): its own clusters, and the single linkage tree of mutual reachability."""
    import hdbscan

    if settings["min_samples"] >= len(vectors):
        raise InputError(
            f"hdbscan needs more papers than min_samples, but there are {len(vectors)} papers and min_samples is "
            f"{settings['min_samples']}"
        )
    model = hdbscan.HDBSCAN(gen_min_span_tree=False, core_dist_n_jobs=1, **settings).fit(vectors)
    flat = model.labels_.astype(np.int32)
    tree = model.single_linkage_tree_.to_numpy()
    return [], tree, flat, {"own_clusters": int(flat.max()) + 1, "noise": float((flat < 0).mean())}


def _condensation(
    vectors: np.ndarray, numbers: Sequence[int], seed: int, settings: dict[str, Any]
) -> Found:
    tree, own = condense(vectors, **settings)
    return [], tree, None, own


def distances(vectors: np.ndarray) -> np.ndarray:
    """Return the same distances as scipy's ``pdist``, float64 (n (n - 1) / 2,), computed by BLAS in a tenth of the time."""
    papers = len(vectors)
    condensed = np.empty(papers * (papers - 1) // 2)
    row = place = 0
    for block in pairwise_distances_chunked(vectors, working_memory=MEBIBYTES_AT_ONCE):
        for of_row in block:
            row += 1
            condensed[place : place + papers - row] = of_row[row:]
            place += papers - row
    return condensed


METHODS: dict[str, Callable[[np.ndarray, Sequence[int], int, dict[str, Any]], Found]] = {
    "kmeans": _kmeans,
    "ward": _ward,
    "average": _average,
    "hdbscan": _hdbscan,
    "diffusion_condensation": _condensation,
}
