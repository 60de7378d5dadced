"""The evaluation is a separate target, and reruns when the embeddings change."""

from typing import Any

import pandas as pd
from support.running import Workflow, model


def test_a_plain_run_evaluates_nothing(finished: Workflow) -> None:
    assert not (finished.results / "minilm/evaluation").exists()
    assert not (finished.results / "comparison").exists()


def test_two_models_are_compared_on_the_same_papers(fresh: Workflow) -> None:
    target = "results/test/comparison/differences.csv"
    # A corpus and a model may have the same name, so a label does not identify the owner of a file.
    models = [model(), model("test", pooling="cls")]
    config: dict[str, Any] = {"models": models, "sample": {"size": 60}, "shards": {"size": 60}}
    jobs = fresh.run(target, **config).jobs
    assert jobs["cluster_embeddings"] == 2 and jobs["compare_models"] == 1
    scores = pd.read_parquet(fresh.results / "comparison/scores.parquet")
    assert set(scores["model"]) == {"minilm", "test"}
    assert {"flat clustering", "tree", "space", "map"} <= set(scores["family"])
    for label in ("minilm", "test"):
        own = pd.read_parquet(fresh.results / label / "evaluation/clustering-scores.parquet")
        merged = scores[(scores["model"] == label) & scores["family"].isin(set(own["family"]))]
        columns = ["metric", "level", "value"]
        wanted = own[columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(merged[columns].reset_index(drop=True), wanted)
    differences = pd.read_csv(fresh.results / "comparison/differences.csv")
    assert set(differences["model a"]) == {"minilm"} and set(differences["model b"]) == {"test"}
    assert fresh.run(target, **config).jobs == {}
    clusters = "results/test/minilm/evaluation/clusters.parquet"
    again = fresh.run(clusters, **{**config, "sample": {"size": 50}})
    assert again.jobs == {
        "find_vectors": 1,
        "merge_vectors": 1,
        "cluster_embeddings": 1,
    }
