"""Time the encoder against sentence-transformers and the notebook's loop, turn by turn, on the CPU.

    python bench/encode.py PAPERS.parquet MODEL

PAPERS.parquet has a topic column (any papers.parquet or drawn.parquet); MODEL is a folder with a checkpoint that
sentence-transformers can load. All contenders get the same texts, and are normalised alike for the cosines.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from sentence_transformers import SentenceTransformer

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from arxiv_embeddings.encoder import Encoder
from arxiv_embeddings.settings import EncoderSettings

MAX_LENGTH = 512
Contender = Callable[[list[str]], np.ndarray]


def ours(folder: Path, dtype: str) -> Contender:
    """Return this project's encoder."""
    settings = EncoderSettings(max_length=MAX_LENGTH, normalize=True, dtype=dtype)
    encoder = Encoder(folder, settings, torch.device("cpu"))
    return lambda texts: encoder.encode(encoder.tokenize(texts))


def sentence_transformers(folder: Path) -> Contender:
    """Return sentence-transformers' encode with its defaults (batches of 32, float32)."""
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    model.max_seq_length = MAX_LENGTH
    return lambda texts: np.asarray(
        model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    )


def notebook(folder: Path) -> Contender:
    """Return the notebook's loop: batches of 32 in the order of the texts, mean over all positions."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def encode(texts: list[str]) -> np.ndarray:
        vectors = []
        for start in range(0, len(texts), 32):
            batch = tokenizer(
                texts[start : start + 32],
                padding=True,
                truncation=True,
                max_length=MAX_LENGTH,
                return_tensors="pt",
            )
            with torch.no_grad():
                vectors.append(model(**batch).last_hidden_state.mean(dim=1))
        return torch.nn.functional.normalize(torch.cat(vectors)).numpy()

    return encode


def main(papers: Path, folder: Path, count: int, rounds: int, threads: int) -> None:
    torch.set_num_threads(threads)
    texts = pq.read_table(papers, columns=["topic"])["topic"].slice(0, count).to_pylist()
    contenders = {
        "sentence-transformers": sentence_transformers(folder),
        "notebook's loop": notebook(folder),
        "ours, float32": ours(folder, "float32"),
        "ours, dtype auto": ours(folder, "auto"),
    }
    vectors = {name: contender(texts[:64]) for name, contender in contenders.items()}  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            vectors[name] = contender(texts)
            seconds[name].append(time.perf_counter() - start)
    base = statistics.median(seconds["sentence-transformers"])
    print(
        f"{len(texts)} papers, {threads} threads, medians of {rounds} rounds; torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )
    for name, times in seconds.items():
        cosines = (vectors[name] * vectors["sentence-transformers"]).sum(axis=1)
        median = statistics.median(times)
        print(
            f"{name:<22} {len(texts) / median:6.1f} papers/s   {base / median:5.2f} x   "
            f"cosine to sentence-transformers: mean {cosines.mean():.6f}, least {cosines.min():.6f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the encoder on the CPU.")
    parser.add_argument("papers", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    main(arguments.papers, arguments.model, arguments.count, arguments.rounds, arguments.threads)
