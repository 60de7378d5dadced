"""Agreement from contingency tables equals scikit-learn's from labels."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation.agreement import METRICS, agreement, contingency
from sklearn import metrics

SKLEARN = {
    "ari": metrics.adjusted_rand_score,
    "ami": metrics.adjusted_mutual_info_score,
    "v_measure": metrics.v_measure_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "fowlkes_mallows": metrics.fowlkes_mallows_score,
    "rand": metrics.rand_score,
}


def draw(papers: int, classes: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return classes of unequal size, and clusters that differ from them in a share ``noise`` of the papers."""
    rng = np.random.default_rng(seed)
    codes = np.concatenate(
        [np.arange(classes), rng.integers(classes, size=papers - classes) ** 2 // classes]
    )
    clusters = np.where(rng.random(papers) < noise, rng.integers(classes + 3, size=papers), codes)
    return codes, clusters


def test_a_table_counts_the_papers() -> None:
    table = contingency(np.array([0, 0, 1, 2]), np.array([1, 1, 0, 3]))
    assert table.tolist() == [[0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("papers", "classes"), [(300, 12), (40, 30), (5_000, 150)])
def test_agreement_equals_scikit_learn(noise: float, papers: int, classes: int) -> None:
    codes, clusters = draw(papers, classes, noise)
    found = agreement(contingency(codes, clusters))
    assert tuple(found) == METRICS == tuple(SKLEARN)
    for metric, function in SKLEARN.items():
        assert found[metric] == pytest.approx(function(codes, clusters), abs=1e-9), metric


@pytest.mark.parametrize("codes", [[0, 1, 1, 0], [0, 1, 2, 3]])
def test_a_single_cluster_and_clusters_of_one_paper_have_the_values_of_scikit_learn(
    codes: list[int],
) -> None:
    for clusters in ([0, 0, 0, 0], [0, 1, 2, 3]):
        found = agreement(contingency(np.array(codes), np.array(clusters)))
        for metric, function in SKLEARN.items():
            assert found[metric] == pytest.approx(function(codes, clusters)), metric


def test_one_class_has_no_scores() -> None:
    one, two = np.zeros(4, int), np.array([0, 1, 1, 0])
    for clusters in (one, two):
        assert all(np.isnan(value) for value in agreement(contingency(one, clusters)).values())
