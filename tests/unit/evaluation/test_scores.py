"""The table of scores: a missing value has a reason, and a written file is read back unchanged."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation.scores import (
    SCHEMA,
    Score,
    higher_is_better,
    measured,
    read_scores,
    write_scores,
)

KEY = ("tree", "Ward tree", "dendrogram_purity", "category 0")


def score_of(value: float, replicates: np.ndarray, note: str = "") -> Score:
    return measured(*KEY, value=value, papers=20, note=note, replicates=replicates)


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    scores = [
        score_of(0.5, np.linspace(0.3, 0.7, 201), "a note"),
        Score("space", "cosine", "mean_cosine", "", value=0.1, papers=20),
        Score("tree", "Ward tree", "x", "", value=None, papers=20, note="omitted: a reason"),
    ]
    write_scores(tmp_path / "scores.parquet", scores)
    assert read_scores(tmp_path / "scores.parquet") == scores
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.schema.equals(SCHEMA)
    first, second, third = table.to_pylist()
    assert (first["low"], first["high"]) == scores[0].interval
    assert first["chance"] is None
    assert (second["value"], second["low"], second["high"], second["replicates"]) == (
        *(0.1, None, None),
        [],
    )
    assert third["value"] is None and third["note"] == "omitted: a reason"


def test_nan_is_omitted_with_a_reason() -> None:
    score = score_of(math.nan, np.ones(3), "a note")
    assert score.value is None and not score.replicates
    assert score.note == "omitted: undefined for these papers; a note"


def test_nan_among_the_replicates_leaves_no_interval_with_a_reason() -> None:
    score = score_of(0.5, np.array([0.4, math.nan, 0.6]))
    assert (score.value, score.interval) == (0.5, (None, None))
    assert score.note == "no interval: undefined in 1 of 3 resamples"


def test_replicates_are_centred_on_the_value() -> None:
    assert score_of(0.5, np.array([0.6, 0.8])).replicates == pytest.approx((0.4, 0.6))


def test_no_interval_exceeds_one_except_of_costs() -> None:
    replicates = np.array([0.9, 1.1])
    for metric, least in (("ari", 1.0), ("dasgupta_cost", 1.5)):
        found = measured(
            "tree", "", metric, "", value=0.99, papers=9, note="", replicates=replicates
        )
        assert found.interval[1] is not None
        assert found.interval[1] >= least and (metric != "ari" or found.interval[1] == 1.0)


def test_a_score_without_replicates_has_no_interval() -> None:
    score = score_of(0.5, np.array([]))
    assert (score.value, score.interval, score.note) == (0.5, (None, None), "")


def test_chance_is_kept_where_it_is_known() -> None:
    for chance, kept in ((0.1, 0.1), (math.nan, None), (None, None)):
        found = measured(*KEY, value=0.5, papers=9, note="", replicates=np.array([]), chance=chance)
        assert found.chance == kept


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("ari", True), ("dasgupta_cost", False), ("noise", None), ("mean_cosine", None)],
)
def test_which_direction_is_better(metric: str, higher: bool | None) -> None:
    assert higher_is_better(metric) is higher


@pytest.mark.parametrize(
    ("value", "note", "replicates"),
    [
        (math.nan, "x", ()),
        (math.inf, "", ()),
        (None, "", ()),
        (0.5, "", (math.nan,)),
        (None, "x", (1.0,)),
    ],
)
def test_a_score_without_value_or_reason_is_a_bug(
    value: float | None, note: str, replicates: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="dendrogram_purity"):
        Score(*KEY, value=value, papers=20, note=note, replicates=replicates)


def test_the_same_score_twice_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two scores"):
        write_scores(tmp_path / "s.parquet", [Score(*KEY, value=0.5, papers=20)] * 2)
    assert not list(tmp_path.iterdir())


def test_files_without_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.parquet cannot be read"):
        read_scores(tmp_path / "nothing.parquet")
    write_scores(tmp_path / "s.parquet", [Score(*KEY, value=0.5, papers=20)])
    pq.write_table(pq.read_table(tmp_path / "s.parquet", columns=["value"]), tmp_path / "other")
    with pytest.raises(InputError, match="is not a file of scores: its columns are value"):
        read_scores(tmp_path / "other")
