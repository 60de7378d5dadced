"""Models side by side: tables in three formats, and paired differences."""

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
from arxiv_embeddings.evaluation.bootstrap import interval, mean_replicates
from arxiv_embeddings.evaluation.comparison import all_scores, differences
from arxiv_embeddings.evaluation.scores import Score, measured, write_scores

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = ("space", "k-NN", "accuracy_1", "category 0")
RNG = np.random.default_rng(0)
# How easy each paper is.
EASY = RNG.random(400)


def score(values: np.ndarray, metric: str = "accuracy_1") -> Score:
    """The mean of a value per paper, as a score."""
    return measured(
        *("space", "k-NN", metric, "category 0"),
        value=float(values.mean()),
        papers=len(values),
        note="",
        replicates=mean_replicates(values),
    )


def rows(**models: list[Score]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = differences(models).to_pylist()
    return found


def test_a_small_difference_on_the_same_papers_is_real() -> None:
    """The intervals of the scores overlap widely, but the same papers are hard for both models."""
    a, b = score(EASY + 0.02 + RNG.normal(0, 0.05, 400)), score(EASY)
    assert a.interval[0] is not None and b.interval[1] is not None
    assert a.interval[0] < b.interval[1]
    (row,) = rows(a=[a], b=[b])
    assert a.value is not None and b.value is not None
    assert row["difference"] == a.value - b.value
    assert (row["low"], row["high"]) == interval(np.subtract(a.replicates, b.replicates))
    assert 0 < row["low"] < row["difference"] < row["high"] < 0.04
    assert row["real"] is True
    (turned,) = rows(b=[b], a=[a])
    assert turned["real"] is True and turned["difference"] == -row["difference"]


def test_differences_by_chance_are_rarely_real() -> None:
    real = [
        rows(a=[score(EASY + RNG.normal(0, 0.1, 400))], b=[score(EASY)])[0]["real"]
        for _ in range(40)
    ]
    assert sum(real) <= 6


def test_one_model_has_scores_but_no_differences() -> None:
    assert rows(a=[score(EASY)]) == []
    assert all_scores({"a": [score(EASY)]}).num_rows == 1


def test_three_models_make_three_pairs() -> None:
    found = rows(a=[score(EASY)], b=[score(EASY)], c=[score(EASY)])
    assert [(row["model a"], row["model b"]) for row in found] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    assert all(row["difference"] == 0 and row["real"] is False for row in found)


def test_a_note_gives_the_reason_why_scores_are_not_compared() -> None:
    omitted = Score(*KEY, value=None, papers=400, note="omitted: a reason")
    (row,) = rows(a=[score(EASY)], b=[omitted])
    assert row["note"] == "b: omitted: a reason"
    assert row["difference"] is row["low"] is row["high"] is row["real"] is None
    found = rows(a=[score(EASY)], b=[score(EASY, "accuracy_10")])
    assert [(row["metric"], row["note"]) for row in found] == [
        ("accuracy_1", "b: does not have this score"),
        ("accuracy_10", "a: does not have this score"),
    ]
    (row,) = rows(a=[score(EASY)], b=[Score(*KEY, value=0.25, papers=400)])
    assert row["difference"] == pytest.approx(EASY.mean() - 0.25)
    assert row["real"] is None and row["note"] == "no interval: one of the scores has none"


def test_models_with_different_papers_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"accuracy_1 .* on 400 papers for a, but on 399 papers for b"
    ):
        rows(a=[score(EASY)], b=[score(EASY[1:])])


def run(script: Script, folder: Path, *models: str) -> subprocess.CompletedProcess[str]:
    options = [["--model", model, folder / f"{model}-1", folder / f"{model}-2"] for model in models]
    outputs = [
        [f"--{table}", *(folder / f"{table}.{suffix}" for suffix in ("parquet", "csv", "json"))]
        for table in ("scores", "differences")
    ]
    return script("compare_models.py", *(part for option in options + outputs for part in option))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of scores of each of the models a and b."""
    for model, values in (("a", EASY + 0.1), ("b", EASY)):
        write_scores(tmp_path / f"{model}-1", [score(values)])
        key = ("tree", "Ward tree", "x", "")
        omitted = Score(*key, value=None, papers=400, note='omitted: "quoted", with commas')
        write_scores(tmp_path / f"{model}-2", [omitted])
    return tmp_path


def test_command_writes_the_same_in_three_formats(script: Script, folder: Path) -> None:
    done = run(script, folder, "a", "b")
    assert done.returncode == 0, done.stdout
    for table, count in (("scores", 4), ("differences", 2)):
        wanted = pq.read_table(folder / f"{table}.parquet").to_pylist()
        assert len(wanted) == count and "replicates" not in wanted[0]
        text = (folder / f"{table}.json").read_text()
        assert json.loads(text) == wanted
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
    assert [row["model"] for row in pq.read_table(folder / "scores.parquet").to_pylist()] == [
        *"aabb"
    ]


def test_command_with_one_model(script: Script, folder: Path) -> None:
    done = run(script, folder, "b")
    assert done.returncode == 0, done.stdout
    assert json.loads((folder / "differences.json").read_text()) == []
    assert (folder / "differences.csv").read_text().startswith('"model a","model b"')


def test_command_reports_a_damaged_file_and_writes_nothing(script: Script, folder: Path) -> None:
    (folder / "b-2").write_bytes(b"PAR1")
    done = run(script, folder, "a", "b")
    assert done.returncode == 1
    assert "b-2 cannot be read" in done.stdout and "Traceback" not in done.stdout
    assert sorted(file.name for file in folder.iterdir()) == ["a-1", "a-2", "b-1", "b-2"]
