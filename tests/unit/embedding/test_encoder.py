"""The encoder returns the correct vector of every text in any batch, and reports unsupported requests."""

import copy
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding import devices
from arxiv_embeddings.embedding.batches import plan_batches
from arxiv_embeddings.embedding.devices import choose_device, choose_dtype, number_of_devices
from arxiv_embeddings.embedding.encoder import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from support.drawn import draw
from support.models import (
    TINY,
    TextEncoder,
    copy_files,
    cosines,
    edit_json,
    edit_weights,
    make_bert,
    make_qwen3,
    random_model,
    topics,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
QWEN3_END = 151643  # <|endoftext|>
CAUSAL, MASKED = "causal, unmasked", "masked where lengths differ"
Script = Callable[..., subprocess.CompletedProcess[str]]
ODD_TEXTS = {
    "empty": "",
    "one token": "a",
    "spaces": " \n\t ",
    "emoji": "👩🏽‍🔬 finds 🪐🪐",
    "latex": r"The $\mathcal{O}(n^{2/3})$ bound, \'etude of $\sum_{i<j} x_i^\dagger x_j$",
    "other scripts": "量子纠缠 и запутанность",
    "special tokens": "[CLS] [SEP] [PAD] <|endoftext|> <|im_end|> and so on",
    "long": "deep learning " * 3_572,  # 50,000 characters
}


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen3(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture(scope="module")
def bert(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(minilm, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def folders(qwen3: Path, bert: Path, minilm: Path) -> dict[str, Path]:
    return {"qwen3": qwen3, "bert": bert, "minilm": minilm}


@pytest.fixture(scope="module")
def texts(made_snapshot: Path) -> list[str]:
    return topics(made_snapshot, 24)


def load(folder: Path, tokens_per_batch: int | None = None, **settings: Any) -> TextEncoder:
    """Return an encoder on the CPU, in float32 by default."""
    return TextEncoder(
        folder, EncoderSettings(**{"dtype": "float32", **settings}), CPU, tokens_per_batch
    )


def with_budget(encoder: TextEncoder, tokens_per_batch: int) -> TextEncoder:
    """Return a copy of the encoder that shares its model but has another budget."""
    other = copy.copy(encoder)
    other._tokens_per_batch = tokens_per_batch
    return other


def encode(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    return encoder.encode(encoder.tokenize(texts))


def one_by_one(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    return np.concatenate([encode(encoder, [text]) for text in texts])


def copy_of(folder: Path, target: Path) -> Path:
    """Copy a checkpoint with its weights, so that a test can damage the copy."""
    copy_files(folder, target)
    shutil.copyfile(folder / "model.safetensors", target / "model.safetensors")
    return target


# Batches


def lengths_and_budget(test: Callable[[list[int], int], None]) -> Callable[[], None]:
    lengths, budgets = st.lists(st.integers(1, 600), max_size=200), st.integers(1, 5_000)
    return settings(deadline=None)(given(lengths=lengths, budget=budgets)(test))


@lengths_and_budget
def test_every_position_is_in_one_batch(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert all(len(batch) for batch in batches)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))


@lengths_and_budget
def test_batches_stay_within_the_budget_except_for_one_long_text(
    lengths: list[int], budget: int
) -> None:
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@lengths_and_budget
def test_batches_are_full_and_go_from_long_to_short(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    in_order = [lengths[i] for batch in batches for i in batch]
    assert in_order == sorted(lengths, reverse=True)
    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


# Devices


def test_a_job_for_the_cpu_runs_on_the_cpu() -> None:
    assert choose_device("cpu") == CPU


def test_a_job_that_does_not_see_its_gpu_fails_and_names_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=rf"given a GPU.*sees none on {socket.gethostname()}"):
        choose_device("cuda")


def test_the_command_never_falls_back_to_the_cpu(
    bert: Path, tmp_path: Path, script: Script
) -> None:
    drawn = draw(tmp_path / "drawn.parquet", ["one text", "another"])
    settings = EncoderSettings(dtype="float32")
    fetch_model(str(bert), None, tmp_path / "model", settings)
    options: list[object] = ["--papers", drawn, "--start", 0, "--stop", 2, "--shard", "ab-00000"]
    options += ["--model", tmp_path / "model", "--encoder", settings.to_json()]
    options += ["--store", tmp_path / "vectors", "--done", tmp_path / "done.json"]
    done = script(
        "embed_shard.py",
        *options,
        "--device",
        "cuda",
        CUDA_VISIBLE_DEVICES="",
        HIP_VISIBLE_DEVICES="",
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "ERROR" in line]
    assert "Traceback" not in done.stdout
    assert socket.gethostname() in line
    assert sorted(tmp_path.iterdir()) == [drawn, tmp_path / "model"]


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        ({"avx512f", "avx512_bf16"}, torch.bfloat16),
        ({"avx2", "amx_bf16"}, torch.bfloat16),
        ({"avx2", "avx512f", "avx512_fp16"}, torch.float32),
        (set(), torch.float32),
    ],
)
def test_dtype_auto_depends_on_the_flags_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], best: torch.dtype
) -> None:
    monkeypatch.setattr(devices, "cpu_flags", lambda: flags)
    assert choose_dtype("auto", CPU) == best
    assert choose_dtype("float32", CPU) == torch.float32
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize(
    ("capability", "declared", "best"),
    [
        ((9, 0), "float32", torch.bfloat16),  # H100
        ((8, 0), "float16", torch.bfloat16),  # A100
        ((7, 5), "float16", torch.float16),  # T4
        ((7, 5), "bfloat16", torch.float32),
        ((7, 0), "float32", torch.float32),  # V100
        ((7, 0), None, torch.float32),
    ],
)
def test_dtype_auto_depends_on_the_gpu_and_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    declared: str | None,
    best: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    gpu = torch.device("cuda")
    assert choose_dtype("auto", gpu, declared) == best
    assert choose_dtype("float16", gpu, declared) == torch.float16


@pytest.mark.parametrize(("asked", "used"), [(0, 3), (1, 1), (3, 3)])
def test_a_job_uses_as_many_gpus_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, asked: int, used: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert number_of_devices("cuda", asked) == used
    assert number_of_devices("cpu", asked) == 1
    assert choose_device("cuda", 2) == torch.device("cuda", 2)
    assert choose_device("cpu", 2) == CPU
    with pytest.raises(InputError, match=rf"given 4 GPUs but sees 3 on {socket.gethostname()}"):
        number_of_devices("cuda", 4)


def test_float16_is_refused_on_the_cpu() -> None:
    with pytest.raises(InputError, match="float16 needs a GPU"):
        choose_dtype("float16", CPU)


# Correct vectors


KINDS = [
    ("bert", "mean"),
    ("bert", "last"),
    ("bert", "cls"),
    ("qwen3", "mean"),
    ("qwen3", "last"),
    ("minilm", "mean"),
]


@pytest.mark.parametrize(("kind", "pooling"), KINDS)
def test_small_checkpoints_give_different_texts_different_vectors(
    folders: dict[str, Path], texts: list[str], kind: str, pooling: str
) -> None:
    """Otherwise the comparisons below could not fail."""
    vectors = encode(load(folders[kind], pooling=pooling, max_length=128), texts)
    for shift in range(1, len(texts)):
        assert cosines(vectors, np.roll(vectors, shift, axis=0)).max() < 0.99


def test_minilm_gives_the_vectors_of_sentence_transformers_on_real_papers(
    minilm: Path, real_snapshot: Path
) -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    papers = topics(real_snapshot, 64)
    reference = SentenceTransformer(str(minilm), device="cpu")
    reference.max_seq_length = 256
    vectors = encode(load(minilm, max_length=256), papers)
    assert vectors.shape == (64, 384)
    assert vectors.dtype == np.float32
    assert cosines(vectors, reference.encode(papers)).min() >= 0.999999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_qwen3_gives_the_vectors_of_sentence_transformers(qwen3: Path, texts: list[str]) -> None:
    reference = SentenceTransformer(str(qwen3), device="cpu")
    reference.max_seq_length = 128
    papers = [*texts, *ODD_TEXTS.values()]
    vectors = encode(load(qwen3, max_length=128), papers)
    assert cosines(vectors, reference.encode(papers)).min() >= 0.999999


def test_a_checkpoint_saved_by_sentence_transformers_can_be_read(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    reference = SentenceTransformer(str(bert), device="cpu")
    reference[1] = Pooling(64, "cls")
    reference.save(str(tmp_path))
    vectors = encode(load(tmp_path, max_length=256), texts)
    assert cosines(vectors, reference.encode(texts)).min() >= 0.999999


def test_qwen3_gives_the_last_token_of_the_plain_model(qwen3: Path, texts: list[str]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(qwen3)
    model = transformers.AutoModel.from_pretrained(qwen3, dtype=torch.float32)
    encoder = load(qwen3, pooling="last", normalize=False, max_length=512)
    vectors = encode(encoder, texts)
    for text, vector in zip(texts, vectors, strict=True):
        tokens = tokenizer(text, truncation=True, max_length=512, return_tensors="pt")
        with torch.inference_mode():
            expected = model(**tokens).last_hidden_state[0, -1]
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-4)


def notebook_vectors(folder: Path, texts: Sequence[str], batch_size: int) -> np.ndarray:
    """Embed as in the notebook: the mean over all columns of the batch, including padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    options = {"padding": True, "truncation": True, "max_length": 512, "return_tensors": "pt"}
    vectors = []
    for start in range(0, len(texts), batch_size):
        tokens = tokenizer(list(texts[start : start + batch_size]), **options)
        with torch.no_grad():
            vectors.append(model(**tokens).last_hidden_state.mean(dim=1).numpy())
    return np.concatenate(vectors)


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_mean_equals_the_notebooks_with_batches_of_one_but_not_of_32(
    folders: dict[str, Path], made_snapshot: Path, kind: str
) -> None:
    papers = topics(made_snapshot, 32)
    encoder = load(folders[kind], pooling="mean", normalize=False, max_length=512)
    vectors = encode(encoder, papers)
    np.testing.assert_allclose(vectors, notebook_vectors(folders[kind], papers, 1), atol=1e-4)
    assert cosines(vectors, notebook_vectors(folders[kind], papers, 32)).min() < 0.99


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("max_length", [8, 512])
@pytest.mark.parametrize(("kind", "pooling"), KINDS)
def test_vectors_depend_only_on_the_text(
    folders: dict[str, Path],
    texts: list[str],
    kind: str,
    pooling: str,
    max_length: int,
    dtype: str,
) -> None:
    encoder = load(folders[kind], 700, pooling=pooling, max_length=max_length, dtype=dtype)
    papers = [*texts[:4], "", "a", texts[0] * 8]
    alone = one_by_one(encoder, papers)
    backwards = encode(encoder, papers[::-1])[::-1]
    with_others = encode(encoder, [*texts[4:12], *papers])[-len(papers) :]
    all_at_once = encode(with_budget(encoder, 10**6), papers)
    for vectors in (backwards, with_others, all_at_once):
        assert cosines(vectors, alone).min() >= (0.99999 if dtype == "float32" else 0.9999)


@pytest.mark.parametrize("kind", ["minilm", "qwen3"])
def test_bfloat16_is_close_to_float32(
    folders: dict[str, Path], texts: list[str], kind: str
) -> None:
    lower, full = (
        load(folders[kind], dtype=dtype, pooling="mean") for dtype in ("bfloat16", "float32")
    )
    assert (lower.settings.dtype, full.settings.dtype) == ("bfloat16", "float32")
    vectors, expected = encode(lower, texts), encode(full, texts)
    assert vectors.dtype == np.float32
    assert cosines(vectors, expected).min() >= 0.999
    # Equal vectors would mean that nothing was computed in bfloat16.
    assert not np.allclose(vectors, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_unusual_texts_get_the_vectors_of_the_plain_model(
    folders: dict[str, Path], texts: list[str], kind: str, pooling: str
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind])
    model = transformers.AutoModel.from_pretrained(folders[kind], dtype=torch.float32)
    encoder = load(folders[kind], pooling=pooling, normalize=False, max_length=256)
    vectors = encode(encoder, [*ODD_TEXTS.values(), *texts[:4]])
    pooled: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "mean": lambda hidden: hidden.mean(dim=0),
        "last": lambda hidden: hidden[-1],
        "cls": lambda hidden: hidden[0],
    }
    for text, vector in zip(ODD_TEXTS.values(), vectors, strict=False):
        tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            expected = pooled[pooling](model(**tokens).last_hidden_state[0])
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_the_padding_side_and_token_of_the_tokenizer_have_no_effect(
    folders: dict[str, Path], texts: list[str], tmp_path: Path, kind: str
) -> None:
    """The encoder itself pads on the right and masks the padding, so a tokenizer needs no padding token."""
    expected = encode(load(folders[kind], 10**6), texts)
    for side, token in (("left", True), ("right", False)):
        folder = copy_of(folders[kind], tmp_path / side)

        def change(declared: dict[str, Any], side: str = side, keep_token: bool = token) -> None:
            declared["padding_side"] = side
            if not keep_token:
                declared["pad_token"] = None

        edit_json(folder / "tokenizer_config.json", change)
        (folder / "special_tokens_map.json").unlink(missing_ok=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        assert (tokenizer.padding_side, tokenizer.pad_token is not None) == (side, token)
        np.testing.assert_array_equal(encode(load(folder, 10**6), texts), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_a_causal_model_needs_no_mask(
    qwen3: Path, texts: list[str], pooling: str, dtype: str
) -> None:
    """Attention with and without a mask gives the same vectors."""
    unmasked = load(qwen3, 10**6, pooling=pooling, dtype=dtype, max_length=128)
    masked = copy.copy(unmasked)
    masked._causal = False
    vectors, expected = encode(unmasked, texts), encode(masked, texts)
    assert cosines(vectors, expected).min() >= (0.99999 if dtype == "float32" else 0.9999)


def test_cpu_threads_compute_separate_batches_with_the_same_bytes(
    bert: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()

    def forward(encoder: Encoder, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        seen.add((threading.current_thread(), torch.get_num_threads()))
        time.sleep(0.01)  # otherwise one thread could compute all batches
        return plain(encoder, ids)

    plain = Encoder._forward
    monkeypatch.setattr(Encoder, "_forward", forward)
    expected = encode(load(bert, 500), texts)
    assert len(seen) == 1
    seen.clear()
    torch.set_num_threads(3)
    np.testing.assert_array_equal(encode(load(bert, 500), texts), expected)
    assert len(seen) == 3
    assert {threads for _, threads in seen} == {1}
    assert torch.get_num_threads() == 3  # the caller's setting is unchanged


def test_the_default_prompt_of_a_checkpoint_is_used_as_in_sentence_transformers(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    prompts = {"passage": "passage: ", "query": "query: "}
    reference = SentenceTransformer(
        str(bert), device="cpu", prompts=prompts, default_prompt_name="passage"
    )
    reference.save(str(tmp_path))
    encoder = load(tmp_path, max_length=256)
    assert encoder.settings.prompt == "passage: "
    vectors = encode(encoder, texts)
    assert cosines(vectors, reference.encode(texts)).min() >= 0.999999
    assert cosines(vectors, encode(load(tmp_path, prompt="", max_length=256), texts)).max() < 0.999


def test_an_empty_list_of_texts_gives_no_vectors(bert: Path) -> None:
    encoder = load(bert)
    assert encoder.encode([]).shape == (0, 64)


def test_weights_with_nan_give_vectors_with_nan(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    copy_of(bert, tmp_path)
    edit_weights(
        tmp_path, lambda weights: weights["encoder.layer.0.output.dense.bias"].fill_(torch.nan)
    )
    assert np.isnan(encode(load(tmp_path), texts[:3])).all()


def test_a_causal_model_keeps_no_cache(
    qwen3: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(qwen3)
    caches: list[object] = []

    def forward(*args: Any, **kwargs: Any) -> Any:
        output = plain(*args, **kwargs)
        caches.append(output.past_key_values)
        return output

    plain = encoder._model.forward
    monkeypatch.setattr(encoder._model, "forward", forward)
    encode(encoder, texts[:2])
    assert caches == [None]


# Which tokens


@pytest.mark.parametrize("max_length", [8, 64, 512])
def test_truncated_rows_keep_the_head_of_the_text_and_the_end_token(
    qwen3: Path, bert: Path, texts: list[str], max_length: int
) -> None:
    papers = [*texts, *ODD_TEXTS.values()]
    for folder, end in ((qwen3, QWEN3_END), (bert, 102)):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        rows = load(folder, pooling="last", max_length=max_length).tokenize(papers)
        assert max(map(len, rows)) == max_length
        for text, row in zip(papers, rows, strict=True):
            whole = tokenizer(text)["input_ids"]
            assert len(row) == min(len(whole), max_length)
            assert row == [*whole[: len(row) - 1], end]


def test_truncation_keeps_the_head_for_any_truncation_side_of_the_tokenizer(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    copy_of(bert, tmp_path)
    edit_json(tmp_path / "tokenizer_config.json", lambda it: it.update(truncation_side="left"))
    assert load(tmp_path, max_length=8).tokenize(texts) == load(bert, max_length=8).tokenize(texts)


START = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
TEXT = {"Sequence": {"id": "A", "type_id": 0}}


def edit_template(folder: Path, template: list[dict[str, Any]]) -> None:
    """Change the special tokens that a Qwen3 tokenizer adds to a text."""

    def change(content: dict[str, Any]) -> None:
        content["post_processor"]["processors"][1]["single"] = template

    edit_json(folder / "tokenizer.json", change)


def test_a_text_without_tokens_is_refused(qwen3: Path, tmp_path: Path) -> None:
    copy_of(qwen3, tmp_path)
    edit_template(tmp_path, [TEXT])
    encoder = load(tmp_path, pooling="mean")
    assert encoder.tokenize(["a"]) == [[64]]
    with pytest.raises(InputError, match="'' has no tokens"):
        encoder.tokenize(["a", ""])


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: edit_template(folder, [TEXT]),
        lambda folder: edit_template(folder, [START, TEXT]),
        lambda folder: (folder / "tokenizer.json").unlink(),  # built from vocab.json then
    ],
    ids=["no special token", "a start token only", "no tokenizer.json"],
)
def test_last_token_pooling_without_an_end_token_is_refused_or_reported(
    qwen3: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    change(copy_of(qwen3, tmp_path))
    refused = ""
    try:
        load(tmp_path, pooling="last")
    except InputError as error:
        refused = str(error)
    assert "end token" in refused + caplog.text


def test_a_row_without_the_end_token_is_refused(
    qwen3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer(qwen3, EncoderSettings(pooling="last", prompt=""))
    cut = {"input_ids": [[64, QWEN3_END], [64]]}
    monkeypatch.setattr(tokenizer, "_tokenizer", lambda *_, **__: cut)
    with pytest.raises(InputError, match=f"'lost' end with 64, not with the end token {QWEN3_END}"):
        tokenizer.tokenize(["kept", "lost"])


def test_the_prompt_comes_first_and_counts_towards_the_length(
    qwen3: Path, texts: list[str]
) -> None:
    prompt = "Instruct: Identify the category of papers\nQuery:"
    encoder = load(qwen3, prompt=prompt, max_length=64)
    plain = load(qwen3, max_length=64)
    in_front = [prompt + text for text in texts]
    assert encoder.tokenize(texts) == plain.tokenize(in_front)
    assert max(map(len, encoder.tokenize(texts))) == 64
    vectors = encode(encoder, texts)
    assert cosines(vectors, encode(plain, in_front)).min() >= 0.99999
    assert cosines(vectors, encode(plain, texts)).max() < 0.999


def test_a_prompt_that_leaves_no_room_for_the_text_is_refused(qwen3: Path) -> None:
    with pytest.raises(InputError, match="prompt"):
        encode(load(qwen3, prompt="word " * 20, max_length=16), ["one text", "another"])


# Settings


@pytest.mark.parametrize("normalize", [True, False])
def test_dimensions_are_cut_and_then_normalised(
    qwen3: Path, texts: list[str], normalize: bool
) -> None:
    whole = encode(load(qwen3, normalize=False), texts)
    encoder = load(qwen3, normalize=normalize, dimensions=16)
    vectors = encode(encoder, texts)
    assert encoder.dimensions == 16
    expected = whole[:, :16]
    if normalize:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_resolved_settings_contain_no_auto(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cpu_flags", lambda: {"avx512_bf16"})
    encoder = TextEncoder(bert, EncoderSettings(), CPU)
    expected = EncoderSettings(pooling="mean", normalize=True, dtype="bfloat16", prompt="")
    assert encoder.settings == expected
    assert encoder.dimensions == 64


@pytest.mark.parametrize(
    ("kind", "setting", "value", "message"),
    [
        ("bert", "max_length", 513, "max_length is 513, but the checkpoint takes at most 512"),
        ("qwen3", "max_length", 32_769, "max_length is 32769, but the checkpoint takes 32768"),
        ("bert", "dimensions", 65, "dimensions is 65, but the checkpoint's vectors have 64"),
        ("qwen3", "dimensions", 65, "dimensions is 65, but the checkpoint's vectors have 64"),
    ],
)
def test_settings_that_exceed_the_checkpoint_are_refused(
    folders: dict[str, Path], kind: str, setting: str, value: int, message: str
) -> None:
    load(folders[kind], **{setting: value - 1})
    with pytest.raises(InputError, match=message):
        load(folders[kind], **{setting: value})


# Checkpoints


def test_a_qwen3_is_causal_and_a_bert_is_not(folders: dict[str, Path]) -> None:
    found = {kind: load(folder, pooling="mean").attention for kind, folder in folders.items()}
    assert found == {"qwen3": CAUSAL, "bert": MASKED, "minilm": MASKED}


def test_a_bert_with_equal_unused_tokens_is_not_causal(
    bert: Path, texts: list[str], tmp_path: Path
) -> None:
    def make_alike(weights: dict[str, torch.Tensor]) -> None:
        weights["embeddings.word_embeddings.weight"][1:100] = 0.01  # [unused0] to [unused98]

    copy_of(bert, tmp_path)
    edit_weights(tmp_path, make_alike)
    encoder = load(tmp_path, 10**6)
    assert encoder.attention == MASKED
    assert cosines(encode(encoder, texts), one_by_one(encoder, texts)).min() >= 0.99999


@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        ("encoder.layer.1.attention.self.key.weight", "lack 1 tensors"),
        ("embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
        ("embeddings.LayerNorm.bias", "embeddings.LayerNorm.bias"),
    ],
)
def test_missing_tensors_are_refused(bert: Path, tmp_path: Path, tensor: str, named: str) -> None:
    copy_of(bert, tmp_path)
    edit_weights(tmp_path, lambda weights: weights.pop(tensor))
    with pytest.raises(InputError, match=named):
        load(tmp_path)


def test_a_bert_needs_no_pooler(bert: Path, texts: list[str], tmp_path: Path) -> None:
    def drop_pooler(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if name.startswith("pooler.")]:
            del weights[name]

    copy_of(bert, tmp_path)
    edit_weights(tmp_path, drop_pooler)
    np.testing.assert_array_equal(encode(load(tmp_path), texts), encode(load(bert), texts))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["bert", "qwen3"])
def test_truncated_files_are_refused(
    folders: dict[str, Path], tmp_path: Path, kind: str, name: str
) -> None:
    file = copy_of(folders[kind], tmp_path) / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{tmp_path}.* (cannot be loaded|is damaged)"):
        load(tmp_path)


def test_pickled_weights_are_never_read(bert: Path, tmp_path: Path) -> None:
    copy_files(bert, tmp_path)
    weights = safetensors.torch.load_file(bert / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"cannot be loaded .*safetensors"):
        load(tmp_path)


def test_weights_of_another_size_are_refused(bert: Path, tmp_path: Path) -> None:
    copy_of(bert, tmp_path)
    edit_json(tmp_path / "config.json", lambda config: config.update(intermediate_size=256))
    with pytest.raises(InputError, match="cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize("model_type", ["made_up", "bert"])
def test_code_in_a_checkpoint_is_never_run(bert: Path, tmp_path: Path, model_type: str) -> None:
    folder, ran = copy_of(bert, tmp_path / "checkpoint"), tmp_path / "ran"
    code = f"open({str(ran)!r}, 'w')\nfrom transformers import BertConfig as C, BertModel as M\n"
    (folder / "code.py").write_text(code + "from transformers import BertTokenizer as T\n")
    classes = {"AutoConfig": "code.C", "AutoModel": "code.M"}
    edit_json(folder / "config.json", lambda it: it.update(model_type=model_type, auto_map=classes))
    tokenizers = {"AutoTokenizer": ["code.T", None]}
    edit_json(folder / "tokenizer_config.json", lambda it: it.update(auto_map=tokenizers))
    with pytest.raises(InputError, match="names code of the checkpoint's own"):
        load(folder)
    if model_type == "bert":  # known to transformers
        load(folder, architecture="stock")
    else:
        with pytest.raises(InputError, match="needs code of its own"):
            load(folder, architecture="stock")
    assert not ran.exists()


@pytest.mark.parametrize(
    "config",
    [
        transformers.BartConfig(
            vocab_size=64,
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
        ),
    ],
    ids=["bart"],
)
def test_an_encoder_with_a_decoder_is_refused(bert: Path, tmp_path: Path, config: Any) -> None:
    copy_files(bert, tmp_path)
    random_model(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has an encoder and a decoder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "attention"),
    [
        ("xlm-roberta", MASKED),
        ("distilbert", MASKED),
        ("mpnet", MASKED),
        ("mistral", CAUSAL),
        ("gemma3_text", CAUSAL),
    ],
)
def test_other_families_of_models(
    bert: Path, texts: list[str], tmp_path: Path, kind: str, attention: str
) -> None:
    sizes = {**TINY, "num_attention_heads": 4, "vocab_size": 30_522, "pad_token_id": 0}
    if kind in ("mistral", "gemma3_text"):
        sizes |= {"num_key_value_heads": 2, "head_dim": 16}
    copy_files(bert, tmp_path)
    random_model(transformers.AutoConfig.for_model(kind, **sizes)).save_pretrained(tmp_path)
    encoder = load(tmp_path, 10**6, max_length=128)
    assert encoder.attention == attention
    assert cosines(encode(encoder, texts), one_by_one(encoder, texts)).min() >= 0.99999


def test_loading_does_not_use_the_network(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host))
    load(bert)
    assert not asked


# Memory


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> int:
    """Simulate a lack of memory for every batch with more than this number of tokens, including padding."""
    limit = 300

    def forward(encoder: Encoder, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        if len(ids) * max(map(len, ids)) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return plain(encoder, ids)

    plain = Encoder._forward
    monkeypatch.setattr(Encoder, "_forward", forward)
    return limit


def test_out_of_memory_halves_the_budget_and_loses_no_vector(
    bert: Path,
    texts: list[str],
    small_memory: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = load(bert, tokens_per_batch=10**6, max_length=64)
    expected = one_by_one(encoder, texts)
    papers = tokens = 0

    def report(more_papers: int, more_tokens: int) -> None:
        nonlocal papers, tokens
        papers, tokens = papers + more_papers, tokens + more_tokens

    ids = encoder.tokenize(texts)
    with caplog.at_level(logging.WARNING):
        vectors = encoder.encode(ids, report)
    assert cosines(vectors, expected).min() >= 0.99999
    assert (papers, tokens) == (len(texts), sum(map(len, ids)))
    said = [line for line in caplog.messages if "Out of memory" in line]
    assert [int(line.split()[5]) for line in said] == [768, 384, 192]
    assert said[-1] == "Out of memory: continuing with 192 tokens per batch."
    caplog.clear()
    encoder.encode(ids)  # the smaller budget is kept
    assert not caplog.messages


def test_a_text_that_does_not_fit_in_memory_is_refused(
    bert: Path, texts: list[str], small_memory: int
) -> None:
    encoder = load(bert, max_length=512)
    with pytest.raises(InputError, match=r"too small for one text of 512 tokens.*Lower max_length"):
        encode(encoder, ["short", texts[0] * 8])


def test_other_errors_are_not_handled_as_a_lack_of_memory(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: object) -> torch.Tensor:
        raise RuntimeError("device-side assert")

    encoder = load(bert)
    monkeypatch.setattr(encoder, "_forward", forward)
    with pytest.raises(RuntimeError, match="device-side assert"):
        encode(encoder, ["a", "b"])
