"""The look-up finds the texts to embed before a GPU is requested."""

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.embedding.lookup import Lookup, find_vectors
from arxiv_embeddings.embedding.store import text_keys, write_piece
from support.drawn import PAPERS, SETTINGS, draw

Script = Callable[..., subprocess.CompletedProcess[str]]


class Store:
    """A store with vectors of chosen texts, and drawn papers to look up in it."""

    def __init__(self, folder: Path, model: Path, texts: list[str]) -> None:
        self.folder, self.model, self.texts = folder / "vectors", model, texts
        self.drawn = draw(folder / "drawn.parquet", texts)

    def add(self, texts: list[str], dtype: str = "float32", device: str = "cpu") -> None:
        """Add a piece."""
        write_piece(
            self.folder,
            f"s-{len(texts)}-{dtype}",
            text_keys(texts),
            np.ones(len(texts)),
            lambda: [np.ones((len(texts), 4), np.float32)],
            checkpoint=checkpoint_identity(self.model),
            encoder={**SETTINGS.to_dict(), "pooling": "mean", "prompt": "", "dtype": dtype},
            attention="",
            seconds=1.0,
            device={"type": device},
            versions={},
        )

    def find(self, papers: int = PAPERS, device: str = "cpu", **settings: Any) -> Lookup:
        """Look up the first drawn papers."""
        return find_vectors(
            self.drawn,
            papers,
            model_folder=self.model,
            encoder=dataclasses.replace(SETTINGS, **settings),
            device=device,
            store_folder=self.folder,
        )


@pytest.fixture
def store(tmp_path: Path, bert: Path, texts: list[str]) -> Store:
    return Store(tmp_path, bert, texts)


def test_an_empty_store_lacks_all_texts(store: Store) -> None:
    found = store.find()
    assert found.missing.tolist() == list(range(PAPERS))
    assert found.encoder.pooling == "mean"  # as the checkpoint declares it
    record = found.record(shard_size=15)
    assert (record["papers"], record["missing"], record["shards"]) == (PAPERS, PAPERS, 3)
    assert record["found"] == 0
    assert json.loads(json.dumps(record)) == record


def test_only_texts_without_vectors_are_missing(store: Store, texts: list[str]) -> None:
    store.add(texts[5:30])
    found = store.find()
    assert found.missing.tolist() == [*range(5), *range(30, PAPERS)]
    assert found.found == 25
    assert found.record(15)["shards"] == 1
    store.add([*texts[:5], *texts[30:]])
    found = store.find()
    assert found.missing.tolist() == []
    assert found.record(15)["shards"] == 0


def test_equal_texts_are_missing_once(tmp_path: Path, bert: Path) -> None:
    store = Store(tmp_path, bert, ["a", "b", "a", "c", "b"])
    assert store.find(5).missing.tolist() == [0, 1, 3]
    store.add(["b"])
    found = store.find(5)
    assert found.missing.tolist() == [0, 3]
    assert found.found == 2  # two of the other three are equal


def test_the_names_of_shards_depend_on_their_texts_and_settings(
    store: Store, texts: list[str]
) -> None:
    names = [store.find().record(15)["lookup"], store.find().record(15)["lookup"]]
    assert names[0] == names[1]
    names = [
        names[0],
        store.find(PAPERS - 1).record(15)["lookup"],
        store.find().record(16)["lookup"],
        store.find(max_length=32).record(15)["lookup"],
    ]
    draw(store.drawn, ["another text", *texts[1:]])
    names.append(store.find().record(15)["lookup"])
    assert len(set(names)) == 5
    assert all(len(name) == 8 for name in names)


@pytest.mark.parametrize(
    ("asked", "device", "there", "dtype", "missing"),
    [
        # An explicit dtype uses matching vectors from any type of device.
        ("float32", "cuda", [(10, "float32", "cpu")], "float32", 30),
        ("bfloat16", "cuda", [(10, "float32", "cpu")], "bfloat16", 40),
        # auto continues vectors from the same type of device.
        ("auto", "cuda", [(10, "bfloat16", "cuda")], "bfloat16", 30),
        ("auto", "cpu", [(10, "float32", "cpu"), (30, "bfloat16", "cpu")], "bfloat16", 10),
        # A trial on a CPU does not determine the dtype of GPU jobs for the rest of the corpus,
        ("auto", "cuda", [(10, "float32", "cpu")], "auto", 40),
        # but vectors that cover the whole sample are used.
        ("auto", "cpu", [(40, "bfloat16", "cuda")], "bfloat16", 0),
        ("auto", "cuda", [], "auto", 40),
    ],
)
def test_dtype_auto_chooses_the_vectors_to_continue(
    store: Store,
    texts: list[str],
    asked: str,
    device: str,
    there: list[tuple[int, str, str]],
    dtype: str,
    missing: int,
) -> None:
    for count, made_in, made_on in there:
        store.add(texts[:count], made_in, made_on)
    found = store.find(device=device, dtype=asked)
    assert found.encoder.dtype == dtype
    assert len(found.missing) == missing


def test_the_command_writes_the_missing_rows_and_the_record(
    store: Store, texts: list[str], tmp_path: Path, script: Script
) -> None:
    store.add(texts[:30])
    options: list[object] = ["--drawn", store.drawn, "--size", PAPERS, "--shard-size", 4]
    options += ["--model", store.model, "--encoder", SETTINGS.to_json(), "--device", "cpu"]
    options += ["--store", store.folder, "--old-shards", tmp_path / "none"]
    options += ["--missing", tmp_path / "missing.npy", "--lookup", tmp_path / "lookup.json"]
    done = script("find_vectors.py", *options)
    assert done.returncode == 0, done.stdout
    assert np.load(tmp_path / "missing.npy").tolist() == list(range(30, PAPERS))
    record = json.loads((tmp_path / "lookup.json").read_text())
    assert record == store.find().record(4)
    assert "30 of 40 papers have a vector in the store; 10 texts must be" in done.stdout
