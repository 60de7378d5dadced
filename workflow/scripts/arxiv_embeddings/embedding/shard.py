"""Embed one shard on a device: compute only the vectors that the store lacks."""

import collections
import contextlib
import dataclasses
import logging
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
    load_encoder: Callable[[], Encoder],
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
        load_encoder: loads the encoder, while the first texts are tokenized.
        on_progress: called, from any thread, once it is loaded and after every batch.
        store_folder: the folder of the store.
        made_by: the fields checkpoint, device and versions of the manifests.
        self_check: compares the first vectors before any of them is saved; the result becomes part of the device in
            the manifests.

    Returns:
        The piece with all vectors, in the order of the rows.

    Raises:
        InputError: vectors are not finite (the message names the papers), the self-check fails, or as Encoder and
            read_texts.
    """
    texts = read_texts(papers_path, rows, papers_per_chunk)
    chunks = (Chunk(ids, some, tokenizer.tokenize(some)) for ids, some in texts)
    with prefetch(chunks, depth=2) as todo:
        encoder = load_encoder()
        on_progress()
        with Progress(len(rows), "papers") as progress:
            reporting = threading.Lock()

            def report(papers_done: int, tokens_done: int) -> None:
                on_progress()
                with reporting:
                    progress.advance(papers_done, tokens=tokens_done)

            first = _FirstVectors(self_check, made_by["device"], encoder)

            def save(chunk: Chunk, vectors: np.ndarray, seconds: float) -> Piece:
                _check(vectors, chunk.ids)
                return write_piece(
                    store_folder,
                    shard,
                    text_keys(chunk.texts),
                    np.array([len(row) for row in chunk.tokens]),
                    lambda: [vectors],
                    seconds=seconds,
                    encoder=tokenizer.settings.to_dict(),
                    # Layers are compiled until memory runs out.
                    attention=encoder.attention,
                    **{**made_by, "device": first.check(chunk, vectors)},
                )

            embedded = _embed_ahead(todo, encoder, save, report)
            with contextlib.closing(embedded):
                pieces = list(embedded)
            log.info("Embedded %s papers: %s.", f"{len(rows):,}", progress.line())
            return join(pieces, seconds=progress.seconds, devices=1)


def join(pieces: Sequence[Piece], *, seconds: float, devices: int) -> Piece:
    """Replace pieces of one shard with one piece, so that a store has few large files.

    Args:
        pieces: of the same checkpoint and settings, from devices of the same kind.
        seconds: duration of embedding all of them.
        devices: how many computed them.
    """
    first = pieces[0].manifest
    device = {**first.device, "count": devices}
    checks = [check for piece in pieces if (check := piece.manifest.device.get("self_check"))]
    if checks:
        device["self_check"] = min(checks, key=lambda check: check["least_cosine"])
    whole = write_piece(
        pieces[0].folder,
        first.shard,
        np.concatenate([piece.rows["text"] for piece in pieces]),
        np.concatenate([piece.rows["tokens"] for piece in pieces]),
        lambda: (
            block for piece in pieces for block in matrix_blocks(piece.vectors_path, ROWS_AT_ONCE)
        ),
        checkpoint=first.checkpoint,
        encoder=first.encoder,
        attention="; ".join(dict.fromkeys(piece.manifest.attention for piece in pieces)),
        seconds=seconds,
        device=device,
        versions=first.versions,
    )
    for piece in pieces:
        if piece.name != whole.name:
            piece.remove()
    return whole


class _FirstVectors:
    """Checks the first vectors of a job, and lets no later ones pass before or if the check fails."""

    def __init__(
        self, self_check: SelfCheck | None, device: dict[str, Any], encoder: Encoder
    ) -> None:
        self._self_check = self_check
        self._device = device
        self._name = str(encoder.device)
        self._lock = threading.Lock()
        self._begun = False
        self._found: dict[str, Any] | None = None

    def check(self, chunk: Chunk, vectors: np.ndarray) -> dict[str, Any]:
        """Return the device for the manifest, with the result of the check if there is one."""
        if self._self_check is None:
            return self._device
        with self._lock:
            if not self._begun:
                self._begun = True
                device = {**self._device, "device": self._name}
                self._found = self._self_check.compare(device, chunk.ids, chunk.tokens, vectors)
            if self._found is None:
                raise CancelledError
        return {**self._device, "self_check": self._found}


def _embed_ahead(
    todo: Iterator[Chunk],
    encoder: Encoder,
    save: Callable[[Chunk, np.ndarray, float], Piece],
    report: Callable[[int, int], None],
) -> Generator[Piece, None, None]:
    """Yield the pieces of the chunks in order, while the device computes the next chunks.

    One thread computes while another one saves the vectors of the previous chunk. A GPU has a third one: while one
    thread waits for vectors, another queues the chunk after them, so that the GPU always has work. If the caller stops
    early (an error, SIGTERM), the chunks in progress are finished and saved first.
    """
    stopping = threading.Event()
    computing, timing = threading.Lock(), threading.Lock()
    finished = 0.0

    def embed(chunk: Chunk) -> Piece:
        nonlocal finished
        with computing:
            if stopping.is_set():
                raise CancelledError
            began = time.perf_counter()
            fetch = encoder.begin(chunk.tokens, report)
        vectors = fetch()
        with timing:
            # A chunk that was queued early has waited for the one before it.
            now = time.perf_counter()
            seconds = now - max(began, finished)
            finished = now
        return save(chunk, vectors, seconds)

    threads = 3 if encoder.device.type == "cuda" else 2
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
