"""The grid in three formats, and paired differences of models and of cells."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation.bootstrap import bootstrap, interval
from arxiv_embeddings.evaluation.comparison import (
    Placed,
    cell_differences,
    grid_table,
    model_differences,
)
from arxiv_embeddings.evaluation.scores import Score, measured, write_scores

Script = Callable[..., subprocess.CompletedProcess[str]]

RNG = np.random.default_rng(0)
# How easy each paper is.
EASY = RNG.random(400)


def score(values: np.ndarray, metric: str = "ari", family: str = "flat clustering") -> Score:
    """The mean of a value per paper, as a score."""
    return measured(
        *(family, "", metric, "category 1"),
        value=float(values.mean()),
        papers=len(values),
        note="",
        replicates=bootstrap(len(values), lambda counts: float(counts @ values / len(values))),
    )


def differences(**models: Score) -> list[dict[str, Any]]:
    placed = [Placed(model, "pca-2", "ward", one) for model, one in models.items()]
    found: list[dict[str, Any]] = model_differences(placed).to_pylist()
    return found


def test_a_small_difference_on_the_same_papers_is_real() -> None:
    """The intervals of the scores overlap widely, but the same papers are hard for both models."""
    a, b = score(EASY + 0.02 + RNG.normal(0, 0.05, 400)), score(EASY)
    assert a.interval[0] is not None and b.interval[1] is not None
    assert a.interval[0] < b.interval[1]
    (row,) = differences(a=a, b=b)
    assert a.value is not None and b.value is not None
    assert row["difference"] == a.value - b.value
    assert (row["low"], row["high"]) == interval(
        row["difference"], np.subtract(a.replicates, b.replicates)
    )
    assert 0 < row["low"] < row["difference"] < row["high"] < 0.04
    assert (row["real"], row["better"]) == (True, "a")
    (turned,) = differences(b=b, a=a)
    assert (turned["real"], turned["better"]) == (True, "b")
    assert turned["difference"] == -row["difference"]


def test_less_is_better_where_it_is() -> None:
    a, b = score(EASY + 0.5, "dasgupta_cost"), score(EASY, "dasgupta_cost")
    assert differences(a=a, b=b)[0]["better"] == "b"
    a, b = score(EASY + 0.5, "mean_cosine"), score(EASY, "mean_cosine")
    assert differences(a=a, b=b)[0]["better"] == ""


def test_differences_by_chance_are_rarely_real() -> None:
    real = [
        differences(a=score(EASY + RNG.normal(0, 0.1, 400)), b=score(EASY))[0]["real"]
        for _ in range(60)
    ]
    assert sum(real) <= 8


def test_many_differences_are_corrected() -> None:
    """Of a hundred differences by chance, about five have a p-value below 5 %, and none stays real."""
    placed = []
    for number in range(100):
        for model in ("a", "b"):
            noise = RNG.normal(0, 0.1, 400)
            placed.append(Placed(model, f"pca-{number}", "ward", score(EASY + noise)))
    rows = model_differences(placed).to_pylist()
    assert len(rows) == 100 and sum(row["real"] for row in rows) <= 1
    assert all(0 <= row["p"] <= 1 for row in rows)


def test_holm_steps_down() -> None:
    p = [0.01, 0.02, 0.3]
    from arxiv_embeddings.evaluation.comparison import _judged

    rows = _judged(
        [{"difference": 0.1, "p": value} for value in reversed(p)] + [{"difference": 0.2}]
    )
    assert [row.get("p") for row in rows] == pytest.approx([0.3, 0.04, 0.03, None])
    assert [row.get("real") for row in rows] == [False, True, True, None]


def test_three_models_make_three_pairs() -> None:
    found = differences(a=score(EASY), b=score(EASY), c=score(EASY))
    assert [(row["model a"], row["model b"]) for row in found] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert all(row["difference"] == 0 and row["real"] is False for row in found)


def test_omitted_scores_and_scores_of_one_model_have_no_difference() -> None:
    omitted = Score(
        "flat clustering", "", "ari", "category 1", value=None, papers=400, note="omitted: x"
    )
    assert differences(a=score(EASY), b=omitted) == []
    assert differences(a=score(EASY)) == []
    assert differences(a=score(EASY), b=score(EASY, "ami")) == []
    without = Score("flat clustering", "", "ari", "category 1", value=0.25, papers=400)
    (row,) = differences(a=score(EASY), b=without)
    assert row["difference"] == pytest.approx(EASY.mean() - 0.25)
    assert row["real"] is row["p"] is row["low"] is None


def test_models_with_different_papers_are_refused() -> None:
    with pytest.raises(InputError, match=r"ari .* on 400 papers for a, but on 399 papers for b"):
        differences(a=score(EASY), b=score(EASY[1:]))


def test_the_best_cell_of_a_model_is_compared_with_its_others() -> None:
    placed = [
        Placed("a", "none", "ward", score(EASY)),
        Placed("a", "umap-2", "ward", score(EASY + 0.2)),
        Placed("a", "pca-2", "kmeans", score(EASY + 0.19 + RNG.normal(0, 1, 400))),
        Placed("b", "none", "ward", score(EASY)),
        # Another score does not count.
        Placed("b", "pca-2", "ward", score(EASY + 0.9, "ami")),
    ]
    rows = cell_differences(placed, "ari", "category 1").to_pylist()
    assert {(row["model"], row["reduction a"]) for row in rows} <= {("a", "umap-2"), ("a", "pca-2")}
    assert len(rows) == 2
    by_cell = {row["reduction b"]: row for row in rows}
    assert by_cell["none"]["real"] is True


def test_the_grid_has_a_row_for_each_score() -> None:
    rows = grid_table([Placed("a", "none", "ward", score(EASY))]).to_pylist()
    assert [(row["model"], row["reduction"], row["clustering"], row["metric"]) for row in rows] == [
        ("a", "none", "ward", "ari")
    ]
    assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]
    assert "replicates" not in rows[0]


def run(script: Script, folder: Path, *models: str) -> subprocess.CompletedProcess[str]:
    cells = [["--cell", model, "pca-2", "hdbscan", folder / f"{model}-cell"] for model in models]
    maps = [["--map", model, "umap-2", folder / f"{model}-map"] for model in models]
    outputs = [
        [f"--{table}", *(folder / f"{table}.{suffix}" for suffix in ("parquet", "csv", "json"))]
        for table in ("grid", "differences", "cell-differences")
    ]
    options = [part for option in [*cells, *maps, *outputs] for part in option]
    return script("compare_models.py", "--best-by", "ari", *options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of a cell and one of a map, of each of the models a and b."""
    for model, values in (("a", EASY + 0.1), ("b", EASY)):
        own = Score("flat clustering", "own", "ari", "category 1", value=0.1, papers=400)
        write_scores(tmp_path / f"{model}-cell", [score(values), own])
        omitted = Score(
            "map", "", "demap", "", value=None, papers=400, note='omitted: "quoted", with commas'
        )
        write_scores(tmp_path / f"{model}-map", [omitted])
    return tmp_path


