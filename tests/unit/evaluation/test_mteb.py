"""MTEB's protocol: its labels, its draws, and the papers and scores that it omits."""

import random

import numpy as np
import pytest
from arxiv_embeddings.evaluation import mteb
from arxiv_embeddings.evaluation.labels import Labels
from arxiv_embeddings.evaluation.mteb import lower_classes, mteb_scores
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import v_measure_score


def labels_of(level: str, values: list[str]) -> Labels:
    names, codes = np.unique(values, return_inverse=True)
    return Labels(level, codes.astype(np.int32), tuple(names.tolist()))


def levels_of(values: list[str]) -> list[Labels]:
    upper = [value.partition(".")[0] for value in values]
    return [labels_of("category 0", upper), labels_of("category 1", values)]


def around_classes(values: list[str], noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = {value: rng.normal(size=8) for value in sorted(set(values))}
    vectors = [centres[value] + noise * rng.normal(size=8) for value in values]
    return np.array(vectors, np.float32)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mteb, "DRAWS", 300)


def test_the_lower_class_is_the_part_after_the_dot() -> None:
    upper = np.array(["cs", "math", "hep-th", "cond-mat"])
    lower = np.array(["cs.IT", "math.IT", "hep-th", "cond-mat.str-el"])
    assert lower_classes(upper, lower).tolist() == ["IT", "IT", "", "str-el"]


def test_classes_of_other_corpora_are_unchanged() -> None:
    upper, lower = np.array(["0", "1", "1"]), np.array(["0", "1", "2"])
    assert lower_classes(upper, lower).tolist() == ["0", "1", "2"]


def test_classes_that_are_numbered_within_the_upper_one_stay_apart() -> None:
    upper, lower = np.array(["0", "1", "1"]), np.array(["0.1", "1.1", "1.2"])
    assert lower_classes(upper, lower).tolist() == ["0.1", "1.1", "1.2"]


@pytest.mark.parametrize("depth", [1, 3])
def test_hierarchies_of_other_depths_have_a_score_for_each_level(depth: int) -> None:
    values = [["a", "b", "c", "d"][row % 4] for row in range(60)]
    levels = [labels_of(f"category {number}", values) for number in range(depth)]
    scores = mteb_scores(around_classes(values, 0.01), levels)
    assert [score.level for score in scores] == [*(labels.level for labels in levels), ""]
    assert [score.value for score in scores] == pytest.approx([1] * (depth + 1))
    chance = scores[0].chance
    assert chance is not None and chance < 0.3


def test_the_scores_follow_the_protocol() -> None:
    values = [["cs.IT", "math.IT", "cs.CL", "math.AG", "hep-th"][row % 5] for row in range(100)]
    matrix = around_classes(values, 0.8)
    draw = random.Random(42)
    rows = draw.sample(range(100), 100)
    wanted = []
    for level in (0, 1):
        chosen = [row for row in rows if len(values[row].split(".")) > level]
        classes = [values[row].split(".")[level] for row in chosen]
        runs = []
        for _ in range(10):
            drawn = draw.choices(range(len(chosen)), k=300)
            model = MiniBatchKMeans(len(set(classes)), batch_size=512, n_init=1, random_state=42)
            clusters = model.fit_predict(matrix[chosen][drawn])
            runs.append(v_measure_score([classes[number] for number in drawn], clusters))
        wanted.append(np.mean(runs))
    upper, lower, both = mteb_scores(matrix, levels_of(values))
    assert [upper.value, lower.value] == pytest.approx(wanted)
    assert both.value == pytest.approx(np.mean(wanted))
    assert (upper.papers, lower.papers, both.papers) == (100, 80, 100)
    assert lower.note.startswith("80 papers, 10 clusterings of 300 draws each")


def test_at_most_as_many_papers_are_drawn_as_in_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mteb, "DOCUMENTS", 40)
    values = [["cs.A", "cs.B", "math.C"][row % 3] for row in range(90)]
    scores = mteb_scores(around_classes(values, 0.01), levels_of(values))
    assert [score.papers for score in scores] == [40, 40, 40]
    assert scores[1].value == pytest.approx(1)


def test_a_level_of_one_class_and_the_mean_are_omitted() -> None:
    values = [["cs.A", "cs.B"][row % 2] for row in range(30)]
    upper, lower, both = mteb_scores(around_classes(values, 0.01), levels_of(values))
    assert (upper.value, upper.note) == (None, "omitted: fewer than two classes")
    assert lower.value == pytest.approx(1)
    assert (both.value, both.note) == (None, "omitted: a level has no score")
