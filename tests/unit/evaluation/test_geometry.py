"""Scores of the space against their definitions, and their notes about unusual vectors."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.common.files import write_json
from arxiv_embeddings.evaluation import geometry
from arxiv_embeddings.evaluation.geometry import (
    centrality,
    distinct_rows,
    mean_cosine,
    read_lengths,
    silhouette,
    space_scores,
    spearman,
)
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.neighbours import nearest_papers
from arxiv_embeddings.evaluation.scores import Score, read_scores
from scipy.stats import spearmanr

Script = Callable[..., subprocess.CompletedProcess[str]]


def unit(papers: int, dimensions: int = 5, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((papers, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def levels_of(papers: int, classes: int = 3) -> list[Labels]:
    codes = (np.arange(papers) % classes).astype(np.int32)
    names = tuple(f"a.{code}" for code in range(classes))
    return [Labels(level, codes, names) for level in ("category 0", "category 1")]


def by_key(scores: list[Score]) -> dict[tuple[str, str], Score]:
    return {(score.metric, score.level): score for score in scores}


def scores_of_space(
    vectors: np.ndarray, levels: list[Labels], lengths: np.ndarray, listed: list[str] | None = None
) -> list[Score]:
    nearest = nearest_papers(vectors)
    return space_scores(vectors, levels, lengths, nearest, listed)


def test_mean_cosine_is_the_mean_over_all_pairs() -> None:
    vectors = unit(20)
    pairs = [vectors[i] @ vectors[j] for i in range(20) for j in range(i)]
    assert mean_cosine(vectors, np.ones(20)) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_mean_cosine_of_resampled_papers_leaves_out_pairs_of_copies() -> None:
    vectors = unit(12)
    counts = np.random.default_rng(0).integers(4, size=12)
    drawn = np.repeat(np.arange(12), counts)
    pairs = [vectors[i] @ vectors[j] for i in drawn for j in drawn if i != j]
    assert mean_cosine(vectors, counts) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert np.isnan(mean_cosine(vectors, np.eye(12)[3] * 12))


def test_centrality_is_the_mean_cosine_to_the_others() -> None:
    vectors = unit(15)
    wanted = [np.mean([vectors[i] @ vectors[j] for j in range(15) if j != i]) for i in range(15)]
    np.testing.assert_allclose(centrality(vectors), wanted, atol=1e-6)


def test_spearman_equals_scipy_on_the_repeated_papers() -> None:
    rng = np.random.default_rng(0)
    values, others = rng.normal(size=30), rng.integers(9, size=30)
    counts = rng.integers(3, size=30)
    wanted = spearmanr(np.repeat(values, counts), np.repeat(others, counts))[0]
    assert spearman(values, others, counts) == pytest.approx(wanted)
    assert np.isnan(spearman(values, np.ones(30), counts))


def test_silhouette_follows_its_definition() -> None:
    vectors, labels = unit(30), levels_of(30)[0]
    distances = 1 - vectors.astype(np.float64) @ vectors.T
    wanted = []
    for i, code in enumerate(labels.codes):
        means = [
            distances[i, (labels.codes == other) & (np.arange(30) != i)].mean()
            for other in range(3)
        ]
        nearest = min(mean for other, mean in enumerate(means) if other != code)
        wanted.append((nearest - means[code]) / max(nearest, means[code]))
    score = silhouette(vectors, labels, 90)
    assert score.value == pytest.approx(np.mean(wanted), abs=1e-5)
    assert score.note == "a random sample of 30 of 90 papers; no interval: fewer than 40 papers"


def embed_words(lengths: np.ndarray, padding_counts: bool, batch: int = 32) -> np.ndarray:
    """Return means over word vectors, including those of padding if ``padding_counts``."""
    rng = np.random.default_rng(0)
    subjects, padding = rng.normal(size=(10, 64)), 0.5 * rng.normal(size=64)
    vectors = np.empty((len(lengths), 64), np.float32)
    for start in range(0, len(lengths), batch):
        part = slice(start, start + batch)
        longest = lengths[part].max()
        for row, words in enumerate(lengths[part], start):
            total = subjects[row % 10] * words + rng.normal(size=64) * np.sqrt(words)
            if padding_counts:
                vectors[row] = (total + padding * (longest - words)) / longest
            else:
                vectors[row] = total / words
    return vectors


def test_the_length_correlation_reveals_a_mean_over_padding() -> None:
    lengths = np.random.default_rng(1).integers(20, 400, size=640)
    right, wrong = (
        by_key(scores_of_space(embed_words(lengths, padding), levels_of(640), lengths))[
            "length_correlation", ""
        ]
        for padding in (False, True)
    )
    assert right.value is not None
    assert wrong.value is not None
    assert abs(right.value) < 0.25
    assert wrong.value < -0.7
    assert wrong.interval[1] is not None
    assert right.interval[0] is not None
    assert wrong.interval[1] < right.interval[0]


def test_each_score_is_there_once_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    listed = [f"a.{row % 3} a.1" for row in range(120)]
    found = scores_of_space(unit(120), levels_of(120), rng.integers(9, 99, size=120), listed)
    assert len({score.key for score in found}) == len(found) == 2 + 2 + 2 * (1 + 1 + 5 + 2)
    for score in found:
        assert score.family == "space"
        assert score.papers == 120
        assert score.value is not None
        low, high = score.interval
        assert low is not None
        assert high is not None
        assert low <= score.value <= high
        assert score.note == ("5 folds" if score.method == "linear probe" else "")
        means_nothing = score.metric in ("mean_cosine", "length_correlation")
        assert (score.chance is None) == means_nothing


def test_notes_state_the_subsample(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUERIES", "PAIRED", "SILHOUETTES"):
        monkeypatch.setattr(geometry, name, 60)
    for score in scores_of_space(unit(90), levels_of(90), np.arange(90)):
        assert score.papers == 60
        assert (score.value is None) == (score.metric == "any_listed_accuracy_at_10")
        if score.value is not None:
            assert score.note.startswith("a random sample of 60 of 90 papers")


def test_identical_vectors_have_no_scores_and_duplicates_are_noted() -> None:
    vectors, lengths = unit(60), np.arange(60)
    alike = scores_of_space(np.repeat(vectors[:1], 60, axis=0), levels_of(60), lengths)
    assert {score.key for score in alike} == {
        score.key for score in scores_of_space(vectors, levels_of(60), lengths)
    }
    for score in alike:
        assert score.value is None
        assert score.note == "omitted: all vectors are identical"
    vectors[10:20] = vectors[10]
    assert distinct_rows(vectors) == 51
    some = by_key(scores_of_space(vectors, levels_of(60), lengths))
    assert some["mean_cosine", ""].note == "9 papers have the same vector as another"


def test_one_paper_and_texts_of_one_length_have_no_scores() -> None:
    for score in scores_of_space(unit(1), levels_of(1, 1), np.array([5])):
        assert score.value is None
        assert score.note == "omitted: there is only one paper"
    scores = by_key(scores_of_space(unit(70), levels_of(70), np.full(70, 5)))
    assert scores["length_correlation", ""].note == "omitted: all texts have the same length"
    assert scores["mean_cosine", ""].value is not None


def test_a_vector_that_is_not_finite_is_refused() -> None:
    vectors = unit(30)
    vectors[7, 2] = np.nan
    with pytest.raises(InputError, match="first of which is row 7"):
        space_scores(vectors, levels_of(30), np.arange(30), nearest_papers(unit(30)))


def write_papers(path: Path, papers: int) -> None:
    columns = {
        "id": [str(row) for row in range(papers)],
        "topic": ["é" * (row % 50) for row in range(papers)],
        "category 0": ["cs" if row % 2 else "math" for row in range(papers)],
        "category 1": [
            f"{'cs' if row % 2 else 'math'}.{'XY'[row // 2 % 2]}" for row in range(papers)
        ],
    }
    pq.write_table(pa.table(columns), path, row_group_size=30)


def test_lengths_are_counted_in_characters(tmp_path: Path) -> None:
    write_papers(tmp_path / "papers.parquet", 100)
    assert read_lengths(tmp_path / "papers.parquet").tolist() == [row % 50 for row in range(100)]


def test_the_command_writes_the_scores_or_reports_the_error(tmp_path: Path, script: Script) -> None:
    np.save(tmp_path / "embeddings.npy", unit(100))
    papers, scores = tmp_path / "papers.parquet", tmp_path / "space-scores.parquet"
    write_json(tmp_path / "selection.json", {"papers": 100})
    np.save(tmp_path / "neighbours.npy", nearest_papers(unit(100)))
    arguments = (
        "--neighbours",
        tmp_path / "neighbours.npy",
        "--embeddings",
        tmp_path / "embeddings.npy",
        "--papers",
        papers,
        "--selection",
        tmp_path / "selection.json",
        "--scores",
        scores,
    )
    (tmp_path / "selection.json").write_text('{"papers": 100}')
    write_papers(papers, 99)
    done = script("score_space.py", *arguments)
    assert done.returncode == 1
    assert "has 99 papers, but 100 take part in the evaluation" in done.stdout
    assert "Traceback" not in done.stdout
    assert not scores.exists()
    write_papers(papers, 100)
    done = script("score_space.py", *arguments)
    assert done.returncode == 0, done.stdout
    assert {score.family for score in read_scores(scores)} == {"space", "MTEB"}
