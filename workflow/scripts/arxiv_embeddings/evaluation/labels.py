"""The categories of the papers as integer codes, and which of them can be judged by."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ..common.errors import InputError

LEVELS = ("category 0", "category 1")


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
        """Why nothing can be judged by these classes, or ""."""
        if len(self.names) < 2:
            return f"omitted: {self.level} has fewer than two classes"
        if self.sizes.max() == 1:
            return f"omitted: every class of {self.level} is a single paper"
        return ""

    @property
    def note(self) -> str:
        """What a reader of the scores should know of these classes, or ""."""
        singles = int((self.sizes == 1).sum())
        return f"{singles} of {len(self.names)} classes are single papers" if singles else ""

    def at(self, rows: np.ndarray) -> "Labels":
        """Return the classes of the papers ``rows``, without those that have none there."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        names = tuple(self.names[code] for code in kept)
        return Labels(self.level, codes.astype(np.int32), names)


def read_labels(path: Path, papers: int) -> tuple[Labels, Labels]:
    """Return the classes at every level of ``LEVELS`` of the papers that the Parquet file ``path`` lists.

    Args:
        path: row i describes row i of the embeddings.
        papers: rows of the embeddings.

    Raises:
        InputError: the file cannot be read, lists another number of papers or fewer than two, or has empty labels.
    """
    try:
        table = pq.read_table(path, columns=list(LEVELS))
    except (
        Exception
    ) as error:  # pyarrow raises several kinds for what a damaged file makes it stumble over
        raise InputError(f"{path} cannot be read: {error}") from error
    if missing := set(LEVELS) - set(table.column_names):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}.")
    if len(table) != papers:
        raise InputError(
            f"{path} lists {len(table):,} papers, but the embeddings have {papers:,} rows. They are not of "
            "the same run: make both again with snakemake."
        )
    if papers < 2:
        raise InputError(f"{path} lists {papers} papers: an evaluation needs two at least.")
    coarse, fine = (_encode(level, table[level].to_numpy(), path) for level in LEVELS)
    return coarse, fine


def _encode(level: str, values: np.ndarray, path: Path) -> Labels:
    empty = [row for row, value in enumerate(values) if not value]
    if empty:
        raise InputError(f"{path}: {level} is empty in row {empty[0]} and in {len(empty)} in all.")
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return Labels(level, codes.astype(np.int32), tuple(names.tolist()))
