"""nDCG against the definition and scikit-learn, and credit for any class that a paper lists."""

from typing import Any

import numpy as np
import pytest
from arxiv_embeddings.evaluation.bootstrap import subsamples
from arxiv_embeddings.evaluation.labels import Labels, paths
from arxiv_embeddings.evaluation.neighbours import Again
from arxiv_embeddings.evaluation.retrieval import ndcg, retrieval_scores
from arxiv_embeddings.evaluation.scores import Score
from sklearn.metrics import ndcg_score

PAPERS = 40


def levels_of(codes: np.ndarray) -> list[Labels]:
    """Fine classes, of which two and two make a coarse one."""
    names = [f"{'xyz'[code // 2]}.{'ab'[code % 2]}" for code in range(6)]
    fine, coarse = codes.astype(np.int32), (codes // 2).astype(np.int32)
    return [Labels("category 0", coarse, tuple("xyz")), Labels("category 1", fine, tuple(names))]


@pytest.fixture
def codes() -> np.ndarray:
    found = np.random.default_rng(0).integers(5, size=PAPERS)
    # The only paper of its coarse class.
    found[found == 4] = 3
    found[9] = 5
    return found


@pytest.fixture
def nearest() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = [np.delete(np.arange(PAPERS), query) for query in range(PAPERS)]
    return np.array([rng.permutation(row)[:12] for row in rows])


def again_of(nearest: np.ndarray) -> Again:
    """Return subsamples whose papers keep the order of their neighbours, which end with the other papers."""
    places = np.array([np.append(row, np.delete(np.arange(PAPERS), row)) for row in nearest])
    found = []
    for rows in subsamples(PAPERS):
        of_row = np.full(PAPERS, -1)
        of_row[rows] = np.arange(len(rows))
        kept = [[of_row[row] for row in places[own] if row != own] for own in rows]
        found.append((rows, np.array([[row for row in near if row >= 0] for near in kept])))
    return found


def by_key(scores: list[Score]) -> dict[tuple[str, str], Score]:
    return {(score.metric, score.level): score for score in scores}


@pytest.mark.parametrize("graded", [True, False])
def test_ndcg_equals_scikit_learn(codes: np.ndarray, nearest: np.ndarray, graded: bool) -> None:
    levels = levels_of(codes)
    used = paths(levels) if graded else [levels[1].codes]
    found, chance = ndcg(used, np.arange(PAPERS), nearest)
    rng = np.random.default_rng(2)
    for query in range(PAPERS):
        others = np.delete(np.arange(PAPERS), query)
        gains = np.sum([level[others] == level[query] for level in used], axis=0)
        if not gains.any():
            assert np.isnan(found[query]) and query == 9
            continue
        rank = {row: place for place, row in enumerate(nearest[query].tolist())}
        order = np.array([-rank.get(row, PAPERS) for row in others.tolist()], float)
        assert found[query] == pytest.approx(ndcg_score([gains], [order], k=10))
        random = [
            ndcg_score([gains], [rng.permutation(len(others))], k=10, ignore_ties=True)
            for _ in range(300)
        ]
        error = np.std(random) / np.sqrt(300)
        assert abs(chance[query] - np.mean(random)) < 4.5 * error + 1e-9


def test_papers_alone_in_their_class_are_left_out_of_ndcg_and_counted(
    codes: np.ndarray, nearest: np.ndarray
) -> None:
    scores = by_key(
        retrieval_scores(
            levels_of(codes),
            queries=np.arange(PAPERS),
            nearest=nearest,
            again=again_of(nearest),
            listed=None,
            note="a note",
        )
    )
    for level in ("category 0", "category 1", ""):
        score = scores["ndcg_at_10", level]
        assert score.papers == PAPERS - 1
        assert score.note == "a note; without 1 papers alone in their class"
        assert score.value is not None and score.interval[0] is not None
    wanted = []
    for rows, near in again_of(nearest):
        gains, _ = ndcg([levels_of(codes)[1].codes[rows]], np.arange(len(rows)), near)
        wanted.append(np.nanmean(gains))
    assert np.std(scores["ndcg_at_10", "category 1"].replicates) == pytest.approx(np.std(wanted))
    missing = scores["any_listed_accuracy_at_10", "category 1"]
    assert missing.note == "omitted: the papers have no column categories"


def test_any_listed_class_counts_at_every_level(codes: np.ndarray, nearest: np.ndarray) -> None:
    levels = levels_of(codes)
    names = [levels[1].names[code] for code in codes]
    queries = np.arange(PAPERS)
    options: dict[str, Any] = {"queries": queries, "nearest": nearest, "again": (), "note": ""}
    own = by_key(retrieval_scores(levels, listed=names, **options))
    crossed = by_key(
        retrieval_scores(levels, listed=[f"{name} x.a unknown" for name in names], **options)
    )
    every = by_key(retrieval_scores(levels, listed=[" ".join(levels[1].names)] * PAPERS, **options))
    for level, labels in zip(("category 0", "category 1"), levels, strict=True):
        key = ("any_listed_accuracy_at_10", level)
        hits = 0
        listed_too = 0
        for query in queries:
            classes = labels.codes[nearest[query, :10]].tolist()
            predicted = max(classes, key=lambda code: (classes.count(code), -classes.index(code)))
            hits += predicted == labels.codes[query]
            listed_too += predicted in (labels.codes[query], 0)
        assert own[key].value == pytest.approx(hits / PAPERS)
        assert crossed[key].value == pytest.approx(listed_too / PAPERS)
        assert hits < listed_too
        assert every[key].value == 1 == every[key].chance


def test_too_few_neighbours_are_omitted_with_a_reason(
    codes: np.ndarray, nearest: np.ndarray
) -> None:
    scores = retrieval_scores(
        levels_of(codes),
        queries=np.arange(PAPERS),
        nearest=nearest[:, :9],
        again=(),
        listed=None,
        note="",
    )
    assert {score.value for score in scores} == {None}
    assert scores[0].note == "omitted: 10 neighbours need more papers"
