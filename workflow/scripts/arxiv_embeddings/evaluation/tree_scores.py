"""How well a tree of the papers agrees with the tree of their categories.

All scores are sums over pairs of papers, computed exactly. Any two papers meet at one node, their lowest common
ancestor, so the pairs of one class are counted node by node, from the papers of the class on its left and on its
right. A paper that a bootstrap replicate draws w times counts as w leaves; pairs of copies are left out.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from .bootstrap import bootstrap
from .labels import Labels
from .scores import Score, joined, measured
from .tree import Tree

FAMILY = "tree"
# Distances of identical vectors are rounding errors of about 1e-8.
SMALLEST_HEIGHT = 1e-6


@dataclasses.dataclass(frozen=True)
class Meetings:
    """The nodes where papers of one class meet, one entry per node and class.

    Attributes:
        codes: int (n,), the class of every leaf.
        members: int64 (n,), the leaves sorted by class, then from left to right.
        node: int64 (m,), m less than n.
        first, middle, end: int64 (m,). ``members[first[j]:middle[j]]`` are the leaves of the class on the left
            of ``node[j]`` and ``members[middle[j]:end[j]]`` those on its right; neither side is empty.
    """

    codes: np.ndarray
    members: np.ndarray
    node: np.ndarray
    first: np.ndarray
    middle: np.ndarray
    end: np.ndarray

    def sides(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the papers of the class on the left and on the right, float64 (m,), by their counts (n,)."""
        return _sides(counts[self.members], self.first, self.middle, self.end)


def meetings(tree: Tree, codes: np.ndarray) -> Meetings:
    """Return where papers of one class meet in the tree, for classes ``codes``, int (n,) from 0."""
    place = np.empty(len(codes), np.int64)
    place[tree.order] = np.arange(len(codes))
    members = np.lexsort((place, codes))
    edges = np.searchsorted(codes[members], np.arange(codes.max() + 2))
    found = []
    for start, stop in itertools.pairwise(edges):
        places = place[members[start:stop]]
        first, middle, end = (
            start + np.searchsorted(places, bound) for bound in (tree.first, tree.middle, tree.end)
        )
        nodes = np.flatnonzero((first < middle) & (middle < end))
        found.append(np.stack([nodes, first[nodes], middle[nodes], end[nodes]]))
    return Meetings(codes, members, *np.concatenate(found, axis=1))


