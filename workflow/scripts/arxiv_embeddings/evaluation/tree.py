"""A tree of the papers: cut, and laid out so that each node is a range of leaves."""

import dataclasses

import numpy as np
from scipy.cluster.hierarchy import fcluster


@dataclasses.dataclass(frozen=True)
class Tree:
    """A binary tree of n leaves, its n - 1 inner nodes in the order they were merged, the root last.

    Attributes:
        merges: float64 (n - 1, 4), as scipy's ``linkage`` returns them.
        order: int64 (n,), the leaves from left to right.
        first, middle, end: int64 (n - 1,). Under node i, ``order[first[i]:middle[i]]`` are the leaves on its
            left and ``order[middle[i]:end[i]]`` the leaves on its right.
    """

    merges: np.ndarray
    order: np.ndarray
    first: np.ndarray
    middle: np.ndarray
    end: np.ndarray

    @property
    def heights(self) -> np.ndarray:
        """The distance at which each node was merged, float64 (n - 1,), never decreasing."""
        return self.merges[:, 2]


def cut(merges: np.ndarray, clusters: int) -> np.ndarray:
    """Return the cluster of every leaf, int32 (n,) from 0, with a tree cut into ``clusters``.

    There are fewer clusters where several merges have the same height.

    Args:
        merges: float64 (n - 1, 4), as scipy's ``linkage`` returns them.
        clusters: from 1 to n.
    """
    found = fcluster(merges, clusters, criterion="maxclust")
    return np.asarray(found - 1, np.int32)


def lay_out(merges: np.ndarray) -> Tree:
    """Return the tree of scipy's linkage matrix, float64 (n - 1, 4)."""
    leaves = len(merges) + 1
    children = merges[:, :2].astype(np.int64)
    sizes = np.concatenate([np.ones(leaves, np.int64), merges[:, 3].astype(np.int64)])
    # Of the leaves, then of the nodes; filled from the root down.
    first = np.zeros(2 * leaves - 1, np.int64)
    for node in range(leaves - 2, -1, -1):
        left, right = children[node]
        first[left] = first[leaves + node]
        first[right] = first[left] + sizes[left]
    order = np.empty(leaves, np.int64)
    order[first[:leaves]] = np.arange(leaves)
    nodes = first[leaves:]
    return Tree(merges, order, nodes, nodes + sizes[children[:, 0]], nodes + sizes[leaves:])
