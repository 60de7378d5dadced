"""Shards of version 0.1.0 move into the store; shards that do not match are neither used nor deleted."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.embedding.adopt import adopt_shards
from arxiv_embeddings.embedding.lookup import find_vectors
from arxiv_embeddings.embedding.store import VectorStore, pieces_in, text_keys
from support.drawn import PAPERS, SETTINGS, draw, paper_id
from support.models import TextEncoder

SIZE = 25


def sha256_of(texts: list[str]) -> str:
    data = b"".join(len(text.encode()).to_bytes(8, "little") + text.encode() for text in texts)
    return hashlib.sha256(data).hexdigest()


class Old:
    """The finished shards of a run of version 0.1.0."""

    def __init__(self, folder: Path, model: Path, encoder: TextEncoder, texts: list[str]) -> None:
        self.texts, self.model, self.store = texts, model, folder / "vectors"
        self.drawn = draw(folder / "drawn.parquet", texts)
        self.shards = folder / "shards"
        self.shards.mkdir()
        tokens = encoder.tokenize(texts)
        self.vectors = encoder.encode(tokens)
        for number, start in enumerate(range(0, PAPERS, SIZE)):
            own = slice(start, min(start + SIZE, PAPERS))
            np.save(self.shards / f"{number:05d}.npy", self.vectors[own])
            manifest = {
                "shard": f"{number:05d}",
                "start": own.start,
                "stop": own.stop,
                "papers": own.stop - own.start,
                "dimensions": self.vectors.shape[1],
                "ids_sha256": sha256_of([paper_id(row) for row in range(own.start, own.stop)]),
                "texts_sha256": sha256_of(texts[own]),
                "vectors_sha256": hashlib.sha256(self.vectors[own].tobytes()).hexdigest(),
                "checkpoint": checkpoint_identity(model),
                "encoder": encoder.settings.to_dict(),
                "attention": "masked where lengths differ",
                "tokens": sum(map(len, tokens[own])),
                "papers_at_max_length": 0,
                "papers_resumed": 0,
                "seconds": 1.5,
                "papers_per_second": 10.0,
                "tokens_per_second": 100.0,
                "device": {"type": "cpu", "name": "x", "count": 1},
                "versions": {"python": "3"},
            }
            (self.shards / f"{number:05d}.json").write_text(json.dumps(manifest))

    def adopt(self) -> None:
        """Move all matching shards."""
        adopt_shards(self.shards, self.drawn, self.model, self.store)


@pytest.fixture
def old(tmp_path: Path, bert: Path, loaded: TextEncoder, texts: list[str]) -> Old:
    return Old(tmp_path, bert, loaded, texts)


def test_nothing_is_embedded_again(old: Old) -> None:
    old.adopt()
    assert list(old.shards.iterdir()) == []
    store = VectorStore(pieces_in(old.store))
    vectors, _ = store.gather(store.find(text_keys(old.texts)))
    assert vectors.tobytes() == old.vectors.tobytes()
    for piece in pieces_in(old.store):
        piece.verify()
    found = find_vectors(
        old.drawn,
        PAPERS,
        model_folder=old.model,
        encoder=SETTINGS,
        device="cuda",
        store_folder=old.store,
    )
    assert len(found.missing) == 0
    # Nothing is left to move.
    old.adopt()


def change(key: str, value: Any) -> Callable[[Old], None]:
    def damage(old: Old) -> None:
        path = old.shards / "00001.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return damage


def test_the_time_of_a_resumed_shard_is_unknown(old: Old) -> None:
    change("papers_resumed", 5)(old)
    old.adopt()
    assert [piece.manifest.seconds for piece in pieces_in(old.store)] == [1.5, 0.0]


def flip(old: Old) -> None:
    path = old.shards / "00001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda old: (old.shards / "00001.npy").unlink(),
        lambda old: (old.shards / "00001.json").write_text("{"),
        lambda old: (old.shards / "00001.json").write_text("[]"),
        lambda old: draw(old.drawn, [*old.texts[:-1], "another text"]),
        lambda old: draw(old.drawn, old.texts[:30]),
        change("start", 24),
        change("dimensions", 3),
        change("tokens", 7),
        change("checkpoint", {"sha256": "x"}),
        change("encoder", {"unknown": 1}),
        change("vectors_sha256", None),
    ],
)
def test_shards_that_do_not_match_stay_where_they_are(
    old: Old, damage: Callable[[Old], object], caplog: pytest.LogCaptureFixture
) -> None:
    damage(old)
    before = sorted(path.name for path in old.shards.glob("00001*"))
    old.adopt()
    assert sorted(path.name for path in old.shards.iterdir()) == before
    assert [piece.manifest.shard for piece in pieces_in(old.store)] == ["shard-00000"]
    assert "00001.npy stays where it is" in caplog.text


def test_a_missing_folder_of_old_shards_is_ignored(
    tmp_path: Path, bert: Path, texts: list[str]
) -> None:
    adopt_shards(tmp_path / "none", draw(tmp_path / "d", texts), bert, tmp_path / "vectors")
    assert not (tmp_path / "vectors").exists()
