"""Reading the ids and topics of a shard, out of Parquet or out of JSON lines."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from ..common.errors import InputError

Texts = tuple[list[str], list[str]]


def read_texts(path: Path, start: int, stop: int, size: int) -> Iterator[Texts]:
    """Yield ids and topics of the papers ``start`` to ``stop - 1`` in runs of ``size``.

    ``path`` is a Parquet file, or JSON lines with ``id`` and ``topic`` for machines without pyarrow;
    its content tells which. The last run may be shorter.

    Raises:
        InputError: the file has fewer than ``stop`` papers, or a line of it is no paper.
    """
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    return (_read_parquet if parquet else _read_lines)(path, start, stop, size)


def _read_parquet(path: Path, start: int, stop: int, size: int) -> Iterator[Texts]:
    from ..corpus.papers import read_papers  # only here, as it needs pyarrow

    for table in read_papers(path, start=start, stop=stop, size=size):
        yield table["id"].to_pylist(), table["topic"].to_pylist()


def _read_lines(path: Path, start: int, stop: int, size: int) -> Iterator[Texts]:
    with path.open("rb") as file:
        lines = itertools.islice(file, start, stop)
        for first in range(start, stop, size):
            count = min(size, stop - first)
            papers = [
                _read_line(path, number, line)
                for number, line in enumerate(itertools.islice(lines, count), first + 1)
            ]
            if len(papers) < count:
                raise InputError(
                    f"{path} has {first + len(papers):,} papers, but the papers to {stop:,} are wanted."
                )
            ids, topics = zip(*papers, strict=True)
            yield list(ids), list(topics)


def _read_line(path: Path, number: int, line: bytes) -> tuple[str, str]:
    try:
        paper = json.loads(line)
        found = paper["id"], paper["topic"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Line {number} of {path} is no paper ({error!r}): it takes a Parquet file of drawn papers, or "
            'JSON lines such as {"id": "0704.0001", "topic": "title and abstract"}.'
        ) from error
    if not (isinstance(found[0], str) and isinstance(found[1], str)):
        raise InputError(f"Line {number} of {path} has an id or a topic that is no text.")
    return found
