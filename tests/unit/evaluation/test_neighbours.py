"""Neighbours and their votes against definitions computed one paper at a time."""

import subprocess
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation import bootstrap, neighbours
from arxiv_embeddings.evaluation.bootstrap import subsamples
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.neighbours import (
    Again,
    accuracies,
    nearest_by_cosine,
    nearest_on_map,
    nearest_papers,
    prediction_quality,
    read_neighbours,
    votes,
)
from arxiv_embeddings.evaluation.scores import Score

Script = Callable[..., subprocess.CompletedProcess[str]]


def random_matrix(papers: int, dimensions: int = 6) -> np.ndarray:
    rng = np.random.default_rng(papers)
    lengths = rng.uniform(0.1, 9, (papers, 1))
    return (rng.standard_normal((papers, dimensions)) * lengths).astype(np.float32)


def labels_of(codes: list[int]) -> Labels:
    return Labels("category 0", np.array(codes, np.int32), tuple(map(str, range(max(codes) + 1))))


def score_neighbours(
    labels: Labels, nearest: np.ndarray, note: str = "", again: Again = ()
) -> list[Score]:
    """Return the accuracies of all papers."""
    queries = np.arange(len(nearest))
    return accuracies(
        [labels], family="space", queries=queries, nearest=nearest, again=again, note=note
    )


def by_cosine(matrix: np.ndarray, query: int, k: int) -> list[int]:
    vectors = matrix.astype(np.float64)
    cosines = [
        vectors[query] @ other / np.linalg.norm(vectors[query]) / np.linalg.norm(other)
        for other in vectors
    ]
    others = [row for row in range(len(matrix)) if row != query]
    return sorted(others, key=lambda row: -cosines[row])[:k]


@pytest.mark.parametrize(("queries_at_once", "rows_at_once"), [(1, 1), (7, 11), (64, 64), (9, 61)])
@pytest.mark.parametrize("k", [1, 5, 59])
def test_neighbours_in_blocks_follow_the_definition(
    monkeypatch: pytest.MonkeyPatch, queries_at_once: int, rows_at_once: int, k: int
) -> None:
    monkeypatch.setattr(neighbours, "QUERIES_AT_ONCE", queries_at_once)
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", rows_at_once)
    matrix = random_matrix(60)
    queries = np.array([0, 3, 4, 10, 11, 30, 58, 59])
    found = nearest_by_cosine(matrix, queries, k)
    assert found.dtype == np.int64
    assert found.tolist() == [by_cosine(matrix, query, k) for query in queries]


def test_a_paper_is_not_its_own_neighbour_even_among_copies() -> None:
    matrix = np.repeat(random_matrix(4), 5, axis=0)
    found = nearest_by_cosine(matrix, np.arange(20), 4)
    for query, rows in enumerate(found):
        first = query // 5 * 5
        assert sorted(rows) == [row for row in range(first, first + 5) if row != query]


def test_vectors_that_were_omitted_are_reported(tmp_path: Path, script: Script) -> None:
    np.save(tmp_path / "none.npy", np.empty((0, 6), np.float32))
    target = tmp_path / "neighbours.npy"
    done = script("find_neighbours.py", "--vectors", tmp_path / "none.npy", "--neighbours", target)
    assert done.returncode == 1
    assert f"none.npy has no rows; {tmp_path}/none.json says why." in done.stdout
    assert not target.exists()


@pytest.mark.parametrize("papers", [5, 70])
def test_the_command_writes_the_neighbours_of_all_papers(
    tmp_path: Path, script: Script, papers: int
) -> None:
    matrix, target = random_matrix(papers), tmp_path / "neighbours.npy"
    np.save(tmp_path / "none.npy", matrix)
    done = script("find_neighbours.py", "--vectors", tmp_path / "none.npy", "--neighbours", target)
    assert done.returncode == 0, done.stdout
    found = read_neighbours(target, papers)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, nearest_papers(matrix))
    # The first ones are what a search for fewer finds.
    np.testing.assert_array_equal(found[:, :3], nearest_by_cosine(matrix, np.arange(papers), 3))
    with pytest.raises(InputError, match="not the neighbours of 71 papers"):
        read_neighbours(target, 71)
    np.save(target, found.astype(np.float32))
    with pytest.raises(InputError, match="contains float32 numbers"):
        read_neighbours(target, papers)
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        read_neighbours(target, papers)


def test_one_paper_has_no_neighbours() -> None:
    assert nearest_by_cosine(random_matrix(1), np.array([0]), 0).shape == (1, 0)


def test_a_zero_vector_is_refused_with_its_row() -> None:
    matrix = random_matrix(9)
    matrix[4] = 0
    with pytest.raises(InputError, match="first of which is row 4"):
        nearest_by_cosine(matrix, np.array([0]), 2)


def test_neighbours_on_a_map_follow_the_definition() -> None:
    places = np.random.default_rng(0).normal(size=(40, 2))
    found = nearest_on_map(places, 39)
    for query, rows in enumerate(found):
        distances = np.linalg.norm(places - places[query], axis=1)
        others = [row for row in range(40) if row != query]
        assert rows.tolist() == sorted(others, key=lambda row: distances[row])


