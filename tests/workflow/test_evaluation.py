"""The benchmark grid is a separate target; a change runs the cells that it concerns, and nothing else."""

import json
from pathlib import Path
from typing import Any

import datasets
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from support.once import built_once
from support.running import ROOT, Workflow, model

TARGET = "results/test/comparison/grid.csv"
EVALUATION = {
    "papers": 50,
    "reductions": ["none", "pca"],
    "dimensions": 3,
    "clusterings": ["kmeans"],
    "maps": ["pca"],
}
# A corpus and a model may have the same name, so a label does not identify the owner of a file.
MODELS = [model(), model("test", pooling="cls")]


def config(size: int = 60, **evaluation: Any) -> dict[str, Any]:
    return {
        "models": MODELS,
        "sample": {"size": size},
        "shards": {"size": 60},
        "evaluation": {**EVALUATION, **evaluation},
    }


@pytest.fixture(scope="module")
def evaluated(
    inputs: Workflow, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Workflow:
    """A finished grid of two models. Tests take a copy."""

    def build(folder: Path) -> None:
        inputs.copy(folder).run(TARGET, **config())

    return Workflow(built_once(tmp_path_factory, worker_id, "evaluated", build))


def test_a_plain_run_evaluates_nothing(finished: Workflow) -> None:
    assert not (finished.results / "minilm/evaluation").exists()
    assert not (finished.results / "comparison").exists()


def test_every_cell_of_both_models_is_in_the_grid(evaluated: Workflow) -> None:
    grid = pd.read_parquet(evaluated.results / "comparison/grid.parquet")
    cells = grid[grid.family == "flat clustering"].groupby(["model", "reduction", "clustering"])
    assert set(cells.groups) == {
        (label, reduction, "kmeans")
        for label in ("minilm", "test")
        for reduction in ("none", "pca-3")
    }
    assert set(grid.papers[grid.family == "flat clustering"]) == {50}
    assert set(grid.reduction[grid.family == "map"]) == {"pca-2"}
    assert {"flat clustering", "map", "space", "MTEB"} == set(grid.family)
    differences = pd.read_csv(evaluated.results / "comparison/differences.csv")
    assert set(differences["model a"]) == {"minilm"} and set(differences["model b"]) == {"test"}


def test_a_change_runs_only_its_own_cells(evaluated: Workflow, tmp_path: Path) -> None:
    done = evaluated.copy(tmp_path)
    assert done.run(TARGET, **config()).jobs == {}
    # The larger sample begins with the same papers, so no cell changes.
    # One core: where two models are selected within a second, Snakemake may also compare them again, which takes seconds.
    assert set(done.run(TARGET, "--cores", "1", **config(70)).jobs) == {
        *("find_vectors", "embed_shard", "merge_vectors", "select_papers"),
    }
    jobs = done.run(TARGET, **config(70, clusterings=["kmeans", "ward"])).jobs
    assert jobs == {"cluster_papers": 4, "compare_models": 1}
    settings = {"pca": {"whiten": True}}
    jobs = done.run(TARGET, **config(70, clusterings=["kmeans", "ward"], settings=settings)).jobs
    assert jobs == {
        "reduce_embeddings": 4,
        "cluster_papers": 4,
        "score_map": 2,
        "compare_models": 1,
    }


def test_the_dataset_is_loaded_and_the_notebook_runs(
    evaluated: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluated.copy(tmp_path / "run")
    assert done.run("dataset", **config()).jobs == {"make_dataset": 2, "dataset": 1}
    assert done.run("dataset", **config()).jobs == {}
    folder = done.results / "minilm/dataset"
    papers = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert np.array_equal(papers.with_format("numpy")["vector"][:], done.embeddings())
    assert papers[0]["title"] and papers[0]["year"] > 1990
    assert (papers[49]["x"] is None, papers[50]["x"] is None) == (False, True)

    # As in a clone after `make demo`.
    for link, target in (
        ("results/demo/all-minilm-l6-v2", done.results / "minilm"),
        ("results/demo/comparison", done.results / "comparison"),
        ("resources/models/all-minilm-l6-v2", done.folder / "resources/models/minilm"),
    ):
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(target)
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    mpl.use("agg")
    notebook = json.loads((ROOT / "docs/use.ipynb").read_text())
    found: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), found)  # noqa: S102
    assert found["vectors"].shape == (60, 384)
    assert len(found["axes"].collections) == len(set(found["papers"]["category 0"]))
    assert len(found["search"].text("plasma", number=3)) == 3


def test_a_cell_that_cannot_be_made_is_omitted_and_the_others_go_on(fresh: Workflow) -> None:
    one = {**config(40, dimensions=[2, 300]), "models": MODELS[:1]}
    fresh.run(TARGET, **one)
    grid = pd.read_parquet(fresh.results / "comparison/grid.parquet")
    omitted = grid[grid.value.isna() & (grid.reduction == "pca-300")]
    assert len(omitted) and omitted.note.str.contains("pca cannot give 300 dimensions").all()
    assert grid[(grid.reduction == "pca-2") & (grid.metric == "ari")].value.notna().all()


def test_unknown_methods_and_parameters_stop_before_the_first_job(fresh: Workflow) -> None:
    for evaluation, message in (
        ({"reductions": ["isomap"]}, "evaluation.reductions[0]: 'isomap' is not allowed"),
        (
            {"settings": {"umap": {"neighbours": 3}}},
            "evaluation.settings.umap: unknown parameter 'neighbours'",
        ),
        ({"settings": {"isomap": {}}}, "'isomap' is not allowed. The methods with parameters are"),
    ):
        run = fresh.run(TARGET, code=1, **config(40, **evaluation))
        assert message in run.output
        assert not fresh.results.exists()
