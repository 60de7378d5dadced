"""The vector store: every vector ever computed for a corpus and a model, found by its text.

A store is a folder of pieces. A piece is written once, whole, and never changed:

    <piece>.npy        float32 (rows, d): the vectors
    <piece>.rows.npy   (rows,): the sha256 of each vector's text and its number of tokens
    <piece>.json       the manifest; it is written last, so a piece without a manifest does not exist

A vector is addressed by the sha256 of its text and by the checkpoint and the resolved encoder settings (including
prompt and engine) in the manifest of its piece. Jobs that run at the same time write separate pieces; nothing is
locked and nothing is edited.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..common.errors import InputError
from ..common.files import json_sha256, written_beside
from ..common.matrices import MatrixWriter, matrix_blocks, open_matrix
from ..config.encoder_settings import EncoderSettings
from .manifest import PieceManifest

log = logging.getLogger(__name__)

KEY_BYTES = 32
NO_KEYS = np.empty((0, KEY_BYTES), np.uint8)
ROW = np.dtype([("text", "u1", (KEY_BYTES,)), ("tokens", "<i4")])
ROWS_AT_ONCE = 2_048
_ABSENT = object()


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """Return the sha256 of each text's UTF-8 bytes, uint8 (texts, 32)."""
    joined = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(-1, KEY_BYTES)


