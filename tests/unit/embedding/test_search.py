"""The nearest papers to a text and to a paper: exact, with the query prompt of the checkpoint."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding import search as module
from arxiv_embeddings.embedding.search import Search, nearest_rows
from support.models import TextEncoder, edit_json
from support.running import ROOT

Script = Callable[..., subprocess.CompletedProcess[str]]
SETTINGS = EncoderSettings("mean", 64, False, "float32", "", None)
TEXTS = [
    "A galaxy merger triggers star formation in spiral arms.",
    "Neural machine translation of rare words with subword units.",
    "Superconductivity in a doped Mott insulator on a lattice.",
    "Parsing sentences with grammars learnt from a treebank.",
]


def encode(checkpoint: Path, settings: EncoderSettings, texts: list[str]) -> np.ndarray:
    encoder = TextEncoder(checkpoint, settings, torch.device("cpu"))
    return encoder.encode(encoder.tokenize(texts))


def write_results(folder: Path, vectors: np.ndarray, checkpoint: Path) -> Path:
    folder.mkdir()
    np.save(folder / "embeddings.npy", vectors)
    papers = {"id": [f"p{row}" for row in range(len(vectors))], "topic": TEXTS[: len(vectors)]}
    levels = {
        "category 0": ["a"] * len(vectors),
        "category 1": [f"a.{row}" for row in range(len(vectors))],
    }
    pq.write_table(pa.table({**papers, **levels}), folder / "papers.parquet")
    request = {"model": {"encoder": SETTINGS.to_dict()}}
    manifest = {"request": request, "checkpoint": checkpoint_identity(checkpoint)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def fetch(minilm: Path, folder: Path, script: Script, pooling: dict[str, Any]) -> Path:
    """Return a fetched checkpoint that declares a prompt for queries, with changes to its pooling."""
    source = folder / "source"
    shutil.copytree(minilm, source)
    edit_json(
        source / "config_sentence_transformers.json",
        lambda content: content.update(prompts={"query": "find: ", "document": ""}),
    )
    edit_json(source / "1_Pooling/config.json", lambda content: content.update(pooling))
    done = script(
        "fetch_model.py",
        *("--name", source, "--folder", folder / "fetched", "--encoder", SETTINGS.to_json()),
    )
    assert done.returncode == 0, done.stdout
    return folder / "fetched"


@pytest.fixture(scope="module")
def checkpoint(minilm: Path, tmp_path_factory: pytest.TempPathFactory, script: Script) -> Path:
    return fetch(minilm, tmp_path_factory.mktemp("checkpoint"), script, {})


@pytest.fixture
def results(checkpoint: Path, tmp_path: Path) -> Path:
    return write_results(tmp_path / "results", encode(checkpoint, SETTINGS, TEXTS), checkpoint)


def test_nearest_rows_are_those_of_all_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(50, 6)).astype(np.float32) * rng.uniform(0.1, 9, (50, 1)).astype(
        np.float32
    )
    vector = rng.normal(size=6).astype(np.float32)
    wanted = matrix @ vector / np.linalg.norm(matrix, axis=1) / np.linalg.norm(vector)
    rows, cosines = nearest_rows(matrix, vector, 5)
    assert rows.tolist() == np.argsort(-wanted)[:5].tolist()
    np.testing.assert_allclose(cosines, wanted[rows], rtol=1e-5)
    assert len(nearest_rows(matrix, vector, 99)[0]) == 50


def test_a_text_finds_the_papers_on_its_subject(results: Path, checkpoint: Path) -> None:
    hits = Search(results, checkpoint).text("syntax of natural language", 2)
    assert {hit.id for hit in hits} == {"p1", "p3"}
    assert hits[0].cosine > hits[1].cosine
    assert hits[0].category == f"a.{hits[0].id[1:]}" and hits[0].topic == TEXTS[int(hits[0].id[1:])]


def test_a_query_comes_after_the_prompt_for_queries(results: Path, checkpoint: Path) -> None:
    matrix = np.load(results / "embeddings.npy")
    with_prompt, without = (
        nearest_rows(matrix, encode(checkpoint, settings, ["stars"])[0], 4)[1]
        for settings in (dataclasses.replace(SETTINGS, prompt="find: "), SETTINGS)
    )
    found = [hit.cosine for hit in Search(results, checkpoint).text("stars")]
    # The CPU may compute in bfloat16.
    np.testing.assert_allclose(found, with_prompt, atol=0.01)
    assert abs(np.subtract(found, without)).max() > 0.02


def test_a_prompt_that_the_checkpoint_does_not_pool_is_not_pooled(
    minilm: Path, tmp_path: Path, script: Script
) -> None:
    """The papers had no prompt, so their own settings do not tell."""
    checkpoint = fetch(minilm, tmp_path, script, {"include_prompt": False})
    vectors = encode(checkpoint, SETTINGS, TEXTS)
    results = write_results(tmp_path / "results", vectors, checkpoint)
    wanted = encode(checkpoint, dataclasses.replace(SETTINGS, prompt="find: "), ["stars"])[0]
    found = [hit.cosine for hit in Search(results, checkpoint).text("stars")]
    np.testing.assert_allclose(found, nearest_rows(vectors, wanted, 4)[1], atol=0.01)


def test_a_paper_finds_others_and_not_itself(results: Path) -> None:
    hits = Search(results).paper("p1", 2)
    assert hits[0].id == "p3" and len(hits) == 2
    with pytest.raises(InputError, match="No embedded paper has the id 'p9'"):
        Search(results).paper("p9")


def test_another_checkpoint_is_refused(results: Path, checkpoint: Path) -> None:
    edit_json(results / "manifest.json", lambda content: content["checkpoint"].update(sha256="0"))
    with pytest.raises(
        InputError, match="is not the checkpoint that the papers were embedded with"
    ):
        Search(results, checkpoint).text("stars")


def test_files_of_different_runs_are_refused(results: Path) -> None:
    np.save(results / "embeddings.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="3 rows, but papers"):
        Search(results)


def test_the_command_prints_the_nearest_papers(results: Path, script: Script) -> None:
    done = script("query_papers.py", "--model", str(results), "--id", "p1", "--number", "1")
    assert done.stdout.split()[1:3] == ["p3", "a.3"] and "Parsing sentences" in done.stdout


def test_a_reader_that_stops_early_is_no_error(results: Path) -> None:
    command = [sys.executable, str(ROOT / "workflow/scripts/query_papers.py")]
    process = subprocess.Popen(
        [*command, "--model", str(results), "--id", "p1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == -signal.SIGPIPE


def test_several_results_must_be_chosen_from(tmp_path: Path) -> None:
    from query_papers import only_model

    with pytest.raises(InputError, match="no embeddings"):
        only_model(tmp_path)
    for name in ("one", "two"):
        folder = tmp_path / "corpus" / name
        folder.mkdir(parents=True)
        (folder / "embeddings.npy").touch()
        if name == "one":
            assert only_model(tmp_path) == folder
    with pytest.raises(InputError, match=r"several results.*one.*two"):
        only_model(tmp_path)
