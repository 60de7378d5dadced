"""The vector store returns exactly the stored vectors, by text, checkpoint and settings, and detects damage."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.store import (
    Piece,
    VectorStore,
    groups,
    pieces_in,
    text_keys,
    write_piece,
)

ENCODER = EncoderSettings("mean", 64, False, "float32", "", None)
CHECKPOINT = {"name": "m", "revision": None, "sha256": "c" * 64}
MADE_BY: dict[str, Any] = {
    "checkpoint": CHECKPOINT,
    "encoder": ENCODER.to_dict(),
    "attention": "causal, unmasked",
    "seconds": 2.0,
    "device": {"type": "cpu", "name": "x"},
    "versions": {"python": "3"},
}


def some_texts(count: int, begin: int = 0) -> list[str]:
    return [f"text {number} é" for number in range(begin, begin + count)]


def add(folder: Path, texts: list[str], seed: int = 0, shard: str = "a-0", **changes: Any) -> Piece:
    """Add a piece of random vectors with 4 components; the i-th text has i + 1 tokens."""
    vectors = np.random.default_rng(seed).standard_normal((len(texts), 4), dtype=np.float32)
    tokens = np.arange(1, len(texts) + 1)
    return write_piece(
        folder, shard, text_keys(texts), tokens, lambda: [vectors], **{**MADE_BY, **changes}
    )


def test_keys_are_the_sha256_of_the_texts() -> None:
    keys = text_keys(["", "é"])
    assert keys.dtype == np.uint8
    assert keys[0].tobytes() == hashlib.sha256(b"").digest()
    assert keys[1].tobytes() == hashlib.sha256("é".encode()).digest()
    assert text_keys([]).shape == (0, 32)


def test_a_piece_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = add(tmp_path / "store", some_texts(5))
    [piece] = pieces_in(tmp_path / "store")
    assert piece.manifest == written.manifest
    assert piece.manifest.papers == 5
    assert piece.manifest.tokens == 15
    assert piece.manifest.dimensions == 4
    assert piece.manifest.papers_per_second == 2.5
    assert piece.manifest.tokens_per_second == 7.5
    assert piece.manifest.vectors_sha256 == hashlib.sha256(piece.vectors.tobytes()).hexdigest()
    piece.verify()
    assert sorted(file.name for file in (tmp_path / "store").iterdir()) == sorted(
        file.name for file in piece.files
    )
    content = json.loads(piece.manifest_path.read_text())
    assert content["papers_per_second"] == 2.5
    assert content["encoder"] == ENCODER.to_dict()


def test_vectors_are_found_by_text_in_any_order_and_over_pieces(tmp_path: Path) -> None:
    one, other = add(tmp_path, some_texts(50)), add(tmp_path, some_texts(30, 50), seed=1)
    store = VectorStore(pieces_in(tmp_path))
    order = np.random.default_rng(3).permutation(80)
    asked = [some_texts(80)[number] for number in order] + ["unknown"]
    positions = store.find(text_keys(asked))
    assert positions[-1] == -1
    assert (positions[:-1] >= 0).all()
    vectors, tokens = store.gather(positions[:-1])
    expected = np.concatenate([one.vectors, other.vectors])[order]
    assert vectors.tobytes() == expected.tobytes()
    assert tokens.tolist() == np.array([*range(1, 51), *range(1, 31)])[order].tolist()
    assert [piece.name for piece in store.pieces_of(positions[:-1])] == sorted(
        [one.name, other.name]
    )
    assert store.pieces_of(store.find(text_keys(some_texts(1)))) == [
        piece for piece in store.pieces if piece.name == one.name
    ]


def test_texts_with_equal_first_bytes_of_their_keys_are_distinguished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only 8 of 32 bytes are sorted, so the rest must be compared."""

    def alike(texts: list[str]) -> np.ndarray:
        keys = text_keys(texts).copy()
        keys[:, :8] = 7
        return keys

    vectors = np.arange(40, dtype=np.float32).reshape(10, 4)
    write_piece(tmp_path, "a", alike(some_texts(10)), np.ones(10), lambda: [vectors], **MADE_BY)
    store = VectorStore(pieces_in(tmp_path))
    positions = store.find(alike([*reversed(some_texts(10)), "unknown", "text 3 é"]))
    assert positions.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1, 3]


def test_an_empty_store_finds_nothing(tmp_path: Path) -> None:
    assert pieces_in(tmp_path / "none") == []
    assert VectorStore([]).find(text_keys(["a"])).tolist() == [-1]
    assert VectorStore([]).pieces_of(np.array([], dtype=np.int64)) == []


