"""Compare two results of a model: new papers, removed papers, changed texts and changed labels."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from ..common.files import written_beside
from ..corpus.papers import level_columns

PAPER = np.dtype([("id", "<u8"), ("text", "<u8"), ("label", "<u8")])


@dataclasses.dataclass(frozen=True)
class Changes:
    """Numbers of papers that differ between a result and the previous one."""

    new: int
    gone: int
    other_text: int
    other_label: int


def record_changes(folder: Path, papers_path: Path) -> dict[str, int] | None:
    """Return how a result differs from the last different one, and keep it for the next comparison.

    Memory grows by 24 bytes per paper of each result. Papers are compared by 64-bit hashes.

    Args:
        folder: holds ``latest.parquet`` and ``previous.parquet``, hard links to the papers of merged results, or
            copies if the file system has no hard links.
        papers_path: the merged papers of the new result.

    Returns:
        ``new``, ``gone``, ``other_text`` and ``other_label``; None for the first result.
    """
    latest, previous = folder / "latest.parquet", folder / "previous.parquet"
    papers = _read(papers_path)
    changes = compare(_read(latest), papers) if latest.is_file() else None
    if changes is not None and changes != Changes(0, 0, 0, 0):
        latest.replace(previous)
    elif previous.is_file():
        changes = compare(_read(previous), papers)
    else:
        changes = None
    _link(papers_path, latest)
    return None if changes is None else dataclasses.asdict(changes)


def compare(old: np.ndarray, new: np.ndarray) -> Changes:
    """Return the changes from ``old`` to ``new``: PAPER arrays, sorted by id, each id once."""
    _, in_old, in_new = np.intersect1d(
        old["id"], new["id"], assume_unique=True, return_indices=True
    )
    return Changes(
        new=len(new) - len(in_new),
        gone=len(old) - len(in_old),
        other_text=int((old["text"][in_old] != new["text"][in_new]).sum()),
        other_label=int((old["label"][in_old] != new["label"][in_new]).sum()),
    )


def _read(path: Path) -> np.ndarray:
    """Return the papers of a Parquet file as a PAPER array, sorted by id; only the first paper of each id."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        papers = np.empty(file.metadata.num_rows, PAPER)
        columns = ["id", "topic", *level_columns(file.schema_arrow.names)]
        start = 0
        for batch in file.iter_batches(8_192, columns=columns):
            ids, topics, *levels = (batch[name].to_pylist() for name in columns)
            stop = start + len(ids)
            papers["id"][start:stop] = list(map(_hash, ids))
            papers["text"][start:stop] = list(map(_hash, topics))
            labels = map("\0".join, zip(*levels, strict=True))
            papers["label"][start:stop] = list(map(_hash, labels))
            start = stop
    _, first = np.unique(papers["id"], return_index=True)
    return papers[first]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _link(source: Path, target: Path) -> None:
    with written_beside(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
