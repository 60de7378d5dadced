"""The scores of a cell of the grid, a clustering of a reduction, with intervals that carry the clustering itself.

Each subsample of the papers is clustered again (``bootstrap``). The reduction is not made again, so intervals are those of a
given reduction.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.errors import InputError
from .agreement import METRICS, agreement, contingency
from .bootstrap import SHUFFLES, SUBSAMPLES, spread, subsamples, subsamples_note
from .clusterings import SEEDED, WITH_OWN_CLUSTERS, WITH_TREE, Clustering, cluster
from .labels import Labels, shuffled
from .scores import Score, higher_is_better, joined, measured
from .tree import lay_out
from .tree_scores import BY_LEVEL, COPHENETIC, tree_scores

log = logging.getLogger(__name__)

# Starts of a method that depends on its seed; its score is their mean.
STARTS = 10
# Starts of such a method on each subsample. With one, the spread held more of the starts than the mean of ten does: intervals
# of k-means were up to 1.4 times, those of differences 2.5 times as wide as the scores vary; three cost as much as the score.
STARTS_AGAIN = 3
FLAT, TREE = "flat clustering", "tree"
OWN = "own"

Key = tuple[str, str, str, str]


def cell_scores(
    vectors: np.ndarray,
    levels: Sequence[Labels],
    found: Clustering,
    *,
    method: str,
    seed: int,
    settings: dict[str, Any],
    threads: int,
) -> list[Score]:
    """Return the scores of a cell at every level.

    Args:
        vectors: float32 (n, d), the reduction.
        levels: the classes of the n papers, the coarsest first.
        found: the clustering of these vectors into as many clusters as each level has classes.
        method: the clustering's, as in ``cluster``, and so are ``seed``, ``settings`` and ``threads``.
        seed: see ``method``.
        settings: see ``method``.
        threads: see ``method``.
    """
    papers = len(vectors)
    if (vectors == vectors[0]).all():
        return omitted_scores(levels, papers, method, "all vectors are identical")

    def again(rows: np.ndarray | slice, labels: Sequence[Labels], start: int) -> Clustering:
        numbers = [len(level.names) for level in labels]
        return cluster(
            vectors[rows], method, numbers, seed=seed + start, settings=settings, threads=threads
        )

    runs = [cell_values(found, levels)]
    if method in SEEDED:
        runs += [cell_values(again(slice(None), levels, n), levels) for n in range(1, STARTS)]
    values = _mean(runs)
    notes = [f"mean of {STARTS} starts" if method in SEEDED else "", subsamples_note(papers)]
    by_chance = [cell_values(found, shuffled(levels, number)) for number in range(SHUFFLES)]
    chance = _mean(by_chance)
    replicates: list[dict[Key, float]] = []
    log.info("Clustering subsamples of the papers again.")
    try:
        for number, rows in enumerate(subsamples(papers)):
            labels = [level.at(rows) for level in levels]
            # No two clusterings have the same seed.
            starts = range(number, number + STARTS_AGAIN * SUBSAMPLES, SUBSAMPLES)
            replicates.append(
                _mean(
                    [
                        cell_values(again(rows, labels, start), labels)
                        for start in (starts if method in SEEDED else starts[:1])
                    ]
                )
            )
    except InputError as error:
        replicates = []
        notes.append(f"no interval: {error}")
    by_level = {labels.level: labels for labels in levels}
    scores = []
    for key, value in values.items():
        labels_note = by_level[key[3]].note if key[3] else ""
        replicated = [of_run.get(key, np.nan) for of_run in replicates]
        own_note = ""
        if key[1] == OWN:
            # Intervals held the mean score of other papers in 87 to 94 % of the cases, and up to 16 % of the differences by
            # chance were called real: sometimes it chooses two clusters, sometimes many.
            own_note = (
                "papers that it calls noise count as one cluster; no interval: the number of clusters "
                "differs between subsamples"
            )
        # A number that describes the clustering needs no interval.
        if key[1] == OWN or higher_is_better(key[2]) is None:
            replicated = []
        scores.append(
            measured(
                *key,
                value=value,
                papers=papers,
                note=joined(*notes, own_note, labels_note),
                chance=chance[key] if key[2] in METRICS or key[0] == TREE else None,
                replicates=spread(papers) * np.array(replicated),
            )
        )
    for level in levels:
        if level.problem:
            keys = _keys(method, level.level)
            scores += [Score(*key, value=None, papers=papers, note=level.problem) for key in keys]
    return scores


def omitted_scores(levels: Sequence[Labels], papers: int, method: str, reason: str) -> list[Score]:
    """Return the scores of a cell of a clustering method that could not be made, with the reason."""
    keys = [key for labels in levels for key in _keys(method, labels.level)]
    if method in WITH_TREE:
        keys.append((TREE, "", COPHENETIC, ""))
    return [Score(*key, value=None, papers=papers, note=f"omitted: {reason}") for key in keys]


def _keys(method: str, level: str) -> list[Key]:
    """Return the keys of the scores of a clustering method at a level that say how good it is."""
    names = ("", OWN) if method in WITH_OWN_CLUSTERS else ("",)
    keys = [(FLAT, name, metric, level) for name in names for metric in METRICS]
    if method in WITH_TREE:
        keys += [(TREE, "", metric, level) for metric in BY_LEVEL]
    return keys


def cell_values(found: Clustering, levels: Sequence[Labels]) -> dict[Key, float]:
    """Return the value of every score of a clustering; NaN where it is undefined."""
    values: dict[Key, float] = {}
    for labels, clusters in zip(levels, found.labels, strict=True):
        if not labels.problem:
            values |= _flat_values("", labels, clusters)
            if found.flat is not None:
                # Noise becomes one cluster.
                values |= _flat_values(OWN, labels, found.flat + 1)
    if found.tree is not None:
        of_tree = tree_scores(lay_out(found.tree), levels)
        values |= {(TREE, "", *key): value for key, value in of_tree.items()}
    return values


def _flat_values(method: str, labels: Labels, clusters: np.ndarray) -> dict[Key, float]:
    sizes = np.bincount(clusters)
    values = {
        **agreement(contingency(labels.codes, clusters)),
        "clusters": float((sizes > 0).sum()),
        "largest_cluster": float(sizes.max() / len(clusters)),
    }
    if method == OWN:
        values["noise"] = float((clusters == 0).mean())
    return {(FLAT, method, metric, labels.level): value for metric, value in values.items()}


def _mean(runs: Sequence[dict[Key, float]]) -> dict[Key, float]:
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
