"""Generate synthetic files of a model's evaluation, for the tests of figures and pages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LEVELS = ("category 0", "category 1")
METRICS = {
    ("flat clustering", "none", "kmeans"): ["ari", "v_measure"],
    ("flat clustering", "pca-300", "kmeans"): ["ari", "v_measure"],
    ("flat clustering", "pca-300", "ward"): ["ari", "v_measure"],
    ("tree", "pca-300", "ward"): ["dendrogram_purity"],
    ("map", "umap-2", ""): ["accuracy_at_1"],
    ("space", "", ""): ["accuracy_at_1", "accuracy_at_10"],
}


def make_papers(path: Path, papers: int, categories: int, seed: int = 0) -> None:
    """Write papers of ``categories`` categories, ten per archive; the first categories are the largest."""
    rng = np.random.default_rng(seed)
    sizes = 1 / np.arange(1, categories + 1)
    codes = rng.choice(categories, size=papers, p=sizes / sizes.sum())
    names = [f"arch{code // 10}.C{code:02d}" for code in codes]
    table = pa.table(
        {
            "id": [f"{2000 + row // 90_000}.{row % 90_000:05d}" for row in range(papers)],
            "topic": [
                f"Paper {row} on {name}   We study {name}." for row, name in enumerate(names)
            ],
            "category 0": [name.partition(".")[0] for name in names],
            "category 1": names,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def make_evaluation(folder: Path, seed: int = 0) -> None:
    """Write a map, a cell's clusters, a grid and tokens for the papers in ``folder``.

    On the map, each category is one blob. A fifth of the papers are in the wrong cluster.
    """
    rng = np.random.default_rng(seed)
    papers = pq.read_table(folder / "papers.parquet")
    rows = np.arange(len(papers))
    codes = {
        level: np.unique(papers[level].to_numpy(zero_copy_only=False), return_inverse=True)[1]
        for level in LEVELS
    }
    centres = rng.normal(size=(codes["category 1"].max() + 1, 2)) * 4
    places = centres[codes["category 1"]] + rng.normal(size=(len(rows), 2))
    evaluation = folder / "evaluation"
    cells = evaluation / "cells/pca-300"
    cells.mkdir(parents=True, exist_ok=True)
    np.save(evaluation / "map.npy", places.astype(np.float32))
    about = {"method": "umap", "papers": len(rows), "dimensions": 2, "seed": 42}
    (evaluation / "map.json").write_text(json.dumps(about))
    clusters = {}
    for level in LEVELS:
        kinds = codes[level].max() + 1
        renamed = rng.permutation(kinds)[codes[level]]
        astray = rng.random(len(rows)) < 0.2
        clusters[level] = np.where(astray, rng.integers(kinds, size=len(rows)), renamed).astype(
            np.int32
        )
    pq.write_table(pa.table(clusters), cells / "ward.parquet")
    make_grid(evaluation / "grid.parquet", ["some-model"])
    tokens = np.clip(rng.lognormal(5.2, 0.45, len(rows)), 3, None).astype(np.int32)
    pq.write_table(pa.table({"row": rows, "tokens": tokens}), evaluation / "tokens.parquet")


def make_manifest(path: Path, papers: int, pieces: int = 6, seed: int = 0) -> None:
    """Write the part of a model's manifest that the figures read."""
    rng = np.random.default_rng(seed)
    made = [
        {
            "piece": f"3f2a9c1b-{number:05d}-00c0ffee",
            "shard": f"3f2a9c1b-{number:05d}",
            "papers": papers // pieces,
            "seconds": 60.0,
            "papers_per_second": round(float(rng.normal(1_900, 60)), 1),
            "tokens_per_second": round(float(rng.normal(410_000, 9_000)), 1),
            "device": {"type": "cuda", "name": "NVIDIA H100 80GB HBM3"},
        }
        for number in range(pieces)
    ]
    encoder = {"max_length": 256, "prompt": ""}
    path.write_text(
        json.dumps({"encoder": encoder, "embeddings": {"shape": [papers, 8]}, "pieces": made})
    )


def make_grid(path: Path, models: list[str], seed: int = 0) -> None:
    """Write random scores of a few cells, of a map and of the vectors of several models, and one missing score."""
    rng = np.random.default_rng(seed)
    rows = []
    for model in models:
        for (family, reduction, clustering), metrics in METRICS.items():
            for metric in metrics:
                for level in LEVELS:
                    value = float(rng.uniform(0.2, 0.9))
                    row: dict[str, Any] = {
                        "model": model,
                        "reduction": reduction,
                        "clustering": clustering,
                    }
                    row |= {"family": family, "method": "", "metric": metric, "level": level}
                    row |= {"value": value, "low": value - 0.02, "high": value + 0.02}
                    rows.append({**row, "chance": 0.0, "papers": 1_000, "note": ""})
    omitted = {"family": "space", "metric": "silhouette", "level": "", "note": "omitted: a reason"}
    rows.append(
        {
            **rows[-1],
            **omitted,
            "reduction": "",
            "clustering": "",
            "value": None,
            "low": None,
            "high": None,
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
