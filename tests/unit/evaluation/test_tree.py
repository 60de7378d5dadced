"""Trees equal scipy's, and their scores equal the definitions computed pair by pair."""

import itertools

import numpy as np
import pytest
from arxiv_embeddings.evaluation.bootstrap import resample
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.tree import Tree, cut, lay_out
from arxiv_embeddings.evaluation.tree_scores import (
    cophenetic_correlation,
    dasgupta_cost,
    dendrogram_purity,
    lca_f1,
    meetings,
    tree_scores,
)
from scipy.cluster.hierarchy import cophenet, fcluster, linkage
from scipy.spatial.distance import squareform

PAPERS = 40
ONES = np.ones(PAPERS, np.int64)
COUNTS = [ONES, resample(PAPERS, 0), resample(PAPERS, 1)]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Forty unit vectors around the classes of ``coarse`` and ``fine``."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(3, 8)), 2, axis=0) + 0.7 * rng.normal(size=(6, 8))
    found = centres[fine()] + 0.6 * rng.normal(size=(PAPERS, 8))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def tree(vectors: np.ndarray) -> Tree:
    return ward_tree(vectors)


def ward_tree(vectors: np.ndarray) -> Tree:
    return lay_out(linkage(vectors.astype(np.float64), "ward"))


def fine() -> np.ndarray:
    """Six classes of unequal size; the last has a single paper."""
    return np.asarray(np.minimum(np.arange(PAPERS) ** 2 // 300, 5))


def coarse() -> np.ndarray:
    return np.asarray(fine() // 2)


def leaves_under(tree: Tree) -> list[set[int]]:
    """The leaves under every node, from the merges alone."""
    found: list[set[int]] = [{leaf} for leaf in range(len(tree.order))]
    for left, right in tree.merges[:, :2].astype(int):
        found.append(found[left] | found[right])
    return found[len(tree.order) :]


def meeting_node(under: list[set[int]], i: int, j: int) -> int:
    return next(node for node, leaves in enumerate(under) if {i, j} <= leaves)


def pairs(counts: np.ndarray) -> list[tuple[int, int, int]]:
    """The two papers of every pair, and how often the pair counts."""
    return [(i, j, int(counts[i] * counts[j])) for i, j in itertools.combinations(range(PAPERS), 2)]


def test_every_node_is_a_range_of_leaves(tree: Tree) -> None:
    assert sorted(tree.order) == list(range(PAPERS))
    for node, leaves in enumerate(leaves_under(tree)):
        left, right = tree.merges[node, :2].astype(int)
        assert set(tree.order[tree.first[node] : tree.end[node]]) == leaves
        sides = [
            {side} if side < PAPERS else leaves_under(tree)[side - PAPERS] for side in (left, right)
        ]
        assert set(tree.order[tree.first[node] : tree.middle[node]]) == sides[0]
        assert set(tree.order[tree.middle[node] : tree.end[node]]) == sides[1]


def test_a_cut_gives_as_many_clusters_as_requested(tree: Tree) -> None:
    for clusters in (1, 2, 7, PAPERS):
        found = cut(tree.merges, clusters)
        assert found.dtype == np.int32
        assert sorted(set(found)) == list(range(clusters))
        assert (found + 1 == fcluster(tree.merges, clusters, "maxclust")).all()


@pytest.mark.parametrize("counts", COUNTS)
def test_dendrogram_purity_follows_its_definition(tree: Tree, counts: np.ndarray) -> None:
    under, codes = leaves_under(tree), fine()
    total = weight = 0.0
    for i, j, times in pairs(counts):
        if codes[i] == codes[j]:
            leaves = list(under[meeting_node(under, i, j)])
            share = (
                counts[leaves][codes[leaves] == codes[i]].sum() / counts[leaves].sum()
                if times
                else 0
            )
            total += times * share
            weight += times
    found = dendrogram_purity(tree, meetings(tree, codes), counts)
    assert found == pytest.approx(total / weight, rel=1e-12)
    assert 0.3 < found < 0.99


def plain_cost(tree: Tree, codes: np.ndarray) -> float:
    """Dasgupta's cost: the sum, over pairs of one class, of the number of leaves under the node where they meet."""
    under = leaves_under(tree)
    return float(
        sum(
            len(under[meeting_node(under, i, j)])
            for i, j in itertools.combinations(range(len(codes)), 2)
            if codes[i] == codes[j]
        )
    )


def test_dasgupta_cost_follows_its_definition_between_minimum_and_chance(tree: Tree) -> None:
    codes = fine()
    sizes = np.bincount(codes)
    least = ((sizes**3 - sizes) / 3).sum()
    chance = (sizes * (sizes - 1) / 2).sum() * 2 * (PAPERS + 1) / 3
    wanted = (plain_cost(tree, codes) - least) / (chance - least)
    found = dasgupta_cost(tree, meetings(tree, codes), ONES)
    assert found == pytest.approx(wanted, rel=1e-12)
    assert 0.01 < found < 0.8


def test_dasgupta_cost_of_shuffled_leaves_is_one_on_average() -> None:
    tree = ward_tree(np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32))
    costs = [
        dasgupta_cost(tree, meetings(tree, np.array(codes)), np.ones(6))
        for codes in itertools.permutations([0, 0, 0, 1, 1, 2])
    ]
    assert np.mean(costs) == pytest.approx(1, rel=1e-12)
    assert min(costs) >= 0


def test_a_tree_of_the_classes_has_perfect_scores() -> None:
    codes = np.array([0, 0, 0, 1, 1, 2])
    vectors = (
        np.eye(3, dtype=np.float32)[codes] + np.linspace(0, 0.01, 6, dtype=np.float32)[:, None]
    )
    tree = ward_tree(vectors)
    met = meetings(tree, codes)
    for counts in (np.ones(6), np.array([3, 0, 2, 1, 1, 4])):
        assert dendrogram_purity(tree, met, counts) == 1
        assert dasgupta_cost(tree, met, counts) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", COUNTS[1:])
def test_dasgupta_cost_counts_a_paper_drawn_twice_as_two_leaves(
    tree: Tree, counts: np.ndarray
) -> None:
    """The same as with copies as leaves that meet at height 0, without the pairs of copies."""
    codes, papers = fine(), int(counts.sum())
    copies = np.repeat(np.arange(PAPERS), counts)
    distances = squareform(cophenet(tree.merges))[np.ix_(copies, copies)]
    copied = lay_out(linkage(squareform(distances), "single"))
    of_copies, of_classes, sizes = (
        ((sizes**3 - sizes) / 3).sum()
        for sizes in (counts, np.bincount(codes, counts), np.array([papers]))
    )
    same = (np.bincount(codes, counts) ** 2).sum() / 2 - (counts**2).sum() / 2
    everything = papers**2 / 2 - (counts**2).sum() / 2
    cost, least = plain_cost(copied, codes[copies]) - of_copies, of_classes - of_copies
    chance = same * (sizes - of_copies) / everything
    found = dasgupta_cost(tree, meetings(tree, codes), counts)
    assert found == pytest.approx((cost - least) / (chance - least), rel=1e-12)


@pytest.mark.parametrize("counts", COUNTS)
def test_cophenetic_correlation_equals_pearson_over_all_pairs(
    tree: Tree, counts: np.ndarray
) -> None:
    heights = squareform(cophenet(tree.merges))
    in_tree, in_labels = [], []
    for i, j, times in pairs(counts):
        distance = 2 - int(coarse()[i] == coarse()[j]) - int(fine()[i] == fine()[j])
        in_tree += [heights[i, j]] * times
        in_labels += [distance] * times
    levels = [meetings(tree, coarse()), meetings(tree, fine())]
    found = cophenetic_correlation(tree, levels, counts)
    assert found == pytest.approx(np.corrcoef(in_tree, in_labels)[0, 1], rel=1e-10)
    assert found > 0.3


def test_a_single_pair_of_one_class_has_scores() -> None:
    tree = ward_tree(np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32))
    # The last two leaves meet first; the pair of class 0 meets at the root.
    met, counts = meetings(tree, np.array([0, 0, 1])), np.ones(3)
    assert dendrogram_purity(tree, met, counts) == pytest.approx(2 / 3)
    # The pair costs 3, at least 2, and by chance 2 * (3 + 1) / 3.
    assert dasgupta_cost(tree, met, counts) == pytest.approx((3 - 2) / (8 / 3 - 2))


@pytest.mark.filterwarnings("error")
def test_scores_of_a_single_drawn_paper_are_nan_without_a_warning(tree: Tree) -> None:
    counts = np.zeros(PAPERS, np.int64)
    counts[7] = PAPERS
    upper, lower = meetings(tree, coarse()), meetings(tree, fine())
    assert np.isnan(dendrogram_purity(tree, lower, counts))
    assert np.isnan(dasgupta_cost(tree, lower, counts))
    assert np.isnan(cophenetic_correlation(tree, [upper, lower], counts))


def levels_of(upper: np.ndarray, lower: np.ndarray) -> tuple[Labels, Labels]:
    one, two = (
        Labels(f"category {level}", codes, tuple(f"c{code}" for code in range(codes.max() + 1)))
        for level, codes in enumerate((upper, lower))
    )
    return one, two


def test_scores_by_metric_and_level(tree: Tree) -> None:
    scores = tree_scores(tree, levels_of(coarse(), fine()))
    metrics = ("dendrogram_purity", "lca_f1", "dasgupta_cost")
    assert list(scores) == [
        *((metric, level) for level in ("category 0", "category 1") for metric in metrics),
        ("cophenetic_correlation", ""),
    ]
    met = meetings(tree, fine())
    assert scores["dendrogram_purity", "category 1"] == dendrogram_purity(tree, met, ONES)
    assert scores["lca_f1", "category 1"] == lca_f1(tree, met, ONES)


@pytest.mark.parametrize("classes", [fine(), coarse()])
def test_lca_f1_follows_its_definition(tree: Tree, classes: np.ndarray) -> None:
    under = leaves_under(tree)
    found = []
    for i, j in itertools.combinations(range(PAPERS), 2):
        if classes[i] == classes[j]:
            leaves = under[meeting_node(under, i, j)]
            of_class = set(np.flatnonzero(classes == classes[i]).tolist())
            precision = len(leaves & of_class) / len(leaves)
            recall = len(leaves & of_class) / len(of_class)
            found.append(2 * precision * recall / (precision + recall))
    met = meetings(tree, classes)
    assert lca_f1(tree, met, ONES) == pytest.approx(np.mean(found))
    # Within its own error of an estimate from random pairs.
    sample = np.random.default_rng(0).choice(found, 200)
    assert abs(sample.mean() - lca_f1(tree, met, ONES)) < 4 * sample.std() / np.sqrt(200)


def test_lca_f1_of_a_tree_of_the_classes_approaches_one() -> None:
    """The pair that meets at the root of its class has the F1 1; smaller subtrees miss a part of the class."""
    codes = np.repeat(np.arange(4), 2)
    tree = ward_tree(10 * np.eye(4)[codes] + np.random.default_rng(0).normal(size=(8, 4)))
    assert lca_f1(tree, meetings(tree, codes), np.ones(8)) == 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_cophenetic_correlation_of_hierarchies_of_any_depth(tree: Tree, depth: int) -> None:
    """The distance in the tree of categories is the number of levels at which two papers differ."""
    rng = np.random.default_rng(1)
    paths = [np.zeros(PAPERS, int)]
    for _ in range(depth):
        paths.append(
            np.unique(paths[-1] * 3 + rng.integers(3, size=PAPERS), return_inverse=True)[1]
        )
    paths = paths[1:]
    apart = [
        sum(path[i] != path[j] for path in paths)
        for i, j in itertools.combinations(range(PAPERS), 2)
    ]
    wanted = np.corrcoef(cophenet(tree.merges), apart)[0, 1]
    found = cophenetic_correlation(tree, [meetings(tree, path) for path in paths], ONES)
    assert found == pytest.approx(wanted)


def test_a_fine_class_under_two_coarse_classes_counts_as_two(tree: Tree) -> None:
    shared = fine() % 2
    key = ("cophenetic_correlation", "")
    of_shared = tree_scores(tree, levels_of(coarse(), shared))[key]
    assert of_shared == tree_scores(tree, levels_of(coarse(), fine()))[key]


def test_scores_of_identical_vectors_and_single_papers_are_undefined() -> None:
    same = ward_tree(np.ones((6, 4)))
    levels = levels_of(np.zeros(6, int), np.array([0, 0, 0, 1, 1, 1]))
    found = tree_scores(same, levels)
    assert {level for _, level in found} == {"category 1", ""}
    assert all(np.isnan(value) for value in found.values())
    different = ward_tree(np.random.default_rng(0).normal(size=(6, 3)))
    singles = tree_scores(different, levels_of(np.zeros(6, int), np.arange(6)))
    assert list(singles) == [("cophenetic_correlation", "")]
    assert np.isnan(singles["cophenetic_correlation", ""])
