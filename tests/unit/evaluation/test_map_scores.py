"""Scores of maps against definitions computed one paper at a time."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation import bootstrap
from arxiv_embeddings.evaluation import map_scores as map_scores_module
from arxiv_embeddings.evaluation.bootstrap import subsample, subsamples
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.map_scores import (
    continuity,
    geodesics,
    map_scores,
    rank_correlation,
    shepard,
    trustworthiness,
)
from arxiv_embeddings.evaluation.neighbours import (
    nearest_by_cosine,
    nearest_on_map,
    nearest_papers,
)
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn import manifold


def unit(papers: int, dimensions: int = 5, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((papers, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def on_an_arc(papers: int, angle: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors along an arc, and a line, which is its perfect map."""
    at = np.sort(np.random.default_rng(0).uniform(0, angle, papers))
    vectors = np.column_stack([np.cos(at), np.sin(at)]).astype(np.float32)
    return vectors, np.column_stack([at, np.zeros(papers)])


def levels_of(papers: int) -> list[Labels]:
    codes = (np.arange(papers) * 3 // papers).astype(np.int32)
    return [Labels(level, codes, ("a", "b", "c")) for level in ("category 0", "category 1")]


@pytest.mark.parametrize("at_once", [7, 512])
def test_trustworthiness_and_continuity_equal_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(map_scores_module, "QUERIES_AT_ONCE", at_once)
    vectors, places = unit(60), np.random.default_rng(1).normal(size=(60, 2))
    rows, some = np.arange(60), np.array([3, 20, 59])
    on_map = nearest_on_map(places, 7)
    mine = trustworthiness(vectors, on_map, rows)
    # Vectors of length 1 have the same neighbours by Euclidean distance and by cosine.
    assert mine.mean() == pytest.approx(
        manifold.trustworthiness(vectors, places, n_neighbors=7), abs=1e-9
    )
    np.testing.assert_array_equal(trustworthiness(vectors, on_map, some), mine[some])
    nearest = nearest_by_cosine(vectors, rows, 7)
    mine = continuity(places, nearest, rows)
    # Continuity is the trustworthiness of the vectors as a map of the map.
    assert mine.mean() == pytest.approx(
        manifold.trustworthiness(places, vectors, n_neighbors=7), abs=1e-9
    )
    np.testing.assert_array_equal(continuity(places, nearest, some), mine[some])


def test_geodesics_are_the_shortest_paths_through_all_papers() -> None:
    vectors, k = unit(25), 3
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors, axis=2)
    paths = np.full((25, 25), np.inf)
    for row in range(25):
        paths[row, row] = 0
        for other in np.argsort(apart[row])[1 : k + 1]:
            paths[row, other] = paths[other, row] = apart[row, other]
    # Floyd and Warshall.
    for middle in range(25):
        paths = np.minimum(paths, paths[:, [middle]] + paths[[middle]])
    nearest = nearest_by_cosine(vectors, np.arange(25), k)
    np.testing.assert_allclose(geodesics(vectors, nearest, np.arange(25)), paths, atol=1e-5)
    some = np.array([2, 9, 24])
    np.testing.assert_allclose(
        geodesics(vectors, nearest, some), paths[np.ix_(some, some)], atol=1e-5
    )


def test_identical_vectors_are_connected() -> None:
    vectors = np.repeat(unit(4), 3, axis=0)
    paths = geodesics(vectors, nearest_by_cosine(vectors, np.arange(12), 2), np.arange(12))
    assert paths[0, 2] < 1e-6
    # All neighbours of a vector are its copies.
    assert np.isinf(paths[0, 3])


def test_rank_correlation_equals_spearman() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.abs(part - part.T) for part in rng.normal(size=(2, 12, 12)))
    upper = np.triu_indices(12, 1)
    wanted = spearmanr(first[upper], second[upper])[0]
    first[first > 2] = np.inf
    wanted = spearmanr(first[upper], second[upper])[0]
    assert rank_correlation(first, second) == pytest.approx(wanted)
    assert np.isnan(rank_correlation(first, np.ones((12, 12))))


