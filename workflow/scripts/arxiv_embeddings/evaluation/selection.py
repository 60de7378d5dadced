"""Which papers take part in the evaluation, and a checksum of what their scores depend on."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..common.errors import InputError
from ..common.files import json_sha256
from ..common.matrices import matrix_sha256
from ..corpus.papers import level_columns
from .reading import read_json, read_parquet

# Fewer papers cannot form two clusters.
LEAST = 2


def select_papers(matrix: np.ndarray, papers: Path, most: int | None) -> dict[str, Any]:
    """Return which papers take part: the first ``most``, or all.

    The papers are in drawing order, so the first ones are a random sample, and a larger sample begins with the same.

    Args:
        matrix: float32 (n, d), usually memory-mapped.
        papers: Parquet file; row i describes row i of the matrix.
        most: how many papers take part at most; None for all.

    Returns:
        ``papers``, their number, and ``sha256``, of their vectors, ids and categories, ready for JSON.

    Raises:
        InputError: there are fewer than two papers, or the files have different numbers of papers.
    """
    rows = pq.read_metadata(papers).num_rows
    if rows != len(matrix):
        raise InputError(
            f"{papers} has {rows:,} papers, but the embeddings have {len(matrix):,} rows: they come from "
            "different runs. Delete both and run again."
        )
    count = len(matrix) if most is None else min(most, len(matrix))
    if count < LEAST:
        raise InputError(
            f"{papers} has {count} papers, but the evaluation needs at least {LEAST}. Raise sample.size."
        )
    names = pq.read_schema(papers).names
    # All categories that a paper lists, where they are known: a score counts each of them.
    columns = ["id", *level_columns(names), *({"categories"} & set(names))]
    labels = read_parquet(papers, columns).slice(0, count)
    sums = [matrix_sha256(matrix[:count]), *(labels[name].to_pylist() for name in columns)]
    return {"papers": count, "sha256": json_sha256(sums)}


def read_selection(path: Path, papers: int) -> int:
    """Return how many papers take part, as ``select_papers`` recorded it in ``path``.

    Args:
        path: a JSON file.
        papers: rows of the embeddings.

    Raises:
        InputError: the file is damaged, or belongs to fewer embeddings.
    """
    count = read_json(path).get("papers")
    if not isinstance(count, int) or not LEAST <= count <= papers:
        raise InputError(f"{path} does not fit {papers:,} embeddings. Delete it and run again.")
    return count
