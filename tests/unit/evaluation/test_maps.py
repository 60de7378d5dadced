"""Maps by PHATE where it is installed, by PCA where it is not, and the reasons why a map cannot be made."""

import importlib.util
import json
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from arxiv_embeddings.common.errors import InputError
from arxiv_embeddings.evaluation import maps
from arxiv_embeddings.evaluation.maps import make_map, read_map, write_map
from arxiv_embeddings.evaluation.scores import read_scores
from support.data.make_evaluation import make_papers

Script = Callable[..., subprocess.CompletedProcess[str]]

needs_phate = pytest.mark.skipif(
    importlib.util.find_spec("phate") is None, reason="phate is not installed (make phate)"
)


def blobs(papers: int, dimensions: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, dimensions))
    noise = 0.6 * rng.normal(size=(papers, dimensions))
    return (5 * (centres[np.arange(papers) % 4] + noise)).astype(np.float32)


@pytest.fixture
def no_phate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@needs_phate
def test_phate_equals_its_library_and_repeats_exactly() -> None:
    import phate

    matrix = blobs(150)
    rows, places, map_report = make_map(matrix, threads=1)
    vectors = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    operator = phate.PHATE(random_state=42, verbose=0, **maps.SETTINGS)
    np.testing.assert_allclose(places, operator.fit_transform(vectors), atol=1e-6)
    assert map_report["t"] == operator.optimal_t
    assert map_report["settings"] == {name: getattr(operator, name) for name in maps.SETTINGS}
    assert map_report["method"] == "PHATE"
    assert map_report["papers"] == 150
    assert map_report["subsample"] is None
    assert map_report["components"] >= 1
    assert len(map_report["entropy"]) == 100
    assert {"phate", "graphtools"} <= set(map_report["versions"])
    assert rows.tolist() == list(range(150))
    assert places.dtype == np.float64
    np.testing.assert_array_equal(make_map(matrix, threads=2)[1], places)
    json.dumps(map_report)


@needs_phate
def test_phate_maps_papers_with_many_identical_vectors() -> None:
    matrix = blobs(120)
    matrix[:40] = matrix[0]
    _, places, _ = make_map(matrix, threads=1)
    assert np.isfinite(places).all()


@pytest.mark.usefixtures("no_phate")
def test_pca_replaces_a_missing_phate_and_the_log_says_how_to_get_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    matrix = blobs(80)
    with caplog.at_level(logging.WARNING):
        _, places, map_report = make_map(matrix, threads=1)
    assert "make phate" in caplog.text
    assert map_report["method"] == "PCA"
    assert map_report["t"] is None
    vectors = matrix.astype(np.float64) / np.linalg.norm(matrix, axis=1, keepdims=True)
    vectors -= vectors.mean(axis=0)
    _, sizes, axes = np.linalg.svd(vectors)
    np.testing.assert_allclose(np.abs(places), np.abs(vectors @ axes[:2].T), atol=1e-4)
    wanted = sizes[:2] ** 2 / (sizes**2).sum()
    np.testing.assert_allclose(map_report["explained_variance"], wanted, atol=1e-4)


@pytest.mark.usefixtures("no_phate")
def test_the_report_of_a_map_states_the_subsample(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(maps, "MAPPED", 60)
    with caplog.at_level(logging.INFO):
        rows, places, map_report = make_map(blobs(90), threads=1)
    assert "a random sample of 60 of 90 papers" in caplog.text
    assert (map_report["papers"], map_report["subsample"]) == (90, 60)
    assert len(rows) == len(places) == len(set(rows.tolist())) == 60
    assert (np.diff(rows) > 0).all()


@pytest.mark.parametrize("papers", [1, 20])
def test_too_few_papers_are_refused(papers: int) -> None:
    with pytest.raises(InputError, match=f"at least 21 papers, but the embeddings have {papers}"):
        make_map(blobs(papers), threads=1)


def test_identical_and_zero_vectors_are_refused() -> None:
    matrix = np.repeat(blobs(1), 60, axis=0)
    with pytest.raises(InputError, match="identical"):
        make_map(matrix, threads=1)
    matrix[5] = 0
    with pytest.raises(InputError, match="first of which is row 5"):
        make_map(matrix, threads=1)


def test_a_map_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows, places = np.array([1, 4, 5]), np.random.default_rng(0).normal(size=(3, 2))
    path, map_report = tmp_path / "map.parquet", tmp_path / "map.json"
    write_map(path, rows, places)
    table = pq.read_table(path)
    assert [str(kind) for kind in table.schema.types] == ["int64", "double", "double"]
    map_report.write_text(json.dumps({"method": "PCA", "papers": 6, "subsample": 3}))
    read_rows, read_places, method = read_map(path, map_report, 6)
    np.testing.assert_array_equal(read_rows, rows)
    np.testing.assert_array_equal(read_places, places)
    assert method == "PCA"
    with pytest.raises(InputError, match="not a map of these embeddings"):
        read_map(path, map_report, 7)
    map_report.write_text(json.dumps({"method": "PCA", "papers": 6, "subsample": None}))
    with pytest.raises(InputError, match="not a map of these embeddings"):
        read_map(path, map_report, 6)
    map_report.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_map(path, map_report, 6)


def test_the_commands_make_and_score_a_map(tmp_path: Path, script: Script) -> None:
    np.save(tmp_path / "embeddings.npy", blobs(100))
    papers, scores = tmp_path / "papers.parquet", tmp_path / "map-scores.parquet"
    make_papers(papers, 100, 12)
    made = ("--map", tmp_path / "map.parquet", "--map-report", tmp_path / "map.json")
    embeddings = ("--embeddings", tmp_path / "embeddings.npy")
    done = script("map_embeddings.py", *embeddings, *made)
    assert done.returncode == 0, done.stdout
    done = script("score_map.py", *embeddings, "--papers", papers, *made, "--scores", scores)
    assert done.returncode == 0, done.stdout
    found = read_scores(scores)
    assert {score.metric for score in found} >= {"trustworthiness", "demap", "accuracy_at_10"}
    method = json.loads((tmp_path / "map.json").read_text())["method"]
    assert {score.method for score in found} == {method}
    np.save(tmp_path / "embeddings.npy", np.zeros((10, 4), np.float32))
    done = script(
        "map_embeddings.py", *embeddings, "--map", tmp_path / "m", "--map-report", tmp_path / "a"
    )
    assert done.returncode == 1
    assert "at least 21 papers" in done.stdout
    assert not (tmp_path / "m").exists()
