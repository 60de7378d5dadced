"""The columns of papers, and reading consecutive ones from the drawn papers."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError

# The columns beside text and labels that a corpus may have, and their types.
METADATA_TYPES = {
    "title": pa.string(),
    "authors": pa.string(),
    "submitted": pa.date32(),
    "updated": pa.date32(),
    "doi": pa.string(),
    "license": pa.string(),
}
# Those of them whose values repeat.
REPEATED = ("submitted", "updated", "license")


def level_columns(names: Iterable[str]) -> list[str]:
    """Return the columns of the hierarchy among ``names``, coarsest first: ``category 0``, ``category 1`` and so on."""
    present = set(names)
    levels = (f"category {depth}" for depth in itertools.count())
    return list(itertools.takewhile(present.__contains__, levels))


def repeated_columns(names: Iterable[str]) -> list[str]:
    """Return the columns among ``names`` whose values repeat, so that Parquet should store each value once."""
    names = list(names)
    return [name for name in ("categories", *level_columns(names), *REPEATED) if name in names]


def merged_columns(names: Iterable[str]) -> list[str]:
    """Return the columns among ``names``, those of the drawn papers, that describe the rows of a matrix.

    A corpus without metadata has categories as well, but there they repeat the finest label.
    """
    names = list(names)
    metadata = [name for name in METADATA_TYPES if name in names]
    return ["id", "topic", *level_columns(names), *(["categories", *metadata] if metadata else [])]


def read_papers(
    path: Path, *, start: int, stop: int, size: int, columns: Sequence[str] = ("id", "topic")
) -> Iterator[pa.Table]:
    """Yield rows ``start`` to ``stop - 1`` in tables of ``size`` rows (the last may have fewer).

    Only the row groups that contain these rows are read, one at a time.

    Args:
        path: the drawn papers (Parquet).
        start: the first row, from 0.
        stop: the row after the last.
        size: rows per table.
        columns: the columns to read.

    Raises:
        InputError: the file has fewer than ``stop`` papers.
    """
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        if stop > rows:
            raise InputError(
                f"{path} has only {rows:,} papers, but papers up to row {stop:,} were requested. "
                "Delete it and run snakemake again."
            )
        group_stop = 0
        schema = file.schema_arrow
        waiting = pa.table({name: pa.array([], schema.field(name).type) for name in columns})
        for group in range(file.num_row_groups):
            group_start = group_stop
            group_stop += file.metadata.row_group(group).num_rows
            if group_stop <= start:
                continue
            if group_start >= stop:
                break
            table = file.read_row_group(group, columns=list(columns))
            first, last = max(start, group_start), min(stop, group_stop)
            waiting = pa.concat_tables([waiting, table.slice(first - group_start, last - first)])
            while len(waiting) >= size:
                yield waiting.slice(0, size)
                waiting = waiting.slice(size)
        if len(waiting):
            yield waiting