def first_of_each(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the first of ``rows`` for each distinct key (a row of ``keys``, uint8 (n, 32))."""
    whole = np.ascontiguousarray(keys[rows]).view("S32").ravel()
    _, first = np.unique(whole, return_index=True)
    taken: np.ndarray = rows[np.sort(first)]
    return taken


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of the store.

    Every access to ``vectors`` or ``rows`` maps the file again: the pages that a mapping has read count as memory
    of the process until the mapping is closed.
    """

    folder: Path
    name: str
    manifest: PieceManifest

    @property
    def vectors_path(self) -> Path:
        """The file of the vectors."""
        return self.folder / f"{self.name}.npy"

    @property
    def rows_path(self) -> Path:
        """The file of the rows."""
        return self.folder / f"{self.name}.rows.npy"

    @property
    def manifest_path(self) -> Path:
        """The file of the manifest."""
        return self.folder / f"{self.name}.json"

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All files; the manifest comes first."""
        return self.manifest_path, self.rows_path, self.vectors_path

    @property
    def vectors(self) -> np.memmap:
        """The vectors, float32 (rows, d), memory-mapped.

        Raises:
            InputError: the file is missing or truncated, or does not have the shape in the manifest.
        """
        matrix = open_matrix(self.vectors_path)
        expected = (self.manifest.papers, self.manifest.dimensions)
        if matrix.shape != expected:
            raise InputError(f"{self.vectors_path} has the shape {matrix.shape}, not {expected}.")
        return matrix

    @property
    def rows(self) -> np.ndarray:
        """The rows, ROW (rows,), memory-mapped.

        Raises:
            InputError: the file is missing or truncated, or does not have the length in the manifest.
        """
        try:
            rows = np.load(self.rows_path, mmap_mode="r", allow_pickle=False)
        # A damaged header can make numpy raise any exception.
        except Exception as error:
            raise InputError(f"{self.rows_path} cannot be read: {error}") from error
        if rows.dtype != ROW or rows.shape != (self.manifest.papers,):
            raise InputError(f"{self.rows_path} does not hold {self.manifest.papers:,} rows.")
        return rows  # type: ignore[no-any-return]

    def verify(self) -> None:
        """Read the whole piece and compare it with the checksums in its manifest.

        Raises:
            InputError: the content does not match a checksum.
        """
        if hashlib.sha256(np.ascontiguousarray(self.rows).data).hexdigest() != (
            self.manifest.texts_sha256
        ):
            raise InputError(f"{self.rows_path} does not match its checksum.")
        sha256 = hashlib.sha256()
        for block in matrix_blocks(self.vectors_path, ROWS_AT_ONCE):
            sha256.update(block.data)
        if sha256.hexdigest() != self.manifest.vectors_sha256:
            raise InputError(f"{self.vectors_path} does not match its checksum.")

    def remove(self) -> None:
        """Delete the piece. The manifest is deleted first, so that a partly deleted piece is never used."""
        for file in self.files:
            file.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Rename the manifest of a damaged piece, so that its vectors are recomputed."""
        with contextlib.suppress(FileNotFoundError):
            self.manifest_path.replace(self.manifest_path.with_suffix(".damaged"))


def write_piece(
    folder: Path,
    shard: str,
    keys: np.ndarray,
    tokens: np.ndarray,
    parts: Callable[[], Iterable[np.ndarray]],
    **made_by: Any,
) -> Piece:
    """Add a piece to the store in ``folder``.

    Args:
        folder: the folder of the store; created if it does not exist.
        shard: the shard whose job embedded the texts.
        keys: keys of the texts, uint8 (rows, 32).
        tokens: number of tokens of each text, integers (rows,).
        parts: returns the vectors each time it is called, as float32 matrices (any number of rows, d) with ``rows``
            rows in total.
        made_by: the fields checkpoint, encoder, attention, seconds, device and versions of the manifest.
    """
    rows = np.empty(len(keys), ROW)
    rows["text"], rows["tokens"] = keys, tokens
    sha256 = hashlib.sha256()
    dimensions = 0
    for part in parts():
        dimensions = part.shape[1]
        sha256.update(np.ascontiguousarray(part, dtype="<f4").data)
    manifest = PieceManifest(
        shard=shard,
        papers=len(rows),
        dimensions=dimensions,
        texts_sha256=hashlib.sha256(rows.data).hexdigest(),
        vectors_sha256=sha256.hexdigest(),
        tokens=int(rows["tokens"].sum()),
        **made_by,
    )
    # The name depends on the content and the settings: two jobs for the same shard (a run restarted while its jobs
    # still run) write either the same piece or two pieces, never a mixture.
    content = manifest.texts_sha256, manifest.vectors_sha256, manifest.checkpoint, manifest.encoder
    piece = Piece(folder, f"{shard}-{json_sha256(content)[:8]}", manifest)
    with (
        written_beside(piece.vectors_path) as partial,
        MatrixWriter(partial, manifest.papers, manifest.dimensions) as matrix,
    ):
        for part in parts():
            matrix.append(part)
    with written_beside(piece.rows_path) as partial, partial.open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    manifest.write(piece.manifest_path)
    return piece


def pieces_in(folder: Path) -> list[Piece]:
    """Return the pieces of the store in ``folder``, sorted by name; damaged pieces are reported and left out."""
    pieces = []
    for path in sorted(folder.glob("*.json")):
        try:
            piece = Piece(folder, path.stem, PieceManifest.read(path))
            _ = piece.vectors, piece.rows
        except InputError as error:
            log.warning("%s This piece of the vector store is not used.", error)
            continue
        pieces.append(piece)
    return pieces


def set_aside_damaged(pieces: Iterable[Piece]) -> dict[str, InputError]:
    """Verify pieces and set those aside that are damaged; return their names and what is wrong with them."""
    damaged = {}
    for piece in pieces:
        try:
            piece.verify()
        except InputError as error:
            piece.set_aside()
            damaged[piece.name] = error
    return damaged


def groups(
    pieces: Iterable[Piece], checkpoint: dict[str, Any], settings: EncoderSettings
) -> list[list[Piece]]:
    """Return the pieces that match a checkpoint and encoder settings, in groups of equal settings.

    Vectors of one group belong together; the groups differ only in settings that are ``auto`` in ``settings``.

    Args:
        pieces: pieces of a store.
        checkpoint: as ``checkpoint.identity.checkpoint_identity`` returns it.
        settings: resolved against the checkpoint; the dtype may be ``auto``.
    """
    requested = settings.to_dict()
    open_names = {name for name, value in requested.items() if value == "auto"}
    found: dict[str, list[Piece]] = {}
    for piece in pieces:
        encoder = piece.manifest.encoder
        # A name that only one side has is a difference too: settings omit some of their defaults.
        if piece.manifest.checkpoint.get("sha256") == checkpoint["sha256"] and all(
            encoder.get(name, _ABSENT) == requested.get(name, _ABSENT)
            for name in {*encoder, *requested} - open_names
        ):
            alike = json.dumps([encoder, piece.manifest.dimensions], sort_keys=True)
            found.setdefault(alike, []).append(piece)
    return list(found.values())


class VectorStore:
    """Vectors of one group of pieces, found by the sha256 of their texts.

    A position is a row number in the concatenation of all pieces.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self._starts = np.cumsum([0, *(piece.manifest.papers for piece in self.pieces)])
        self._keys = np.concatenate([NO_KEYS, *(piece.rows["text"] for piece in self.pieces)])
        heads = _heads(self._keys)
        self._order = np.argsort(heads, kind="stable")
        self._heads = heads[self._order]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return the positions, int64 (texts,), of the texts with these keys; -1 for texts without a vector.

        Args:
            keys: uint8 (texts, 32).
        """
        positions = np.full(len(keys), -1, dtype=np.int64)
        heads = _heads(keys)
        at = np.searchsorted(self._heads, heads)
        asked = np.arange(len(keys))
        # Only the first eight bytes of a key are sorted. If two texts share them, try the next entry.
        while len(asked):
            asked = asked[at[asked] < len(self._heads)]
            asked = asked[self._heads[at[asked]] == heads[asked]]
            entries = self._order[at[asked]]
            same = (self._keys[entries] == keys[asked]).all(axis=1)
            positions[asked[same]] = entries[same]
            asked = asked[~same]
            at[asked] += 1
        return positions

    def pieces_of(self, positions: np.ndarray) -> list[Piece]:
        """Return the pieces that hold these positions, each once, in the store's order."""
        numbers = np.unique(np.searchsorted(self._starts, positions, side="right") - 1)
        return [self.pieces[number] for number in numbers]

    def gather(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors, float32 (texts, d), and the tokens, int64 (texts,), at these positions."""
        dimensions = self.pieces[0].manifest.dimensions
        vectors = np.empty((len(positions), dimensions), dtype=np.float32)
        tokens = np.empty(len(positions), dtype=np.int64)
        numbers = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(numbers):
            piece = self.pieces[number]
            own = np.flatnonzero(numbers == number)
            rows = positions[own] - self._starts[number]
            # Read the file from front to back, which is fast on disks.
            order = np.argsort(rows)
            vectors[own[order]] = piece.vectors[rows[order]]
            tokens[own[order]] = piece.rows["tokens"][rows[order]]
        return vectors, tokens


def _heads(keys: np.ndarray) -> np.ndarray:
    """Return the first eight bytes of each key as uint64 (keys,)."""
    return np.ascontiguousarray(keys[:, :8]).view(np.uint64).ravel()
