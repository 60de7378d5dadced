"""Corpora in other formats than arXiv's are embedded by the same rules, with the right labels."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.data.make_snapshot import record
from support.running import MINILM, ONE_SHARD, Workflow

SIZE = {"sample": {"size": 12}, "shards": {"size": 12}}
FILTER = {"filter_papers": 1}
COLUMNS = {"id": "id", "text": ["title", "the {abstract}"], "category 1": "it's a label"}


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    """A working directory without any input."""
    if not MINILM.is_dir():
        pytest.skip(f"{MINILM} is missing. Run: make install")
    (tmp_path / "resources").mkdir()
    return Workflow(tmp_path)


@pytest.fixture(scope="session")
def records() -> list[dict[str, Any]]:
    """Thirty synthetic records, of which a third are cs. or physics."""
    rng = random.Random(0)
    return [record(rng, number) for number in range(30)]


def check_merged(workflow: Workflow, all_papers: pd.DataFrame) -> None:
    """Check that the merged papers are the sample of ``all_papers``, and that all have a vector."""
    columns = ["id", "topic", "category 0", "category 1"]
    papers = pd.read_parquet(workflow.results / "minilm/papers.parquet")
    sample = all_papers.sample(12, random_state=42).reset_index(drop=True)
    pd.testing.assert_frame_equal(papers, sample[columns], check_dtype=False)
    embeddings = workflow.embeddings()
    assert embeddings.shape == (12, 384)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_web_of_science(workflow: Workflow, records: list[dict[str, Any]]) -> None:
    texts = [" ".join(record["abstract"].split()) for record in records]
    fields = [str(number % 7) for number in range(30)]
    subfields = [str(number % 3) for number in range(30)]
    folder = workflow.folder / "resources/WOS46985"
    folder.mkdir()
    for name, lines in (("X.txt", texts), ("YL1.txt", fields), ("YL2.txt", subfields)):
        (folder / name).write_bytes("\r\n".join(lines).encode())
    corpus = {"name": "test", "format": "wos", "categories": "all"}
    settings: dict[str, Any] = {"snapshot": "resources/WOS46985", "corpus": corpus, **SIZE}
    run = workflow.run(**settings)
    assert run.jobs == ONE_SHARD
    assert "resources/WOS46985 (0.00 GB, format wos)" in run.output
    labels = [f"{field}.{subfield}" for field, subfield in zip(fields, subfields, strict=True)]
    lines = [str(number) for number in range(1, 31)]
    check_merged(
        workflow,
        pd.DataFrame({"id": lines, "topic": texts, "category 0": fields, "category 1": labels}),
    )
    assert workflow.run(**settings).jobs == {}
    (folder / "YL2.txt").write_bytes("\r\n".join(["10", *subfields[1:]]).encode())
    assert workflow.run("--until", "filter_papers", **settings).jobs == FILTER
    (folder / "YL2.txt").unlink()
    run = workflow.run(code=1, **settings)
    assert (
        "snapshot: there is no folder 'resources/WOS46985' with X.txt, YL1.txt, YL2.txt"
        in run.output
    )
    assert run.jobs == {}


def test_table(workflow: Workflow, records: list[dict[str, Any]]) -> None:
    columns: dict[str, list[str]] = {
        "year": ["1999"] * 30,
        "it's a label": [record["categories"].split()[0] for record in records],
        "the {abstract}": [record["abstract"] for record in records],
        "title": [record["title"] for record in records],
        "id": [record["id"] for record in records],
    }
    frame = pd.DataFrame(columns)
    table = workflow.folder / "resources/table"
    frame.to_csv(table, index=False)
    corpus: dict[str, Any] = {
        "name": "test",
        "format": "table",
        "categories": ["cs.", "physics.", "math."],
        "columns": COLUMNS,
    }
    settings: dict[str, Any] = {"snapshot": "resources/table", "corpus": corpus, **SIZE}
    assert workflow.run(**settings).jobs == ONE_SHARD
    all_papers = frame.assign(topic=frame["title"] + " " + frame["the {abstract}"])
    all_papers["category 1"] = frame["it's a label"]
    all_papers["category 0"] = frame["it's a label"].str.split(".").str[0]
    wanted = frame["it's a label"].str.startswith(tuple(corpus["categories"]))
    assert 12 <= wanted.sum() < 30
    check_merged(workflow, all_papers[wanted])
    assert workflow.run(**settings).jobs == {}

    # Another column, another file, and a column that does not exist.
    from_csv = pd.read_parquet(workflow.results / "papers.parquet")
    corpus["columns"] = {**COLUMNS, "category 0": "year"}
    assert workflow.run("--until", "filter_papers", **settings).jobs == FILTER
    frame.to_parquet(table)
    assert workflow.run("--until", "filter_papers", **settings).jobs == FILTER
    from_parquet = pd.read_parquet(workflow.results / "papers.parquet")
    pd.testing.assert_frame_equal(
        from_parquet, from_csv.assign(**{"category 0": "1999"}), check_dtype=False
    )
    corpus["columns"] = {**COLUMNS, "text": "topic"}
    failed = workflow.run(code=1, **settings)
    assert (
        "resources/table has no column 'topic'. Its columns: 'year', \"it's a label\""
        in failed.output
    )


def test_several_tables(workflow: Workflow, records: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(records)[["title", "abstract", "categories"]]
    names = ["resources/it's a.csv", "resources/{b}.parquet"]
    frame[:20].to_csv(workflow.folder / names[0], index=False)
    frame[20:].to_parquet(workflow.folder / names[1], index=False)
    columns = {"text": "abstract", "category 0": "categories", "distinct": "title"}
    corpus = {"name": "test", "format": "table", "categories": "all", "columns": columns}
    settings: dict[str, Any] = {"snapshot": names, "corpus": corpus, **SIZE}
    run = workflow.run("--until", "filter_papers", **settings)
    assert run.jobs == FILTER
    assert f"Snapshot  {', '.join(names)}" in run.output
    papers = pd.read_parquet(workflow.results / "papers.parquet")
    first = frame.drop_duplicates("title")
    assert papers.columns.tolist() == ["id", "topic", "categories", "category 0"]
    assert papers["id"].tolist() == [str(row + 1) for row in first.index]
    assert papers["topic"].tolist() == first["abstract"].tolist()
    assert workflow.run("--until", "filter_papers", **settings).jobs == {}
    frame[20:25].to_parquet(workflow.folder / names[1], index=False)
    assert workflow.run("--until", "filter_papers", **settings).jobs == FILTER
    (workflow.folder / names[1]).unlink()
    run = workflow.run(code=1, **settings)
    assert "snapshot: there is no 'resources/{b}.parquet' in" in run.output
