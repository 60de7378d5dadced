"""Compiled layers compute the same vectors; they are compiled once, before the first text, or not at all."""

import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding import compiled
from arxiv_embeddings.embedding import encoder as encoder_module
from arxiv_embeddings.embedding.packed import ATTENTION, PackedModel
from arxiv_embeddings.embedding.shard import embed_shard
from arxiv_embeddings.embedding.store import pieces_in
from support.drawn import SETTINGS, draw
from support.models import (
    GROUPED,
    TINY,
    TextEncoder,
    copy_files,
    cosines,
    make_like,
    make_qwen3,
    random_model,
)

pytestmark = pytest.mark.usefixtures("one_thread")

Script = Callable[..., subprocess.CompletedProcess[str]]
CPU = torch.device("cpu")
PACKED = "each text alone, without padding"
COMPILED = f"{PACKED}, compiled layers"
ROW = 520


class Compiler:
    """Compiles nothing, and counts the graphs that it was given and how often they run."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []
        self.runs: list[int] = []
        self.error: Exception | None = None
        self.wrong = False

    def __call__(self, graph: Any, _: object) -> Callable[..., Any]:
        """Return what runs in place of the graph."""
        if self.error:
            raise self.error
        number = len(self.graphs)
        self.graphs.append(graph)

        def run(*inputs: Any) -> Any:
            self.runs.append(number)
            outputs = graph(*inputs)
            return [-each for each in outputs] if self.wrong else outputs

        return run


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    torch.compiler.set_stance("default")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    compiler = Compiler()
    monkeypatch.setattr(compiled, "HOW", {"dynamic": False, "fullgraph": True, "backend": compiler})
    return compiler


@pytest.fixture
def use_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute rows of one shape on the CPU, as on a GPU."""
    monkeypatch.setattr(encoder_module, "PACKED_ON", {"cpu"})
    monkeypatch.setattr(encoder_module, "ONE_SHAPE_ON", {"cpu"})


@pytest.fixture
def encoder(bert: Path, use_rows: None) -> TextEncoder:
    return TextEncoder(bert, SETTINGS, CPU, ROW)


def layers_of(encoder: TextEncoder) -> int:
    return int(encoder._model.config.num_hidden_layers)


def rows_of(encoder: TextEncoder, ids: list[list[int]]) -> int:
    return len(encoder._plan([len(text) for text in ids]))


@pytest.mark.parametrize("kind", ["qwen3", "bert", "gemma3_text"])
def test_compiled_once_for_all_layers_and_rows(
    kind: str, minilm: Path, tmp_path: Path, texts: list[str], compiler: Compiler, use_rows: None
) -> None:
    kinds = 1
    if kind == "qwen3":
        make_qwen3(tmp_path)
    elif kind == "bert":
        make_like(minilm, tmp_path, **{**TINY, "num_hidden_layers": 3}, num_attention_heads=4)
    else:
        # Five layers with windows, and one without.
        copy_files(minilm, tmp_path)
        config = transformers.AutoConfig.for_model(kind, **{**GROUPED, "num_hidden_layers": 6})
        random_model(config).save_pretrained(tmp_path)
        kinds = 2
    encoder = TextEncoder(
        tmp_path, EncoderSettings(dtype="float32", pooling="mean", max_length=128), CPU, ROW
    )
    ids = encoder.tokenize(texts)
    assert encoder.attention == PACKED
    expected = encoder.encode(ids)
    encoder.compile_layers()
    assert encoder.attention == COMPILED
    # The trial.
    assert len(compiler.graphs) == kinds
    assert len(compiler.runs) == layers_of(encoder)
    compiler.runs.clear()
    assert cosines(encoder.encode(ids), expected).min() >= 0.9999999
    assert cosines(encoder.encode(ids[::-1])[::-1], expected).min() >= 0.9999999
    assert len(compiler.graphs) == kinds
    rows = rows_of(encoder, ids) + rows_of(encoder, ids[::-1])
    assert rows > 10
    assert len(compiler.runs) == layers_of(encoder) * rows


def test_a_layer_on_a_gpu_is_one_graph_with_the_kernel(compiler: Compiler) -> None:
    config = transformers.AutoConfig.for_model("qwen3", **{**GROUPED, "num_hidden_layers": 3})
    config.use_cache = False
    # Tensors without numbers take the way of those on a GPU.
    with torch.device("meta"), torch.inference_mode():
        model = transformers.AutoModel.from_config(config, attn_implementation=ATTENTION).eval()
        for layer in model.layers:
            layer.compile(**compiled.HOW)
        tokens, bounds = torch.zeros(1, 130).long(), torch.zeros(9).int()
        places = {"position_ids": tokens, "cu_seq_lens_q": bounds, "max_length_q": 64}
        states = model(input_ids=tokens, **places).last_hidden_state
    assert states.shape == (1, 130, 64)
    [graph] = compiler.graphs
    attention = [str(node.target) for node in graph.graph.nodes if "varlen" in str(node.target)]
    assert attention == ["torch_attn._varlen_attn"]
    assert len(compiler.runs) == 3


