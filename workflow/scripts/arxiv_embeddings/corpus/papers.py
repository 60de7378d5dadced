"""Reading consecutive papers out of the drawn papers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..common.errors import InputError


def read_papers(
    path: Path, start: int, stop: int, size: int, columns: Sequence[str] = ("id", "topic")
) -> Iterator[pa.Table]:
    """Yield the papers ``start`` to ``stop - 1`` in runs of ``size`` (the last may be shorter).

    Only the row groups that hold them are read, one at a time.

    Raises:
        InputError: the file has fewer than ``stop`` papers.
    """
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        if stop > rows:
            raise InputError(f"{path} has {rows:,} papers, but the papers to {stop:,} are wanted.")
        group_stop = 0
        waiting = pa.table({name: pa.array([], pa.string()) for name in columns})
        for group in range(file.num_row_groups):
            group_start, group_stop = (
                group_stop,
                group_stop + file.metadata.row_group(group).num_rows,
            )
            if group_stop <= start:
                continue
            if group_start >= stop:
                break
            table = file.read_row_group(group, columns=list(columns))
            table = table.slice(max(start - group_start, 0)).slice(
                0, stop - max(start, group_start)
            )
            waiting = pa.concat_tables([waiting, table])
            while len(waiting) >= size:
                yield waiting.slice(0, size)
                waiting = waiting.slice(size)
        if len(waiting):
            yield waiting
