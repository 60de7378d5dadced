"""The texts that the benchmarks embed."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.corpus.arxiv import ArxivReader


def read_texts(path: Path, count: int) -> list[str]:
    """Return the topics of the first ``count`` papers in ``path``.

    Args:
        path: a Parquet file with a topic column (papers or drawn papers), or a plain or packed snapshot.
        count: number of papers to read.

    Raises:
        InputError: the file cannot be read, or has fewer papers.
    """
    if path.suffix == ".parquet":
        topics = _parquet(path)
    else:
        topics = (topic for _, topic, *_ in ArxivReader(path, [""]).papers())
    texts = list(itertools.islice(topics, count))
    if len(texts) < count:
        raise InputError(
            f"{path} has only {len(texts):,} papers, but {count:,} were requested. Lower --count."
        )
    return texts


def _parquet(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["topic"]):
            yield from batch["topic"].to_pylist()
