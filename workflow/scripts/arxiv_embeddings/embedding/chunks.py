"""Runs of a shard's papers, and where their vectors are kept until the shard is whole."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..common.errors import InputError
from ..common.files import TextsHash, json_sha256, written_beside
from ..common.matrices import MatrixWriter, matrix_sha256, open_matrix
from .texts import read_texts


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A run of papers whose vectors are kept under a key until the shard is whole.

    The key covers the ids, the texts, the checkpoint and the resolved encoder settings, so vectors
    made of anything else are never taken for these.
    """

    ids: list[str]
    texts: list[str]
    key: str


def read_chunks(
    papers_path: Path, start: int, stop: int, size: int, made_by: dict[str, Any]
) -> Iterator[Chunk]:
    """Yield the papers ``start`` to ``stop - 1`` in chunks of ``size``; ``made_by`` goes into their keys.

    Raises:
        InputError: as read_texts.
    """
    for ids, texts in read_texts(papers_path, start, stop, size):
        content = TextsHash()
        content.update(ids)
        content.update(texts)
        yield Chunk(ids, texts, key=json_sha256({**made_by, "papers": content.hexdigest()}))


def chunk_folder(vectors_path: Path) -> Path:
    """Return the folder for the finished chunks of the shard whose vectors go to ``vectors_path``."""
    return vectors_path.with_suffix(".chunks")


def forget_chunks(vectors_path: Path) -> None:
    """Remove the finished chunks of a shard whose vectors and manifest are both written."""
    shutil.rmtree(chunk_folder(vectors_path), ignore_errors=True)


def keep(folder: Path, chunk: Chunk, vectors: np.ndarray) -> None:
    """Save a finished chunk under its key and the checksum of its vectors."""
    with (
        written_beside(folder / f"{chunk.key}-{matrix_sha256(vectors)}.npy") as partial,
        MatrixWriter(partial, *vectors.shape) as matrix,
    ):
        matrix.append(vectors)


def find(folder: Path, chunk: Chunk) -> np.ndarray | None:
    """Return the vectors an earlier run saved for ``chunk``, or None where there are none that are whole."""
    for file in folder.glob(f"{chunk.key}-*.npy"):
        try:
            vectors = np.array(open_matrix(file))
        except InputError:
            continue  # cut or damaged: made again
        if file.stem == f"{chunk.key}-{matrix_sha256(vectors)}" and len(vectors) == len(chunk.ids):
            return vectors
    return None
