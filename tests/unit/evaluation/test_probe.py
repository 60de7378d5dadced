"""The linear probe against scikit-learn, and its hierarchical F1 against the definition."""

import numpy as np
import pytest
from arxiv_embeddings.evaluation.bootstrap import subsamples
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.probe import predict, probe_scores
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict


def draw(papers: int, noise: float) -> tuple[np.ndarray, list[Labels]]:
    """Return unit vectors around six classes, of which two and two make a coarse one."""
    rng = np.random.default_rng(0)
    codes = rng.integers(6, size=papers)
    vectors = np.eye(6, 8)[codes] + noise * rng.normal(size=(papers, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fine = Labels("category 1", codes.astype(np.int32), tuple("abcdef"))
    coarse = Labels("category 0", (codes // 2).astype(np.int32), tuple("xyz"))
    return vectors.astype(np.float32), [coarse, fine]


def test_every_paper_is_predicted_from_the_other_folds() -> None:
    vectors, (_, fine) = draw(300, 0.5)
    fold = np.random.default_rng(42).permutation(300) % 5
    model = RidgeClassifier(alpha=1.0, solver="cholesky")
    wanted = cross_val_predict(model, vectors, fine.codes, cv=PredefinedSplit(fold))
    assert (predict(vectors, fine.codes) == wanted).all()


def test_hierarchical_f1_gives_credit_for_the_upper_class() -> None:
    vectors, levels = draw(300, 0.5)
    predicted = predict(vectors, levels[1].codes)
    shared = total = 0
    for true, told in zip(levels[1].codes, predicted, strict=True):
        paths = {("x", true // 2), ("a", true)}, {("x", told // 2), ("a", told)}
        shared += len(paths[0] & paths[1])
        total += len(paths[0]) + len(paths[1])
    upper, lower, both = probe_scores(vectors, levels, "a note")
    assert both.value == pytest.approx(2 * shared / total)
    assert lower.value == pytest.approx((predicted == levels[1].codes).mean())
    assert upper.value is not None and lower.value is not None and both.value is not None
    assert lower.value < both.value < upper.value
    assert both.note == "a note; 5 folds"
    again = []
    for rows in subsamples(300):
        fine = levels[1].at(rows)
        again.append((predict(vectors[rows], fine.codes) == fine.codes).mean())
    assert np.std(lower.replicates) == pytest.approx(np.std(again))


def test_vectors_without_classes_score_at_chance() -> None:
    _, levels = draw(3_000, 0.0)
    vectors = np.random.default_rng(1).normal(size=(3_000, 8)).astype(np.float32)
    for score in probe_scores(vectors, levels, ""):
        assert score.value == pytest.approx(score.chance, abs=0.04)


def test_clear_classes_are_found_and_a_class_of_one_paper_is_a_miss() -> None:
    vectors, levels = draw(200, 0.01)
    codes = levels[1].codes.copy()
    codes[7] = 6
    lonely = Labels("category 1", codes, tuple("abcdefg"))
    assert probe_scores(vectors, levels, "")[1].value == 1
    assert probe_scores(vectors, [levels[0], lonely], "")[1].value == pytest.approx(199 / 200)


def test_few_papers_and_a_single_class_are_omitted_with_a_reason() -> None:
    vectors, levels = draw(40, 0.1)
    assert {score.note for score in probe_scores(vectors, levels, "")} == {
        "omitted: fewer than 50 papers"
    }
    vectors, _ = draw(60, 0.1)
    one = Labels("category 0", np.zeros(60, np.int32), ("x",))
    assert {score.value for score in probe_scores(vectors, [one], "")} == {None}
