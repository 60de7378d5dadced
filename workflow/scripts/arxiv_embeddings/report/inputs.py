"""Reading what the evaluation wrote about the papers of a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError


def read_rows(path: Path, columns: Sequence[str], papers: int) -> dict[str, np.ndarray]:
    """Return ``row`` and the number ``columns`` of a table about some rows of a model's papers.

    Args:
        path: a Parquet file.
        columns: of numbers.
        papers: how many papers the model has.

    Raises:
        InputError: the file cannot be read, is empty, or is about other papers.
    """
    table = _read(path, ["row", *columns])
    rows = {name: table[name].to_numpy() for name in table.column_names}
    if len(table) == 0:
        raise InputError(f"{path} has no rows. Delete it and run again.")
    if (
        rows["row"].min() < 0
        or rows["row"].max() >= papers
        or len(np.unique(rows["row"])) < len(table)
    ):
        raise InputError(
            f"{path} is about other papers: it names rows up to {rows['row'].max():,}, some maybe twice, and "
            f"there are {papers:,} papers. Delete it and run again."
        )
    if bad := [name for name in columns if not np.isfinite(rows[name]).all()]:
        raise InputError(
            f"{path} holds NaN or infinite numbers in {', '.join(bad)}. Delete it and run again."
        )
    return rows


def read_texts(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Return text ``columns`` of a table of papers, each as an array of str (papers,)."""
    table = _read(path, columns)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in columns}


def count_categories(path: Path, level: str) -> dict[str, int]:
    """Return the papers of each category of ``level`` in a table of papers."""
    counted = _read(path, [level])[level].value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in counted}


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return content


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(columns)).select(list(columns))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
