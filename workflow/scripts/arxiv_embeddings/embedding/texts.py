"""Reading the ids and topics of papers by their rows, from Parquet or from JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..common.errors import InputError
from .store import KEY_BYTES, text_keys

Texts = tuple[list[str], list[str]]
PAPERS_AT_ONCE = 8_192


def read_texts(path: Path, rows: np.ndarray, size: int) -> Iterator[Texts]:
    """Yield the ids and topics of the papers in these rows, ``size`` papers at a time (the last time maybe fewer).

    Args:
        path: a Parquet file, or JSON lines with ``id`` and ``topic`` for machines without pyarrow. The format is
            detected from the content.
        rows: row numbers from 0, int64, ascending without repetition.
        size: papers at a time.

    Raises:
        InputError: the file has fewer papers, or a line of it is not a paper record.
        ValueError: a row is negative, or the rows are not ascending.
    """
    if len(rows) and (rows[0] < 0 or (np.diff(rows) <= 0).any()):
        raise ValueError(f"Rows must be ascending and not negative, but are {rows}.")
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    papers = (_parquet_papers if parquet else _line_papers)(path, rows)
    ids: list[str] = []
    topics: list[str] = []
    for some_ids, some_topics in papers:
        ids += some_ids
        topics += some_topics
        while len(ids) >= size:
            yield ids[:size], topics[:size]
            ids, topics = ids[size:], topics[size:]
    if ids:
        yield ids, topics


def read_keys(path: Path, rows: np.ndarray) -> np.ndarray:
    """Return the keys of the texts in these rows (see text_keys), uint8 (rows, 32), without holding the texts.

    Raises:
        InputError, ValueError: as read_texts.
    """
    keys = np.empty((len(rows), KEY_BYTES), np.uint8)
    start = 0
    for _, texts in read_texts(path, rows, PAPERS_AT_ONCE):
        keys[start : start + len(texts)] = text_keys(texts)
        start += len(texts)
    return keys


def _parquet_papers(path: Path, rows: np.ndarray) -> Iterator[Texts]:
    """Yield the papers of each row group that contains one of the rows; read no other row groups."""
    # Imported here because JSON lines must be readable without pyarrow.
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        _check_enough(path, file.metadata.num_rows, rows)
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            first, last = np.searchsorted(rows, (start, stop))
            if first < last:
                table = file.read_row_group(group, columns=["id", "topic"])
                papers = table.take(rows[first:last] - start)
                yield papers["id"].to_pylist(), papers["topic"].to_pylist()
            start = stop


def _line_papers(path: Path, rows: np.ndarray) -> Iterator[Texts]:
    """Yield the papers one by one."""
    remaining = iter(rows.tolist())
    row = next(remaining, None)
    number = -1
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if row is None:
                return
            if number == row:
                paper_id, topic = _paper(path, number + 1, line)
                yield [paper_id], [topic]
                row = next(remaining, None)
    if row is not None:
        _check_enough(path, number + 1, rows)


def _check_enough(path: Path, papers: int, rows: np.ndarray) -> None:
    if len(rows) and rows[-1] >= papers:
        raise InputError(
            f"{path} has only {papers:,} papers, but papers up to row {rows[-1] + 1:,} were requested. "
            "Run snakemake again to rewrite the file."
        )


def _paper(path: Path, number: int, line: bytes) -> tuple[str, str]:
    try:
        paper = json.loads(line)
        found = paper["id"], paper["topic"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Line {number} of {path} is not a paper record ({error!r}). Give a Parquet file of drawn papers, or "
            'JSON lines such as {"id": "0704.0001", "topic": "title and abstract"}.'
        ) from error
    if not (isinstance(found[0], str) and isinstance(found[1], str)):
        raise InputError(
            f"Line {number} of {path} is not a paper record. Its id and topic must be strings."
        )
    return found