@pytest.mark.parametrize(("most", "scale"), [(5_000, 1.0), (80, np.sqrt(0.4 / 0.6))])
def test_intervals_are_the_spread_of_the_same_scores_on_subsamples(
    monkeypatch: pytest.MonkeyPatch, most: int, scale: float
) -> None:
    monkeypatch.setattr(bootstrap, "MOST", most)
    monkeypatch.setattr(map_scores_module, "WALKED", 150)
    vectors = unit(200)
    places = vectors[:, :2] + 0.1 * np.random.default_rng(1).normal(size=(200, 2))
    scores = map_scores(vectors, levels_of(200), places, nearest_papers(vectors)).scores[:4]
    wanted = []
    for rows in subsamples(200):
        few, some = vectors[rows], places[rows]
        walked = np.flatnonzero(np.isin(rows, subsample(200, 150)))
        upper = np.triu_indices(len(walked), 1)
        apart = squareform(pdist(some[walked]))[upper]
        paths = geodesics(few, nearest_papers(few)[:, :30], walked)[upper]
        wanted.append(
            [
                manifold.trustworthiness(few, some, n_neighbors=15),
                manifold.trustworthiness(some, few, n_neighbors=15),
                spearmanr(squareform(pdist(few[walked]))[upper], apart)[0],
                spearmanr(paths, apart)[0],
            ]
        )
    for score, values in zip(scores, np.transpose(wanted), strict=True):
        assert len(score.replicates) == 25
        assert np.mean(score.replicates) == pytest.approx(score.value)
        assert np.std(score.replicates) == pytest.approx(scale * np.std(values), rel=1e-4)


def test_subsamples_with_few_of_the_compared_papers_leave_no_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(map_scores_module, "WALKED", 15)
    vectors, places = on_an_arc(100)
    demap = map_scores(vectors, levels_of(100), places, nearest_papers(vectors)).scores[3]
    assert demap.value is not None and demap.interval == (None, None)
    assert demap.note.endswith("no interval: undefined in 25 of 25 resamples")


def test_a_perfect_map_has_high_scores_and_a_shuffled_map_low_ones() -> None:
    vectors, places = on_an_arc(300)
    good = map_scores(vectors, levels_of(300), places, nearest_papers(vectors)).scores
    shuffled = np.random.default_rng(0).permutation(places)
    bad = map_scores(vectors, levels_of(300), shuffled, nearest_papers(vectors)).scores
    assert [score.metric for score in good[:4]] == [
        *("trustworthiness", "continuity", "distance_correlation", "demap"),
    ]
    for best, worst in zip(good, bad, strict=True):
        assert best.family == "map"
        assert best.value is not None and worst.value is not None
        assert best.value > 0.95
        assert worst.value < 0.6
        low, high = best.interval
        assert low is not None and high is not None
        assert low <= best.value <= high


def test_notes_state_samples_and_unconnected_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_scores_module, "TRUSTED", 90)
    monkeypatch.setattr(map_scores_module, "WALKED", 80)
    monkeypatch.setattr(map_scores_module, "EDGES", 20)
    near, places = on_an_arc(60, 0.5)
    vectors, places = np.vstack([near, -near]), np.vstack([places, places + 9])
    trust, _, distances, demap, *accuracies = map_scores(
        vectors, levels_of(120), places, nearest_papers(vectors)
    ).scores
    assert trust.note == "a random sample of 90 of 120 papers; 15 neighbours"
    assert trust.papers == 90
    assert demap.papers == distances.papers == 80
    assert "% of pairs are not connected and count as farthest" in demap.note
    assert {score.papers for score in accuracies} == {120}


def test_a_small_map_uses_as_many_neighbours_as_there_are() -> None:
    vectors, places = on_an_arc(25)
    trust, _, _, demap, *_ = map_scores(
        vectors, levels_of(25), places, nearest_papers(vectors)
    ).scores
    assert trust.note == "12 neighbours; no interval: fewer than 40 papers"
    assert demap.note == "24 neighbours; no interval: fewer than 40 papers"


def test_a_shepard_diagram_counts_every_pair_once() -> None:
    apart = np.array([[0.0, 1, 2], [1, 0, 4], [2, 4, 0]])
    pairs = shepard(apart, 10 * apart)
    assert pairs.sum() == 3
    # Proportional distances lie on the diagonal.
    assert np.trace(pairs) == 3
    assert pairs[-1, -1] == 1
