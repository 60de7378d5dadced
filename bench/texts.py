"""The texts that the benchmarks embed."""

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from arxiv_embeddings.common.errors import InputError


def read_texts(path: Path, count: int) -> list[str]:
    """Return the topics of the first ``count`` papers in ``path``.

    Args:
        path: a Parquet file with a topic column (papers or drawn papers), JSON lines with a topic (``.jsonl`` or
            ``.jsonl.gz``, for machines that have only torch, transformers and numpy), or a plain or packed snapshot.
        count: number of papers to read.

    Raises:
        InputError: the file cannot be read, or has fewer papers.
    """
    if path.suffix == ".parquet":
        topics = _parquet(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        topics = _lines(path)
    else:
        topics = _snapshot(path)
    texts = list(itertools.islice(topics, count))
    if len(texts) < count:
        raise InputError(
            f"{path} has only {len(texts):,} papers, but {count:,} were requested. Lower --count."
        )
    return texts


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["topic"]):
            yield from batch["topic"].to_pylist()


def _lines(path: Path) -> Iterator[str]:
    """Yield the topics, or title and abstract of records of arXiv."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                paper = json.loads(line)
                yield (
                    paper["topic"] if "topic" in paper else f"{paper['title']} {paper['abstract']}"
                )
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"Line {number} of {path} has no topic, or no title and abstract ({error!r})."
                ) from error


def _snapshot(path: Path) -> Iterator[str]:
    from arxiv_embeddings.corpus.arxiv import ArxivReader

    for _, topic, *_ in ArxivReader(path, [""]).papers():
        yield topic
