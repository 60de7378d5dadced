"""Embedding one shard so that a killed job goes on where it was."""

import dataclasses
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoints
from .encoder import Encoder
from .errors import InputError
from .files import TextsHash, json_sha256, written_beside
from .matrices import MatrixWriter, matrix_sha256, open_matrix
from .papers import read_papers
from .progress import Progress
from .signals import finishing_on_sigterm

log = logging.getLogger(__name__)

PAPERS_PER_CHUNK = 256  # what a killed job has to do again, at most


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A run of papers whose vectors are kept under a key until the shard is whole.

    The key covers the ids, the texts, the checkpoint and the resolved encoder settings, so vectors
    made of anything else are never taken for these.
    """

    ids: list[str]
    texts: list[str]
    key: str


def embed_shard(
    papers_path: Path,
    start: int,
    stop: int,
    encoder: Encoder,
    model_folder: Path,
    vectors_path: Path,
) -> dict[str, Any]:
    """Write the vectors of the drawn papers ``start`` to ``stop - 1``; return what the manifest says.

    The vectors are a float32 matrix (stop - start, d) in the papers' order. Finished chunks are kept
    in a folder beside it and taken up by the next run, until ``forget_chunks`` is called.

    Args:
        papers_path: the drawn papers.
        start: row of the first paper.
        stop: row behind the last paper.
        encoder: made of the checkpoint in ``model_folder``.
        model_folder: a checkpoint that ``fetch_model`` brought.
        vectors_path: the ``.npy`` file to write.

    Raises:
        InputError: vectors are not finite (with the papers' ids), or as Encoder and read_papers.
    """
    made_by = {
        "checkpoint": checkpoints.read_manifest(model_folder),
        "encoder": encoder.settings.to_dict(),
    }
    folder = _chunk_folder(vectors_path)
    ids_hash, texts_hash = TextsHash(), TextsHash()
    tokens = at_max_length = resumed = 0
    papers = stop - start
    with (
        Progress(papers, "papers") as progress,
        written_beside(vectors_path) as partial,
        MatrixWriter(partial, papers, encoder.dimensions) as matrix,
    ):

        def report(papers_done: int, tokens_done: int) -> None:
            progress.advance(papers_done, tokens=tokens_done)

        for chunk, rows in _tokenized_ahead(_chunks(papers_path, start, stop, made_by), encoder):
            lengths = np.array([len(row) for row in rows])
            vectors = _find(folder, chunk)
            if vectors is None:
                with finishing_on_sigterm():
                    vectors = encoder.encode(rows, report)
                    _check(vectors, chunk.ids)
                    _keep(folder, chunk, vectors)
            else:
                resumed += len(rows)
                progress.advance(len(rows))
            matrix.append(vectors)
            ids_hash.update(chunk.ids)
            texts_hash.update(chunk.texts)
            tokens += int(lengths.sum())
            at_max_length += int((lengths == encoder.settings.max_length).sum())
    if resumed:
        log.info("Took %d papers from an earlier run of this job.", resumed)
    log.info("Embedded %d papers: %s.", papers - resumed, progress.line())
    return {
        "shard": vectors_path.stem,
        "start": start,
        "stop": stop,
        "papers": papers,
        "dimensions": encoder.dimensions,
        "ids_sha256": ids_hash.hexdigest(),
        "texts_sha256": texts_hash.hexdigest(),
        "vectors_sha256": matrix.sha256,
        **made_by,
        "attention": encoder.attention,
        "tokens": tokens,
        "papers_at_max_length": at_max_length,
        "papers_resumed": resumed,
        "seconds": round(progress.seconds, 3),
        "papers_per_second": round((papers - resumed) / progress.seconds, 1),
        "tokens_per_second": round(progress.rate("tokens"), 1),
    }


def forget_chunks(vectors_path: Path) -> None:
    """Remove the finished chunks of a shard whose vectors and manifest are both written."""
    shutil.rmtree(_chunk_folder(vectors_path), ignore_errors=True)


def _chunk_folder(vectors_path: Path) -> Path:
    return vectors_path.with_suffix(".chunks")


def _chunks(papers_path: Path, start: int, stop: int, made_by: dict[str, Any]) -> Iterator[Chunk]:
    for table in read_papers(papers_path, start, stop, PAPERS_PER_CHUNK):
        ids, texts = table["id"].to_pylist(), table["topic"].to_pylist()
        content = TextsHash()
        content.update(ids)
        content.update(texts)
        yield Chunk(ids, texts, key=json_sha256({**made_by, "papers": content.hexdigest()}))


def _tokenized_ahead(
    chunks: Iterator[Chunk], encoder: Encoder
) -> Iterator[tuple[Chunk, list[list[int]]]]:
    """Yield each chunk with its token ids, while the next one is tokenized in a thread."""
    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for chunk in chunks:
            following = chunk, pool.submit(encoder.tokenize, chunk.texts)
            if ahead is not None:
                yield ahead[0], ahead[1].result()
            ahead = following
        if ahead is not None:
            yield ahead[0], ahead[1].result()


def _check(vectors: np.ndarray, ids: list[str]) -> None:
    """Fail and name the papers whose vectors hold NaN or infinite numbers."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        named = ", ".join(ids[row] for row in bad[:10])
        raise InputError(
            f"The vectors of {len(bad)} papers hold NaN or infinite numbers: {named}{', …' * (len(bad) > 10)}. "
            "Set dtype to float32 or bfloat16; if that does not help, the checkpoint's weights are damaged."
        )


def _keep(folder: Path, chunk: Chunk, vectors: np.ndarray) -> None:
    """Save a finished chunk under its key and the checksum of its vectors."""
    with (
        written_beside(folder / f"{chunk.key}-{matrix_sha256(vectors)}.npy") as partial,
        MatrixWriter(partial, *vectors.shape) as matrix,
    ):
        matrix.append(vectors)


def _find(folder: Path, chunk: Chunk) -> np.ndarray | None:
    """Return the vectors an earlier run saved for ``chunk``, or None where there are none that are whole."""
    for file in folder.glob(f"{chunk.key}-*.npy"):
        try:
            vectors = np.array(open_matrix(file))
        except InputError:
            continue  # cut or damaged: made again
        if file.stem == f"{chunk.key}-{matrix_sha256(vectors)}" and len(vectors) == len(chunk.ids):
            return vectors
    return None
