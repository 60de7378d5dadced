"""Small checkpoints for the tests, with real tokenizers and random weights, and texts for them."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder, resolve_for

TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
VOCABULARY = 30_522  # of MiniLM's tokenizer
BERT = {**TINY, "num_attention_heads": 4, "vocab_size": VOCABULARY, "pad_token_id": 0}
GROUPED = {**BERT, "num_key_value_heads": 2, "head_dim": 16}


class TextEncoder(Encoder):
    """An encoder that accepts unresolved settings and includes the tokenizer."""

    def __init__(
        self,
        folder: Path,
        settings: EncoderSettings,
        device: torch.device,
        tokens_per_batch: int | None = None,
    ) -> None:
        resolved = resolve_for(settings, folder, device)
        self.tokenizer = Tokenizer(folder, resolved)
        super().__init__(folder, resolved, device, tokens_per_batch)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        return self.tokenizer.tokenize(texts)


def qwen3_files() -> Path:
    """Return the folder with the tokenizer and pooling files of Qwen3-Embedding-0.6B, or skip the test."""
    beside = Path(__file__).parents[3] / "shared/models"
    folder = Path(os.environ.get("ARXIV_TEST_MODELS", beside)) / "Qwen3-Embedding-0.6B-noweights"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}; set ARXIV_TEST_MODELS to the folder that contains it")
    return folder


def make_qwen3(folder: Path) -> Path:
    """Make a checkpoint with causal attention: a random Qwen3 with last-token pooling and normalization."""
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    layers = {"layer_types": ["full_attention"] * 2, "max_window_layers": 2}
    return make_like(qwen3_files(), folder, **TINY, **heads, **layers)


def make_bert(minilm: Path, folder: Path) -> Path:
    """Make a checkpoint with bidirectional attention: a random BERT with mean pooling and normalization."""
    return make_like(minilm, folder, **TINY, num_attention_heads=4)


def make_like(source: Path, folder: Path, **config: Any) -> Path:
    """Make a checkpoint with the files of ``source``, its config updated by ``config``, and random weights."""
    copy_files(source, folder)
    random_model(transformers.AutoConfig.from_pretrained(source, **config)).save_pretrained(folder)
    return folder


def random_model(config: Any, seed: int = 0) -> Any:
    """Return a float32 model whose weights depend only on the config and the seed.

    With the usual small initial weights, all texts get nearly the same vector, and a comparison of vectors could not
    fail. With these weights, the output of every layer is about as large as its input.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModel.from_config(config, dtype=torch.float32).eval()
        for name, weight in model.named_parameters():
            # Position and type embeddings are the same for all texts, so they stay small.
            if "position_embed" in name or "token_type" in name:
                torch.nn.init.normal_(weight, std=0.2)
            elif "embed_tokens" in name or "word_embeddings" in name:
                torch.nn.init.normal_(weight, std=2)
            elif weight.ndim == 2:
                torch.nn.init.normal_(weight, std=2 * weight.shape[1] ** -0.5)
    return model


def copy_files(source: Path, folder: Path) -> Path:
    """Copy a checkpoint without its weights; the copies are writable."""
    for file in source.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors":
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return folder


def topics(snapshot: Path, count: int) -> list[str]:
    """Return the topics of the first ``count`` records of a snapshot (JSON lines)."""
    with snapshot.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in itertools.islice(lines, count)]
    return [f"{record['title']} {record['abstract']}" for record in records]


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine between each row of ``one`` and the same row of ``other``, in float64."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights of a checkpoint in place."""
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    change(weights)
    safetensors.torch.save_file(weights, path, metadata={"format": "pt"})
