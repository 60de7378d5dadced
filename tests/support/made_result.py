"""A small synthetic result of a model in arXiv's format, as merging and the evaluation leave it."""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from arxiv_embeddings.common.files import TextsHash

PAPERS, EVALUATED, DIMENSIONS = 25, 20, 8


def make_result(folder: Path) -> None:
    """Write a result with 25 papers, of which 20 have places and clusters, and with a cell that was omitted."""
    rng = np.random.default_rng(0)
    rows = range(PAPERS)
    ids = [f"2401.{row:05d}" for row in rows]
    titles = [f"A title\n  {row}" for row in rows]
    topics = [f"{title}   We show {row}.\n" for row, title in enumerate(titles)]
    vectors = rng.normal(size=(PAPERS, DIMENSIONS)).astype(np.float32)
    dates = [None if row == 3 else datetime.date(1991 + row, 8, 14) for row in rows]
    columns = {
        "id": ids,
        "topic": topics,
        "category 0": ["cs"] * PAPERS,
        "category 1": [f"cs.{'CL' if row % 2 else 'CV'}" for row in rows],
        "categories": ["cs.CL math.AG"] * PAPERS,
        "title": titles,
        "submitted": pa.array(dates, pa.date32()),
    }
    cells = folder / "evaluation/cells"
    cells.mkdir(parents=True)
    # Small row groups that are not those of the dataset.
    pq.write_table(pa.table(columns), folder / "papers.parquet", row_group_size=7)
    np.save(folder / "embeddings.npy", vectors)
    np.save(folder / "map.npy", rng.normal(size=(EVALUATED, 2)).astype(np.float32))
    (folder / "map.json").write_text(json.dumps({"method": "umap", "seed": 7}))
    clusters = np.arange(EVALUATED, dtype=np.int32) % 3
    own = {"category 0": clusters, "category 1": clusters, "own": clusters - 1}
    pq.write_table(pa.table(own), cells / "hdbscan.parquet")
    pq.write_table(pa.table(own).slice(0, 0), cells / "ward.parquet")
    (folder / "manifest.json").write_text(json.dumps(_manifest(ids, topics, vectors)))


def dataset_options(folder: Path) -> list[object]:
    """Return the command line that writes the dataset of the result in ``folder``."""
    options: list[object] = [
        *("--papers", folder / "papers.parquet", "--vectors", folder / "embeddings.npy"),
        *("--manifest", folder / "manifest.json"),
        *("--map", folder / "map.npy", "--map-report", folder / "map.json"),
    ]
    for name in ("hdbscan", "ward"):
        options += ["--clusters", f"pca-50 {name}", folder / f"evaluation/cells/{name}.parquet"]
    dataset = folder / "dataset"
    outputs = ["--dataset", dataset / "papers.parquet", "--card", dataset / "README.md"]
    return ["make_dataset.py", "--name", "arxiv", "--label", "some-model", *options, *outputs]


def _manifest(ids: list[str], topics: list[str], vectors: np.ndarray) -> dict[str, Any]:
    versions = {"python": "3.12.1"}
    return {
        "request": {"corpus": {"format": "arxiv", "categories": ["cs."], "columns": None}},
        "snapshot": {"name": "snapshot.json", "bytes": 1_000, "sha256": "ab" * 32},
        "records": {"read": 90, "kept": 30},
        "sample": {"size": len(ids), "seed": 42, "order": "pandas", "drawn_from": 30},
        "embeddings": {
            "shape": list(vectors.shape),
            "dtype": "float32",
            "vectors_sha256": hashlib.sha256(vectors.tobytes()).hexdigest(),
            "ids_sha256": _sha256(ids),
            "texts_sha256": _sha256(topics),
        },
        "checkpoint": {"name": "a|b/model", "revision": "c0ffee", "sha256": "cd" * 32},
        "encoder": {"pooling": "mean", "max_length": 256, "prompt": ""},
        "tokens": 5_000,
        "pieces": [{"device": {"name": "a GPU"}, "versions": versions}],
        "changes": None,
        "commit": "1234567",
        "versions": versions,
    }


def _sha256(texts: list[str]) -> str:
    sha256 = TextsHash()
    sha256.update(texts)
    return sha256.hexdigest()