@pytest.mark.parametrize(
    "what", ["compiler", "states", "memory", "no layers", "kinds of layers", "stops tracing"]
)
def test_failures_leave_the_layers_uncompiled_and_the_log_says_why(
    what: str,
    encoder: TextEncoder,
    texts: list[str],
    compiler: Compiler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = encoder.tokenize(texts[:8])
    expected = encoder.encode(ids)
    if what == "compiler":
        compiler.error = RuntimeError("Failed to find C compiler.\nSet CC.")
        reason = "RuntimeError: Failed to find C compiler."
    elif what == "states":
        compiler.wrong = True
        reason = "in a trial, they computed other states than uncompiled, cosine -"
    elif what == "memory":
        compiler.error = torch.OutOfMemoryError("out of memory")
        reason = "out of memory"
    elif what == "kinds of layers":
        monkeypatch.setattr(compiled, "KINDS", 1)
        for number, layer in enumerate(encoder._model.encoder.layer):
            layer.attention.self.scaling = 0.25 + number / 1e6
        reason = "FailOnRecompileLimitHit"
    elif what == "no layers":
        monkeypatch.setattr(compiled, "GradientCheckpointingLayer", torch.nn.LSTM)
        reason = "transformers does not mark the layers"
    else:
        layer_type = type(encoder._model.encoder.layer[0])
        plain = layer_type.forward

        def prints(self: Any, *inputs: Any, **options: Any) -> Any:
            torch._dynamo.graph_break()
            return plain(self, *inputs, **options)

        monkeypatch.setattr(layer_type, "forward", prints)
        reason = "graph_break"
    with caplog.at_level(logging.WARNING):
        encoder.compile_layers()
    # Dynamo has a message of its own about its limit.
    [message] = [it.message for it in caplog.records if it.name == compiled.__name__]
    assert message.startswith("Layers are not compiled on cpu (")
    assert reason in message
    assert "\n" not in message
    assert encoder.attention == PACKED
    compiler.runs.clear()
    assert cosines(encoder.encode(ids), expected).min() >= 0.9999999
    assert not compiler.runs


def test_out_of_memory_halves_rows_and_goes_on_uncompiled(
    encoder: TextEncoder,
    texts: list[str],
    compiler: Compiler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = encoder.tokenize(texts)
    expected = encoder.encode(ids)
    encoder.compile_layers()
    compiler.runs.clear()
    plain = PackedModel.__call__

    def small(model: PackedModel, tokens: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if len(tokens) == ROW:
            raise torch.OutOfMemoryError("out of memory")
        return plain(model, tokens, *others)

    monkeypatch.setattr(PackedModel, "__call__", small)
    assert cosines(encoder.encode(ids), expected).min() >= 0.9999999
    assert caplog.messages[-1] == (
        f"Out of memory: continuing with {ROW // 2} tokens per batch and uncompiled layers."
    )
    assert encoder.attention == PACKED
    assert (len(compiler.graphs), len(compiler.runs)) == (1, 0)


def test_nothing_is_compiled_while_threads_compute(
    encoder: TextEncoder, texts: list[str], compiler: Compiler
) -> None:
    ids = encoder.tokenize(texts)
    expected = encoder.encode(ids)
    encoder.compile_layers()
    compiler.runs.clear()
    # What transformers does while another thread loads a model.
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = encoder.encode(ids)
    finally:
        torch.set_default_dtype(torch.float32)
    assert cosines(found, expected).min() >= 0.9999999
    assert (len(compiler.graphs), len(compiler.runs)) == (1, 0)
    encoder.encode(ids)
    assert len(compiler.runs) == layers_of(encoder) * rows_of(encoder, ids)


@pytest.mark.parametrize("memory_runs_out", [False, True])
def test_compiled_layers_compute_in_threads_and_the_manifest_names_them(
    encoder: TextEncoder,
    texts: list[str],
    tmp_path: Path,
    compiler: Compiler,
    monkeypatch: pytest.MonkeyPatch,
    memory_runs_out: bool,
) -> None:
    ids = encoder.tokenize(texts)
    expected = encoder.encode(ids)
    encoder.compile_layers()
    compiler.runs.clear()
    chunk = 5
    calls = []
    plain = PackedModel.__call__

    def small(model: PackedModel, tokens: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        # The first chunk, of one row, is saved before the third is computed.
        if memory_runs_out and len(calls) > 3 and len(tokens) == ROW:
            raise torch.OutOfMemoryError("out of memory")
        return plain(model, tokens, *others)

    monkeypatch.setattr(PackedModel, "__call__", small)
    piece = embed_shard(
        draw(tmp_path / "drawn.parquet", texts),
        np.arange(len(texts)),
        shard="ab-00000",
        papers_per_chunk=chunk,
        tokenizer=encoder.tokenizer,
        load_encoder=lambda: encoder,
        on_progress=lambda: None,
        store_folder=tmp_path / "vectors",
        made_by={"checkpoint": {"sha256": "c"}, "device": {"type": "cpu"}, "versions": {}},
    )
    told = json.loads(piece.manifest_path.read_text())["attention"]
    assert told == (f"{COMPILED}; {PACKED}" if memory_runs_out else COMPILED)
    assert cosines(np.array(piece.vectors), expected).min() >= 0.9999999
    assert len(compiler.graphs) == 1
    if not memory_runs_out:
        chunks = [ids[start : start + chunk] for start in range(0, len(ids), chunk)]
        rows = sum(rows_of(encoder, some) for some in chunks)
        assert len(compiler.runs) == layers_of(encoder) * rows


def test_padded_texts_and_rows_of_many_shapes_are_not_compiled(
    bert: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for packed in (set(), {"cpu"}):
        monkeypatch.setattr(encoder_module, "PACKED_ON", packed)
        encoder = TextEncoder(bert, SETTINGS, CPU)
        assert not encoder.has_one_shape
        with pytest.raises(ValueError, match="only be compiled for rows of one shape"):
            encoder.compile_layers()
    assert not compiler.graphs


def test_a_folder_that_cannot_be_made_does_not_end_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    (tmp_path / "file").touch()
    folder = tmp_path / "file/compiled"
    compiled.keep_in(folder)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] != str(folder)
    assert f"Not a directory: '{folder}', so compiled layers are not kept there." in caplog.text


AS_ON_A_GPU = """
from arxiv_embeddings.embedding import compiled, encoder
encoder.PACKED_ON = encoder.ONE_SHAPE_ON = {"cpu"}
"""
COUNT = """
from torch._dynamo.utils import counters
print("counted", counters["stats"]["unique_graphs"], counters["inductor"]["fxgraph_cache_hit"])
print("triton", os.environ.get("TRITON_CACHE_DIR"))
"""


@pytest.mark.parametrize(("mode", "kept"), [(0o755, True), (0o775, False), (0o757, False)])
def test_compiled_layers_are_not_kept_where_others_can_write(
    mode: int,
    kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")
    folder = tmp_path / "new/compiled"
    compiled.keep_in(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode)
    compiled.keep_in(folder)
    assert (os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(folder)) == kept
    assert (f"Other users can write to {folder}" in caplog.text) != kept


def test_a_later_job_finds_what_two_jobs_compiled_at_the_same_time(
    bert: Path, loaded: TextEncoder, texts: list[str], tmp_path: Path, script: Script
) -> None:
    cache = tmp_path / "compiled"
    options: list[object] = ["--papers", draw(tmp_path / "drawn.parquet", texts), "--model", bert]
    options += ["--start", 0, "--stop", len(texts), "--encoder", SETTINGS.to_json()]
    options += ["--tokens-per-batch", ROW, "--compiled", cache]

    def job(name: str, least: int) -> str:
        store = tmp_path / name
        done = script(
            "embed_shard.py",
            *[
                *options,
                "--shard",
                "ab-00000",
                "--store",
                store,
                "--done",
                tmp_path / f"{name}.json",
            ],
            before=f"{AS_ON_A_GPU}\ncompiled.LEAST_PAPERS = {least}",
            after=COUNT,
            OMP_NUM_THREADS="1",
            TRITON_CACHE_DIR="",
        )
        assert done.returncode == 0, done.stdout
        [piece] = pieces_in(store)
        assert (COMPILED in done.stdout) == (len(texts) >= least)
        assert (piece.manifest.attention == COMPILED) == (len(texts) >= least)
        expected = loaded.encode(loaded.tokenize(texts))
        assert cosines(np.array(piece.vectors), expected).min() >= 0.99999
        return done.stdout

    output = job("small", len(texts) + 1)
    assert "counted 0 0" in output
    assert not cache.exists()
    with ThreadPoolExecutor(2) as pool:
        output, beside = pool.map(lambda name: job(name, len(texts)), ["first", "beside"])
    # The slower one may find it.
    assert "counted 1 0" in output or "counted 1 0" in beside
    assert list((cache / "fxgraph").rglob("*"))
    # The cache of Triton is removed at the end.
    own = output.split("triton ")[-1].split()[0]
    assert own.startswith("/")
    assert not Path(own).exists()
    assert "counted 1 1" in job("later", len(texts))
