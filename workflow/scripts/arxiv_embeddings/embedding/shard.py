"""Embedding one shard, on one device or several, so that a killed job goes on where it was."""

import collections
import contextlib
import dataclasses
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import fetch
from ..checkpoint.tokenizer import Tokenizer
from ..common.errors import InputError
from ..common.files import TextsHash, written_beside
from ..common.matrices import MatrixWriter
from ..common.prefetch import prefetch
from ..common.progress import Progress
from .chunks import Chunk, chunk_folder, find, keep, read_chunks
from .encoder import Encoder

log = logging.getLogger(__name__)

Tokens = Sequence[Sequence[int]]  # the token ids of each text


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A chunk with its vectors (papers, d), the token counts (papers,), and whether they were there already."""

    chunk: Chunk
    vectors: np.ndarray
    lengths: np.ndarray
    resumed: bool


def embed_shard(
    papers_path: Path,
    start: int,
    stop: int,
    papers_per_chunk: int,
    model_folder: Path,
    tokenizer: Tokenizer,
    load_encoders: Callable[[], Sequence[Encoder]],
    vectors_path: Path,
) -> dict[str, Any]:
    """Write the vectors of the drawn papers ``start`` to ``stop - 1``; return what the manifest says.

    The vectors are a float32 matrix (stop - start, d) in the papers' order. Finished chunks are kept
    in a folder beside it and taken up by the next run, until ``forget_chunks`` is called. Memory does
    not grow with the number of papers.

    Args:
        papers_path: the drawn papers (see read_texts).
        start: row of the first paper.
        stop: row behind the last paper.
        papers_per_chunk: what a killed job has to do again, at most, for each device.
        model_folder: a checkpoint that ``fetch_model`` brought.
        tokenizer: of that checkpoint, with the encoder settings as resolved.
        load_encoders: loads the same encoder on each device of the job, with the same settings. The
            first texts are tokenized meanwhile.
        vectors_path: the ``.npy`` file to write.

    Raises:
        InputError: vectors are not finite (with the papers' ids), or as Encoder and read_texts.
    """
    made_by = {
        "checkpoint": fetch.checkpoint_identity(model_folder),
        "encoder": tokenizer.settings.to_dict(),
    }
    chunks = read_chunks(papers_path, start, stop, papers_per_chunk, made_by)
    tokenized = ((chunk, tokenizer.tokenize(chunk.texts)) for chunk in chunks)
    ids_hash, texts_hash = TextsHash(), TextsHash()
    tokens = at_max_length = resumed = 0
    papers = stop - start
    with prefetch(tokenized, depth=2) as todo, written_beside(vectors_path) as partial:
        encoders = load_encoders()
        dimensions = encoders[0].dimensions
        with (
            Progress(papers, "papers") as progress,
            MatrixWriter(partial, papers, dimensions) as matrix,
        ):
            reporting = threading.Lock()

            def report(papers_done: int, tokens_done: int) -> None:
                with reporting:
                    progress.advance(papers_done, tokens=tokens_done)

            embedded = _embed_ahead(todo, encoders, chunk_folder(vectors_path), report)
            with contextlib.closing(embedded):
                for done in embedded:
                    matrix.append(done.vectors)
                    ids_hash.update(done.chunk.ids)
                    texts_hash.update(done.chunk.texts)
                    tokens += int(done.lengths.sum())
                    at_max_length += int((done.lengths == tokenizer.settings.max_length).sum())
                    resumed += len(done.lengths) * done.resumed
    if resumed:
        log.info("Took %d papers from an earlier run of this job.", resumed)
    log.info("Embedded %d papers: %s.", papers - resumed, progress.line())
    return {
        "shard": vectors_path.stem,
        "start": start,
        "stop": stop,
        "papers": papers,
        "dimensions": dimensions,
        "ids_sha256": ids_hash.hexdigest(),
        "texts_sha256": texts_hash.hexdigest(),
        "vectors_sha256": matrix.sha256,
        **made_by,
        "attention": encoders[0].attention,
        "tokens": tokens,
        "papers_at_max_length": at_max_length,
        "papers_resumed": resumed,
        "seconds": round(progress.seconds, 3),
        "papers_per_second": round((papers - resumed) / progress.seconds, 1),
        "tokens_per_second": round(progress.rate("tokens"), 1),
    }


def _embed_ahead(
    todo: Iterator[tuple[Chunk, Tokens]],
    encoders: Sequence[Encoder],
    folder: Path,
    report: Callable[[int, int], None],
) -> Generator[Embedded, None, None]:
    """Yield the chunks in their order, while the devices work on the next ones.

    For each encoder there are two threads: one computes, while the other saves the vectors of the
    chunk before. When the caller stops early (an error, SIGTERM), the chunks that are being computed are
    finished and saved first.
    """
    free: queue.SimpleQueue[Encoder] = queue.SimpleQueue()
    for encoder in encoders:
        free.put(encoder)
    stopping = threading.Event()

    def embed(chunk: Chunk, tokens: Tokens) -> Embedded:
        lengths = np.array([len(row) for row in tokens])
        vectors = find(folder, chunk)
        if vectors is not None:
            report(len(tokens), 0)
            return Embedded(chunk, vectors, lengths, resumed=True)
        encoder = free.get()
        try:
            if stopping.is_set():
                raise CancelledError
            vectors = encoder.encode(tokens, report)
        finally:
            free.put(encoder)
        _check(vectors, chunk.ids)
        keep(folder, chunk, vectors)
        return Embedded(chunk, vectors, lengths, resumed=False)

    threads = 2 * len(encoders)
    waiting: collections.deque[Future[Embedded]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk, tokens in todo:
                waiting.append(pool.submit(embed, chunk, tokens))
                if len(waiting) > threads:  # so that few chunks are in memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except (
            SystemExit
        ):  # by SIGTERM; SIGKILL follows some seconds later (KillWait, 30 by default)
            log.warning("SIGTERM: what is being computed is saved, and the next run goes on there.")
            raise
        finally:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _check(vectors: np.ndarray, ids: list[str]) -> None:
    """Fail and name the papers whose vectors hold NaN or infinite numbers."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        named = ", ".join(ids[row] for row in bad[:10])
        raise InputError(
            f"The vectors of {len(bad)} papers hold NaN or infinite numbers: {named}{', …' * (len(bad) > 10)}. "
            "Set dtype to float32 or bfloat16; if that does not help, the checkpoint's weights are damaged."
        )
