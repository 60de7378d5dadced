"""Colours that colour-blind readers can tell apart, and how they are assigned to categories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The qualitative scheme "muted" of Paul Tol, Colour Schemes, SRON/EPS/TN/09-002, issue 3.2 (2021).
COLOURS = (
    "#332288",
    "#88CCEE",
    "#117733",
    "#DDCC77",
    "#CC6677",
    "#44AA99",
    "#AA4499",
    "#999933",
    "#882255",
)
# Brighter variants of the same hues, for a dark page.
DARK_COLOURS = (
    "#7B6FE0",
    "#9ADBF5",
    "#2E9E55",
    "#F0E08A",
    "#E5808F",
    "#4FC3B0",
    "#D070C4",
    "#A8A83C",
    "#B83A78",
)
# The rest: Tol's pale grey, slightly darker.
OTHER = "#CCCCCC"


@dataclass(frozen=True)
class Groups:
    """The largest categories by name, and the rest as one group.

    Attributes:
        names: of the groups, the largest category first and the rest last.
        codes: int64 (papers,), the group of each paper as an index of ``names``.
        members: the categories of each group.
    """

    names: list[str]
    codes: np.ndarray
    members: list[list[str]]

    @property
    def sizes(self) -> np.ndarray:
        """The number of papers in each group, int64 (groups,)."""
        return np.bincount(self.codes, minlength=len(self.names))

    @property
    def colours(self) -> list[str]:
        """A colour for each group: ``COLOURS`` in order, then ``OTHER`` for the rest."""
        return [*COLOURS[: len(self.names)], OTHER][: len(self.names)]


def group_categories(categories: Sequence[str] | np.ndarray, named: int = len(COLOURS)) -> Groups:
    """Return the ``named`` largest of the papers' ``categories`` and the rest as one group.

    Categories of the same size are in alphabetical order. A rest of one category keeps its name.
    """
    found, codes, sizes = np.unique(
        np.asarray(categories, dtype=str), return_inverse=True, return_counts=True
    )
    order = np.argsort(-sizes, kind="stable")
    members = [[str(found[code])] for code in order[:named]]
    if rest := [str(found[code]) for code in order[named:]]:
        members.append(rest)
    names = [own[0] if len(own) == 1 else f"other ({len(own)} categories)" for own in members]
    group = np.empty(len(found), dtype=np.int64)
    group[order] = np.minimum(np.arange(len(found)), named)
    return Groups(names, group[codes], members)
