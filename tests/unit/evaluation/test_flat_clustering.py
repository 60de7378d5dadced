"""Agreement from contingency tables equals scikit-learn's from labels; k-means finds clear clusters."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation.bootstrap import centred, resample
from arxiv_embeddings.evaluation.flat_clustering import (
    METRICS,
    agreement,
    contingency,
    flat_scores,
    kmeans,
    mutual_information_by_chance,
)
from arxiv_embeddings.evaluation.labels import Labels
from sklearn import metrics

SKLEARN = {
    "v_measure": metrics.v_measure_score,
    "ami": metrics.adjusted_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
    "nmi": metrics.normalized_mutual_info_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
}


def draw(papers: int, classes: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return classes of unequal size, and clusters that differ from them in a share ``noise`` of the papers."""
    rng = np.random.default_rng(seed)
    codes = np.concatenate(
        [np.arange(classes), rng.integers(classes, size=papers - classes) ** 2 // classes]
    )
    clusters = np.where(rng.random(papers) < noise, rng.integers(classes + 3, size=papers), codes)
    return codes, clusters


def labels_of(codes: np.ndarray) -> Labels:
    return Labels("category 1", codes, tuple(f"c{code}" for code in range(codes.max() + 1)))


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("replicate", [None, 0, 1])
def test_agreement_equals_scikit_learn(noise: float, replicate: int | None) -> None:
    codes, clusters = draw(300, 12, noise)
    counts = np.ones(300, np.int64) if replicate is None else resample(300, replicate)
    table = contingency(codes, clusters)(counts)
    found = agreement(table, mutual_information_by_chance(table))
    assert tuple(found) == METRICS
    for metric, function in SKLEARN.items():
        wanted = function(np.repeat(codes, counts), np.repeat(clusters, counts))
        assert found[metric] == pytest.approx(wanted, abs=1e-9), metric


def test_ari_follows_its_definition_over_pairs() -> None:
    codes, clusters = draw(40, 4, 0.4)
    pairs = [(i, j) for i in range(40) for j in range(i)]
    together = sum(codes[i] == codes[j] and clusters[i] == clusters[j] for i, j in pairs)
    by_class = sum(codes[i] == codes[j] for i, j in pairs)
    by_cluster = sum(clusters[i] == clusters[j] for i, j in pairs)
    chance = by_class * by_cluster / len(pairs)
    table = contingency(codes, clusters)(np.ones(40, np.int64))
    wanted = (together - chance) / ((by_class + by_cluster) / 2 - chance)
    assert agreement(table, 0.1)["ari"] == pytest.approx(wanted)


def test_scores_carry_value_interval_and_notes() -> None:
    codes, clusters = draw(300, 12, 0.3)
    scores = {
        score.metric: score for score in flat_scores("m", labels_of(codes), clusters, "a note")
    }
    assert tuple(scores) == METRICS
    for metric, score in scores.items():
        low, high = score.interval
        assert score.value == pytest.approx(SKLEARN[metric](codes, clusters))
        assert low is not None and high is not None and score.value is not None
        assert low < score.value < high
        assert (score.papers, score.level, score.method) == (300, "category 1", "m")
        assert score.note == "a note; single-paper classes: 3 of 12"
    # Replicate r is the score on the papers that replicate r draws.
    draws = [np.repeat(np.arange(300), resample(300, replicate)) for replicate in range(200)]
    wanted = np.array([metrics.v_measure_score(codes[rows], clusters[rows]) for rows in draws])
    value = scores["v_measure"].value
    assert value is not None
    np.testing.assert_allclose(scores["v_measure"].replicates, centred(wanted, value))


def test_the_chance_of_all_papers_is_good_enough_for_every_replicate() -> None:
    """The interval of AMI is as wide as with the chance of each replicate's own table."""
    codes, clusters = draw(3_000, 20, 0.4)
    tables = contingency(codes, clusters)
    own = [
        agreement(table, mutual_information_by_chance(table))["ami"]
        for table in (tables(resample(3_000, replicate)) for replicate in range(200))
    ]
    scores = {score.metric: score for score in flat_scores("m", labels_of(codes), clusters)}
    assert np.std(scores["ami"].replicates) == pytest.approx(np.std(own), rel=0.05)


def test_intervals_cover_the_score_of_new_papers() -> None:
    """With many classes resamples agree with themselves too well, but centred intervals still have their coverage."""
    fresh = [metrics.v_measure_score(*draw(600, 30, 0.5, seed)) for seed in range(40)]
    hits = 0
    for seed in range(40):
        codes, clusters = draw(600, 30, 0.5, seed)
        low, high = flat_scores("m", labels_of(codes), clusters)[0].interval
        assert low is not None and high is not None
        hits += low <= np.mean(fresh) <= high
    assert hits >= 34


@pytest.mark.parametrize(
    ("codes", "clusters", "reason"),
    [
        ([0, 0, 0], [0, 1, 2], "fewer than two classes"),
        ([0, 1, 2], [0, 1, 2], "every class of category 1 has a single paper"),
        ([0, 0, 1], [4, 4, 4], "all vectors are in one cluster"),
    ],
)
def test_undefined_scores_are_omitted_with_a_reason(
    codes: list[int], clusters: list[int], reason: str
) -> None:
    scores = flat_scores("m", labels_of(np.array(codes)), np.array(clusters))
    assert [score.metric for score in scores] == list(METRICS)
    for score in scores:
        assert score.value is None and reason in score.note


def test_a_note_states_fewer_clusters_and_single_paper_classes() -> None:
    codes = np.array([0, 0, 0, 1, 1, 1, 2])
    fewer = "only 2 of 3 requested clusters were found"
    for clusters, stated in (
        ([0, 0, 0, 1, 1, 1, 1], True),
        ([0, 0, 0, 1, 1, 1, 2], False),
        ([0, 0, 3, 1, 1, 1, 2], False),
    ):
        for score in flat_scores("m", labels_of(codes), np.array(clusters), "a note"):
            parts = score.note.split("; ")
            expected = ["a note", *([fewer] if stated else []), "single-paper classes: 1 of 3"]
            assert parts[: len(expected)] == expected


def test_kmeans_finds_clear_clusters_every_time() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(5, size=500)
    vectors = np.eye(5, 8, dtype=np.float32)[codes] + rng.normal(0, 0.05, (500, 8)).astype(
        np.float32
    )
    found = kmeans(vectors, 5)
    assert found.dtype == np.int32
    assert metrics.adjusted_rand_score(codes, found) == 1
    assert (found == kmeans(vectors, 5)).all()
