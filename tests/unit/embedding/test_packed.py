"""Texts in one row without padding get the vectors that they get alone; models that cannot do it are found."""

import copy
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from arxiv_embeddings.checkpoint.weights import in_float32
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.config.encoder_settings import POOLINGS, EncoderSettings
from arxiv_embeddings.embedding import encoder as encoder_module
from arxiv_embeddings.embedding import packed
from arxiv_embeddings.embedding.batches import plan_rows
from arxiv_embeddings.embedding.packed import NotPackableError, PackedModel, Row
from arxiv_embeddings.embedding.pooling import pool, pool_row
from hypothesis import given, settings
from hypothesis import strategies as st
from support.models import (
    BERT,
    GROUPED,
    VOCABULARY,
    TextEncoder,
    copy_files,
    cosines,
    make_qwen3,
    random_model,
    topics,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PACKED = "each text alone, without padding"
ROBERTA = {**BERT, "pad_token_id": 1, "max_position_embeddings": 514}
DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": VOCABULARY}
KINDS: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "distilbert": DISTILBERT,
    "llama": GROUPED,
    "gemma": GROUPED,
    "gemma3_text": GROUPED,
    "mistral": GROUPED,
}


@pytest.fixture(scope="module")
def texts(made_snapshot: Path) -> list[str]:
    papers = topics(made_snapshot, 4)
    return [*papers, "", "a", papers[0] * 8, "Quantum ENTANGLEMENT, à la carte"]


@pytest.fixture(params=["qwen3", "minilm", *KINDS])
def checkpoint(request: pytest.FixtureRequest, minilm: Path, tmp_path: Path) -> Path:
    """A checkpoint of each kind; MiniLM has its real weights."""
    kind: str = request.param
    if kind == "minilm":
        return minilm
    if kind == "qwen3":
        return make_qwen3(tmp_path)
    copy_files(minilm, tmp_path)
    config = transformers.AutoConfig.for_model(kind, **KINDS[kind])
    random_model(config).save_pretrained(tmp_path)
    return tmp_path


def load(folder: Path, tokens_per_batch: int | None = None, **settings: Any) -> TextEncoder:
    return TextEncoder(
        folder,
        EncoderSettings(**{"dtype": "float32", "pooling": "mean", **settings}),
        CPU,
        tokens_per_batch,
    )


def use_rows(monkeypatch: pytest.MonkeyPatch, one_shape: bool = True) -> None:
    """Compute rows of texts on the CPU, in one shape as on a GPU."""
    monkeypatch.setattr(encoder_module, "PACKED_ON", {"cpu"})
    monkeypatch.setattr(encoder_module, "ONE_SHAPE_ON", {"cpu"} if one_shape else set())


def use_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "PACKED_ON", set())


def one_by_one(encoder: TextEncoder, texts: Sequence[str]) -> np.ndarray:
    return np.concatenate([encoder.encode(encoder.tokenize([text])) for text in texts])


@pytest.mark.parametrize("one_shape", [True, False])
def test_rows_give_the_vectors_of_each_text_alone(
    checkpoint: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, one_shape: bool
) -> None:
    use_padding(monkeypatch)
    padded = load(checkpoint)
    expected = one_by_one(padded, texts)
    assert cosines(expected, np.roll(expected, 1, axis=0)).max() < 0.99  # else this could not fail
    use_rows(monkeypatch, one_shape)
    encoder = load(checkpoint, 1_200)
    assert encoder.attention == PACKED != padded.attention
    ids = encoder.tokenize(texts)
    assert max(map(len, ids)) == 512
    for budget in (1_200, 2_500):  # several rows, more than there are slots; and one row
        encoder._tokens_per_batch, encoder._slots = budget, None
        assert cosines(encoder.encode(ids), expected).min() >= 0.9999999
    backwards = encoder.encode(ids[::-1])[::-1]
    assert cosines(backwards, expected).min() >= 0.9999999
    assert cosines(one_by_one(encoder, texts), expected).min() >= 0.9999999


