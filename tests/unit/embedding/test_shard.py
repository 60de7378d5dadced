"""The vectors of a shard become one piece of the store for any chunks, devices and format of the papers."""

import hashlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import ENGINE_VERSION, EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder
from arxiv_embeddings.embedding.shard import embed_shard, rows_to_embed
from arxiv_embeddings.embedding.store import VectorStore, first_of_each, pieces_in, text_keys
from embed_shard import encoding_lines
from support.drawn import PAPERS, SETTINGS, draw, paper_id
from support.models import TextEncoder, cosines, make_bert

pytestmark = pytest.mark.usefixtures("one_thread")

Script = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")
CHUNK = 8


def embed(drawn: Path, rows: Any, encoder: TextEncoder, store: Path, **changes: Any) -> np.ndarray:
    """Embed papers as one shard in small chunks; return the vectors of the only piece."""
    piece = embed_shard(
        drawn,
        np.asarray(rows),
        **{
            "shard": "ab-00000",
            "papers_per_chunk": CHUNK,
            "tokenizer": encoder.tokenizer,
            "load_encoder": lambda: encoder,
            "on_progress": lambda: None,
            "store_folder": store,
            "made_by": {
                "checkpoint": {"sha256": "c"},
                "device": {"type": "cpu"},
                "versions": {"python": "3"},
            },
            **changes,
        },
    )
    assert [one.name for one in pieces_in(store) if one.manifest.shard == "ab-00000"] == [
        piece.name
    ]
    piece.verify()
    return np.array(piece.vectors)


@pytest.fixture
def drawn(texts: list[str], tmp_path: Path) -> Path:
    return draw(tmp_path / "drawn.parquet", texts)


@pytest.fixture(scope="session")
def expected(loaded: TextEncoder, texts: list[str]) -> np.ndarray:
    """The vectors of the texts, each embedded alone."""
    return np.concatenate([loaded.encode(loaded.tokenize([text])) for text in texts])


def test_the_command_writes_the_piece_and_its_manifest(
    bert: Path, texts: list[str], drawn: Path, tmp_path: Path, script: Script
) -> None:
    rows = np.array([0, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 38, 39])
    np.save(tmp_path / "missing.npy", rows)
    store, done_file = tmp_path / "vectors", tmp_path / "shards/ab-00001.json"
    options: list[object] = ["--papers", drawn, "--rows", tmp_path / "missing.npy", "--start", 5]
    options += ["--stop", 15, "--shard", "ab-00001", "--model", bert, "--store", store]
    options += ["--encoder", SETTINGS.to_json(), "--done", done_file, "--threads", 2]
    done = script("embed_shard.py", *options, "--log", tmp_path / "job.log")
    assert done.returncode == 0, done.stdout
    [piece] = pieces_in(store)
    counts = {"papers": 10, "found": 0, "embedded": 10}
    told = {"shard": "ab-00001", **counts, "piece": piece.name}
    assert json.loads(done_file.read_text()) == told
    own = [texts[row] for row in rows[5:15]]
    assert piece.rows["text"].tobytes() == text_keys(own).tobytes()
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    lengths = [min(len(tokenizer(text)["input_ids"]), 64) for text in own]
    assert piece.rows["tokens"].tolist() == lengths

    manifest = json.loads(piece.manifest_path.read_text())
    assert (piece.vectors.dtype, piece.vectors.shape) == (np.dtype("<f4"), (10, 64))
    assert [manifest.pop(name) for name in ("shard", "papers", "dimensions", "tokens")] == [
        "ab-00001", 10, 64, sum(lengths),
    ]  # fmt: skip
    assert manifest.pop("vectors_sha256") == hashlib.sha256(piece.vectors.tobytes()).hexdigest()
    assert manifest.pop("texts_sha256") == hashlib.sha256(piece.rows.tobytes()).hexdigest()
    fetched = json.loads((bert / "checkpoint.json").read_text())
    for name, facts in fetched["files"].items():
        data = (bert / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest.pop("checkpoint") == checkpoint_identity(bert)
    assert manifest.pop("encoder") == {
        "pooling": "mean",
        "max_length": 64,
        "normalize": False,
        "dtype": "float32",
        "prompt": "",
        "dimensions": None,
        "engine": ENGINE_VERSION,
    }
    assert manifest.pop("attention") == "masked where lengths differ"
    seconds = manifest.pop("seconds")
    assert seconds > 0
    assert manifest.pop("papers_per_second") == pytest.approx(10 / seconds, rel=0.1)
    assert manifest.pop("tokens_per_second") == pytest.approx(sum(lengths) / seconds, rel=0.1)
    device, versions = manifest.pop("device"), manifest.pop("versions")
    assert (device["type"], device["node"]) == ("cpu", socket.gethostname())
    assert (device["count"], device["threads"]) == (1, 2)
    assert device["name"]
    assert versions["torch"] == torch.__version__
    assert set(versions) == {"python", "torch", "transformers", "tokenizers", "numpy", "pyarrow"}
    assert not manifest  # every field was checked
    assert "Embedded 10 papers" in (tmp_path / "job.log").read_text()


def test_a_job_that_finds_all_vectors_needs_no_weights_and_no_gpu(
    bert: Path, drawn: Path, tmp_path: Path, script: Script
) -> None:
    options: list[object] = ["--papers", drawn, "--start", 0, "--stop", PAPERS, "--model", bert]
    options += ["--store", tmp_path / "vectors", "--shard", "ab-00000"]
    options += ["--encoder", SETTINGS.to_json(), "--done", tmp_path / "done.json"]
    first = script("embed_shard.py", *options)
    assert first.returncode == 0, first.stdout
    no_weights = """
import transformers
def refuse(*_, **__): raise SystemExit("the model was loaded")
transformers.AutoModel.from_pretrained = refuse
"""
    again = script("embed_shard.py", *options, "--device", "cuda", before=no_weights)
    assert again.returncode == 0, again.stdout
    assert json.loads((tmp_path / "done.json").read_text())["found"] == PAPERS
    assert len(pieces_in(tmp_path / "vectors")) == 1


def test_vectors_have_the_order_of_the_rows(
    drawn: Path, loaded: TextEncoder, expected: np.ndarray, tmp_path: Path
) -> None:
    vectors = embed(drawn, range(PAPERS), loaded, tmp_path / "store")
    assert cosines(vectors, expected).min() >= 0.99999
    assert cosines(vectors, np.roll(expected, 1, axis=0)).max() < 0.99
    some = [1, 4, 30]
    assert cosines(embed(drawn, some, loaded, tmp_path / "two"), expected[some]).min() >= 0.99999


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 1000])
def test_vectors_do_not_depend_on_the_chunks(
    drawn: Path, loaded: TextEncoder, expected: np.ndarray, tmp_path: Path, chunk: int
) -> None:
    vectors = embed(drawn, range(PAPERS), loaded, tmp_path / "store", papers_per_chunk=chunk)
    assert cosines(vectors, expected).min() >= 0.99999


