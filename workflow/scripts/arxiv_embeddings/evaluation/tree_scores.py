"""How well a tree of the papers agrees with the tree of their categories.

All scores are sums over pairs of papers, computed exactly. Any two papers meet at one node, their lowest common
ancestor, so the pairs of one class are counted node by node, from the papers of the class on its left and on its
right. A paper may count w times, as w leaves; pairs of copies are left out.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from .labels import Labels, paths
from .tree import Tree

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


def lca_f1(tree: Tree, met: Meetings, counts: np.ndarray) -> float:
    """Return the LCA-F1, 0 to 1, 1 being best.

    The mean, over all pairs of papers of one class, of the F1 between the papers under the node where the two meet
    (their lowest common ancestor) and the papers of the class. NaN if there are no such pairs.
    """
    left, right = met.sides(counts)
    size = np.add(*node_sides(tree, counts))[met.node]
    of_class = np.bincount(met.codes, weights=counts)[met.codes[met.members[met.first]]]
    pairs = left * right
    f1 = np.divide(2 * (left + right), size + of_class, out=np.zeros_like(size), where=size > 0)
    return _divided(pairs @ f1, pairs.sum())


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


def cophenetic_correlation(tree: Tree, met: Sequence[Meetings], counts: np.ndarray) -> float:
    """Return Pearson's correlation over all pairs of papers (Sokal & Rohlf, 1962), -1 to 1, 1 being best.

    It correlates the height at which two papers meet with their distance in the tree of categories: the number of levels
    at which they differ. NaN if either is the same for all pairs.

    Args:
        tree: of n papers.
        met: where papers of one class meet, for every level, the coarsest first; the classes of a level are parts of
            those above.
        counts: how often each paper counts (n,).
    """
    left, right = node_sides(tree, counts)
    pairs = left * right
    same = [
        np.bincount(level.node, np.multiply(*level.sides(counts)), minlength=len(pairs))
        for level in met
    ]
    depth = len(same)
    # Sum of the distances of the pairs that meet at each node.
    distances = depth * pairs - np.sum(same, axis=0)
    # Pairs that share one level more, the j-th, are at the distance depth - j in place of depth - j + 1.
    squares = depth**2 * pairs.sum() - sum(
        (2 * (depth - j) + 1) * level.sum() for j, level in enumerate(same, 1)
    )
    height, distance = (
        _divided(total, pairs.sum()) for total in (pairs @ tree.heights, distances.sum())
    )
    above = tree.heights - height
    covariance = above @ (distances - distance * pairs)
    spread = (above**2 @ pairs) * (squares - distance**2 * pairs.sum())
    return _divided(covariance, np.sqrt(max(spread, 0.0)))


def _pairs(counts: np.ndarray) -> float:
    return float(np.sum(counts * (counts - 1.0)) / 2)


def _clique_cost(sizes: np.ndarray) -> float:
    """Return the cost of any tree in which the leaves of every clique of these sizes form a subtree."""
    leaves = np.asarray(sizes, np.float64)
    return float(np.sum(leaves**3 - leaves) / 3)


def _divided(numerator: float, denominator: float) -> float:
    """Return the quotient, NaN where the denominator is zero."""
    return float(numerator / denominator) if denominator > 0 else float("nan")


# The scores of a tree at a level, and the one of all levels together.
BY_LEVEL = {
    "dendrogram_purity": dendrogram_purity,
    "lca_f1": lca_f1,
    "dasgupta_cost": dasgupta_cost,
}
COPHENETIC = "cophenetic_correlation"


def tree_scores(tree: Tree, levels: Sequence[Labels]) -> dict[tuple[str, str], float]:
    """Return the scores of a tree by metric and level: "" for those of all levels together.

    They are NaN where all papers meet at the same height, as identical vectors do.

    Args:
        tree: of n papers.
        levels: the classes of its papers, the coarsest first; levels without usable classes have no scores of their own.
    """
    counts = np.ones(len(tree.order))
    found = {}
    for labels in levels:
        if labels.problem:
            continue
        met = meetings(tree, labels.codes)
        for metric, score in BY_LEVEL.items():
            found[metric, labels.level] = score(tree, met, counts)
    found[COPHENETIC, ""] = cophenetic_correlation(
        tree, [meetings(tree, places) for places in paths(levels)], counts
    )
    if tree.heights[-1] < SMALLEST_HEIGHT:
        return dict.fromkeys(found, float("nan"))
    return found
