"""A result as a dataset: what `datasets` loads, the data card, and results that do not fit together."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.report.dataset import table as table_module
from arxiv_embeddings.report.dataset.card import data_card
from arxiv_embeddings.report.dataset.table import write_table
from support.made_result import DIMENSIONS, EVALUATED, PAPERS, dataset_options, make_result

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """The folder of a model."""
    make_result(tmp_path)
    return tmp_path


def written(result: Path) -> pa.Table:
    """The dataset of the result."""
    path = result / "dataset.parquet"
    manifest = json.loads((result / "manifest.json").read_text())
    cells = {f"pca-50 {cell.stem}": cell for cell in (result / "evaluation/cells").iterdir()}
    write_table(
        path,
        papers=result / "papers.parquet",
        vectors=result / "embeddings.npy",
        places=result / "map.npy",
        cells=cells,
        embeddings=manifest["embeddings"],
    )
    return pq.read_table(path)


def test_datasets_loads_the_folder(result: Path, script: Script, tmp_path: Path) -> None:
    done = script(*dataset_options(result))
    assert done.returncode == 0, done.stdout
    folder = result / "dataset"
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "papers.parquet"]
    papers = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(papers) == PAPERS
    assert papers.features["vector"].length == DIMENSIONS
    assert papers.features["vector"].feature.dtype == "float32"
    vectors = np.load(result / "embeddings.npy")
    assert np.array_equal(papers.with_format("numpy")["vector"][:], vectors)
    row = papers[1]
    assert row["title"] == "A title\n  1" and row["abstract"] == "  We show 1.\n"
    assert (row["year"], papers[3]["year"]) == (1992, None)


def test_the_columns_and_what_papers_without_evaluation_have(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last row group is short, and one ends within the evaluated papers.
    monkeypatch.setattr(table_module, "ROWS", 8)
    dataset = written(result)
    assert dataset.column_names == [
        *("id", "title", "abstract", "categories", "category 0", "category 1"),
        *("submitted", "year", "x", "y", "cluster pca-50 hdbscan category 0"),
        *("cluster pca-50 hdbscan category 1", "cluster pca-50 hdbscan own", "vector"),
    ]
    places = np.load(result / "map.npy")
    assert dataset["y"].to_pylist() == [*places[:, 1].tolist(), *[None] * 5]
    own = dataset["cluster pca-50 hdbscan own"].to_pylist()
    assert own == [*(row % 3 - 1 for row in range(EVALUATED)), *[None] * 5]
    vectors = np.load(result / "embeddings.npy")
    assert np.array_equal(np.stack(dataset["vector"].to_pylist()), vectors)
    with pq.ParquetFile(result / "dataset.parquet") as file:
        assert [file.metadata.row_group(group).num_rows for group in range(4)] == [8, 8, 8, 1]


def test_a_corpus_without_titles_keeps_its_texts(result: Path) -> None:
    papers = pq.read_table(result / "papers.parquet")
    plain = ["id", "topic", "category 0", "category 1"]
    pq.write_table(papers.select(plain), result / "papers.parquet")
    np.save(result / "map.npy", np.empty((0, 2), np.float32))
    for cell in (result / "evaluation/cells").iterdir():
        cell.unlink()
    dataset = written(result)
    assert dataset.column_names == [*plain, "vector"]
    assert dataset["topic"].equals(papers["topic"])


def test_a_title_without_categories_and_an_unknown_column(result: Path) -> None:
    papers = pq.read_table(result / "papers.parquet").drop_columns("categories")
    odd = papers.append_column("odd", [list(range(PAPERS))])
    pq.write_table(odd, result / "papers.parquet")
    names = written(result).column_names
    assert names[:4] == ["id", "title", "abstract", "category 0"] and "odd" not in names


def change(result: Path, column: str, values: list[Any]) -> None:
    """Replace a column of the papers."""
    papers = pq.read_table(result / "papers.parquet")
    index = papers.column_names.index(column)
    pq.write_table(papers.set_column(index, column, [values]), result / "papers.parquet")


def other_ids(result: Path) -> None:
    change(result, "id", [f"other-{row}" for row in range(PAPERS)])


def other_titles(result: Path) -> None:
    change(result, "title", ["Another"] * PAPERS)


def fewer_papers(result: Path) -> None:
    pq.write_table(pq.read_table(result / "papers.parquet").slice(0, 9), result / "papers.parquet")


def no_topic(result: Path) -> None:
    papers = pq.read_table(result / "papers.parquet")
    pq.write_table(papers.drop_columns("topic"), result / "papers.parquet")


def other_vectors(result: Path) -> None:
    np.save(result / "embeddings.npy", np.zeros((PAPERS, DIMENSIONS), np.float32))


def other_shape(result: Path) -> None:
    np.save(result / "embeddings.npy", np.zeros((PAPERS, 9), np.float32))


def larger_map(result: Path) -> None:
    np.save(result / "map.npy", np.zeros((PAPERS + 1, 2), np.float32))


def deep_map(result: Path) -> None:
    np.save(result / "map.npy", np.zeros((PAPERS, 3), np.float32))


def damaged_cell(result: Path) -> None:
    (result / "evaluation/cells/ward.parquet").write_bytes(b"PAR1")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_ids, "papers.parquet is not what was merged: ids_sha256 differs"),
        (other_titles, "the topic of 2401.00000 does not begin with its title"),
        (fewer_papers, "papers.parquet has only 9 papers"),
        (no_topic, "papers.parquet has no column topic"),
        (other_vectors, "embeddings.npy is not what was merged: vectors_sha256 differs"),
        (other_shape, r"embeddings.npy has the shape \[25, 9\], but the manifest says \[25, 8\]"),
        (larger_map, "map.npy has 26 rows, but there are 25 papers"),
        (deep_map, "map.npy has 3 columns, but a map has 2"),
        (damaged_cell, "ward.parquet cannot be read"),
    ],
)
def test_results_that_do_not_fit_together_are_refused(
    result: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(result)
    with pytest.raises(InputError, match=message):
        written(result)


def test_a_failure_leaves_the_dataset_that_was_there(result: Path, script: Script) -> None:
    assert script(*dataset_options(result)).returncode == 0
    before = {file: file.read_bytes() for file in (result / "dataset").iterdir()}
    other_vectors(result)
    done = script(*dataset_options(result))
    assert done.returncode == 1 and "vectors_sha256 differs" in done.stdout
    assert "Traceback" not in done.stdout
    assert {file: file.read_bytes() for file in (result / "dataset").iterdir()} == before


def card_of(result: Path, corpus_format: str = "arxiv") -> tuple[dict[str, Any], str]:
    """The head and the text of the card."""
    manifest = json.loads((result / "manifest.json").read_text())
    manifest["request"]["corpus"]["format"] = corpus_format
    card = data_card(
        manifest,
        written(result).schema,
        corpus="arxiv",
        label="some-model",
        file="papers.parquet",
        map_report={"method": "umap", "seed": 7},
        software=yaml.safe_load((Path(__file__).parents[3] / "CITATION.cff").read_text()),
    )
    _, head, text = card.split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_card_says_what_the_dataset_is(result: Path) -> None:
    head, text = card_of(result)
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "papers.parquet"}]
    assert head["license"] == "cc0-1.0" and head["size_categories"] == ["n<1K"]
    assert "| `vector` | 8 float32 | the vector |" in text
    assert "| `x` | float32 | the place on the map (UMAP, seed 7) |" in text
    assert "the cluster by HDBSCAN of the vectors (reduction: PCA, 50)" in text
    # A fact of the manifest cannot end its cell.
    assert "| checkpoint | a\\|b/model |" in text
    assert "| encoder: pooling | mean |" in text
    assert "clement2019arxiv" in text and "note = {commit 1234567}" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(written(result).schema)


def test_the_card_of_another_corpus_claims_no_licence(result: Path) -> None:
    head, text = card_of(result, "table")
    assert head["license"] == "unknown" and "arxiv" not in head["tags"]
    assert "Find it out before you publish" in text and "clement2019arxiv" not in text
