"""The benchmarks run and write the expected tables; speed is not tested here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.models import make_bert, make_qwen3, qwen3_files
from support.running import ROOT


def bench(program: str, *arguments: object) -> str:
    """Run a program of ``bench`` and return its output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / program), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_encode_compares_all_contenders_on_the_same_texts(
    minilm: Path, made_snapshot: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    model = make_bert(minilm, tmp_path / "bert")
    short = "--count", 8, "--rounds", 1, "--batch-sizes", 4, "--max-length", 32, "--threads", 1
    output = bench("encode.py", made_snapshot, model, *short, "--table", tmp_path / "table")
    table = (tmp_path / "table.md").read_text()
    assert table in output
    result = json.loads((tmp_path / "table.json").read_text())
    rows = {row["contender"]: row for row in result["rows"]}
    names = [name.partition(",")[0] for name in rows]
    assert names.count("ours") == 2
    assert names.count("sentence-transformers") >= 2
    assert names.count("the notebook's loop") == 1
    assert all(f"| {name} |" in table for name in rows)
    assert result["papers"] == 8
    assert result["tokens"] == 8 * 32  # all texts are longer
    for name, row in rows.items():
        least = 0.99999 if row["dtype"] == "float32" else 0.99
        assert row["cosine_least"] > least or "notebook" in name
        share = row["flop_per_second"] / result["matmul_flop_per_second"][row["dtype"]]
        assert row["share_of_matmul_rate"] == share > 0
    assert result["job"]["seconds"] > result["job"]["embedding_seconds"] > 0


def test_encode_needs_only_torch_transformers_and_numpy(
    minilm: Path, made_snapshot: Path, tmp_path: Path
) -> None:
    """As on a GPU machine on which nothing else is installed."""
    papers = tmp_path / "papers.jsonl"
    papers.write_bytes(b"".join(made_snapshot.read_bytes().splitlines(keepends=True)[:8]))
    model = make_bert(minilm, tmp_path / "bert")
    missing = tmp_path / "missing"
    missing.mkdir()
    packages = ["pyarrow", "msgspec", "isal", "zstandard", "sentence_transformers", "pandas"]
    (missing / "sitecustomize.py").write_text(f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
plain = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in {packages} else plain(name, *more)
""")
    short = "--count", 8, "--rounds", 1, "--max-length", 32, "--threads", 1
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "bench/encode.py"), str(papers), str(model)),
            *(*map(str, short), "--table", str(tmp_path / "table")),
        ],
        env={**os.environ, "PYTHONPATH": str(missing)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["contender"].partition(",")[0] for row in rows] == [
        "ours",
        "ours",
        "the notebook's loop",
    ]


def test_the_memory_of_a_job_excludes_the_memory_of_its_parent(tmp_path: Path) -> None:
    start = f"""
import pathlib, subprocess, sys
sys.path[:0] = [{str(ROOT / "bench")!r}, {str(ROOT / "workflow/scripts")!r}]
import job
ballast = b"1" * 2**29
takes_128_mib = [sys.executable, "-c", "ballast = b'1' * 2**27"]
subprocess.run(job.watched(takes_128_mib, pathlib.Path(sys.argv[1])), check=True)
"""
    subprocess.run([sys.executable, "-c", start, str(tmp_path / "memory")], check=True)
    assert 2**17 < int((tmp_path / "memory").read_text()) < 2**18  # KiB


def test_scaling_reports_the_time_of_each_part_of_a_job(
    minilm: Path, made_snapshot: Path, tmp_path: Path
) -> None:
    model = make_bert(minilm, tmp_path / "bert")
    short = "--count", 8, "--rounds", 1, "--max-length", 32, "--cores", 1, "--shards", 2
    output = bench("scaling.py", made_snapshot, model, *short, "--table", tmp_path / "table")
    assert (tmp_path / "table.md").read_text() in output
    result = json.loads((tmp_path / "table.json").read_text())
    runs = [(run["processes"], run["threads"], run["shards"]) for run in result["runs"]]
    assert runs == [(1, 1, 1), (1, 1, 2)]
    assert all(run["papers_per_second"] == 8 / run["seconds"] for run in result["runs"])
    assert list(result["parts"]) == ["start", "load", "read", "tokenize", "forward", "write"]
    assert all(seconds > 0 for seconds in result["parts"].values())


def test_filter_compares_all_contenders_on_the_same_snapshot(
    made_snapshot: Path, tmp_path: Path
) -> None:
    snapshot = tmp_path / "snapshot.json"
    bench("make_snapshot.py", snapshot, "--records", 3_000, "--source", made_snapshot)
    records = [json.loads(line) for line in snapshot.read_bytes().splitlines()]
    assert len({record["id"] for record in records}) == 3_000
    kept = sum(record["categories"].startswith(("cs.", "physics.")) for record in records)
    assert abs(kept / 3_000 - 0.31) < 0.05
    output = bench("filter.py", snapshot, "--rounds", 1)
    rows = [line.strip("| ").split(" | ") for line in output.splitlines() if line.endswith(" |")]
    papers = {row[0]: row[-1] for row in rows[1:]}
    assert {"the notebook's loop", "pyarrow", "the whole filter"} <= set(papers)
    assert set(papers.values()) == {f"{kept:,}"}
    assert list(tmp_path.iterdir()) == [snapshot]


def test_a_snapshot_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "bench/make_snapshot.py", tmp_path / "snapshot.json"),
            *("--records", str(10**12)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "GB free, but 1,000,000,000,000 records need about" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_random_qwen3_has_the_shape_of_its_config(tmp_path: Path) -> None:
    small = make_qwen3(tmp_path / "small")
    output = bench("make_qwen3.py", small, tmp_path / "random")
    assert "random weights" in output
    assert (tmp_path / "random/model.safetensors").is_file()
    config = json.loads((tmp_path / "random/config.json").read_text())
    assert config["num_hidden_layers"] == 2
    tokenizer = (tmp_path / "random/tokenizer.json").read_bytes()
    assert tokenizer == (qwen3_files() / "tokenizer.json").read_bytes()


def test_evaluation_measures_each_step_and_keeps_earlier_rows(tmp_path: Path) -> None:
    papers, vectors = 40, np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    np.save(tmp_path / "small.npy", vectors)
    levels = {"category 0": ["cs", "math"] * 20, "category 1": ["cs.AI", "math.AG"] * 20}
    texts = {"id": list(map(str, range(papers))), "topic": ["text " * 9] * papers}
    pq.write_table(pa.table(texts | levels), tmp_path / "small.parquet")
    bench(
        *(
            "make_vectors.py",
            tmp_path / "small.npy",
            tmp_path / "small.parquet",
            tmp_path / "large",
        ),
        *("--papers", 100, "--dimensions", 32),
    )
    made = np.load(tmp_path / "large/embeddings.npy")
    assert made.shape == (100, 32)
    assert len(np.unique(made, axis=0)) == 100
    labels = pq.read_table(tmp_path / "large/papers.parquet")
    # Each paper is used twice, and the first 20 of the last round once more.
    assert sorted(np.bincount(labels["id"].to_numpy().astype(int))) == [2] * 20 + [3] * 20
    run = (
        *("evaluation.py", tmp_path / "large/embeddings.npy", tmp_path / "large/papers.parquet"),
        *("--table", tmp_path / "table", "--folder", tmp_path / "work", "--papers", 60),
        *("--dimensions", 5, "--threads", 1, "--steps"),
    )
    bench(*run, "space")
    output = bench(*run, "pca-5/diffusion_condensation")
    assert (tmp_path / "table.md").read_text() in output
    result = json.loads((tmp_path / "table.json").read_text())
    rows = {row["step"]: row for row in result["rows"]}
    # Clustering needs the reduction, which is measured as well.
    assert list(rows) == ["none", "pca-5", "pca-5/diffusion_condensation", "neighbours", "space"]
    assert result["papers"] == 60
    for row in rows.values():
        assert row["seconds"] > row["processor_seconds"] * 0.1 > 0
        assert row["memory_bytes"] > 2**25
        assert not row["stopped"]
    assert rows["pca-5"]["own_seconds"] < rows["pca-5"]["seconds"]


def test_a_step_over_the_limit_is_stopped_and_reported(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.eye(30, dtype=np.float32))
    levels = {"category 0": ["cs", "math"] * 15}
    texts = {"id": list(map(str, range(30))), "topic": ["text"] * 30}
    pq.write_table(pa.table(texts | levels), tmp_path / "papers.parquet")
    output = bench(
        *("evaluation.py", tmp_path / "vectors.npy", tmp_path / "papers.parquet"),
        *("--table", tmp_path / "table", "--folder", tmp_path / "work", "--steps", "none"),
        *("--minutes", 0.001),
    )
    assert "| none | stopped after" in output