def test_command_writes_the_same_in_three_formats(script: Script, folder: Path) -> None:
    done = run(script, folder, "a", "b")
    assert done.returncode == 0, done.stdout
    for table, count in (("grid", 6), ("differences", 2), ("cell-differences", 2)):
        wanted = pq.read_table(folder / f"{table}.parquet").to_pylist()
        assert len(wanted) == count
        assert json.loads((folder / f"{table}.json").read_text()) == wanted
        with (folder / f"{table}.csv").open() as file:
            read = list(csv.DictReader(file))
        for row, expected in zip(read, wanted, strict=True):
            assert list(row) == list(expected)
            for name, value in expected.items():
                as_text = {None: "", True: "true", False: "false"}
                if isinstance(value, float):
                    assert float(row[name]) == value
                else:
                    assert row[name] == as_text.get(value, str(value))
    grid = pq.read_table(folder / "grid.parquet").to_pylist()
    assert {row["clustering"] for row in grid} == {"", "hdbscan", "hdbscan-own"}


def test_command_with_one_model(script: Script, folder: Path) -> None:
    done = run(script, folder, "b")
    assert done.returncode == 0, done.stdout
    assert json.loads((folder / "differences.json").read_text()) == []
    assert (folder / "differences.csv").read_text().startswith('"model a","model b"')


def test_command_reports_a_damaged_file_and_writes_nothing(script: Script, folder: Path) -> None:
    (folder / "b-cell").write_bytes(b"PAR1")
    done = run(script, folder, "a", "b")
    assert done.returncode == 1
    assert "b-cell cannot be read" in done.stdout and "Traceback" not in done.stdout
    assert sorted(file.name for file in folder.iterdir()) == ["a-cell", "a-map", "b-cell", "b-map"]