def test_rows_in_bfloat16_are_close_to_float32(
    minilm: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_padding(monkeypatch)
    expected = one_by_one(load(minilm), texts)
    use_rows(monkeypatch)
    encoder = load(minilm, 1_200, dtype="bfloat16")
    assert encoder.attention == PACKED
    assert cosines(encoder.encode(encoder.tokenize(texts)), expected).min() >= 0.999


@pytest.mark.parametrize("kind", ["mpnet", "gemma2", "modernbert"])
def test_models_that_cannot_are_padded_and_the_log_says_why(
    minilm: Path,
    tmp_path: Path,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    copy_files(minilm, tmp_path)
    sizes = {"mpnet": ROBERTA, "gemma2": GROUPED, "modernbert": {**BERT, "num_hidden_layers": 3}}
    random_model(transformers.AutoConfig.for_model(kind, **sizes[kind])).save_pretrained(tmp_path)
    use_rows(monkeypatch)
    with caplog.at_level(logging.INFO):
        encoder = load(tmp_path, 10**6)
    assert encoder.attention != PACKED
    reasons = {"mpnet": "another attention function", "gemma2": "softcap", "modernbert": "window"}
    assert "Texts are padded, because" in caplog.text
    assert reasons[kind] in caplog.text
    vectors = encoder.encode(encoder.tokenize(texts))
    assert cosines(vectors, one_by_one(encoder, texts)).min() >= 0.99999


def test_the_trial_finds_a_model_that_ignores_the_bounds_of_texts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = random_model(transformers.AutoConfig.for_model("mpnet", **BERT))
    own = model.config._attn_implementation
    # As if MPNet claimed what it cannot do.
    model._supports_attention_backend = True
    with pytest.raises(
        NotPackableError, match=r"other states than alone \(cosine 0\.|the trial failed"
    ):
        PackedModel(model, 512)
    assert model.config._attn_implementation == own


def test_the_trial_finds_attention_across_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    def across(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bounds: torch.Tensor,
        *others: Any,
    ) -> torch.Tensor:
        whole = torch.tensor([0, len(query)], dtype=torch.int32)
        return plain(query, key, value, whole, *others)

    plain = packed._attend
    monkeypatch.setattr(packed, "_attend", across)
    model = random_model(transformers.AutoConfig.for_model("bert", **BERT))
    with pytest.raises(NotPackableError, match="other states than alone"):
        PackedModel(model, 512)


def test_the_trial_finds_wrong_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_first_position", lambda _: 0)
    model = random_model(transformers.AutoConfig.for_model("xlm-roberta", **ROBERTA))
    with pytest.raises(NotPackableError, match="other states than alone"):
        PackedModel(model, 512)


def test_a_window_shorter_than_the_texts_is_refused() -> None:
    config = transformers.AutoConfig.for_model("mistral", **GROUPED, sliding_window=256)
    PackedModel(random_model(config), 256)
    with pytest.raises(NotPackableError, match="sliding_window is 256, shorter than max_length"):
        PackedModel(random_model(config), 257)


def test_out_of_memory_halves_rows_and_loses_no_vector(
    minilm: Path,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use_rows(monkeypatch)
    encoder = load(minilm, 2_000, max_length=64)
    ids = encoder.tokenize(texts)
    expected = encoder.encode(ids)
    plain = PackedModel.__call__

    def small(model: PackedModel, tokens: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if len(tokens) > 300:
            raise torch.OutOfMemoryError("out of memory")
        return plain(model, tokens, *others)

    monkeypatch.setattr(PackedModel, "__call__", small)
    assert cosines(encoder.encode(ids), expected).min() >= 0.99999
    assert caplog.messages[-1] == "Out of memory: continuing with 250 tokens per batch."
    encoder = load(minilm, 2_000, max_length=512)
    with pytest.raises(InputError, match=r"too small for one text of 512 tokens.*Lower max_length"):
        encoder.encode(ids)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 600), max_size=200),
    budget=st.integers(1, 5_000),
    most=st.integers(1, 50),
)
def test_rows_are_filled_in_order(lengths: list[int], budget: int, most: int) -> None:
    rows = plan_rows(lengths, budget, most)
    assert [int(i) for row in rows for i in row] == list(range(len(lengths)))
    for row in rows:
        assert 1 <= len(row) <= most
        assert len(row) == 1 or sum(lengths[i] for i in row) <= budget
    for row, following in itertools.pairwise(rows):
        used = sum(lengths[i] for i in row)
        assert len(row) == most or used + lengths[following[0]] > budget


def test_a_row_describes_its_texts() -> None:
    row = Row(8, 3, 2)
    row.numbers[:] = 77  # what an earlier batch left
    row.fill([[5, 6, 7], [8, 9]])
    tokens, positions, bounds = row.parts(torch.from_numpy(row.numbers))
    assert tokens.tolist() == [5, 6, 7, 8, 9, 0, 0, 0]
    assert positions.tolist() == [0, 1, 2, 0, 1, 0, 0, 0]
    assert bounds.tolist() == [0, 3, 5, 7, 8, 8, 8, 8]
    assert (tokens.dtype, bounds.dtype) == (torch.int64, torch.int32)


@pytest.mark.parametrize("skipped", [0, 2])
@pytest.mark.parametrize("pooling", [*(it for it in POOLINGS if it != "auto"), "cls+mean"])
def test_a_row_is_pooled_as_padded_texts(pooling: str, skipped: int) -> None:
    lengths = [5, 3, 9]
    row = Row(24, 6, 5)
    row.fill([[1] * length for length in lengths])
    _, positions, bounds = row.parts(torch.from_numpy(row.numbers))
    hidden = torch.randn(24, 8)
    hidden[17:] = torch.nan  # what stands behind the texts
    padded = torch.nn.utils.rnn.pad_sequence(
        list(torch.split(hidden[:17], lengths)), batch_first=True
    )
    expected = pool(padded, torch.tensor(lengths), pooling, skipped)
    pooled = pool_row(hidden, positions, bounds, pooling, skipped)
    torch.testing.assert_close(pooled[:3], expected)


@pytest.mark.parametrize("kind", ["bert", "mistral", "t5"])
def test_weights_of_a_lower_dtype_compute_in_float32_inside_the_block(kind: str) -> None:
    if kind == "t5":
        narrow = {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4, "num_layers": 2}
        model: Any = transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=99, **narrow)
        ).eval()
    else:
        model = random_model(transformers.AutoConfig.for_model(kind, **GROUPED))
    lower = copy.deepcopy(model).to(torch.bfloat16)
    if kind == "mistral":
        lower.rotary_emb = copy.deepcopy(model.rotary_emb)  # stays float32, as when it is loaded
    model.load_state_dict(lower.state_dict())
    before = {name: weight.clone() for name, weight in lower.named_parameters()}
    tokens = torch.arange(20)[None]
    with torch.inference_mode():
        expected = model(input_ids=tokens).last_hidden_state
        with in_float32(lower):
            found = lower(input_ids=tokens).last_hidden_state
        rounded = lower(input_ids=tokens).last_hidden_state
    assert found.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16
    # T5 rounds some states before it widens them.
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=3e-2 if kind == "t5" else 1e-4)
    for name, weight in lower.named_parameters():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, before[name])
