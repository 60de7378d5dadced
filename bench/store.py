"""Time the vector store and merging, on random vectors.

    python bench/store.py --papers 100000 --shard 5000 --dimensions 1024 --piece 5000 [--shuffled]

Prints the seconds of a job for a shard whose vectors are in the store (index, look-up, gather), and the seconds and
the peak memory of merging the whole sample, which runs in a separate process.
"""

import argparse
import functools
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parents[1] / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.config.encoder_settings import EncoderSettings
from arxiv_embeddings.corpus.sampling import ROWS_PER_GROUP
from arxiv_embeddings.embedding.store import VectorStore, pieces_in, text_keys, write_piece
from job import watched

WORDS = "We study the of and graph neural networks for strongly correlated systems in two dimensions".split()
CHECKPOINT = {"name": "random", "revision": None, "sha256": hashlib.sha256(b"{}").hexdigest()}
ENCODER = EncoderSettings("mean", 512, False, "bfloat16", "", None)


def texts_of(papers: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [f"{number} {' '.join(rng.choice(WORDS, 180))}" for number in range(papers)]


def fill(folder: Path, texts: list[str], options: argparse.Namespace) -> None:
    """Write drawn papers and a store with all their vectors."""
    columns = {"id": list(map(str, range(len(texts)))), "topic": texts}
    columns |= {name: ["cs"] * len(texts) for name in ("categories", "category 0", "category 1")}
    pq.write_table(pa.table(columns), folder / "drawn.parquet", row_group_size=ROWS_PER_GROUP)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(texts)) if options.shuffled else np.arange(len(texts))
    for start in range(0, len(texts), options.piece):
        own = order[start : start + options.piece]
        vectors = rng.standard_normal((len(own), options.dimensions), dtype=np.float32)
        write_piece(
            folder / "vectors",
            f"{start:08d}-0",
            text_keys([texts[row] for row in own]),
            np.full(len(own), 200),
            functools.partial(iter, [vectors]),
            checkpoint=CHECKPOINT,
            encoder=ENCODER.to_dict(),
            attention="",
            seconds=1.0,
            device={"type": "cpu", "name": "random"},
            versions={},
        )


def merge_command(folder: Path, papers: int) -> list[str]:
    """Write the inputs of merging and return the command that merges the sample."""
    corpus: dict[str, Any] = {"format": "arxiv", "categories": [], "columns": None}
    snapshot = {"name": "random", "bytes": 1, "sha256": "0"}
    contents = {
        "filter": {"snapshot": snapshot, "records": {"kept": papers}, **corpus},
        "drawn": {"papers": papers, "seed": 42, "order": "pandas", "snapshot": snapshot, **corpus},
        "lookup": {"papers": papers, "encoder": ENCODER.to_dict(), "checkpoint": CHECKPOINT},
        "model/checkpoint": {"name": "random", "revision": None, "files": {}},
    }
    for name, content in contents.items():
        path = folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    request = {
        "corpus": corpus,
        "sample": {"size": papers, "seed": 42, "order": "pandas"},
        "model": {"name": None, "revision": None, "encoder": ENCODER.to_dict()},
    }
    named = {
        "drawn": folder / "drawn.parquet",
        "drawn-report": folder / "drawn.json",
        "filter-report": folder / "filter.json",
        "lookup": folder / "lookup.json",
        "model": folder / "model",
        "store": folder / "vectors",
        "vector-store": "true",
        "history": folder / "history",
        "request": json.dumps(request),
        "embeddings": folder / "embeddings.npy",
        "papers": folder / "papers.parquet",
        "manifest": folder / "manifest.json",
    }
    options = [part for name, value in named.items() for part in (f"--{name}", str(value))]
    return [sys.executable, str(SCRIPTS / "merge_vectors.py"), *options]


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        texts = texts_of(options.papers)
        fill(folder, texts, options)
        shard = np.random.default_rng(2).choice(options.papers, options.shard, replace=False)
        began = time.perf_counter()
        store = VectorStore(pieces_in(folder / "vectors"))
        indexed = time.perf_counter()
        positions = store.find(text_keys([texts[row] for row in shard]))
        found = time.perf_counter()
        store.gather(positions)
        gathered = time.perf_counter()
        print(
            f"papers {options.papers:,}, components {options.dimensions}, shuffled {options.shuffled}"
        )
        print(
            f"shard of {options.shard:,}: index {indexed - began:.2f} s, look-up {found - indexed:.2f} s, "
            f"gather {gathered - found:.2f} s"
        )
        began = time.perf_counter()
        subprocess.run(
            watched(merge_command(folder, options.papers), folder / "memory"),
            check=True,
            stderr=subprocess.DEVNULL,
        )
        memory = int((folder / "memory").read_text()) / 1024
        print(f"merging: {time.perf_counter() - began:.1f} s, {memory:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the vector store and merging.")
    parser.add_argument("--papers", type=int, default=100_000)
    parser.add_argument("--shard", type=int, default=5_000)
    parser.add_argument("--dimensions", type=int, default=1_024)
    parser.add_argument("--piece", type=int, default=5_000, help="vectors per piece")
    parser.add_argument(
        "--shuffled", action="store_true", help="store the vectors in a random order"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder for the files; by default the temporary folder"
    )
    main(parser.parse_args())
