"""The categories of the papers as integer codes, and which levels have usable classes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..common.errors import InputError
from ..corpus.papers import level_columns
from .bootstrap import SEED
from .reading import read_parquet, read_schema


@dataclasses.dataclass(frozen=True)
class Labels:
    """The classes of n papers at one level of the hierarchy.

    Attributes:
        level: the column they come from, such as "category 0".
        codes: int32 (n,), the class of every paper, 0 to ``len(names) - 1``; every class has a paper.
        names: the name of every class, in alphabetical order.
    """

    level: str
    codes: np.ndarray
    names: tuple[str, ...]

    @property
    def sizes(self) -> np.ndarray:
        """Papers of every class, int64 (classes,)."""
        return np.bincount(self.codes, minlength=len(self.names))

    @property
    def problem(self) -> str:
        """Why no score can be computed with these classes, or ""."""
        if len(self.names) < 2:
            return f"omitted: {self.level} has fewer than two classes"
        if self.sizes.max() == 1:
            return f"omitted: every class of {self.level} has a single paper"
        return ""

    @property
    def note(self) -> str:
        """What a reader of the scores should know about these classes, or ""."""
        singles = int((self.sizes == 1).sum())
        return f"single-paper classes: {singles} of {len(self.names)}" if singles else ""

    def at(self, rows: np.ndarray) -> "Labels":
        """Return the classes of the papers ``rows``, without classes that have no paper among them."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        names = tuple(self.names[code] for code in kept)
        return Labels(self.level, codes.astype(np.int32), names)


def paths(levels: Sequence[Labels]) -> list[np.ndarray]:
    """Return the places of the papers in the tree of labels at every depth, int64 (n,) from 0.

    A class under two classes of the level above is two places.
    """
    return [
        np.unique(
            np.stack([labels.codes for labels in levels[: depth + 1]]), axis=1, return_inverse=True
        )[1]
        for depth in range(len(levels))
    ]


def shuffled(levels: Sequence[Labels], number: int) -> list[Labels]:
    """Return the levels with the papers' classes shuffled, in the same way at every level, seeded by ``number``."""
    papers = len(levels[0].codes)
    order = np.random.default_rng([SEED, number]).permutation(papers)
    return [Labels(labels.level, labels.codes[order], labels.names) for labels in levels]


def read_labels(path: Path, papers: int) -> tuple[Labels, ...]:
    """Return the classes of the first ``papers`` papers in the Parquet file ``path`` at every level, the coarsest first.

    Args:
        path: row i describes row i of the embeddings.
        papers: how many papers take part in the evaluation.

    Raises:
        InputError: the file cannot be read, has fewer papers, no categories, or empty ones.
    """
    names = level_columns(read_schema(path).names)
    if not names:
        raise InputError(f"{path} has no column category 0. Delete it and run again.")
    table = read_parquet(path, names)
    if len(table) < papers:
        raise InputError(
            f"{path} has {len(table):,} papers, but {papers:,} take part in the evaluation. Delete it and run again."
        )
    part = table.slice(0, papers)
    return tuple(_encode(level, part[level].to_numpy(), path) for level in names)


def _encode(level: str, values: np.ndarray, path: Path) -> Labels:
    empty = [row for row, value in enumerate(values) if not value]
    if empty:
        raise InputError(
            f"{path}: {level} is empty in {len(empty):,} rows, the first of which is row {empty[0]}. "
            "Give these papers a category, or remove them from the corpus."
        )
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Labels(level, codes.astype(np.int32), tuple(names.tolist()))
