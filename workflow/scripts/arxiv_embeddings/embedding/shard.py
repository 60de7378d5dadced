"""Embed one shard on one or several devices: compute only the vectors that the store lacks."""

import collections
import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint.tokenizer import Tokenizer
from ..common.errors import InputError
from ..common.matrices import matrix_blocks
from ..common.prefetch import prefetch
from ..common.progress import Progress
from .encoder import Encoder
from .self_check import SelfCheck
from .store import Piece, VectorStore, first_of_each, set_aside_damaged, text_keys, write_piece
from .texts import read_keys, read_texts

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 4_096
# The token ids of each text.
Tokens = Sequence[Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A run of papers that is embedded and saved together: a killed job loses those in progress."""

    ids: list[str]
    texts: list[str]
    tokens: Tokens


def rows_to_embed(papers_path: Path, rows: np.ndarray, pieces: Sequence[Piece]) -> np.ndarray:
    """Return those of ``rows``, int64 and ascending, whose texts have no vector in ``pieces``.

    Of equal texts, only the first row is returned. A piece that does not match its checksums is set aside; its
    texts count as having no vector.

    Raises:
        InputError, ValueError: as read_texts.
    """
    keys = read_keys(papers_path, rows)
    store = VectorStore(pieces)
    positions = store.find(keys)
    damaged = set_aside_damaged(store.pieces_of(positions[positions >= 0]))
    for error in damaged.values():
        log.warning("%s This piece of the vector store is set aside.", error)
    if damaged:
        positions = VectorStore([piece for piece in pieces if piece.name not in damaged]).find(keys)
    missing: np.ndarray = rows[first_of_each(keys, np.flatnonzero(positions < 0))]
    return missing


def embed_shard(
    papers_path: Path,
    rows: np.ndarray,
    *,
    shard: str,
    papers_per_chunk: int,
    tokenizer: Tokenizer,
    load_encoders: Callable[[], Sequence[Encoder]],
    on_progress: Callable[[], None],
    store_folder: Path,
    made_by: dict[str, Any],
    self_check: SelfCheck | None = None,
) -> Piece:
    """Embed the papers in these rows and add their vectors to the store.

    Every finished chunk becomes a piece of the store at once, so a job that is killed loses at most the chunks
    being computed. At the end, one piece replaces the pieces of the chunks. Memory does not grow with the number of
    papers.

    Args:
        papers_path: the drawn papers (see read_texts).
        rows: rows of the papers to embed, int64, ascending, not empty.
        shard: name of the shard; the names of the pieces begin with it.
        papers_per_chunk: number of papers in a chunk.
        tokenizer: the tokenizer of the checkpoint, with resolved encoder settings.
        load_encoders: loads the same encoder on each device of the job, while the first texts are
            tokenized.
        on_progress: called, from any thread, once they are loaded and after every batch.
        store_folder: the folder of the store.
        made_by: the fields checkpoint, device and versions of the manifests.
        self_check: compares the first vectors of each device before any of them is saved; the result becomes part
            of the device in the manifests.

    Returns:
        The piece with all vectors, in the order of the rows.

    Raises:
        InputError: vectors are not finite (the message names the papers), the self-check fails, or as Encoder and
            read_texts.
    """
    texts = read_texts(papers_path, rows, papers_per_chunk)
    chunks = (Chunk(ids, some, tokenizer.tokenize(some)) for ids, some in texts)
    with prefetch(chunks, depth=2) as todo:
        encoders = load_encoders()
        on_progress()
        made_by = {
            **made_by,
            "encoder": tokenizer.settings.to_dict(),
            "attention": encoders[0].attention,
        }
        with Progress(len(rows), "papers") as progress:
            reporting = threading.Lock()

            def report(papers_done: int, tokens_done: int) -> None:
                on_progress()
                with reporting:
                    progress.advance(papers_done, tokens=tokens_done)

            first = _FirstVectors(self_check, made_by["device"])

            def save(encoder: Encoder, chunk: Chunk, vectors: np.ndarray, seconds: float) -> Piece:
                _check(vectors, chunk.ids)
                made_by["device"] = first.check(encoder, chunk, vectors)
                return write_piece(
                    store_folder,
                    shard,
                    text_keys(chunk.texts),
                    np.array([len(row) for row in chunk.tokens]),
                    lambda: [vectors],
                    seconds=seconds,
                    **made_by,
                )

            embedded = _embed_ahead(todo, encoders, save, report)
            with contextlib.closing(embedded):
                pieces = list(embedded)
            log.info("Embedded %s papers: %s.", f"{len(rows):,}", progress.line())
            return _join(pieces, shard, seconds=progress.seconds, **made_by)


def _join(pieces: Sequence[Piece], shard: str, **made_by: Any) -> Piece:
    """Replace the ``pieces`` of a shard with one piece, so that a store has few large files."""
    whole = write_piece(
        pieces[0].folder,
        shard,
        np.concatenate([piece.rows["text"] for piece in pieces]),
        np.concatenate([piece.rows["tokens"] for piece in pieces]),
        lambda: (
            block for piece in pieces for block in matrix_blocks(piece.vectors_path, ROWS_AT_ONCE)
        ),
        **made_by,
    )
    for piece in pieces:
        if piece.name != whole.name:
            piece.remove()
    return whole


class _FirstVectors:
    """Checks the first vectors of each device, and lets no later ones pass before or if the check fails."""

    def __init__(self, self_check: SelfCheck | None, device: dict[str, Any]) -> None:
        self._self_check = self_check
        self._device = device
        self._locks: dict[Encoder, threading.Lock] = collections.defaultdict(threading.Lock)
        self._found: dict[Encoder, dict[str, Any] | None] = {}

    def check(self, encoder: Encoder, chunk: Chunk, vectors: np.ndarray) -> dict[str, Any]:
        """Return the device for the manifest, with the result of the check if there is one."""
        if self._self_check is None:
            return self._device
        with self._locks[encoder]:
            if encoder not in self._found:
                self._found[encoder] = None
                device = {**self._device, "device": str(encoder.device)}
                self._found[encoder] = self._self_check.compare(
                    device, chunk.ids, chunk.tokens, vectors
                )
            if self._found[encoder] is None:
                raise CancelledError
        worst = min(filter(None, self._found.values()), key=lambda it: it["least_cosine"])
        return {**self._device, "self_check": worst}


def _embed_ahead(
    todo: Iterator[Chunk],
    encoders: Sequence[Encoder],
    save: Callable[[Encoder, Chunk, np.ndarray, float], Piece],
    report: Callable[[int, int], None],
) -> Generator[Piece, None, None]:
    """Yield the pieces of the chunks in order, while the devices compute the next chunks.

    Each encoder has two threads: one computes while the other saves the vectors of the previous chunk. A GPU has a
    third one: while one thread waits for vectors, another queues the chunk after them, so that the GPU always has
    work. If the caller stops early (an error, SIGTERM), the chunks in progress are finished and saved first.
    """
    free: queue.SimpleQueue[Encoder] = queue.SimpleQueue()
    for encoder in encoders:
        free.put(encoder)
    stopping = threading.Event()

    def embed(chunk: Chunk) -> Piece:
        encoder = free.get()
        try:
            if stopping.is_set():
                raise CancelledError
            began = time.perf_counter()
            fetch = encoder.begin(chunk.tokens, report)
        finally:
            free.put(encoder)
        vectors = fetch()
        with timing:
            # A chunk that was queued early has waited for the one before it.
            now = time.perf_counter()
            seconds = now - max(began, finished[encoder])
            finished[encoder] = now
        return save(encoder, chunk, vectors, seconds)

    timing = threading.Lock()
    finished = dict.fromkeys(encoders, 0.0)
    threads = sum(3 if encoder.device.type == "cuda" else 2 for encoder in encoders)
    waiting: collections.deque[Future[Piece]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk in todo:
                waiting.append(pool.submit(embed, chunk))
                # Keep few chunks in memory.
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except SystemExit:
            # After SIGTERM, SLURM sends SIGKILL some seconds later (KillWait, 30 by default).
            log.warning(
                "This job was stopped: saving the chunks in progress; the next run resumes after them."
            )
            raise
        finally:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _check(vectors: np.ndarray, ids: list[str]) -> None:
    """Raise an InputError that names the papers whose vectors contain NaN or infinite numbers."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        named = ", ".join(ids[row] for row in bad[:10])
        raise InputError(
            f"The vectors of {len(bad)} papers contain NaN or infinite numbers: {named}{', …' * (len(bad) > 10)}. "
            "Set dtype to float32 or bfloat16; if that does not help, the checkpoint's weights are damaged."
        )