def _sides(
    counts: np.ndarray, first: np.ndarray, middle: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    return sums[middle] - sums[first], sums[end] - sums[middle]


def node_sides(tree: Tree, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the papers on the left and on the right of every node, float64 (n - 1,), by their counts (n,)."""
    return _sides(counts[tree.order], tree.first, tree.middle, tree.end)


def dendrogram_purity(tree: Tree, met: Meetings, counts: np.ndarray) -> float:
    """Return the dendrogram purity (Heller & Ghahramani, 2005), 0 to 1, 1 being best.

    The mean, over all pairs of papers of one class, of the share of that class under the node where the two
    meet. NaN if there are no such pairs.
    """
    left, right = met.sides(counts)
    size = np.add(*node_sides(tree, counts))[met.node]
    pairs = left * right
    purity = np.divide(left + right, size, out=np.zeros_like(size), where=size > 0)
    return _divided(pairs @ purity, pairs.sum())


def dasgupta_cost(tree: Tree, met: Meetings, counts: np.ndarray) -> float:
    """Return the normalised cost of the tree, 0 being best; two papers have similarity 1 in one class, else 0.

    The cost (Dasgupta, 2016) is the sum, over pairs of one class, of the number of papers under the node where
    the two meet. It is scaled so that 0 is the minimum, the cost of a tree in which every class is a subtree of
    its own: (k³ - k) / 3 for each class of k papers. 1 is the average cost of the same tree with its leaves
    shuffled: 2 (n + 1) / 3 per pair. NaN if the two are equal.
    """
    left, right = met.sides(counts)
    size = np.add(*node_sides(tree, counts))[met.node]
    pairs = left * right
    # Copies of a paper would meet in a subtree of their own; pairs of copies do not count.
    copies = _clique_cost(counts)
    papers = counts.sum()
    least = _clique_cost(np.bincount(met.codes, weights=counts)) - copies
    of_all_pairs = _clique_cost(papers) - copies
    by_chance = pairs.sum() * _divided(of_all_pairs, _pairs(papers) - _pairs(counts))
    return _divided(pairs @ size - least, by_chance - least)


def cophenetic_correlation(
    tree: Tree, coarse: Meetings, fine: Meetings, counts: np.ndarray
) -> float:
    """Return Pearson's correlation over all pairs of papers (Sokal & Rohlf, 1962), -1 to 1, 1 being best.

    It correlates the height at which two papers meet with their distance in the tree of categories: 0 in the
    same fine class, 1 in the same coarse class only, 2 otherwise. NaN if either is the same for all pairs.

    Args:
        tree: of n papers.
        coarse: where papers of one class of the coarse level meet.
        fine: the same for the fine level, whose classes are parts of the coarse ones.
        counts: how often each paper counts (n,).
    """
    left, right = node_sides(tree, counts)
    met = left * right
    same_coarse, same_fine = (
        np.bincount(level.node, np.multiply(*level.sides(counts)), minlength=len(met))
        for level in (coarse, fine)
    )
    # Sum of the distances of the pairs that meet at each node.
    distances = 2 * met - same_coarse - same_fine
    squares = 4 * met.sum() - 3 * same_coarse.sum() - same_fine.sum()
    height, distance = (
        _divided(total, met.sum()) for total in (met @ tree.heights, distances.sum())
    )
    above = tree.heights - height
    covariance = above @ (distances - distance * met)
    spread = (above**2 @ met) * (squares - distance**2 * met.sum())
    return _divided(covariance, np.sqrt(spread))


def _pairs(counts: np.ndarray) -> float:
    return float(np.sum(counts * (counts - 1.0)) / 2)


def _clique_cost(sizes: np.ndarray) -> float:
    """Return the cost of any tree in which the leaves of every clique of these sizes form a subtree."""
    leaves = np.asarray(sizes, np.float64)
    return float(np.sum(leaves**3 - leaves) / 3)


def _divided(numerator: float, denominator: float) -> float:
    """Return the quotient, NaN where the denominator is zero."""
    return float(numerator / denominator) if denominator > 0 else float("nan")


def tree_scores(method: str, tree: Tree, levels: tuple[Labels, Labels], note: str) -> list[Score]:
    """Return all scores of a tree, with bootstrap replicates on the same tree.

    Args:
        method: the name of the method that built the tree.
        tree: of n papers.
        levels: the classes of its papers, coarse and fine.
        note: goes with every score.
    """
    coarse, fine = levels
    papers = len(tree.order)
    identical = tree.heights[-1] < SMALLEST_HEIGHT

    def score(metric: str, labels: Labels | None, function: Callable[[np.ndarray], float]) -> Score:
        """Return the score whose value for given counts of the papers is ``function(counts)``."""
        level, problem, own_note = (
            (labels.level, labels.problem, labels.note) if labels else ("", "", "")
        )
        key = (FAMILY, method, metric, level)
        if identical:
            problem = problem or "omitted: all vectors are identical"
        if problem:
            return Score(*key, value=None, papers=papers, note=joined(problem, note, own_note))
        return measured(
            *key,
            value=function(np.ones(papers, np.int64)),
            papers=papers,
            note=joined(note, own_note),
            replicates=bootstrap(papers, function),
        )

    found = []
    for labels in levels:
        met = meetings(tree, labels.codes)
        found += [
            score("dendrogram_purity", labels, partial(dendrogram_purity, tree, met)),
            score("dasgupta_cost", labels, partial(dasgupta_cost, tree, met)),
        ]
    # A fine class under two coarse classes is two places in the tree of categories.
    paths = np.unique(np.stack([coarse.codes, fine.codes]), axis=1, return_inverse=True)[1]
    pair = meetings(tree, coarse.codes), meetings(tree, paths)
    correlation = partial(cophenetic_correlation, tree, *pair)
    return [*found, score("cophenetic_correlation", None, correlation)]
