"""What `make demo` ends with: the best cell of each model."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from support.data.make_evaluation import make_grid

Script = Callable[..., subprocess.CompletedProcess[str]]


def test_the_best_cell_of_each_model_is_printed(script: Script, tmp_path: Path) -> None:
    grid = tmp_path / "grid.parquet"
    make_grid(grid, ["first", "second"])
    rows = [row for row in pq.read_table(grid).to_pylist() if row["metric"] == "ari"]
    done = script("show_scores.py", grid)
    assert done.returncode == 0, done.stdout
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["level", "model", "ARI", "95", "%", "interval", "best", "cell"]
    expected = []
    for level in ("category 0", "category 1"):
        for model in ("first", "second"):
            own = [row for row in rows if (row["model"], row["level"]) == (model, level)]
            best = max(row["value"] for row in own)
            expected.append([*level.split(), model, f"{best:.3f}"])
    assert [line.split()[:4] for line in lines] == expected
    assert any(
        line.endswith(("none; k-means", "PCA, 300; k-means", "PCA, 300; Ward")) for line in lines
    )


def test_a_score_that_no_cell_has_is_said(script: Script, tmp_path: Path) -> None:
    grid = tmp_path / "grid.parquet"
    make_grid(grid, ["first"])
    done = script("show_scores.py", grid, "--best-by", "rand")
    assert done.stdout.count("no cell has this score") == 2
