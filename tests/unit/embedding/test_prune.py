"""Only vectors that no result uses are removed, and only with --delete."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.embedding.store import Piece, pieces_in, text_keys, write_piece

Script = Callable[..., subprocess.CompletedProcess[str]]


def add(model: Path, text: str, time: int) -> Piece:
    piece = write_piece(
        model / "vectors",
        "ab-00000",
        text_keys([text]),
        np.ones(1),
        lambda: [np.ones((1, 4), np.float32)],
        checkpoint={},
        encoder={},
        attention="",
        seconds=1.0,
        device={},
        versions={},
    )
    for file in piece.files:
        os.utime(file, (time, time))
    return piece


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's results, merged at time 1,000."""
    folder = tmp_path / "results/arxiv/minilm"
    used, old = add(folder, "used", 500), add(folder, "old", 500)
    (folder / "vectors/.x.partial").write_text("left by a killed job")
    os.utime(folder / "vectors/.x.partial", (400, 400))
    add(folder, "new", 2_000)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps({"pieces": [{"piece": used.name}], "old": old.name}))
    os.utime(manifest, (1_000, 1_000))
    return folder


def names(model: Path) -> set[str]:
    return {piece.name for piece in pieces_in(model / "vectors")}


def test_unused_vectors_are_listed_and_then_removed(model: Path, script: Script) -> None:
    before = names(model)
    results = model.parents[1]
    listed = script("prune_vectors.py", "--results", results)
    assert listed.returncode == 0, listed.stdout
    assert f"{model}: 4 files" in listed.stdout
    assert "3 files are newer than the merged result and are kept" in listed.stdout
    assert "--delete" in listed.stdout
    assert names(model) == before
    removed = script("prune_vectors.py", "--results", results, "--delete")
    assert removed.returncode == 0, removed.stdout
    assert "Removed" in removed.stdout
    old = json.loads((model / "manifest.json").read_text())["old"]
    assert names(model) == before - {old}
    assert not list((model / "vectors").glob(".*"))
    again = script("prune_vectors.py", "--results", results, "--delete")
    assert "Every vector is used by a result." in again.stdout


@pytest.mark.parametrize("content", [None, "", "{}", '{"pieces": 3}'])
def test_nothing_is_removed_without_a_merged_result(
    model: Path, script: Script, content: str | None
) -> None:
    (model / "manifest.json").unlink()
    if content is not None:
        (model / "manifest.json").write_text(content)
    before = names(model)
    done = script("prune_vectors.py", "--results", model.parents[1], "--delete")
    assert "There is no merged result, so all vectors are kept" in done.stdout
    assert names(model) == before
