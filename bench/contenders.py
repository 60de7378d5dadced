"""The encoders that are compared. Each contender turns texts into vectors of length 1."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from arxiv_embeddings.checkpoint.tokenizer import Tokenizer
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.embedding.encoder import Encoder, resolve_for

Encode = Callable[[list[str]], np.ndarray]

# The default of sentence-transformers, and the batch size of the notebook.
DEFAULT_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Contender:
    """An encoder, tokenizing included, and the dtype of its matrix products."""

    name: str
    dtype: str
    encode: Encode


def ours(
    folder: Path, dtype: str, device: torch.device, max_length: int, compiled: bool = False
) -> Contender:
    """Return this project's encoder with the pooling that the checkpoint declares."""
    requested = EncoderSettings(max_length=max_length, normalize=True, dtype=dtype)
    settings = resolve_for(requested, folder, device)
    encoder, tokenizer = Encoder(folder, settings, device), Tokenizer(folder, settings)
    own = settings.dtype
    name = f"ours, auto ({own})" if dtype == "auto" else f"ours, {own}"
    if compiled:
        encoder.compile_layers()
        name += ", compiled"
    return Contender(name, own, lambda texts: encoder.encode(tokenizer.tokenize(texts)))


def sentence_transformers(
    folder: Path, dtype: str, device: torch.device, max_length: int
) -> Callable[[int], Contender]:
    """Return a function from a batch size to sentence-transformers' encoder with this batch size."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(folder),
        device=str(device),
        local_files_only=True,
        model_kwargs={"dtype": getattr(torch, dtype)},
    )
    model.max_seq_length = max_length

    def contender(batch: int) -> Contender:
        def encode(texts: list[str]) -> np.ndarray:
            return np.asarray(
                model.encode(
                    texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False
                )
            )

        return Contender(f"sentence-transformers, {dtype}, batch {batch}", dtype, encode)

    return contender


def notebook(folder: Path, device: torch.device, max_length: int) -> Contender:
    """Return the notebook's loop: float32, unsorted batches of 32, mean over all positions."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32
    )
    model.to(device).eval()

    def encode(texts: list[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), DEFAULT_BATCH):
            batch = tokenizer(
                texts[start : start + DEFAULT_BATCH],
                padding=True,
                truncation=True,
                max_length=max_length,
                return_tensors="pt",
            ).to(device)
            with torch.no_grad():
                vectors.append(model(**batch).last_hidden_state.mean(dim=1).cpu())
        return torch.nn.functional.normalize(torch.cat(vectors)).numpy()

    return Contender("the notebook's loop", "float32", encode)