@pytest.mark.parametrize("at_once", [3, 1_000])
def test_the_most_frequent_class_wins_and_the_nearest_decides_a_tie(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(neighbours, "VOTES_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=30).astype(np.int32)
    nearest = np.array([rng.permutation(30)[:6] for _ in range(50)])
    ties = 0
    for voted, rows in zip(votes(codes, nearest), nearest, strict=True):
        counts = Counter(codes[rows].tolist())
        best = [code for code, count in counts.items() if count == max(counts.values())]
        ties += len(best) > 1
        assert voted == next(code for code in codes[rows] if code in best)
    assert ties > 10


def test_accuracy_is_the_share_of_queries_whose_class_wins() -> None:
    matrix = np.array([[1, 0], [1, 0.01], [0, 1], [0.02, 1], [1, 0.9]], np.float32)
    labels = labels_of([0, 0, 1, 1, 2])
    found = score_neighbours(labels, nearest_by_cosine(matrix, np.arange(5), 4), "a note")
    assert [score.metric for score in found] == [
        "accuracy_at_1",
        "accuracy_at_10",
        "balanced_accuracy_at_10",
        "macro_f1_at_10",
        "accuracy_at_50",
    ]
    nearest = found[0]
    # The last paper is the only one of its class.
    assert nearest.value == pytest.approx(4 / 5)
    assert nearest.note == (
        "a note; single-paper classes: 1 of 3; no interval: fewer than 40 papers"
    )


@pytest.mark.parametrize(("most", "scale"), [(5_000, 1.0), (60, np.sqrt(0.6 / 1.4))])
def test_intervals_are_the_spread_of_the_scores_with_neighbours_found_again(
    monkeypatch: pytest.MonkeyPatch, most: int, scale: float
) -> None:
    monkeypatch.setattr(bootstrap, "MOST", most)
    matrix = random_matrix(200)
    codes = (matrix[:, 0] > 0).astype(np.int32) + 2 * (matrix[:, 1] > 0).astype(np.int32)
    again = [(rows, nearest_papers(matrix[rows])) for rows in subsamples(200)]
    scores = score_neighbours(
        labels_of(codes.tolist()), nearest_by_cosine(matrix, np.arange(200), 50), again=again
    )
    for score in scores:
        assert len(score.replicates) == 25
        assert np.mean(score.replicates) == pytest.approx(score.value)
        metric, _, k = score.metric.rpartition("_at_")
        if metric == "accuracy":
            wanted = []
            for rows in subsamples(200):
                part = matrix[rows] / np.linalg.norm(matrix[rows], axis=1, keepdims=True)
                nearest = np.argsort(-(part @ part.T), axis=1)[:, 1 : int(k) + 1]
                wanted.append((votes(codes[rows], nearest) == codes[rows]).mean())
            assert np.std(score.replicates) == pytest.approx(scale * np.std(wanted))


def test_subsamples_with_fewer_neighbours_leave_no_interval_with_a_reason() -> None:
    matrix = random_matrix(80)
    again = [(rows, nearest_papers(matrix[rows])) for rows in subsamples(80)]
    one, *_, fifty = score_neighbours(
        labels_of([0, 1] * 40), nearest_by_cosine(matrix, np.arange(80), 50), again=again
    )
    assert len(one.replicates) == 25
    assert fifty.value is not None and not fifty.replicates
    assert fifty.note == "no interval: undefined in 25 of 25 resamples"


def test_more_neighbours_than_papers_are_omitted_with_a_reason() -> None:
    labels = labels_of([0, 0, 0, 1, 1, 1])
    matrix = random_matrix(6)
    nearest = nearest_by_cosine(matrix, np.arange(6), 5)
    one, ten, _, _, fifty = score_neighbours(labels, nearest)
    assert one.value is not None
    assert ten.value is None
    assert ten.note == "omitted: 10 neighbours need more than 6 papers"
    assert fifty.value is None


@pytest.mark.parametrize(
    ("codes", "reason"), [([0] * 6, "fewer than two classes"), (list(range(6)), "single paper")]
)
def test_unusable_classes_are_omitted_with_a_reason(codes: list[int], reason: str) -> None:
    nearest = nearest_by_cosine(random_matrix(6), np.arange(6), 5)
    for score in score_neighbours(labels_of(codes), nearest):
        assert score.value is None
        assert reason in score.note


@pytest.mark.parametrize("seed", range(3))
def test_prediction_quality_follows_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(5, size=60), rng.integers(7, size=60)
    true[true == 3] = 2
    classes = np.unique(true)
    hit = true == predicted
    recalls = [hit[true == code].mean() for code in classes]
    f1s = [
        2 * (hit & (true == code)).sum() / ((true == code).sum() + (predicted == code).sum())
        for code in np.union1d(true, predicted)
    ]
    wanted = [hit.mean(), np.mean(recalls), np.mean(f1s)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prediction_quality(true, predicted) == pytest.approx(wanted)


def test_chance_is_the_score_of_shuffled_labels() -> None:
    rng = np.random.default_rng(0)
    codes = (rng.random(2_000) < 0.3).astype(int).tolist()
    matrix = random_matrix(2_000)
    scores = score_neighbours(labels_of(codes), nearest_by_cosine(matrix, np.arange(2_000), 50))
    chance = {score.metric: score.chance for score in scores}
    assert chance["accuracy_at_1"] == pytest.approx(0.7**2 + 0.3**2, abs=0.03)
    assert chance["balanced_accuracy_at_10"] == pytest.approx(0.5, abs=0.03)
    # These vectors know nothing of the classes.
    for score in scores:
        assert score.value == pytest.approx(score.chance, abs=0.04)
