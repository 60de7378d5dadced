"""Read the results of the evaluation for figures and pages."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..common.errors import InputError
from ..evaluation.reading import read_parquet


def read_rows(path: Path, columns: Sequence[str], papers: int) -> dict[str, np.ndarray]:
    """Return ``row`` and the numeric ``columns`` of a Parquet file about some of a model's papers.

    Args:
        path: a Parquet file with the column ``row``.
        columns: of numbers.
        papers: the number of papers of the model.

    Raises:
        InputError: the file cannot be read, is empty, is about other papers, or holds NaN or infinity.
    """
    table = read_parquet(path, ["row", *columns])
    values = {name: table[name].to_numpy() for name in table.column_names}
    rows = values["row"]
    if not len(rows):
        raise InputError(f"{path} has no rows. Delete it and run again.")
    if rows.min() < 0 or rows.max() >= papers:
        raise InputError(
            f"{path} is about other papers: it has rows {rows.min():,} to {rows.max():,}, but the model has "
            f"{papers:,} papers. Delete it and run again."
        )
    if len(np.unique(rows)) < len(rows):
        raise InputError(f"{path} has duplicate rows. Delete it and run again.")
    if bad := [name for name in columns if not np.isfinite(values[name]).all()]:
        raise InputError(
            f"{path} has NaN or infinite numbers in {', '.join(bad)}. Delete it and run again."
        )
    return values


def read_strings(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Return string ``columns`` of a Parquet file of papers, each as an array of str (papers,)."""
    table = read_parquet(path, columns)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in columns}


def count_categories(path: Path, level: str) -> dict[str, int]:
    """Return the number of papers of each category of ``level`` in a Parquet file of papers."""
    counts = read_parquet(path, [level])[level].value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}


def read_pairs(path: Path) -> np.ndarray:
    """Return the counts of a Shepard diagram that ``score_map`` wrote, int64 (bins, bins); no rows if it was omitted."""
    table = read_parquet(path, ["vectors", "map", "pairs"])
    bins = round(len(table) ** 0.5)
    return np.asarray(table["pairs"].to_numpy()).reshape(bins, bins)
