"""All clusterings of a model: the files of the command, subsamples, and unusual inputs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.evaluation import clustering
from arxiv_embeddings.evaluation.clustering import all_clusterings
from arxiv_embeddings.evaluation.labels import read_labels
from arxiv_embeddings.evaluation.scores import Score, read_scores
from sklearn.metrics import v_measure_score

Script = Callable[..., subprocess.CompletedProcess[str]]
Run = tuple[pa.Table, list[Score]]

METHODS = ("kmeans category 0", "kmeans category 1", "tree category 0", "tree category 1")


def write_model(folder: Path, fine: np.ndarray, noise: float = 0.3, seed: int = 0) -> None:
    """Write embeddings around the classes ``fine``, pairs of which form a coarse class, and their papers."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(10, 8)), 2, axis=0) + 0.5 * rng.normal(size=(20, 8))
    vectors = centres[fine] + noise * rng.normal(size=(len(fine), 8))
    np.save(folder / "embeddings.npy", vectors.astype(np.float32))
    write_papers(folder, fine)


def write_papers(folder: Path, fine: np.ndarray) -> None:
    upper, lower = [f"a{code // 2}" for code in fine], [f"a{code // 2}.{code}" for code in fine]
    table = {"id": [f"{row:04d}" for row in range(len(fine))], "topic": lower}
    pq.write_table(
        pa.table({**table, "category 0": upper, "category 1": lower}), folder / "papers.parquet"
    )


def cluster(folder: Path) -> Run:
    matrix = np.load(folder / "embeddings.npy", mmap_mode="r")
    return all_clusterings(matrix, read_labels(folder / "papers.parquet", len(matrix)))


def command(script: Script, folder: Path) -> subprocess.CompletedProcess[str]:
    return script(
        "cluster_embeddings.py",
        *("--embeddings", folder / "embeddings.npy", "--papers", folder / "papers.parquet"),
        *("--clusters", folder / "clusters.parquet", "--scores", folder / "scores.parquet"),
    )


def test_command_writes_clusters_and_scores(script: Script, tmp_path: Path) -> None:
    fine = np.arange(200) % 6
    write_model(tmp_path, fine)
    done = command(script, tmp_path)
    assert done.returncode == 0, done.stdout
    clusters = pq.read_table(tmp_path / "clusters.parquet")
    assert clusters.schema == pa.schema(
        [("row", pa.int64()), *((name, pa.int32()) for name in METHODS)]
    )
    assert clusters["row"].to_pylist() == list(range(200))
    scores = {score.key[1:]: score for score in read_scores(tmp_path / "scores.parquet")}
    assert len(scores) == 2 * 2 * 6 + 5
    assert all(score.value is not None and score.replicates for score in scores.values())
    for method, name in (("MiniBatchKMeans", "kmeans"), ("Ward tree", "tree")):
        for level, codes in (("category 0", fine // 2), ("category 1", fine)):
            column = clusters[f"{name} {level}"].to_numpy()
            assert len(set(column)) == len(set(codes))
            wanted = v_measure_score(codes, column)
            assert scores[method, "v_measure", level].value == pytest.approx(wanted)
            assert wanted > 0.5


def test_the_length_of_vectors_does_not_change_the_scores(tmp_path: Path) -> None:
    write_model(tmp_path, np.arange(120) % 6)
    table, scores = cluster(tmp_path)
    vectors = np.load(tmp_path / "embeddings.npy")
    np.save(tmp_path / "embeddings.npy", vectors * np.float32(2) ** (np.arange(120) % 7)[:, None])
    again, scores_again = cluster(tmp_path)
    assert again == table
    assert [score.key for score in scores_again] == [score.key for score in scores]
    # Heights of the tree that are equal up to rounding may change their order.
    for one, other in zip(scores_again, scores, strict=True):
        assert one.value == pytest.approx(other.value)
        assert one.replicates == pytest.approx(other.replicates)


def test_notes_state_the_subsample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "KMEANS_PAPERS", 150)
    monkeypatch.setattr(clustering, "TREE_PAPERS", 60)
    write_model(tmp_path, np.arange(200) % 6)
    table, scores = cluster(tmp_path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    assert len(table) == 150 and (np.diff(columns["row"]) > 0).all()
    for name in METHODS:
        assert (columns[name] >= 0).sum() == (150 if name.startswith("kmeans") else 60)
    for score in scores:
        used = 150 if score.method == "MiniBatchKMeans" else 60
        assert score.papers == used
        assert score.note == f"a random sample of {used} of 200 papers"
    inside = columns["tree category 1"] >= 0
    codes = (columns["row"] % 6)[inside]
    value = next(
        score.value for score in scores if score.method == "Ward tree" and score.level[-1:] == "1"
    )
    assert value == pytest.approx(v_measure_score(codes, columns["tree category 1"][inside]))


@pytest.mark.parametrize(
    ("fine", "value", "reasons"),
    [
        pytest.param([0] * 30, None, {"has fewer than two classes", "undefined"}, id="one class"),
        pytest.param(
            [0, 1] * 15, None, {"category 0 has fewer than two classes", ""}, id="one coarse class"
        ),
        pytest.param([2, 5, 8], None, {"has a single paper", "undefined"}, id="single papers"),
        pytest.param(
            [0, 3] * 15,
            0.5,
            {"all vectors are in one cluster", "all vectors are identical"},
            id="identical vectors",
        ),
    ],
)
def test_scores_of_unusual_inputs_are_omitted_with_a_reason(
    tmp_path: Path, fine: list[int], value: float | None, reasons: set[str]
) -> None:
    write_model(tmp_path, np.array(fine))
    if value is not None:
        np.save(tmp_path / "embeddings.npy", np.full((len(fine), 8), value, np.float32))
    _, scores = cluster(tmp_path)
    omitted = [score for score in scores if score.value is None]
    assert omitted and (omitted == scores) == ("" not in reasons)
    for score in omitted:
        assert any(reason in score.note for reason in reasons if reason)
    for reason in reasons:
        assert any(reason in score.note for score in scores)


@pytest.mark.parametrize("damage", ["rows", "zero", "cut"])
def test_bad_input_ends_the_command_with_a_message(
    script: Script, tmp_path: Path, damage: str
) -> None:
    write_model(tmp_path, np.arange(30) % 6)
    vectors = np.load(tmp_path / "embeddings.npy")
    if damage == "rows":
        write_papers(tmp_path, np.arange(29) % 6)
        reason = "has 29 papers, but the embeddings have 30 rows"
    elif damage == "zero":
        vectors[7] = 0
        np.save(tmp_path / "embeddings.npy", vectors)
        reason = (
            "1 of 30 rows of the embeddings are zero or not finite, the first of which is row 7"
        )
    else:
        data = (tmp_path / "embeddings.npy").read_bytes()
        (tmp_path / "embeddings.npy").write_bytes(data[:-1])
        reason = "embeddings.npy cannot be read"
    done = command(script, tmp_path)
    assert done.returncode == 1
    assert reason in done.stdout and "Traceback" not in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["embeddings.npy", "papers.parquet"]