def test_the_shard_fails_after_an_error_of_the_device(
    drawn: Path, loaded: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_: object) -> Any:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(Encoder, "begin", begin)
    with pytest.raises(RuntimeError, match="device-side assert"):
        embed(drawn, range(PAPERS), loaded, tmp_path / "store")


def test_texts_are_tokenized_while_the_weights_load(
    drawn: Path,
    loaded: TextEncoder,
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = threading.Event()

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        begun.set()
        return plain(texts)

    def load() -> TextEncoder:
        assert begun.wait(60)
        return loaded

    plain = loaded.tokenizer.tokenize
    monkeypatch.setattr(loaded.tokenizer, "tokenize", tokenize)
    vectors = embed(drawn, range(PAPERS), loaded, tmp_path / "store", load_encoder=load)
    assert cosines(vectors, expected).min() >= 0.99999


def test_the_shard_fails_if_the_weights_cannot_be_loaded(
    drawn: Path, loaded: TextEncoder, tmp_path: Path
) -> None:
    def load() -> TextEncoder:
        raise InputError("not whole")

    with pytest.raises(InputError, match="not whole"):
        embed(drawn, range(PAPERS), loaded, tmp_path / "store", load_encoder=load)
    assert pieces_in(tmp_path / "store") == []


# Packages of this project's environment that torch and transformers do not need.
BLOCKED = (
    "pyarrow msgspec snakemake pandas isal zstandard sentence_transformers jsonschema accelerate"
)
BLOCK_IMPORTS = f"""
import importlib.machinery, socket
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, *arguments):
        blocked = name.partition(".")[0] in {BLOCKED.split()}
        return None if blocked else super().find_spec(name, *arguments)
finders = (it for it in sys.meta_path if it is not importlib.machinery.PathFinder)
sys.meta_path[:] = [*finders, Finder]
def refuse(*_, **__): raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refuse
"""


def test_the_command_needs_only_torch_and_transformers_and_no_network(
    bert: Path,
    texts: list[str],
    drawn: Path,
    expected: np.ndarray,
    tmp_path: Path,
    script: Script,
) -> None:
    papers = [{"id": paper_id(row), "topic": text} for row, text in enumerate(texts)]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    options: list[object] = ["--start", 0, "--stop", PAPERS, "--model", bert, "--shard", "0"]
    options += ["--encoder", SETTINGS.to_json(), "--done", tmp_path / "0.json"]
    options += ["--store", tmp_path / "store"]
    done = script("embed_shard.py", "--papers", lines, *options, before=BLOCK_IMPORTS)
    assert done.returncode == 0, done.stdout
    [piece] = pieces_in(tmp_path / "store")
    assert cosines(np.array(piece.vectors), expected).min() >= 0.99999
    refused = script("embed_shard.py", "--papers", drawn, *options, before=BLOCK_IMPORTS)
    assert "No module named 'pyarrow'" in refused.stdout  # the block works


def test_equal_texts_are_embedded_once(
    loaded: TextEncoder, texts: list[str], tmp_path: Path
) -> None:
    drawn = draw(tmp_path / "drawn.parquet", [texts[0], texts[1], texts[0], texts[2], texts[1]])
    assert rows_to_embed(drawn, np.arange(5), []).tolist() == [0, 1, 3]
    embed(drawn, [0, 3], loaded, tmp_path / "store")
    pieces = pieces_in(tmp_path / "store")
    assert rows_to_embed(drawn, np.arange(5), pieces).tolist() == [1]
    assert rows_to_embed(drawn, np.array([], dtype=np.int64), pieces).tolist() == []


def test_the_first_of_equal_keys_is_used() -> None:
    keys = text_keys(["b", "a", "b", "c", "a", "b"])
    assert first_of_each(keys, np.arange(6)).tolist() == [0, 1, 3]
    assert first_of_each(keys, np.array([2, 4, 5])).tolist() == [2, 4]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused_with_the_papers(
    drawn: Path, loaded: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    def begin(*arguments: Any) -> Any:
        vectors = plain(*arguments)()
        vectors[3, 5] = vectors[6, 0] = bad
        return lambda: vectors

    plain = loaded.begin
    monkeypatch.setattr(loaded, "begin", begin)
    with pytest.raises(
        InputError, match=f"vectors of 2 papers.*: {paper_id(3)}, {paper_id(6)}\\. "
    ):
        embed(drawn, range(PAPERS), loaded, tmp_path / "store")
    assert pieces_in(tmp_path / "store") == []


def test_a_damaged_weight_is_reported_with_the_affected_papers(
    minilm: Path, texts: list[str], tmp_path: Path
) -> None:
    made = make_bert(minilm, tmp_path / "made")
    weights = safetensors.torch.load_file(made / "model.safetensors")
    token = transformers.AutoTokenizer.from_pretrained(minilm)("zebra")["input_ids"][1]
    weights["embeddings.word_embeddings.weight"][token] = torch.nan
    safetensors.torch.save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
    fetch_model(str(made), None, tmp_path / "fetched", SETTINGS)
    encoder = TextEncoder(tmp_path / "fetched", SETTINGS, CPU)
    drawn = draw(tmp_path / "d", [*texts[:20], "A zebra. " + texts[20], *texts[21:]])
    with pytest.raises(InputError, match=f"vectors of 1 papers .* numbers: {paper_id(20)}\\. "):
        embed(drawn, range(PAPERS), encoder, tmp_path / "store")
    # Finite chunks are kept: the earlier ones, and possibly the next one, which the other thread may have finished.
    kept = VectorStore(pieces_in(tmp_path / "store")).find(text_keys(texts))
    assert (kept >= 0).sum() in (2 * CHUNK, 3 * CHUNK)


def test_the_log_says_on_what_and_how_it_encodes() -> None:
    settings = EncoderSettings(
        pooling="mean", max_length=256, normalize=True, dtype="float32", prompt=""
    )
    gpu = {"type": "cuda", "name": "H100", "memory_bytes": 80, "node": "n1", "count": 1}
    where, how = encoding_lines(gpu, {"torch": "2.13.0", "numpy": "2.4"}, settings, "masked")
    assert where == "Encoding on n1 (H100) with torch 2.13.0, numpy 2.4."
    assert "pooling mean" in how and "max_length 256" in how and how.endswith("Attention: masked.")
    # What is not set is not said.
    assert "prompt" not in how and "None" not in how and "{" not in how
    cpu = {"type": "cpu", "name": "EPYC", "threads": 2, "node": "n1", "count": 1}
    assert encoding_lines(cpu, {}, settings, "")[0].startswith("Encoding on n1 (EPYC, 2 threads)")