def test_jobs_that_write_the_same_shard_do_not_conflict(tmp_path: Path) -> None:
    one = add(tmp_path, some_texts(5), seed=1)
    other = add(tmp_path, some_texts(5), seed=2)
    again = add(tmp_path, some_texts(5), seed=1)
    assert one.name == again.name != other.name
    for piece in pieces_in(tmp_path):
        piece.verify()
    assert len(pieces_in(tmp_path)) == 2


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"encoder": {**ENCODER.to_dict(), "pooling": "cls"}}, False),
        ({"encoder": {**ENCODER.to_dict(), "max_length": 65}}, False),
        ({"encoder": {**ENCODER.to_dict(), "normalize": True}}, False),
        ({"encoder": {**ENCODER.to_dict(), "prompt": "query: "}}, False),
        ({"encoder": {**ENCODER.to_dict(), "dimensions": 2}}, False),
        ({"encoder": {**ENCODER.to_dict(), "engine": 99}}, False),
        ({"encoder": {**ENCODER.to_dict(), "dtype": "bfloat16"}}, False),
        ({"encoder": {}}, False),
        ({"encoder": {**ENCODER.to_dict(), "lower_case": True}}, False),
        ({"encoder": {**ENCODER.to_dict(), "architecture": "stock"}}, False),
        ({"encoder": {**ENCODER.to_dict(), "unknown": None}}, False),
        ({"checkpoint": {**CHECKPOINT, "sha256": "d" * 64}}, False),
        ({"checkpoint": {**CHECKPOINT, "name": "the same, moved"}}, True),
        ({"checkpoint": {}}, False),
    ],
    ids=str,
)
def test_vectors_of_other_settings_are_not_used(
    tmp_path: Path, change: dict[str, Any], fits: bool
) -> None:
    add(tmp_path, some_texts(5), **change)
    assert bool(groups(pieces_in(tmp_path), CHECKPOINT, ENCODER)) == fits


def test_dtype_auto_gives_a_group_per_dtype(tmp_path: Path) -> None:
    for number, dtype in enumerate(("float32", "bfloat16", "bfloat16")):
        encoder = {**ENCODER.to_dict(), "dtype": dtype}
        add(tmp_path, some_texts(5), seed=number, encoder=encoder)
    asked = dataclasses.replace(ENCODER, dtype="auto")
    found = groups(pieces_in(tmp_path), CHECKPOINT, asked)
    assert sorted(len(group) for group in found) == [1, 2]
    assert all(len({p.manifest.encoder["dtype"] for p in group}) == 1 for group in found)


def flip(data: bytes, position: int) -> bytes:
    position %= len(data)
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("suffix", [".npy", ".rows.npy", ".json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:50],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: flip(data, 9),
        lambda data: flip(data, 200),
        lambda data: flip(data, -1),
    ],
    ids=["cut", "cut at 50", "empty", "longer", "flip 9", "flip 200", "flip the last"],
)
def test_every_damage_is_detected(
    tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    """A damaged piece is left out or does not verify, or the damage does not change the values."""
    written = add(tmp_path, some_texts(8))
    before = written.manifest, written.vectors.tobytes(), written.rows.tobytes()
    path = tmp_path / f"{written.name}{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    for piece in pieces_in(tmp_path):
        try:
            piece.verify()
        except InputError:
            continue
        vectors, rows = piece.vectors.tobytes(), piece.rows.tobytes()
        assert (vectors, rows) == before[1:]
        assert piece.manifest.encoder == before[0].encoder or suffix == ".json"


def test_a_piece_without_its_manifest_is_ignored(tmp_path: Path) -> None:
    add(tmp_path, some_texts(3)).manifest_path.unlink()
    assert pieces_in(tmp_path) == []


def test_a_damaged_piece_is_set_aside_and_kept(tmp_path: Path) -> None:
    piece = add(tmp_path, some_texts(3))
    piece.set_aside()
    # Another job may have set it aside already.
    piece.set_aside()
    assert pieces_in(tmp_path) == []
    assert piece.vectors_path.is_file()
    assert (tmp_path / f"{piece.name}.damaged").is_file()


def test_a_removed_piece_leaves_nothing(tmp_path: Path) -> None:
    piece = add(tmp_path, some_texts(3))
    piece.remove()
    piece.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(OSError, match="No space"):
        add(tmp_path, some_texts(3))
    assert pieces_in(tmp_path) == []
    assert not list(tmp_path.glob(".*"))
